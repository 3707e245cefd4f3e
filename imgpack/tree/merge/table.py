"""All rows of one layer, sorted by path, in a file without a name.

Made of the layer's members, which are read once. Invariants: parents come first, every one of
them has a row; of a path that the layer has twice the last counts, and what was in a directory
that became a file is gone; a hard link has what it links to, if the layer has that; memory holds
a bounded part of the rows, however many there are, and four bytes for each.
"""

import stat
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

from imgpack.errors import ArchiveError, LimitError, about, brief
from imgpack.files.scratch import ScratchFile
from imgpack.tree.entry import WHITEOUT, path_order
from imgpack.tree.members import check_path, is_reserved, member_entry
from imgpack.tree.merge.links import linked_rows
from imgpack.tree.merge.merged import HashedMember, LayerMembers
from imgpack.tree.merge.rows import (
    TableRow,
    made_up_row,
    member_row,
    pack,
    read_rows,
    rows_at,
    unpack_path,
)

_RUN: Final = 64 << 20
"""Bytes of memory of the rows that are sorted at once, about."""
_OVERHEAD: Final = 450
"""Bytes that a row takes in memory besides its names."""
_KNOWN: Final = 8 << 20
"""Bytes of paths of directories that are remembered as there; of more, some are noted twice."""
_DEEPEST: Final = 2048
"""Names in a path: more are in none that Linux takes at once (``PATH_MAX``)."""
MAX_TABLE: Final = 4 << 30
"""Bytes of a table: more than the entries of any layer take."""
_BLOCK: Final = 1 << 18
EVERY: Final = 64
"""Rows from one place that a look-up knows to the next."""
_BLOCK_OF_PATH: Final = 512
_AHEAD: Final = 4 * EVERY
"""Rows that are read until it is faster to look for where they end."""
_BEHIND: Final = b"\0\4"
"""What makes a key of one that is behind all that is in a directory, and before its next."""
_TWICE: Final = "is there twice, and docker and podman refuse that; the last one counts"


@dataclass(frozen=True, slots=True)
class Remark:
    """What engines have trouble with: the first path that has it, and how many do."""

    what: str
    path: bytes
    count: int


@dataclass(frozen=True, slots=True)
class LayerTable:
    """The rows of the layer that messages call ``name``: in ``file``, the first ``size`` bytes.

    ``starts`` is where every ``EVERY``th row begins. ``linked`` are rows that share an inode;
    ``borrowed`` those that link to a lower layer's.
    """

    name: str
    file: ScratchFile
    size: int
    count: int
    starts: "array[int]"
    linked: int = 0
    borrowed: int = 0
    remarks: tuple[Remark, ...] = ()
    _found: "_Lookup" = field(default_factory=lambda: _Lookup())

    def rows(
        self, under: bytes = b"", *, deep: bool = True, ways: bool = False
    ) -> Iterator[TableRow]:
        """All rows, sorted: parents first, and of a path what it deletes before what it is.

        Or those of ``under`` and what is in it; without ``deep``, what is right in it; then with
        ``ways`` also directories that are only on the way to what the layer deletes.
        """
        if deep and not under:
            yield from read_rows(self.file, 0, self.size)
            return
        inside = under + b"/" if under else b""
        last = b""
        at: int | None = self._range(path_order(under))[0]
        while at is not None:
            start, at, passed = at, None, 0
            for row in read_rows(self.file, start, self.size):
                path = row.path
                if path != under and not path.startswith(inside):
                    if path_order(path) > path_order(under):
                        return
                    continue
                if deep or b"/" not in path[len(inside) :]:
                    passed, last = 0, path
                    yield row
                    continue
                way = inside + path[len(inside) :].partition(b"/")[0]
                if ways and way != last:
                    last = way
                    yield made_up_row(way, row.place)
                if (passed := passed + 1) > _AHEAD:  # of a large directory, look for its end
                    at = self._range(path_order(way) + _BEHIND)[0]
                    break

    def has(self, path: bytes) -> bool:
        """Whether there is something at ``path`` or in it, if only a deletion."""
        return next(self.rows(path), None) is not None

    def at(self, path: bytes) -> list[TableRow]:
        """The rows of ``path``: none, or what is deleted and what is there."""
        found, place = self._found, self._range(path_order(path))
        if place != found.range:
            found.block = b"".join(self.file.read(*place))
            found.range = place
        return rows_at(found.block, path)

    def _range(self, key: bytes) -> tuple[int, int]:
        """Between which bytes the rows are whose paths have ``key``, or would be."""
        keys, starts = self._found.keys, self.starts
        if not keys:
            keys += [path_order(self._path(start)) for start in starts]
        # Rows of one path may lie on both sides of a place that is known.
        low, high = max(bisect_left(keys, key) - 1, 0), bisect_right(keys, key)
        return starts[low] if starts else 0, starts[high] if high < len(starts) else self.size

    def _path(self, start: int) -> bytes:
        size = _BLOCK_OF_PATH
        while True:
            data = b"".join(self.file.read(start, min(start + size, self.size)))
            path = unpack_path(data, 0)
            if path is not None:
                return path
            if start + size >= self.size:  # a table that was kept may say what it likes
                raise ArchiveError(f"{self.name}: what is kept of its files is damaged")
            size *= 16


@dataclass(slots=True)
class _Lookup:
    """What a table remembers of look-ups: the keys of its places, and the block of the last."""

    keys: list[bytes] = field(default_factory=list)
    range: tuple[int, int] = (-1, -1)
    block: bytes = b""


def layer_table(layer: LayerMembers, scratch: Callable[[], str]) -> LayerTable:
    """The table of ``layer``, in a file in the directory that ``scratch`` finds.

    Raises ``ArchiveError``, ``TreeError`` and ``LimitError`` for a layer that cannot be unpacked,
    naming it, what reading it raises, and ``OutputError``.
    """
    with about(layer.name):
        remarks: dict[str, Remark] = {}
        writer = TableWriter(scratch)
        for row in _settled(_sorted(_rows(layer.members), scratch), remarks):
            writer.add(row)
        table = writer.table(layer.name, tuple(remarks.values()))
        return _resolved(table, scratch) if table.borrowed else table


class TableWriter:
    """Rows that come sorted, on their way into a file in the directory that ``scratch`` finds."""

    def __init__(self, scratch: Callable[[], str]) -> None:
        self._file = ScratchFile(scratch())
        self._starts = array("Q")
        self._parts: list[bytes] = []
        self._waiting = 0
        self._count = self._linked = self._borrowed = 0

    def add(self, row: TableRow) -> None:
        """The next row."""
        if self._count % EVERY == 0:
            self._starts.append(self._file.size + self._waiting)
        self._count += 1
        self._linked += row.inode > 0
        self._borrowed += not stat.S_IFMT(row.mode)
        packed = pack(row)
        self._parts.append(packed)
        self._waiting += len(packed)
        if self._waiting >= _BLOCK:
            self._flush()

    def table(self, name: str, remarks: tuple[Remark, ...]) -> LayerTable:
        """The table of all of them."""
        self._flush()
        return LayerTable(
            name, self._file, self._file.size, self._count, self._starts,
            self._linked, self._borrowed, remarks,
        )  # fmt: skip

    def _flush(self) -> None:
        if self._file.size > MAX_TABLE:  # attributes of each of many links, for one
            raise LimitError("what it says of its files is too large", f"at most {MAX_TABLE} bytes")
        self._file.append(b"".join(self._parts))
        self._parts, self._waiting = [], 0


def _key(row: TableRow) -> tuple[bytes, bool, int]:
    return path_order(row[0]), not row.deletes, row.place


def _sorted(found: Iterable[TableRow], scratch: Callable[[], str]) -> Iterator[TableRow]:
    """Rows in order; of a path that comes more than once, as the archive has them."""
    runs: list[tuple[int, int]] = []
    spilled: ScratchFile | None = None
    rows: list[TableRow] = []
    taken = 0
    for row in found:
        rows.append(row)
        taken += _OVERHEAD + len(row.path) + len(row.link)
        if row.xattrs:
            taken += sum(_OVERHEAD + len(name) + len(value) for name, value in row.xattrs)
        if taken >= _RUN:
            spilled = spilled or ScratchFile(scratch())
            runs.append(_spill(rows, spilled))
            rows, taken = [], 0
    rows.sort(key=_key)
    if spilled is None:
        yield from rows
        return
    parts = [read_rows(spilled, start, end) for start, end in runs]
    yield from merge(*parts, rows, key=_key)


def _spill(rows: list[TableRow], file: ScratchFile) -> tuple[int, int]:
    rows.sort(key=_key)
    start = file.size
    for first in range(0, len(rows), EVERY * EVERY):
        file.append(b"".join(map(pack, rows[first : first + EVERY * EVERY])))
    return start, file.size


def _rows(members: Iterable[HashedMember]) -> Iterator[TableRow]:
    """The rows of all members in the archive's order, with the directories on their ways."""
    known = _Known()
    for place, (member, digest) in enumerate(members):
        path = member.path
        if is_reserved(path):
            entry = member_entry(member, b"")
            if entry is not None:
                yield TableRow(entry.path, entry.mode, place=place)
            continue
        check_path(path)
        if len(path) > 2 * _DEEPEST and path.count(b"/") >= _DEEPEST:
            raise LimitError(
                f"{brief(path)} lies in {path.count(b'/'):,} directories",
                f"at most {_DEEPEST - 1:,} are accepted",
            )
        if known.size > _KNOWN:
            known.forget()
        if member.kind == stat.S_IFDIR:
            known.add(path)
        elif not path:
            raise ArchiveError("its root is no directory")
        elif path in known.paths:  # what was in it is gone, and may come again
            known.forget()
        above = path.rpartition(b"/")[0]
        if above and above not in known.paths:
            yield from known.way(above, place)
        yield member_row(member, digest, place)


@dataclass(slots=True)
class _Known:
    """Directories of which it is known that they are there, and about how many bytes they take."""

    paths: set[bytes] = field(default_factory=set)
    size: int = 0

    def way(self, path: bytes, place: int) -> Iterator[TableRow]:
        """The directories from ``path`` upwards of which it is not known."""
        while path and path not in self.paths:
            self.add(path)
            yield made_up_row(path, place)
            path = path.rpartition(b"/")[0]

    def add(self, path: bytes) -> None:
        """One more."""
        if path not in self.paths:
            self.paths.add(path)
            self.size += len(path) + _OVERHEAD // 4

    def forget(self) -> None:
        """All of them."""
        self.paths.clear()
        self.size = 0


class _Above(NamedTuple):
    """What lies at a path of the layer: a directory, or what nothing may be in.

    What was in it before the ``since``th member is gone.
    """

    inside: bytes
    since: int
    directory: bool


def _settled(rows: Iterator[TableRow], remarks: dict[str, Remark]) -> Iterator[TableRow]:
    """One row of each path, or two if it is deleted below: what counts in the end."""
    ways = [_Above(b"", 0, directory=True)]
    for path, group in groupby(rows, key=itemgetter(0)):
        while not path.startswith(ways[-1].inside):
            ways.pop()
        above = ways[-1]
        deletions: dict[int, TableRow] = {}
        only: TableRow | None = None
        several: _Bodies | None = None
        for row in group:
            if row.deletes:
                deletions.setdefault(row.mode, row)
            elif row.place >= above.since:
                if only is None:
                    only = row
                else:
                    several = several or _Bodies(only)
                    several.add(row)
        yield from (deletions[mode] for mode in sorted(deletions, reverse=True))
        if only is None:
            continue
        if not above.directory:
            what = above.inside.rstrip(b"/")
            raise ArchiveError(f"{brief(what)} is no directory, and there is something in it")
        gone = None if only.is_directory else only.place
        if several is not None:
            several.tell_of_others(remarks)
            only, gone = several.counts, several.gone
        directory = only.is_directory
        if gone is not None and directory and WHITEOUT not in deletions:
            yield TableRow(path, WHITEOUT)  # what was there for a moment replaced what is below
        yield only
        since = above.since if gone is None else max(above.since, gone)
        ways.append(_Above(path + b"/" if path else b"", since, directory))


class _Bodies:
    """What the layer has at one path, one after the other; ``counts`` is what counts in the end.

    ``gone`` is the place of the last that was no directory.
    """

    def __init__(self, first: TableRow) -> None:
        self.counts = first
        self.gone: int | None = None
        self._said = 0
        self._weight = 0
        self.add(first)

    def add(self, row: TableRow) -> None:
        """The next, in the order of the archive."""
        # A link to itself says nothing of what is there already, a made-up directory less.
        to_itself = row.link == row.path and not stat.S_IFMT(row.mode)
        weight = 0 if row.made_up else 1 if to_itself else 2
        self._said += weight == 2
        if weight >= self._weight:
            self.counts, self._weight = row, weight
        if not row.is_directory:
            self.gone = row.place

    def tell_of_others(self, remarks: dict[str, Remark]) -> None:
        """Note that there are some of which only the last counts."""
        if self._said > 1:
            first = remarks.get(_TWICE, Remark(_TWICE, self.counts.path, 0))
            remarks[_TWICE] = Remark(_TWICE, first.path, first.count + self._said - 1)


def _resolved(table: LayerTable, scratch: Callable[[], str]) -> LayerTable:
    """``table``, whose hard links are what they name, where the layer has that."""
    writer = TableWriter(scratch)
    for row in linked_rows(table.file, table.size, lambda rows: _sorted(rows, scratch)):
        writer.add(row)
    made = writer.table(table.name, table.remarks)
    table.file.close()
    return made
