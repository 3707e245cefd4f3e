"""One thing in a tree: what it is called in the image, and where the rest of it is."""

import functools
import os
import stat
from collections.abc import Mapping
from typing import BinaryIO, Final, NamedTuple, Protocol

WHITEOUT: Final = 0o160000
"""The type of an entry that deletes what lower layers have at its path."""
OPAQUE: Final = 0o150000
"""The type of an entry that deletes what lower layers have in the directory at its path."""
OPAQUE_NAME: Final = b".wh..wh..opq"
"""What a layer calls that, in the directory (image-spec ``layer.md``, "Whiteouts")."""
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


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


Xattrs = tuple[tuple[bytes, bytes | None], ...]
"""Names of extended attributes and their values."""


class OpenDirectory:
    """A directory on disk that a walk holds open; ``descriptor`` is -1 when it is not.

    ``identity`` are its device and inode.
    """

    __slots__ = ("descriptor", "identity")

    def __init__(self, identity: tuple[int, int]) -> None:
        self.descriptor = -1
        self.identity = identity

    def close(self) -> None:
        """Close the descriptor, if it is open."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Entry(NamedTuple):
    """A path of a tree with what ``lstat`` says of it, or would.

    ``path`` is the name in the image: relative, no trailing slash, components
    joined by ``/``. ``content`` is a path on disk, or anything else that has the
    rest; it is empty for a directory that has no more than its fields. Entries with
    one inode of one device are hard links. Times are nanoseconds, ``size`` bytes.
    ``stamp`` is what proves an entry unchanged: its record in a snapshot, or empty.
    ``within`` is where it lies on disk; while that is open, it is reached through it.
    ``xattrs`` are said of it besides what ``content`` has: a value each, or ``None`` for one
    that it is not to have. Two types are no type of a file: ``WHITEOUT`` and ``OPAQUE``.

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
    within: OpenDirectory | None = None
    xattrs: Xattrs = ()

    @property
    def is_directory(self) -> bool:
        """Whether it is one."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_deletion(self) -> bool:
        """Whether it is no file, but deletes what lower layers have there."""
        return stat.S_IFMT(self.mode) in (WHITEOUT, OPAQUE)

    @property
    def shown(self) -> bytes:
        """What messages call it: the path on disk, if it has one."""
        return self.content if self.content and isinstance(self.content, bytes) else self.path

    def open(self) -> BinaryIO:
        """The bytes of a regular file. Raises ``OSError``, also for a symbolic link."""
        if isinstance(self.content, bytes):
            return open(self.open_descriptor(), "rb")
        return self.content.open()

    def open_descriptor(self) -> int:
        """A descriptor of a file on disk. Raises ``OSError``, also for a symbolic link."""
        content, within = self.content, self.within
        assert type(content) is bytes
        if within is None or within.descriptor < 0:
            return os.open(content, _OPEN)
        return os.open(content[content.rfind(b"/") + 1 :], _OPEN, dir_fd=within.descriptor)

    def target(self) -> bytes:
        """Where a symbolic link points. Raises ``OSError``."""
        if not isinstance(self.content, bytes):
            return self.content.target
        name, within = self._below()
        return os.readlink(name, dir_fd=within)

    def status(self) -> os.stat_result:
        """What ``lstat`` says now of something on disk. Raises ``OSError``."""
        name, within = self._below()
        return os.lstat(name, dir_fd=within)

    @property
    def reach(self) -> bytes:
        """A path on disk for system calls that take no descriptor of a directory."""
        name, within = self._below()
        if within is None or not _has_proc():
            return self.shown
        return b"/proc/self/fd/%d/%s" % (within, name)

    def _below(self) -> tuple[bytes, int | None]:
        content, within = self.content, self.within
        assert isinstance(content, bytes)
        if within is None or within.descriptor < 0:
            return content, None
        return content[content.rfind(b"/") + 1 :], within.descriptor


@functools.cache
def _has_proc() -> bool:
    return os.path.isdir("/proc/self/fd")


def made_up_directory(path: bytes, mtime_ns: int) -> Entry:
    """A directory that no tree has: ``0755 0:0``."""
    return Entry(path, b"", stat.S_IFDIR | 0o755, 0, 0, 1, 0, 0, 0, mtime_ns, 0, 0)


def whiteout(path: bytes) -> Entry:
    """The deletion of what lower layers have at ``path``."""
    return Entry(path, b"", WHITEOUT, 0, 0, 1, 0, 0, 0, 0, 0, 0)


def opaque(path: bytes) -> Entry:
    """The deletion of all that lower layers have in the directory at ``path``."""
    return Entry(path, b"", OPAQUE, 0, 0, 1, 0, 0, 0, 0, 0, 0)


def order(entry: Entry) -> bytes:
    """A key that sorts entries as a tree has them.

    Components are compared bytewise, parents come first; within a directory, what it is to
    be opaque for comes before all, and whiteouts before other names.
    """
    path, kind = entry.path, stat.S_IFMT(entry.mode)
    if kind == OPAQUE:
        return path_order(path) + _FIRST
    if kind == WHITEOUT:
        above, _, name = path.rpartition(b"/")
        return (path_order(above) if above else b"") + _SECOND + name
    return path_order(path)


def path_order(path: bytes) -> bytes:
    """A key that sorts paths by their components: what ``order`` gives for what is no deletion."""
    return _THIRD + path.replace(b"/", _THIRD) if path else b""


_FIRST, _SECOND, _THIRD = b"\0\1", b"\0\2", b"\0\3"
"""What stands before a component in a key: no name has a NUL."""

Pair = tuple[Entry, Entry]
"""An entry as it was seen, and as it is to be written."""
