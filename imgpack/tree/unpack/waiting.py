"""Rows that wait for their bytes, which come in the order of an archive.

Invariant: memory holds eight bytes for each row, and five times as many of one layer at a time;
the rows are in a file without a name.
"""

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final

from imgpack.files.scratch import ScratchFile
from imgpack.tree.tables.rows import TableRow, pack, unpack_row

_BLOCK: Final = 1 << 18
_POSITION: Final = 40
"""Bits of a position in the file; those above are a member's place, of which there are fewer
than ``1 << 24`` (``imgpack.tar.stream.MAX_MEMBERS``)."""


class RowFile:
    """Rows in a file in the directory that ``scratch`` finds. Raises ``OutputError``."""

    def __init__(self, scratch: Callable[[], str]) -> None:
        self._file = ScratchFile(scratch())
        self._parts: list[bytes] = []
        self._waiting = 0
        self._block, self._start = b"", 0

    def append(self, row: TableRow) -> int:
        """Add a row; where it is."""
        start = self._file.size + self._waiting
        packed = pack(row)
        self._parts.append(packed)
        self._waiting += len(packed)
        if self._waiting >= _BLOCK:
            self._flush()
        return start

    def read(self, start: int) -> TableRow:
        """The row at ``start``; those behind it are read with it."""
        return self._row(start)[0]

    def __iter__(self) -> Iterator[TableRow]:
        """All of them, as they came."""
        self._flush()
        start = 0
        while start < self._file.size:
            row, start = self._row(start)
            yield row

    def close(self) -> None:
        """Give the space back."""
        self._file.close()

    def _row(self, start: int) -> tuple[TableRow, int]:
        self._flush()
        size = _BLOCK
        while True:
            at = start - self._start
            found = unpack_row(self._block, at) if 0 <= at < len(self._block) else None
            if found is not None:
                return found[0], self._start + found[1]
            end = min(start + size, self._file.size)
            self._block, self._start = b"".join(self._file.read(start, end)), start
            size *= 4

    def _flush(self) -> None:
        if self._parts:
            self._file.append(b"".join(self._parts))
            self._parts, self._waiting = [], 0


class MemberPlaces(Collection[int]):
    """MemberPlaces of members of one layer."""

    def __init__(self, places: Iterable[int]) -> None:
        self._there = bytearray()
        self._count = 0
        for place in places:
            if place >= len(self._there):
                self._there.extend(bytes(place + 1 - len(self._there)))
            self._count += not self._there[place]
            self._there[place] = 1

    def __contains__(self, place: object) -> bool:
        return isinstance(place, int) and place < len(self._there) and bool(self._there[place])

    def __iter__(self) -> Iterator[int]:
        return (place for place, there in enumerate(self._there) if there)

    def __len__(self) -> int:
        return self._count


class WaitingRows:
    """Rows of all layers, in a file in the directory that ``scratch`` finds.

    Raises ``OutputError``.
    """

    def __init__(self, scratch: Callable[[], str]) -> None:
        self._file = RowFile(scratch)
        self._layers: dict[int, array[int]] = {}

    def add(self, layer: int, row: TableRow) -> None:
        """One that the ``layer`` has the bytes of, counted from 0; those of one path come once."""
        position = self._file.append(row)
        self._layers.setdefault(layer, array("Q")).append(row.place << _POSITION | position)

    def layers(self) -> list[int]:
        """Those that have something, bottom first."""
        return sorted(self._layers)

    def places(self, layer: int) -> MemberPlaces:
        """The members of a layer that are waited for."""
        return MemberPlaces(key >> _POSITION for key in self._layers[layer])

    def in_order(self, layer: int) -> Iterator[TableRow]:
        """The rows of a layer as its members come; of one member, as they were added."""
        keys = self._layers[layer]
        ordered = array("Q", sorted(keys))
        for key in ordered:
            yield self._file.read(key & (1 << _POSITION) - 1)

    def close(self) -> None:
        """Give the space back."""
        self._file.close()
