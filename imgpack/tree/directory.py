"""A directory on disk as a tree: every entry once, parents first, in one order everywhere.

Order: the bytewise order of path components, which is what a depth-first walk
over sorted names gives; no locale has a say in it. Nothing that cannot be read
stops the walk: problems are collected, so that all of them can be told at once.
Memory: the names of the directories between the root and the current one.
"""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from imgpack.errors import SourceError, printable
from imgpack.tree.entry import Entry
from imgpack.tree.problems import Problems, changed
from imgpack.tree.tree import Stamps, check_name

_new = tuple.__new__
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_NAMES: Final = (b"", b".", b"..")
_OPEN_LEVELS: Final = 16
"""Directories above the current one that stay open: more might be more than a process may have."""


@dataclass(frozen=True, slots=True)
class Directory:
    """The tree of a directory, ``root``, which is absolute.

    ``caller`` are the ids of an invoking user who is not root: they are read as 0:0, for
    that user meant root and could not chown.
    """

    root: bytes
    caller: tuple[int, int] | None = None

    def __str__(self) -> str:
        return printable(os.path.basename(self.root) or self.root)

    @property
    def stamps(self) -> Stamps:
        """The directory itself: a kernel's word is enough."""
        return Stamps(self.root, self.caller)

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """As ``Tree.entries``; sockets too, which the encoder skips."""
        met = Problems() if problems is None else problems
        for path, where, found in scan(Stamps(self.root, self.caller, under), met):
            yield entry_of(path, where, found, self.caller)
        if problems is None:
            met.check()

    def find(self, path: bytes) -> Entry | None:
        """As ``Tree.find``: a path that cannot be looked at is nothing."""
        where = self.root
        try:
            found = os.lstat(where)
            for name in path.split(b"/") if path else ():
                if not stat.S_ISDIR(found.st_mode) or name in _NO_NAMES:
                    return None
                where += b"/" + name
                found = os.lstat(where)
        except OSError:
            return None
        return entry_of(path, where, found, self.caller)


def directory(path: bytes, caller: tuple[int, int] | None = None) -> Directory:
    """The tree of the directory ``path``, with its symbolic links resolved.

    Raises ``SourceError`` unless it is a directory that can be listed.
    """
    shown = printable(path)
    try:
        with os.scandir(path):
            pass
    except FileNotFoundError:
        raise SourceError(f"{shown} does not exist", "name a directory") from None
    except NotADirectoryError:
        raise SourceError(
            f"{shown} is not a directory", "name the directory that the layer is made of"
        ) from None
    except OSError as error:
        raise SourceError(f"cannot read {shown}: {error.strerror}") from error
    return Directory(os.path.realpath(path), caller)


def scan(stamps: Stamps, problems: Problems) -> Iterator[tuple[bytes, bytes, os.stat_result]]:
    """Yield the image path, the path on disk and the ``lstat`` of every entry of the layer."""
    for parent in stamps.parents:
        entry = parent.entry()
        yield entry.path, b"" if parent.made_up else entry.shown, status_of(entry)
    try:
        root = os.lstat(stamps.root)
    except OSError:
        raise changed(stamps.root, "vanished") from None
    # An explicit stack: a tree may be deeper than Python's.
    stack: list[_Level] = []
    level = _Level(stamps.root, stamps.dest, root, problems)
    lstat, is_dir = os.lstat, stat.S_ISDIR
    try:
        while True:
            while not level.names:
                level.close()
                if not stack:
                    return
                level = stack.pop()
                level.open(None, problems)
            name = level.names.pop()
            where = level.source + name
            try:
                found = lstat(name, dir_fd=level.descriptor)
            except OSError as error:
                problems.add(where, error)
                continue
            check_name(name, where)
            inside = level.path + name
            yield inside, where, found
            if is_dir(found.st_mode):
                below = _Level(where, inside, found, problems, level.descriptor)
                if len(stack) >= _OPEN_LEVELS:
                    level.close()
                stack.append(level)
                level = below
    finally:
        for each in (*stack, level):
            each.close()


class _Level:
    """A directory that is being walked, through a descriptor of it.

    Names are looked up below the descriptor, which is the directory that the walk saw:
    if somebody puts a symlink in its place, nothing that lies behind that is packed.
    """

    __slots__ = ("_found", "_where", "descriptor", "names", "path", "source")

    def __init__(
        self,
        where: bytes,
        path: bytes,
        found: os.stat_result,
        problems: Problems,
        above: int | None = None,
    ) -> None:
        self.source, self.path = where + b"/", path + b"/" if path else b""
        self._where, self._found = where, found
        self.descriptor = -1
        self.names: list[bytes] = []  # those still to come, in reverse: popping is cheap
        if self.open(above, problems):
            self.names = _names(self.descriptor, where, problems)

    def open(self, above: int | None, problems: Problems) -> bool:
        """Open the directory, if it is not; ``above`` is a descriptor of the one that holds it.

        Raises ``SourceChangedError`` if it is another one by now; whether it is open.
        """
        if self.descriptor >= 0:
            return True
        name = self._where if above is None else self._where.rpartition(b"/")[2]
        try:
            self.descriptor = os.open(name, _DIRECTORY, dir_fd=above)
            same = os.path.samestat(os.fstat(self.descriptor), self._found)
        except OSError as error:
            same = error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.ENOENT)
            if same:
                problems.add(self._where, error)
                self.names.clear()
        if not same:
            self.close()
            raise changed(self._where, "changed")
        return self.descriptor >= 0

    def close(self) -> None:
        """Close the descriptor, if it is open."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def entry_of(
    path: bytes,
    source: bytes,
    found: os.stat_result,
    caller: tuple[int, int] | None = None,
    stamp: bytes = b"",
) -> Entry:
    """The entry of what ``lstat`` ``found`` at ``source``; the ids ``caller`` become 0."""
    # Taken apart at once, as a plain tuple: attribute by attribute it takes three times
    # as long, and this runs for every file.
    mode, inode, device, links, uid, gid, size, _, _, _ = found
    if caller is not None:
        uid, gid = mapped(uid, gid, caller)
    return _new(
        Entry,
        (
            path, source, mode, inode, device, links, uid, gid, size,
            found.st_mtime_ns, found.st_ctime_ns, found.st_rdev, stamp,
        ),
    )  # fmt: skip


def mapped(uid: int, gid: int, caller: tuple[int, int]) -> tuple[int, int]:
    """The ids of an entry that ``uid:gid`` owns on disk, to the user ``caller``."""
    return (0 if uid == caller[0] else uid), (0 if gid == caller[1] else gid)


def status_of(entry: Entry) -> os.stat_result:
    """What ``lstat`` would say of ``entry``."""
    _, _, mode, inode, device, links, uid, gid, size, mtime_ns, ctime_ns, rdev, _ = entry
    times = {"st_mtime_ns": mtime_ns, "st_ctime_ns": ctime_ns, "st_rdev": rdev}
    seconds = mtime_ns // 1_000_000_000
    return os.stat_result((mode, inode, device, links, uid, gid, size, 0, seconds, 0), times)


def _names(descriptor: int, directory: bytes, problems: Problems) -> list[bytes]:
    try:
        names = list(map(os.fsencode, os.listdir(descriptor)))
    except OSError as error:
        problems.add(directory, error)
        return []
    fold = bytes.lower if b"".join(names).isascii() else _folded
    if len(set(map(fold, names))) != len(names):
        problems.colliding.append(directory)
    names.sort(reverse=True)
    return names


def _folded(name: bytes) -> bytes:
    import unicodedata

    return unicodedata.normalize("NFC", os.fsdecode(name).casefold()).encode("utf-8", "replace")
