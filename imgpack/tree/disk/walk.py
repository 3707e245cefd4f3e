"""The walk through a directory: every entry once, parents first, by descriptors.

Names are looked up below a descriptor of the directory that the walk saw: if somebody
puts a symlink in its place, nothing that lies behind that is packed, and how deep it
lies does not matter. Memory: the names of the directories between the root and the
current one, and one path.
"""

import errno
import os
import stat
from collections.abc import Container, Iterable, Iterator
from typing import Final

from imgpack.errors import OutputError, brief
from imgpack.tree.entry import Entry, OpenDirectory
from imgpack.tree.problems import Problems, changed
from imgpack.tree.tree import Stamps, check_name

_new = tuple.__new__
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_INODE: Final = 1
"""Where a stat result has it: by its name it takes longer, and this is asked for every file."""
_OPEN_LEVELS: Final = 16
"""Directories above the current one that stay open: more might be more than a process may have."""

Seen = tuple[bytes, bytes, os.stat_result, OpenDirectory | None]
"""The image path, the path on disk, the ``lstat``, and the open directory that it lies in."""


def scan(stamps: Stamps, problems: Problems) -> Iterator[Seen]:
    """Yield every entry of the layer; its directory is open until the next one is asked for.

    Raises ``SourceChangedError``, and ``OutputError`` for one of ``problems.outputs``.
    """
    try:
        found = os.lstat(stamps.root)
    except OSError:
        raise changed(stamps.root, "vanished") from None
    outputs, inodes = problems.outputs, {inode for _, inode in problems.outputs}
    _check_output(outputs, stamps.root, found)
    if stamps.dest:
        yield stamps.dest, stamps.root, found, None
    lstat, is_dir = os.lstat, stat.S_ISDIR
    # An explicit stack: a tree may be deeper than Python's.
    stack: list[tuple[list[bytes], int]] = []
    path = stamps.dest + b"/" if stamps.dest else b""
    way = Way(problems)
    try:
        within = way.down(stamps.root, (found.st_dev, found.st_ino))
        source, names = way.source, _names(within, stamps.root, problems)
        while True:
            while not names:
                if not stack:
                    return
                within, source = way.up(), way.source
                names, length = stack.pop()
                path = path[:length]
                if within.descriptor < 0:
                    names.clear()
            name = names.pop()
            where = source + name
            try:
                found = lstat(name, dir_fd=within.descriptor)
            except OSError as error:
                problems.add(where, error)
                continue
            check_name(name, where)
            if found[_INODE] in inodes:
                _check_output(outputs, where, found)
            yield path + name, where, found, within
            if is_dir(found.st_mode):
                stack.append((names, len(path)))
                within = way.down(where, (found.st_dev, found.st_ino))
                path, source = path + name + b"/", way.source
                names = _names(within, where, problems)
    finally:
        way.close()


def reached(entries: Iterable[Entry], stamps: Stamps, problems: Problems) -> Iterator[Entry]:
    """What a walk yielded before, each with its directory, open until the next is asked for."""
    skip = len(stamps.dest) + 1 if stamps.dest else 0
    way = Way(problems)
    try:
        root = os.lstat(stamps.root)
        within = way.down(stamps.root, (root.st_dev, root.st_ino))
        before: Entry | None = None
        for entry in entries:
            depth = entry.path.count(b"/", skip) + 1
            while way.depth > depth:
                within = way.up()
            if way.depth < depth:
                assert before is not None
                within = way.down(before.shown, (before.device, before.inode))
            before = _new(Entry, (*entry[:13], within, ()))
            yield before
    except FileNotFoundError:
        raise changed(stamps.root, "vanished") from None
    finally:
        way.close()


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

    def down(self, where: bytes, identity: tuple[int, int]) -> OpenDirectory:
        """Go on to the directory at ``where`` in the last one, of this device and inode.

        Raises ``SourceChangedError`` if it is another one by now.
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


def _check_output(outputs: Container[tuple[int, int]], where: bytes, found: os.stat_result) -> None:
    if (found.st_dev, found.st_ino) in outputs:
        raise OutputError(
            f"{brief(where)} is in the source, and this build writes there",
            "choose a place outside for what is written",
        )


def _names(opened: OpenDirectory, directory: bytes, problems: Problems) -> list[bytes]:
    """The names in an open directory, in reverse: popping is cheap."""
    if opened.descriptor < 0:
        return []
    try:
        names = list(map(os.fsencode, os.listdir(opened.descriptor)))
    except OSError as error:
        problems.add(directory, error)
        return []
    fold = bytes.lower if b"".join(names).isascii() else _folded
    if len(set(map(fold, names))) != len(names):
        problems.collides(directory)
    names.sort(reverse=True)
    return names


def _folded(name: bytes) -> bytes:
    import unicodedata

    return unicodedata.normalize("NFC", os.fsdecode(name).casefold()).encode("utf-8", "replace")
