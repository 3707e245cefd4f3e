"""Any tree without what an ``Exclusion`` leaves out of it.

A directory on disk has an exclusion of its own, so that its walk never goes where nothing is
kept. Every other tree is read as it is, and what it yields is sorted out here.
"""

import stat
from collections.abc import Iterator
from dataclasses import dataclass

from imgpack.tree.entry import OPAQUE, Entry
from imgpack.tree.exclusion import Exclusion, LeftOut
from imgpack.tree.problems import Problems
from imgpack.tree.tree import Stamps, Tree


@dataclass(frozen=True, slots=True)
class Filtered:
    """What ``excluded`` leaves of ``tree``; directories on the way to what is kept are kept."""

    tree: Tree
    excluded: Exclusion

    def __str__(self) -> str:
        return str(self.tree)

    @property
    def root(self) -> bytes:
        """Where the tree lies on disk; empty if it has no such place."""
        return getattr(self.tree, "root", b"")

    @property
    def stamps(self) -> Stamps | None:
        """None: those of the tree are about all of it."""
        return None

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """As ``Tree.entries``."""
        left_out = LeftOut(self.excluded.rules)
        if problems is not None:
            problems.left_out.append(left_out)
        sorting = _Sorting(self.excluded, left_out)
        skip = len(under) + 1 if under else 0
        for entry in self.tree.entries(problems, under):
            yield from sorting.next(entry, entry.path[skip:])
        sorting.back_to(b"")

    def find(self, path: bytes) -> Entry | None:
        """As ``Tree.find``."""
        found = self.tree.find(path)
        if found is None or not path:
            return found
        hits, above, sifted = 0, b"", None
        for name in path.split(b"/"):
            sifted = self.excluded.sift(above, [name], hits)
            if sifted.out:
                return None
            hits = sifted.hidden[name][0] if sifted.hidden else sifted.hits.get(name, hits)
            above += name + b"/"
        if sifted is not None and sifted.hidden:
            return next((one for one in self.entries(Problems()) if one.path == path), None)
        return found


class _Sorting:
    """The entries of a tree, one after another: which are kept, and which wait until one is."""

    def __init__(self, excluded: Exclusion, left_out: LeftOut) -> None:
        self._sift = excluded.sift
        self._left_out = left_out
        self._inside: list[tuple[bytes, int]] = [(b"", 0)]
        """The directories that the last entry lies in, each with its hits."""
        self._waiting: list[tuple[Entry, bytes, int, int]] = []
        """Directories that are left out unless something in them is kept, by which rule, and
        how many paths were left out before."""
        self._out: list[tuple[bytes, int]] = []
        self._gone = b"/"

    def next(self, entry: Entry, path: bytes) -> Iterator[Entry]:
        """What is kept now that ``entry`` is there, which the tree has at ``path``."""
        if not path:  # the root itself
            yield entry
            return
        if path.startswith(self._gone) or (path + b"/" == self._gone):
            return
        if stat.S_IFMT(entry.mode) == OPAQUE:
            if self._waiting and self._waiting[-1][1] == path + b"/":
                self._waiting.append((entry, path + b"/", -1, 0))
            else:
                yield entry
            return
        self.back_to(path)
        above, hits = self._inside[-1]
        # Directories on the way have entries of their own, but for those of some deletions.
        for name in path[len(above) :].split(b"/"):
            sifted = self._sift(above, [name], hits)
            here = above + name + b"/"
            if sifted.out or (sifted.hidden and len(here) > len(path) and not entry.is_directory):
                rule = sifted.out[0][1] if sifted.out else sifted.hidden[name][1]
                self._leave_out(above + name, rule)
                self._gone = here
                return
            hits = sifted.hidden[name][0] if sifted.hidden else sifted.hits.get(name, hits)
            self._inside.append((here, hits))
            above = here
        self._left_out.hit((hits,))
        if sifted.hidden:
            self._waiting.append((entry, above, sifted.hidden[name][1], len(self._out)))
            return
        yield from (waiting[0] for waiting in self._waiting)
        self._waiting.clear()
        self._tell()
        yield entry

    def back_to(self, path: bytes) -> None:
        """Leave the directories that ``path`` does not lie in."""
        while len(self._inside) > 1 and not path.startswith(self._inside[-1][0]):
            left = self._inside.pop()[0]
            while self._waiting and self._waiting[-1][1] == left:
                _, place, rule, before = self._waiting.pop()
                if rule >= 0:
                    del self._out[before:]
                    self._leave_out(place[:-1], rule)

    def _leave_out(self, path: bytes, rule: int) -> None:
        self._out.append((path, rule))
        if not self._waiting:
            self._tell()

    def _tell(self) -> None:
        self._left_out.add(b"", self._out)
        self._out.clear()
