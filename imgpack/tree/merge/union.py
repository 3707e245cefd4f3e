"""Several trees as one: what layers of each, on top of one another, would show.

A whiteout of one tree takes away what the trees below it have, and stays a whiteout, for
what lies below all of them; so does an opaque directory. A directory that several trees
have is that of the lowest, as in layers of their own, which leave the directories below
them as they are; that of an *exact* tree, and an opaque one, is meant as it is.
Streaming: in memory are the directories on the way and the deletions in them.
"""

import heapq
import itertools
import stat
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from imgpack.errors import UnsupportedError
from imgpack.tree.destination import Placed
from imgpack.tree.entry import OPAQUE, WHITEOUT, Entry, is_required, opaque, order, whiteout
from imgpack.tree.merge.whiteouts import Whiteouts
from imgpack.tree.problems import Problems
from imgpack.tree.tree import Stamps, Tree

_MADE_UP_DEVICES: Final = 1 << 63
"""From here on: no kernel gives a device such a number."""
_DELETIONS: Final = frozenset({WHITEOUT, OPAQUE})


class Union:
    """The tree that ``trees`` make together, bottom first."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        self._trees = tuple(trees)

    def __str__(self) -> str:
        return " + ".join(map(str, self._trees))

    @property
    def stamps(self) -> Stamps | None:
        """None: it is read each time."""
        return None

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """As ``Tree.entries``."""
        met = Problems() if problems is None else problems
        yield from _Merge(self._trees, met, under).entries()
        if problems is None:
            met.check()

    def find(self, path: bytes) -> Entry | None:
        """As ``Tree.find``: what the highest tree has, of a directory as the lowest has it.

        Deletions of one tree do not hide here what another has.
        """
        found: Entry | None = None
        for tree in reversed(self._trees):
            here = _find(tree, path)
            if here is None:
                if _blocks(tree, path):
                    break
            elif not here.is_directory:
                return found or here
            elif found is None or not _is_exact(tree):
                found = here
        return found


def squashed(trees: Sequence[Placed[Tree]]) -> Placed[Tree]:
    """The one layer that the layers ``trees``, bottom first, make together.

    Raises ``UnsupportedError`` for exact trees among others: what becomes of a directory
    below all of them depends on which of them has it, and one layer is one or the other.
    """
    kinds = {tree.exact for tree in trees if not isinstance(tree.tree, Whiteouts)}
    if len(kinds) > 1:
        raise UnsupportedError(
            "upper directories and differences cannot be squashed together with other sources: "
            "they say how directories are to be, and other sources leave them as they are",
            "squash only the ones or only the others",
        )
    return Placed(Union(trees), exact=True in kinds)


def _is_exact(tree: Tree) -> bool:
    return isinstance(tree, Placed) and tree.exact


def _find(tree: Tree, path: bytes) -> Entry | None:
    found = tree.find(path)
    return None if found is None or stat.S_IFMT(found.mode) in _DELETIONS else found


def _blocks(tree: Tree, path: bytes) -> bool:
    """Whether ``tree`` has something on the way to ``path`` that is no directory."""
    while path := path.rpartition(b"/")[0]:
        found = _find(tree, path)
        if found is not None:
            return not found.is_directory
    return False


class _Offer(NamedTuple):
    """An entry, its place in the order, and the number of its tree."""

    key: bytes
    number: int
    entry: Entry


class _Level(NamedTuple):
    """A path on the way: a tree shows below it if its number is not under ``floor``.

    ``deleted`` are the paths of whiteouts there, with the number of the highest tree of each.
    """

    path: bytes
    floor: int
    deleted: dict[bytes, int]


class _Merge:
    """One pass over all trees."""

    def __init__(self, trees: Sequence[Tree], problems: Problems, under: bytes) -> None:
        self._trees = trees
        self._problems = problems
        self._under = under
        self._way = [_Level(b"", 0, {})]
        self._replacing: set[bytes] = set()
        """Directories to come of which a tree deletes what is below them."""
        self._devices: dict[tuple[int, int], int] = {}

    def entries(self) -> Iterator[Entry]:
        """What shows, in order."""
        groups = self._groups()
        items = next(groups, None)
        while items is not None:
            following = next(groups, None)
            path, kind = _what(items)
            self._leave(path)
            if kind == WHITEOUT:
                yield from self._whiteout(path, items)
            elif kind == OPAQUE:
                yield from self._opaque(path, items)
            else:
                opaques: list[_Offer] = []
                if following is not None and _what(following) == (path, OPAQUE):
                    opaques, following = following, next(groups, None)
                yield from self._named(path, items, opaques)
            items = following

    def _groups(self) -> Iterator[list[_Offer]]:
        """What the trees have at each place, lowest first."""
        streams = [self._keyed(number, tree) for number, tree in enumerate(self._trees)]
        # Of two items either the keys or the numbers differ: entries are never compared.
        for _, group in itertools.groupby(heapq.merge(*streams), lambda item: item.key):
            yield list(group)

    def _keyed(self, number: int, tree: Tree) -> Iterator[_Offer]:
        for entry in tree.entries(self._problems, self._under):
            yield _Offer(order(entry), number, entry)

    def _leave(self, path: bytes) -> None:
        """Go back to the directory that ``path`` is in."""
        way = self._way
        while (above := way[-1].path) and not path.startswith(above + b"/"):
            way.pop()

    def _whiteout(self, path: bytes, items: list[_Offer]) -> Iterator[Entry]:
        """The deletion of ``path``, unless a tree has something there that replaces it anyway."""
        level = self._way[-1]
        _, number, _ = items[-1]
        required = any(is_required(item.entry) for item in items)
        if number < level.floor:
            if required:
                yield whiteout(path, required=True)
            return
        level.deleted[path] = number
        above = self._shown(path, number, len(self._trees))
        if above is None:
            satisfied = required and self._shown(path, level.floor, number) is not None
            yield whiteout(path, required=required and not satisfied)
        elif above.is_directory:
            self._replacing.add(path)

    def _shown(self, path: bytes, lowest: int, end: int) -> Entry | None:
        """What the trees of these numbers show at a path of the image."""
        inside = path[len(self._under) + 1 :] if self._under else path
        for tree in reversed(self._trees[lowest:end]):
            found = _find(tree, inside)
            if found is not None:
                return found
        return None

    def _opaque(self, path: bytes, items: list[_Offer]) -> Iterator[Entry]:
        """An opaque directory that no tree has an entry of, as the root."""
        number = items[-1].number
        if number >= self._way[-1].floor:
            self._way.append(_Level(path, number, {}))
            yield opaque(path)

    def _named(self, path: bytes, items: list[_Offer], opaques: list[_Offer]) -> Iterator[Entry]:
        """What shows at ``path``; of directories, those down to where something ends them."""
        level = self._way[-1]
        floor = max(level.floor, level.deleted.get(path, 0))
        shown = [item for item in items if item.number >= floor]
        shown = [item for item in shown if not stat.S_ISSOCK(item.entry.mode)] or shown[-1:]
        if not shown:
            self._way.append(_Level(path, floor, {}))
            return
        if not shown[-1].entry.is_directory:
            self._way.append(_Level(path, len(self._trees), {}))
            yield self._distinct(shown[-1])
            return
        ends = [item.number + 1 for item in shown if not item.entry.is_directory]
        ends += [item.number for item in opaques if item.number >= floor]
        floor = max(floor, *ends) if ends else floor
        self._way.append(_Level(path, floor, {}))
        directories = [item for item in shown if item.number >= floor] or shown[-1:]
        exact = [item for item in directories if _is_exact(self._trees[item.number])]
        yield (exact[-1] if exact else directories[0]).entry
        if ends or path in self._replacing:
            self._replacing.discard(path)
            yield opaque(path)

    def _distinct(self, item: _Offer) -> Entry:
        """The entry with a device that no other tree has, if its number is made up."""
        entry = item.entry
        if entry.links == 1 or (entry.content and isinstance(entry.content, bytes)):
            return entry
        devices = self._devices
        made_up = _MADE_UP_DEVICES + len(devices)
        return entry._replace(device=devices.setdefault((item.number, entry.device), made_up))


def _what(items: list[_Offer]) -> tuple[bytes, int]:
    """The path of all ``items``, and their type if it is a deletion's."""
    kind = stat.S_IFMT(items[0].entry.mode)
    return items[0].entry.path, kind if kind in _DELETIONS else 0
