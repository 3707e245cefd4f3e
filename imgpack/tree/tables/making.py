"""The table of a layer out of its members, which are read once.

Invariants: parents come first, every one of them has a row; of a path that the layer has twice
the last counts, and what was in a directory that became a file is gone; a hard link has what it
links to, if the layer has that; memory holds a bounded part of the rows, however many there are.
"""

import stat
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from itertools import chain, groupby
from operator import itemgetter
from typing import Final, NamedTuple

from imgpack.errors import ArchiveError, LimitError, about, brief
from imgpack.files.scratch import ScratchFile
from imgpack.tar.stream import MAX_NAMES
from imgpack.tree.entry import WHITEOUT, path_order
from imgpack.tree.members import check_path, is_reserved, member_entry
from imgpack.tree.merge.merged import HashedMember, LayerMembers
from imgpack.tree.tables.links import linked_rows
from imgpack.tree.tables.rows import TableRow, made_up_row, member_row, pack, read_rows
from imgpack.tree.tables.table import EVERY, LayerTable, Remark, TableWriter

_RUN: Final = 32 << 20
"""Bytes of memory of the rows of one layer that are sorted at once, about."""
_OVERHEAD: Final = 450
"""Bytes that a row takes in memory besides its names."""
_KNOWN: Final = 8 << 20
"""Bytes of paths of directories that are remembered as there; of more, some are noted twice."""
_DEEPEST: Final = 2048
"""Names in a path: more are in none that Linux takes at once (``PATH_MAX``)."""
_TWICE: Final = "is there twice, and docker and podman refuse that; the last one counts"


def layer_table(layer: LayerMembers, scratch: Callable[[], str]) -> LayerTable:
    """The table of ``layer``, in a file in the directory that ``scratch`` finds.

    Raises ``ArchiveError``, ``TreeError`` and ``LimitError`` for a layer that cannot be unpacked,
    naming it, what reading it raises, and ``OutputError``.
    """
    with about(layer.name):
        remarks: dict[str, Remark] = {}
        rows = _rows(layer.members)
        writer = TableWriter(scratch)
        late = _in_order(rows, writer)
        if late is not None:
            before, writer = writer.table(layer.name, ()), TableWriter(scratch)
            for row in _settled(_sorted(chain((late,), rows), scratch, before.rows()), remarks):
                writer.add(row)
            before.file.close()
        table = writer.table(layer.name, tuple(remarks.values()))
        return _resolved(table, writer.links, scratch) if writer.links else table


def _in_order(rows: Iterator[TableRow], writer: TableWriter) -> TableRow | None:
    """Write ``rows`` as long as each path is behind the one before; the first that is not.

    They need no settling: what a path lies in came before it, and each path comes once.
    """
    last: bytes | None = None
    for row in rows:
        key = path_order(row.path)
        if last is not None and key <= last:
            return row
        last = key
        writer.add(row)
    return None


def _key(row: TableRow) -> tuple[bytes, bool, int]:
    return path_order(row[0]), not row.deletes, row.place


def _sorted(
    found: Iterable[TableRow], scratch: Callable[[], str], before: Iterable[TableRow] = ()
) -> Iterator[TableRow]:
    """Rows in order, with those ``before``, which are; one path's as the archive has them."""
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
    parts = [read_rows(spilled, start, end) for start, end in runs] if spilled else []
    yield from merge(before, *parts, rows, key=_key)


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
    made: int = 0
    """Bytes of paths of all that were made up."""

    def way(self, path: bytes, place: int) -> list[TableRow]:
        """The directories on the way to ``path`` and itself of which it is not known."""
        found = []
        while path and path not in self.paths:
            self.add(path)
            found.append(made_up_row(path, place))
            self.made += len(path)
            path = path.rpartition(b"/")[0]
        if self.made > MAX_NAMES:
            raise LimitError(
                "the directories on the ways of its members have too long names together",
                f"at most {MAX_NAMES >> 20} MiB are read",
            )
        return found[::-1]

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


def _resolved(table: LayerTable, links: "array[int]", scratch: Callable[[], str]) -> LayerTable:
    """``table``, whose hard ``links`` are what they name, where the layer has that."""
    writer = TableWriter(scratch)
    writer.copy(table, linked_rows(table, links, lambda rows: _sorted(rows, scratch)))
    made = writer.table(table.name, table.remarks)
    table.file.close()
    return made
