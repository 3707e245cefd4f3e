"""Hard links of one layer: each gets what it names, however many there are and in whatever order.

They are sorted by what they name, and read beside the rows, which are sorted as well. In memory
are 20 bytes for each link, and as many for each file that has some: rows are known by where they
lie.
"""

import stat
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Final

from imgpack.errors import ArchiveError, brief
from imgpack.files.scratch import ScratchFile
from imgpack.tree.entry import path_order
from imgpack.tree.merge.rows import TableRow, placed_rows, row_from

_NOWHERE: Final = 2**64 - 1


def linked_rows(
    file: ScratchFile, size: int, sort: Callable[[Iterable[TableRow]], Iterator[TableRow]]
) -> Iterator[TableRow]:
    """The rows in the first ``size`` bytes of ``file``; hard links are what they name.

    If the layer has that in front of them: others name what lower layers have. ``sort`` sorts
    rows by path. Raises ``ArchiveError`` for a link to a directory.
    """
    links = _HardLinks(file, size)
    links.find(sort(links.named()))
    return links.rows()


class _HardLinks:
    """The links of a table: where each lies, and where what it names does; both ascending."""

    def __init__(self, file: ScratchFile, size: int) -> None:
        self._file = file
        self._size = size
        self._at = array("Q")
        self._places = array("I")
        self._to = array("Q")
        self._bodies = array("Q")
        """Files that have links."""

    def named(self) -> Iterator[TableRow]:
        """For each link what it names, with the link's place and where it lies."""
        for at, row in placed_rows(self._file, 0, self._size):
            if not stat.S_IFMT(row.mode):
                self._at.append(at)
                self._places.append(row.place)
                yield TableRow(row.link, 0, offset=at, place=row.place)

    def find(self, named: Iterator[TableRow]) -> None:
        """Find what is ``named``, sorted by its paths."""
        first = next(named)  # all of them were seen by then
        self._to = array("Q", [_NOWHERE]) * len(self._at)
        there = ((at, row) for at, row in placed_rows(self._file, 0, self._size) if not row.deletes)
        at, body = next(there)
        for one in chain((first,), named):
            key = path_order(one.path)
            while path_order(body.path) < key:
                following = next(there, None)
                if following is None:
                    break
                at, body = following
            if body.path == one.path and body.place < one.place:
                self._found(one, at, body)
        self._follow()

    def _found(self, named: TableRow, at: int, body: TableRow) -> None:
        if body.is_directory:
            link = row_from(self._file, named.offset)
            raise ArchiveError(
                f"{brief(link.path)} is a hard link to {brief(body.path)}, which is a directory"
            )
        if stat.S_IFMT(body.mode):
            if not self._bodies or self._bodies[-1] != at:
                self._bodies.append(at)
        elif body.link == body.path:
            return
        self._to[bisect_left(self._at, named.offset)] = at

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

    def rows(self) -> Iterator[TableRow]:
        """All rows of the table."""
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
        for at, row in placed_rows(self._file, 0, self._size):
            to = at
            if not stat.S_IFMT(row.mode):
                to = self._to[link]
                link += 1
            body = _index(self._bodies, to)
            if body is not None:
                whole = row if to == at else row_from(self._file, to)
                header = row_from(self._file, self._at[said[body]])
                yield _linked(row.path, whole, header, body + 1, counts[body] + 1)
            elif to not in (at, _NOWHERE):  # a link to a lower layer's file
                yield row._replace(link=row_from(self._file, to).link)
            else:
                yield row


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
