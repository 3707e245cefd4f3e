"""One thing in a tree: what it is called in the image, and where the rest of it is."""

import os
import stat
from collections.abc import Mapping
from typing import BinaryIO, Final, NamedTuple, Protocol

_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


class Content(Protocol):
    """What an entry has beyond its fields, asked for as often as needed."""

    def open(self) -> BinaryIO:
        """The bytes of a regular file, from their start; the caller closes it."""

    @property
    def target(self) -> bytes:
        """Where a symbolic link points."""

    @property
    def xattrs(self) -> Mapping[bytes, bytes]:
        """Extended attributes by their names, such as ``user.key``."""


class Entry(NamedTuple):
    """A path of a tree with what ``lstat`` says of it, or would.

    ``path`` is the name in the image: relative, no trailing slash, components
    joined by ``/``. ``content`` is a path on disk, or anything else that has the
    rest; it is empty for a directory that has no more than its fields. Entries with
    one inode of one device are hard links. Times are nanoseconds, ``size`` bytes.
    ``stamp`` is what proves an entry unchanged: its record in a snapshot, or empty.

    A ``NamedTuple`` rather than a dataclass: a tree has hundreds of thousands of
    these, and they are made four times as fast.
    """

    path: bytes
    content: bytes | Content
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
    stamp: bytes = b""

    @property
    def shown(self) -> bytes:
        """What messages call it: the path on disk, if it has one."""
        return self.content if self.content and isinstance(self.content, bytes) else self.path

    def open(self) -> BinaryIO:
        """The bytes of a regular file. Raises ``OSError``, also for a symbolic link."""
        if isinstance(self.content, bytes):
            return open(os.open(self.content, _OPEN), "rb")
        return self.content.open()

    def target(self) -> bytes:
        """Where a symbolic link points. Raises ``OSError``."""
        if isinstance(self.content, bytes):
            return os.readlink(self.content)
        return self.content.target


def made_up_directory(path: bytes, mtime_ns: int) -> Entry:
    """A directory that no tree has: ``0755 0:0``."""
    return Entry(path, b"", stat.S_IFDIR | 0o755, 0, 0, 1, 0, 0, 0, mtime_ns, 0, 0)
