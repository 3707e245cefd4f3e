"""The directories that a walk is in: opened below each other, and the last few held open."""

import errno
import os
from typing import Final

from imgpack.tree.entry import OpenDirectory
from imgpack.tree.problems import Problems, changed

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_LEVELS: Final = 16
"""Directories above the current one that stay open: more might be more than a process may have."""

ANY: Final = (-1, -1)
"""The identity of a directory that nobody looked at before it is opened."""


class Way:
    """The directories from a tree's root down to where a walk is; the last few are open.

    ``source`` is the path on disk of the last one, with a slash behind it. What cannot be
    opened is added to the problems, and stays closed.
    """

    def __init__(self, problems: Problems) -> None:
        self.source = b""
        self._problems = problems
        self._opened: list[OpenDirectory] = []
        self._lengths: list[int] = []

    @property
    def depth(self) -> int:
        """How many directories there are, with the root."""
        return len(self._opened)

    @property
    def here(self) -> OpenDirectory:
        """The last directory."""
        return self._opened[-1]

    def down(self, where: bytes, identity: tuple[int, int]) -> OpenDirectory:
        """Go on to the directory at ``where`` in the last one, of this device and inode.

        Those are ``ANY`` if nobody looked at it yet. Raises ``SourceChangedError`` if it is
        another one by now.
        """
        opened = OpenDirectory(identity)
        above = self._opened[-1] if self._opened else None
        if above is None or above.descriptor < 0:
            self._open(opened, where, where, None)
        else:
            self._open(opened, where, where.rpartition(b"/")[2], above.descriptor)
            if opened.descriptor >= 0 and len(self._opened) > _OPEN_LEVELS:
                above.close()
        self._opened.append(opened)
        self._lengths.append(len(self.source))
        self.source = where + b"/"
        return opened

    def aside(self) -> "Way":
        """A way of its own from where this one is, whose problems are nobody's."""
        way, here = Way(Problems()), OpenDirectory(self.here.identity)
        if self.here.descriptor >= 0:
            here.descriptor = os.dup(self.here.descriptor)
        way._opened.append(here)
        way._lengths.append(0)
        way.source = self.source
        return way

    def up(self) -> OpenDirectory:
        """Go back to the directory above. Raises ``SourceChangedError`` if that is another."""
        opened, above = self._opened.pop(), self._opened[-1]
        self.source = self.source[: self._lengths.pop()]
        try:
            if above.descriptor < 0:
                # Not by its path, which may be longer than the system takes.
                searched = opened.descriptor >= 0 and _searchable(opened.descriptor)
                where = self.source[:-1]
                name, at = (b"..", opened.descriptor) if searched else (where, None)
                self._open(above, where, name, at)
        finally:
            opened.close()
        return above

    def close(self) -> None:
        """Close what is open."""
        for opened in self._opened:
            opened.close()

    def _open(self, opened: OpenDirectory, where: bytes, name: bytes, above: int | None) -> None:
        try:
            opened.descriptor = os.open(name, _DIRECTORY, dir_fd=above)
            found = os.fstat(opened.descriptor)
            if opened.identity is ANY:
                opened.identity = (found.st_dev, found.st_ino)
            same = (found.st_dev, found.st_ino) == opened.identity
        except OSError as error:
            same = error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.ENOENT)
            if same:
                self._problems.add(where, error)
        if not same:
            opened.close()
            raise changed(where, "changed")


def _searchable(descriptor: int) -> bool:
    try:
        os.stat(b"..", dir_fd=descriptor)
    except OSError:
        return False
    return True


def names_in(
    opened: OpenDirectory, directory: bytes, problems: Problems
) -> tuple[list[bytes], set[bytes]]:
    """The names in an open directory, in order, and those of them that are directories."""
    if opened.descriptor < 0:
        return [], set()
    try:
        with os.scandir(opened.descriptor) as found:
            listed = [*found]
        below = {os.fsencode(one.name) for one in listed if one.is_dir(follow_symlinks=False)}
    except OSError as error:
        problems.add(directory, error)
        return [], set()
    names = [os.fsencode(one.name) for one in listed]
    fold = bytes.lower if b"".join(names).isascii() else _folded
    if len(set(map(fold, names))) != len(names):
        problems.collides(directory)
    names.sort()
    return names, below


def _folded(name: bytes) -> bytes:
    import unicodedata

    return unicodedata.normalize("NFC", os.fsdecode(name).casefold()).encode("utf-8", "replace")
