"""What a walk keeps of each directory, when an ``Exclusion`` leaves some of it out.

A directory that is left out, and may hold something that is not, is gone through at once,
by descriptors of its own: it is kept if there is anything. So a walk meets it or does not,
before what is in it, and never looks into what nothing is kept of. That costs at most two
looks at a directory that is left out: what led to the first thing that is kept is known
when the walk comes that way. What cannot be read on it is no problem: it is left out.
"""

import os
import stat
from dataclasses import dataclass, field

from imgpack.errors import SourceChangedError
from imgpack.tree.disk.way import Way, names_in
from imgpack.tree.exclusion import Exclusion, LeftOut
from imgpack.tree.problems import Problems
from imgpack.tree.tree import Stamps, join

_Trail = tuple[list[bytes], int]
"""Names that lead down to something that is kept, and how many of them lie behind."""


@dataclass(slots=True)
class _Inside:
    """A directory that the walk is in: the rules that hit it, and names in it that others hit."""

    hits: int
    others: dict[bytes, int] = field(default_factory=dict)
    trails: dict[bytes, _Trail] = field(default_factory=dict)


class Selection:
    """The names that a walk goes on to, from directory to directory along its ``way``."""

    def __init__(self, excluded: Exclusion, problems: Problems, way: Way, dest: bytes) -> None:
        self._excluded = excluded
        self._left_out = LeftOut(excluded.rules)
        self._way = way
        self._skip = len(dest) + 1 if dest else 0
        self._inside: list[_Inside] = []
        problems.left_out.append(self._left_out)

    @classmethod
    def of(cls, stamps: Stamps, problems: Problems, way: Way) -> "Selection | None":
        """The selection from a tree on disk; ``None`` if all of it is kept."""
        if stamps.excluded is None:
            return None
        return cls(stamps.excluded, problems, way, stamps.dest)

    def enter(self, path: bytes, name: bytes, names: list[bytes]) -> list[bytes]:
        """Those of ``names`` that are kept, in a directory that the way has just gone down to.

        ``path`` is that of the directory in the image, with a slash behind it; ``name`` its
        name in the directory above.
        """
        hits, trail = 0, None
        del self._inside[self._way.depth - 1 :]
        if self._inside:
            last = self._inside[-1]
            hits, trail = last.others.get(name, last.hits), last.trails.get(name)
        inside = _Inside(hits)
        self._inside.append(inside)
        above = path[self._skip :]
        sifted = self._excluded.sift(above, names, hits)
        inside.others, kept, out = sifted.hits, sifted.kept, sifted.out
        for name, (their_hits, rule) in sifted.hidden.items():
            found = self._trail(trail, name) or _search(
                self._excluded, self._way, above, name, their_hits
            )
            if found is None:
                out.append((name, rule))
            else:
                inside.trails[name] = found
                inside.others[name] = their_hits
        if inside.trails:
            both = inside.trails.keys() | set(kept)
            kept = [name for name in names if name in both]
        if out:
            self._left_out.add(above, out)
        self._left_out.hit(inside.others.values())
        return kept

    def _trail(self, trail: _Trail | None, name: bytes) -> _Trail | None:
        if trail is None:
            return None
        names, behind = trail
        return (names, behind + 1) if behind < len(names) and names[behind] == name else None


def keeps(excluded: Exclusion, root: bytes, path: bytes) -> bool:
    """Whether ``path`` of the directory ``root`` is kept, itself or for something in it.

    Raises ``OSError`` and ``SourceChangedError``.
    """
    hits, above, name, hidden = 0, b"", b"", False
    for below in path.split(b"/") if path else ():
        above, name = (above + name + b"/" if name else b""), below
        sifted = excluded.sift(above, [name], hits)
        if not sifted.kept and not sifted.hidden:
            return False
        hidden = not sifted.kept
        hits = sifted.hidden[name][0] if hidden else sifted.hits.get(name, hits)
    if not hidden:
        return True
    way = Way(Problems())
    try:
        where = join(root, above[:-1])
        found = os.lstat(where)
        way.down(where, (found.st_dev, found.st_ino))
        return _search(excluded, way, above, name, hits) is not None
    finally:
        way.close()


def _search(excluded: Exclusion, way: Way, above: bytes, name: bytes, hits: int) -> _Trail | None:
    """The names from the directory ``name``, which is left out, to one that holds what is kept.

    It lies where ``way`` is, in the directory ``above``, and ``hits`` are its own. ``None`` if
    nothing is kept, or it is no directory.
    """
    if _directory(way, name) is None:
        return None
    inner = way.aside()
    names: list[bytes] = []  # from ``name`` down to where the search is
    pending = [[(name, hits)]]
    try:
        while True:
            while not pending[-1]:
                pending.pop()
                if not names:
                    return None
                inner.up()
                above = above[: -len(names.pop()) - 1]
            name, hits = pending[-1].pop()
            listed = _names_of(inner, name)
            if listed is None:
                continue
            names.append(name)
            above += name + b"/"
            sifted = excluded.sift(above, listed, hits)
            if sifted.kept:
                return names[1:], 0
            pending.append([(one, their_hits) for one, (their_hits, _) in sifted.hidden.items()])
    finally:
        inner.close()


def _names_of(way: Way, name: bytes) -> list[bytes] | None:
    """Go down to ``name``, and list it; ``None``, and nowhere, if it is no directory."""
    identity = _directory(way, name)
    if identity is None:
        return None
    where = way.source + name
    try:
        within = way.down(where, identity)
    except SourceChangedError:
        return None
    return names_in(within, where, Problems())[0][::-1]


def _directory(way: Way, name: bytes) -> tuple[int, int] | None:
    """Device and inode of ``name`` where ``way`` is; ``None`` if it is no directory."""
    try:
        found = os.lstat(name, dir_fd=way.here.descriptor)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None
