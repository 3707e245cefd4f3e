"""The walk through a directory: every entry once, parents first, by descriptors.

Names are looked up below a descriptor of the directory that the walk saw: if somebody
puts a symlink in its place, nothing that lies behind that is packed, and how deep it
lies does not matter. Memory: the names of the directories between the root and the
current one, and one path.
"""

import os
import stat
from collections.abc import Callable, Container, Generator, Iterable, Iterator
from contextlib import closing
from typing import Final

from imgpack.errors import OutputError, brief
from imgpack.tree.disk.selection import Selection
from imgpack.tree.disk.way import ANY, Way, names_in
from imgpack.tree.entry import Entry, OpenDirectory
from imgpack.tree.parts import Known, parted
from imgpack.tree.problems import Problems, changed
from imgpack.tree.tree import Stamps, check_name

_new = tuple.__new__
_INODE: Final = 1
"""Where a stat result has it: by its name it takes longer, and this is asked for every file."""
_TYPE: Final = 0o170000
_DIRECTORY: Final = stat.S_IFDIR

Seen = tuple[bytes, bytes, os.stat_result, OpenDirectory | None]
"""The image path, the path on disk, the ``lstat``, and the open directory that it lies in."""


Check = Callable[[bytes, bytes], object]
"""What is told each name, and its path on disk; raises what is wrong with it."""


def scan(
    stamps: Stamps, problems: Problems, check: Check = check_name
) -> Generator[Seen, None, None]:
    """Yield every entry that is kept; its directory is open until the next one is asked for.

    Raises ``SourceChangedError``, and ``OutputError`` for one of ``problems.outputs``.
    """
    found = _walk(stamps, problems, check)
    return found if stamps.part is None else parted(found, stamps.part, stamps.dest, _known)


def _known(seen: Seen) -> Known:
    path, _, found, _ = seen
    mode, inode, device, links, *_ = found
    return path, mode, links, (device, inode)


def _walk(stamps: Stamps, problems: Problems, check: Check) -> Generator[Seen, None, None]:
    root = root_of(stamps, problems)
    if stamps.dest:
        yield stamps.dest, stamps.root, root, None
    with closing(siblings(stamps, problems, (root.st_dev, root.st_ino))) as found:
        for run in found:
            yield from looked(run, problems, check)


def root_of(stamps: Stamps, problems: Problems) -> os.stat_result:
    """What ``lstat`` says of the tree's root. Raises as ``scan`` does."""
    found = _root(stamps)
    _check_output(problems.outputs, stamps.root, found)
    return found


class Siblings:
    """Names that follow each other in the order of a tree, all of one directory.

    ``path`` and ``source`` are what stands before them in the image and on disk; ``within`` is
    open until the next run is asked for. If the last name is that of a directory, the walk goes
    into it then, and ``identity`` are its device and inode; ``ANY`` before anybody looked.
    ``None``: it is no directory.
    """

    __slots__ = ("identity", "names", "path", "source", "within")

    def __init__(
        self,
        path: bytes,
        source: bytes,
        within: OpenDirectory,
        names: list[bytes],
        identity: tuple[int, int] | None,
    ) -> None:
        self.path = path
        self.source = source
        self.within = within
        self.names = names
        self.identity = identity


def siblings(
    stamps: Stamps, problems: Problems, root: tuple[int, int]
) -> Generator[Siblings, None, None]:
    """Yield all names below the root, of this device and inode, without a look at them.

    Raises ``SourceChangedError``.
    """
    # An explicit stack: a tree may be deeper than Python's.
    stack: list[tuple[list[bytes], Iterator[int], int, int]] = []
    path = stamps.dest + b"/" if stamps.dest else b""
    way = Way(problems)
    selection = Selection.of(stamps, problems, way)
    try:
        within = way.down(stamps.root, root)
        names, ends = _listed(selection, path, b"", within, stamps.root, problems)
        at = 0
        while True:
            end = next(ends, None)
            some = names[at:] if end is None else names[at:end]
            run = Siblings(path, way.source, within, some, None if end is None else ANY)
            if some and within.descriptor >= 0:
                yield run
            if end is not None and run.identity is not None:
                name = some[-1]
                stack.append((names, ends, end, len(path)))
                path, where = path + name + b"/", way.source + name
                within, at = way.down(where, run.identity), 0
                names, ends = _listed(selection, path, name, within, where, problems)
            elif end is not None:
                at = end
            elif stack:
                within = way.up()
                names, ends, at, length = stack.pop()
                path = path[:length]
                if within.descriptor < 0:
                    names, ends = [], iter(())
            else:
                return
    finally:
        way.close()


def _listed(
    selection: Selection | None,
    path: bytes,
    name: bytes,
    within: OpenDirectory,
    where: bytes,
    problems: Problems,
) -> tuple[list[bytes], Iterator[int]]:
    """The names that are kept of a directory, and where those of directories in it end."""
    names, below = names_in(within, where, problems)
    if selection is not None:
        names = selection.enter(path, name, names)
    return names, iter([at for at, one in enumerate(names, 1) if one in below] if below else ())


def looked(run: Siblings, problems: Problems, check: Check = check_name) -> Iterator[Seen]:
    """Look at each name of ``run``. Raises as ``scan`` does."""
    path, source, within = run.path, run.source, run.within
    outputs, inodes = problems.outputs, {inode for _, inode in problems.outputs}
    lstat, descriptor, last = os.lstat, within.descriptor, run.names[-1]
    for name in run.names:
        where = source + name
        try:
            found = lstat(name, dir_fd=descriptor)
        except OSError as error:
            problems.add(where, error)
            if name is last:
                run.identity = None
            continue
        check(name, where)
        if found[_INODE] in inodes:
            _check_output(outputs, where, found)
        if found[0] & _TYPE == _DIRECTORY or (name is last and run.identity is not None):
            _enter(run, name, where, found)
        yield path + name, where, found, within


def _enter(run: Siblings, name: bytes, where: bytes, found: os.stat_result) -> None:
    """Say which directory it is that the walk goes into next."""
    known, identity = run.identity, (found.st_dev, found.st_ino)
    leads = name is run.names[-1] and known is not None
    if not leads or not stat.S_ISDIR(found.st_mode) or known not in (ANY, identity):
        raise changed(where, "changed")
    run.identity = identity


def _root(stamps: Stamps) -> os.stat_result:
    try:
        return os.lstat(stamps.root)
    except OSError:
        raise changed(stamps.root, "vanished") from None


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
