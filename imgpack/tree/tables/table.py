"""All rows of one layer, sorted by path, in a file without a name: how they are read and written.

Invariants: memory holds a bounded part of the rows, however many there are, and the place of
every sixty-fourth.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from imgpack.errors import LimitError
from imgpack.files.scratch import ScratchFile
from imgpack.tree.entry import path_order
from imgpack.tree.tables.rows import (
    TYPE,
    PlacedRow,
    TableRow,
    made_up_row,
    pack,
    read_rows,
    rows_at,
    unpack_path,
)

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
        found, place = self._found, self.around(path)
        if place != found.range:
            found.block = b"".join(self.file.read(*place))
            found.range = place
        return rows_at(found.block, path)

    def around(self, path: bytes) -> tuple[int, int]:
        """From which byte of the file to which the rows are that ``path`` is among, if it is."""
        return self._range(path_order(path))

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
            data = b"".join(self.file.read(start, start + size))
            path = unpack_path(data, 0)
            if path is not None:
                return path
            size *= 16


@dataclass(slots=True)
class _Lookup:
    """What a table remembers of look-ups: the keys of its places, and the block of the last."""

    keys: list[bytes] = field(default_factory=list)
    range: tuple[int, int] = (-1, -1)
    block: bytes = b""


class TableWriter:
    """Rows that come sorted, on their way into a file in the directory that ``scratch`` finds."""

    def __init__(self, scratch: Callable[[], str]) -> None:
        self._file = ScratchFile(scratch())
        self._starts = array("Q")
        self._parts: list[bytes] = []
        self._waiting = 0
        self._end = 0
        self._count = self._linked = 0
        self.links = array("Q")
        """Where hard links lie that are not what they name."""

    def add(self, row: TableRow) -> None:
        """The next row."""
        if self._count % EVERY == 0:
            self._starts.append(self._end)
        self._count += 1
        self._put(row)

    def copy(self, table: LayerTable, changed: Iterable[tuple[PlacedRow, TableRow]]) -> None:
        """All rows of ``table``, but for those ``changed``, ascending, which are others now.

        Nothing was added before, and no row that is copied shares an inode or is a hard link.
        """
        copied = 0
        for placed, row in changed:
            self._copy(table, copied, placed.at)
            self._put(row)
            copied = placed.end
        self._copy(table, copied, table.size)
        self._count = table.count

    def table(self, name: str, remarks: tuple[Remark, ...]) -> LayerTable:
        """The table of all of them."""
        self._flush()
        return LayerTable(
            name, self._file, self._file.size, self._count, self._starts,
            self._linked, len(self.links), remarks,
        )  # fmt: skip

    def _copy(self, table: LayerTable, start: int, end: int) -> None:
        shift, starts = self._end - start, table.starts
        known = starts[bisect_left(starts, start) : bisect_right(starts, end)]
        self._starts.extend(one + shift for one in known)
        for piece in table.file.read(start, end):
            self._write(piece)

    def _put(self, row: TableRow) -> None:
        self._linked += row.inode > 0
        if not row.mode & TYPE:
            self.links.append(self._end)
        self._write(pack(row))

    def _write(self, data: bytes) -> None:
        self._parts.append(data)
        self._waiting += len(data)
        self._end += len(data)
        if self._waiting >= _BLOCK:
            self._flush()

    def _flush(self) -> None:
        if self._file.size > MAX_TABLE:  # attributes of each of many links, for one
            raise LimitError("what it says of its files is too large", f"at most {MAX_TABLE} bytes")
        self._file.append(b"".join(self._parts))
        self._parts, self._waiting = [], 0
