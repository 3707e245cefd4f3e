"""One thing in a tree, as it lies on disk and as it is called in the image."""

import os
import stat
from typing import NamedTuple


class Entry(NamedTuple):
    """A path of a tree with what ``lstat`` said of it.

    ``path`` is the name in the image: relative, no trailing slash, components
    joined by ``/``. ``source`` is the path on disk, empty for a directory that
    imgpack makes up. Times are nanoseconds, ``size`` bytes. ``record`` is the
    entry's record in a snapshot, if there is one.

    A ``NamedTuple`` rather than a dataclass: a tree has hundreds of thousands of
    these, and they are made four times as fast.
    """

    path: bytes
    source: bytes
    mode: int
    inode: int
    device: int
    links: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    ctime_ns: int
    rdev: int
    record: bytes = b""


def made_up_directory(mtime_ns: int) -> os.stat_result:
    """What ``lstat`` would say of a directory that no source has: ``0755 0:0``."""
    seconds = mtime_ns // 1_000_000_000
    times = {"st_mtime_ns": mtime_ns, "st_ctime_ns": 0, "st_rdev": 0}
    return os.stat_result((stat.S_IFDIR | 0o755, 0, 0, 1, 0, 0, 0, 0, seconds, 0), times)
