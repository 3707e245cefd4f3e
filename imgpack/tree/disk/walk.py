"""The walk through a directory: every entry once, parents first, by descriptors.

Names are looked up below a descriptor of the directory that the walk saw: if somebody
puts a symlink in its place, nothing that lies behind that is packed, and how deep it
lies does not matter. Memory: the names of the directories between the root and the
current one, and one path.
"""

import os
import stat
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Final

from imgpack.errors import OutputError, brief
from imgpack.tree.disk.selection import Selection
from imgpack.tree.disk.way import Way, names_in
from imgpack.tree.entry import Entry, OpenDirectory
from imgpack.tree.parts import Known, parted
from imgpack.tree.problems import Problems, changed
from imgpack.tree.tree import Stamps, check_name

_new = tuple.__new__
_INODE: Final = 1
"""Where a stat result has it: by its name it takes longer, and this is asked for every file."""

Seen = tuple[bytes, bytes, os.stat_result, OpenDirectory | None]
"""The image path, the path on disk, the ``lstat``, and the open directory that it lies in."""


Check = Callable[[bytes, bytes], object]
"""What is told each name, and its path on disk; raises what is wrong with it."""


def scan(stamps: Stamps, problems: Problems, check: Check = check_name) -> Iterator[Seen]:
    """Yield every entry that is kept; its directory is open until the next one is asked for.

    Raises ``SourceChangedError``, and ``OutputError`` for one of ``problems.outputs``.
    """
    found = _walk(stamps, problems, check)
    return found if stamps.part is None else parted(found, stamps.part, stamps.dest, _known)


def _known(seen: Seen) -> Known:
    path, _, found, _ = seen
    mode, inode, device, links, *_ = found
    return path, mode, links, (device, inode)


def _walk(stamps: Stamps, problems: Problems, check: Check) -> Iterator[Seen]:
    found = _root(stamps)
    outputs, inodes = problems.outputs, {inode for _, inode in problems.outputs}
    _check_output(outputs, stamps.root, found)
    if stamps.dest:
        yield stamps.dest, stamps.root, found, None
    lstat, is_dir = os.lstat, stat.S_ISDIR
    # An explicit stack: a tree may be deeper than Python's.
    stack: list[tuple[list[bytes], int]] = []
    path = stamps.dest + b"/" if stamps.dest else b""
    way = Way(problems)
    selection = Selection.of(stamps, problems, way)
    try:
        within = way.down(stamps.root, (found.st_dev, found.st_ino))
        source = way.source
        names = _kept(selection, path, b"", names_in(within, stamps.root, problems))
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
            check(name, where)
            if found[_INODE] in inodes:
                _check_output(outputs, where, found)
            yield path + name, where, found, within
            if is_dir(found.st_mode):
                stack.append((names, len(path)))
                within = way.down(where, (found.st_dev, found.st_ino))
                path, source = path + name + b"/", way.source
                names = _kept(selection, path, name, names_in(within, where, problems))
    finally:
        way.close()


def _root(stamps: Stamps) -> os.stat_result:
    try:
        return os.lstat(stamps.root)
    except OSError:
        raise changed(stamps.root, "vanished") from None


def _kept(selection: Selection | None, path: bytes, name: bytes, names: list[bytes]) -> list[bytes]:
    return names if selection is None else selection.enter(path, name, names)


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


def _check_output(outputs: Container[tuple[int, int]], where: bytes, found: os.stat_result) -> None:
    if (found.st_dev, found.st_ino) in outputs:
        raise OutputError(
            f"{brief(where)} is in the source, and this build writes there",
            "choose a place outside for what is written",
        )
