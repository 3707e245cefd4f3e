"""Hard links of one layer: each gets what it names, however many there are and in whatever order.

They are sorted by what they name, which is looked up in the rows. In memory are 20 bytes for each
link, and as many for each file that has some: rows are known by where they lie. All rows that
have to do with no link are copied as they are.
"""

import stat
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from typing import Final

from imgpack.errors import ArchiveError, brief
from imgpack.tree.tables.rows import PlacedRow, TableRow, placed_rows, row_from, rows_from
from imgpack.tree.tables.table import LayerTable

_NOWHERE: Final = 2**64 - 1


def linked_rows(
    table: LayerTable,
    links: "array[int]",
    sort: Callable[[Iterable[TableRow]], Iterator[TableRow]],
) -> Iterator[tuple[PlacedRow, TableRow]]:
    """Each row of ``table`` that has to do with a link, ascending, and what it becomes.

    ``links`` is where the links lie, ascending. One is what it names, if the layer has that in
    front of it: others name what lower layers have. ``sort`` sorts rows by path. Raises
    ``ArchiveError`` for a link to a directory.
    """
    found = _HardLinks(table, links)
    found.find(sort)
    return found.rows()


class _HardLinks:
    """The links of a table: where each lies, and where what it names does; both ascending."""

    def __init__(self, table: LayerTable, links: "array[int]") -> None:
        self._table = table
        self._file = table.file
        self._at = links
        self._places = array("I")
        self._to = array("Q", [_NOWHERE]) * len(links)
        self._bodies = array("Q")
        """Files that have links."""

    def find(self, sort: Callable[[Iterable[TableRow]], Iterator[TableRow]]) -> None:
        """Find what each names."""
        block: dict[bytes, PlacedRow] = {}
        read = (0, 0)
        for one in sort(self._named()):
            around = self._table.around(one.path)
            if around != read:
                read = around
                block = {
                    placed.row.path: placed
                    for placed in placed_rows(self._file, *read)
                    if not placed.row.deletes
                }
            body = block.get(one.path)
            if body is not None and body.row.place < one.place:
                self._found(one, body)
        self._follow()

    def _named(self) -> Iterator[TableRow]:
        """For each link what it names, with the link's place and where it lies."""
        for at, row, _ in rows_from(self._file, self._at):
            self._places.append(row.place)
            yield TableRow(row.link, 0, offset=at, place=row.place)

    def _found(self, named: TableRow, body: PlacedRow) -> None:
        if body.row.is_directory:
            link = row_from(self._file, named.offset)
            raise ArchiveError(
                f"{brief(link.path)} is a hard link to {brief(named.path)}, which is a directory"
            )
        if stat.S_IFMT(body.row.mode):
            if not self._bodies or self._bodies[-1] != body.at:
                self._bodies.append(body.at)
        elif body.row.link == named.path:
            return
        self._to[bisect_left(self._at, named.offset)] = body.at

    def _follow(self) -> None:
        """Let links to links name what those do; each is in front of what names it, so it ends."""
        for number in range(len(self._at)):
            way: list[int] = []
            last: int | None = number
            while last is not None and self._to[last] != _NOWHERE:
                way.append(last)
                last = _index(self._at, self._to[last])
            end = self._at[last] if last is not None else self._to[way[-1]]
            for passed in way:
                self._to[passed] = end

    def rows(self) -> Iterator[tuple[PlacedRow, TableRow]]:
        """Links, and files that have some."""
        counts = array("I", bytes(4 * len(self._bodies)))
        said = array("Q", bytes(8 * len(self._bodies)))
        """Of each file the last of its links in the archive: engines set what that says."""
        for number, to in enumerate(self._to):
            body = _index(self._bodies, to)
            if body is not None:
                last = said[body]
                if not counts[body] or self._places[last] < self._places[number]:
                    said[body] = number
                counts[body] += 1
        link = 0
        for placed in rows_from(self._file, merge(self._at, self._bodies)):
            to, row = placed.at, placed.row
            if not stat.S_IFMT(row.mode):
                to = self._to[link]
                link += 1
            body = _index(self._bodies, to)
            if body is not None:
                whole = row if to == placed.at else row_from(self._file, to)
                header = row_from(self._file, self._at[said[body]])
                yield placed, _linked(row.path, whole, header, body + 1, counts[body] + 1)
            elif to not in (placed.at, _NOWHERE):  # a link to a lower layer's file
                yield placed, row._replace(link=row_from(self._file, to).link)
            else:
                yield placed, row


def _index(sorted_numbers: "array[int]", number: int) -> int | None:
    found = bisect_left(sorted_numbers, number)
    there = found < len(sorted_numbers) and sorted_numbers[found] == number
    return found if there else None


def _linked(path: bytes, body: TableRow, said: TableRow, inode: int, links: int) -> TableRow:
    """The row of a file at one of its paths."""
    return body._replace(
        path=path,
        mode=stat.S_IFMT(body.mode) | stat.S_IMODE(said.mode),
        uid=said.uid,
        gid=said.gid,
        mtime_ns=said.mtime_ns,
        xattrs=tuple({**dict(body.xattrs), **dict(said.xattrs)}.items()),
        inode=inode,
        links=links,
    )
