"""A tree in parts, a layer each: what patterns match, in the order given, and the rest.

So that what seldom changes does not share a layer with what always does. The patterns are
those of ignore files: a path is in the first part whose patterns would leave it out. All
names of one file are in the part of the first of them, for a hard link leads to something
in its own layer. Deletions are in the lowest part: they are of what lies below all of them.
"""

import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from imgpack.errors import ConfigError, quoted
from imgpack.tree.destination import Placed
from imgpack.tree.entry import OPAQUE, OPAQUE_NAME, WHITEOUT, Entry
from imgpack.tree.parts import Belongs, Known, parted
from imgpack.tree.problems import Problems
from imgpack.tree.rules.ignore import Ignore, ignore
from imgpack.tree.tree import Stamps, Tree, join

_DELETIONS: Final = (WHITEOUT, OPAQUE)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""A word of the history."""
_ALL: Final = -1
"""Instead of the patterns that hit a directory: all that is in it is matched."""


@dataclass(frozen=True, slots=True)
class Group:
    """What becomes a layer of its own: its name, and the patterns of what is in it."""

    name: str
    patterns: Ignore

    @classmethod
    def parse(cls, text: str) -> "Group":
        """``NAME=PATTERN,…``. Raises ``ConfigError``."""
        name, equals, patterns = text.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise ConfigError(
                f"{quoted(text)} names no layer and its patterns",
                "write NAME=PATTERN,..., as deps=node_modules,vendor",
            )
        if not all(patterns.split(",")):
            raise ConfigError(f"{quoted(text)} has an empty pattern", "say what is in the layer")
        return cls(name, ignore(patterns.split(",")))


@dataclass(frozen=True, slots=True)
class GroupPart:
    """A ``Part``: that of the group of a number; that of the rest has the next one."""

    groups: tuple[Group, ...]
    number: int

    @property
    def identity(self) -> str:
        """All patterns, for what an earlier group has no later one gets."""
        return repr(([group.patterns.identity for group in self.groups], self.number))

    def begin(self) -> Belongs:
        """As ``Part.begin``."""
        sorter = _Sorter(self.groups)
        return lambda known: sorter.number_of(known) == self.number


@dataclass(frozen=True, slots=True)
class _Contents:
    """The directories in each part of a tree, and the part of each file with several names."""

    directories: tuple[set[bytes], ...]
    inodes: dict[tuple[int, int], int]


class PartTree:
    """One part of a tree; ``contents`` are those of all its parts."""

    def __init__(self, tree: Tree, part: GroupPart, contents: _Contents) -> None:
        self._tree = tree
        self._part = part
        self._contents = contents

    def __str__(self) -> str:
        return f"{self._tree} ({self.part_name})" if self.part_name else str(self._tree)

    @property
    def part_name(self) -> str:
        """That of its group; empty for the rest."""
        groups, number = self._part.groups, self._part.number
        return groups[number].name if number < len(groups) else ""

    @property
    def stamps(self) -> Stamps | None:
        """The tree's own, of this part."""
        own = self._tree.stamps
        return own and replace(own, part=self._part)

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """As ``Tree.entries``."""
        return parted(self._tree.entries(problems, under), self._part, under, _known)

    def find(self, path: bytes) -> Entry | None:
        """As ``Tree.find``."""
        directories = self._contents.directories[self._part.number]
        above = path.rpartition(b"/")[0]
        if above and above not in directories:
            return None
        found = self._tree.find(path)
        if found is None or not path:
            return found
        if found.is_directory:
            return found if path in directories else None
        number = self._contents.inodes.get((found.device, found.inode)) if found.links > 1 else None
        if number is None:
            number = _Sorter(self._part.groups).number_at(_known(found))
        return found if number == self._part.number else None


def split(trees: Sequence[Placed[Tree]], groups: Sequence[Group]) -> tuple[Placed[Tree], ...]:
    """Each of ``trees`` in its parts, lowest first; those that are empty are left out.

    Raises ``ConfigError`` for a group that nothing is in, and what reading the trees raises.
    """
    wanted = tuple(groups)
    used: set[int] = set()
    parts: list[Placed[Tree]] = []
    for placed in trees:
        numbers, contents = _surveyed(placed.tree, wanted)
        used |= numbers
        for number in sorted(numbers):
            tree = PartTree(placed.tree, GroupPart(wanted, number), contents)
            parts.append(replace(placed, tree=tree))
    for number, group in enumerate(wanted):
        if number not in used:
            raise ConfigError(
                f"nothing is in the layer {group.name}: its patterns match no path, "
                "or only those of earlier ones",
                "correct them, which are of paths in the source, or leave it out",
            )
    return tuple(parts)


def _surveyed(tree: Tree, groups: tuple[Group, ...]) -> tuple[set[int], _Contents]:
    """The groups that something in ``tree`` belongs to, and what is in their parts.

    Directories of the rest need no layer for the rest if something of another part is in
    them: they are there already.
    """
    sorter, rest = _Sorter(groups), len(groups)
    numbers: set[int] = set()
    directories: tuple[set[bytes], ...] = tuple(set() for _ in range(rest + 1))
    way: list[tuple[bytes, bool]] = []  # whether something of another part is in it
    for entry in tree.entries(Problems()):
        path = _known(entry)[0]
        while way and not path.startswith(way[-1][0] + b"/"):
            _, needed = way.pop()
            numbers |= set() if needed else {rest}
        number = sorter.number_of(_known(entry))
        if number != rest:
            way = [(above, True) for above, _ in way]
        directories[number].update(above for above, _ in way)
        if entry.is_directory:
            directories[number].add(path)
            way.append((path, number != rest))
        if number != rest or not entry.is_directory:
            numbers.add(number)
    if not all(needed for _, needed in way):
        numbers.add(rest)
    return numbers, _Contents(directories, sorter.inodes)


def _known(entry: Entry) -> Known:
    # What empties a directory lies in it, as the name says that a layer has for it.
    is_opaque = stat.S_IFMT(entry.mode) == OPAQUE
    path = join(entry.path, OPAQUE_NAME) if is_opaque else entry.path
    return path, entry.mode, entry.links, (entry.device, entry.inode)


class _Sorter:
    """Says of each path of a tree, in order, in which group it is."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._patterns = [group.patterns for group in groups]
        self._rest = len(groups)
        self._way: list[tuple[bytes, list[int]]] = []
        """The directories on the way, a slash behind each, and what hit them of each group."""
        self.inodes: dict[tuple[int, int], int] = {}
        """The group of each file with several names."""

    def number_at(self, known: Known) -> int:
        """As ``number_of``, for a path without those before it."""
        parts = known[0].split(b"/")
        for count in range(1, len(parts)):
            self.number_of((b"/".join(parts[:count]), stat.S_IFDIR, 1, (0, 0)))
        return self.number_of(known)

    def number_of(self, known: Known) -> int:
        """The number of the group; of the rest, the number of groups."""
        path, mode, links, inode = known
        if stat.S_IFMT(mode) in _DELETIONS:
            return 0
        way = self._way
        while way and not path.startswith(way[-1][0]):
            way.pop()
        above, hits = way[-1] if way else (b"", [0] * self._rest)
        name = path[len(above) :]
        number, now = self._rest, []
        is_directory = stat.S_ISDIR(mode)
        for each, patterns in enumerate(self._patterns):
            matched, behind = _matched(patterns, above, name, hits[each])
            now.append(behind)
            if matched and number == self._rest:
                number = each
                if not is_directory:
                    break
        if is_directory:
            way.append((path + b"/", now))
        elif links > 1:
            number = self.inodes.setdefault(inode, number)
        return number


def _matched(patterns: Ignore, above: bytes, name: bytes, hits: int) -> tuple[bool, int]:
    """Whether a path is matched, and the patterns that hit it, for what is in it."""
    if hits == _ALL:
        return True, _ALL
    sifted = patterns.sift(above, [name], hits)
    if sifted.kept:
        return False, sifted.hits.get(name, hits)
    return (True, sifted.hidden[name][0]) if sifted.hidden else (True, _ALL)
