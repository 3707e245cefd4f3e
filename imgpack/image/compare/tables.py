"""Two layers by their tables: what the first member is that they have otherwise.

First is what comes first in the archives. Rows that are the same in all that they say may still
stand in another order, which is told apart.
"""

import stat
from collections.abc import Iterator
from typing import Final, NamedTuple

from imgpack.image.compare.rows import OWN, FirstNames, RowFields, side_by_side
from imgpack.image.compare.scope import ChosenPaths, ComparisonScope
from imgpack.tree.entry import WHITEOUT
from imgpack.tree.tables.rows import TableRow
from imgpack.tree.tables.table import LayerTable

_BODY: Final = 2


class RowDifference(NamedTuple):
    """The first row of two layers that differs, in the field ``what``; of a path that one lacks
    it is ``path``, and of one that stands elsewhere ``order``.
    """

    what: str
    a: TableRow | None
    b: TableRow | None

    @property
    def path(self) -> bytes:
        """Whose row it is."""
        row = self.a or self.b
        assert row is not None
        return row.path


def first_difference(a: LayerTable, b: LayerTable, scope: ComparisonScope) -> RowDifference | None:
    """The first member that the layers have otherwise, as far as it is selected.

    The order of members counts only if all else is selected: who leaves paths out moves others.
    """
    chosen = ChosenPaths(scope)
    fields = RowFields(scope.fields)
    links = "links" in scope.fields
    first: tuple[int, RowDifference] | None = None
    moved: tuple[int, RowDifference] | None = None
    for (left, name), (right, other) in _pairs(a, b):
        if left and right and name == other and _same(left, right):
            continue
        row = left or right
        assert row is not None
        if row.path not in chosen:
            continue
        place = min(one.place for one in (left, right) if one is not None)
        if first is not None and place >= first[0]:
            continue
        if left is None or right is None:
            told: tuple[str, ...] = () if row.made_up else ("path",)
        else:
            told = fields.differing(left, right)
            if links and name != other:
                told = (*told, "links")
            if left.place != right.place and (moved is None or place < moved[0]):
                moved = place, RowDifference("order", left, right)
        if told:
            first = place, RowDifference("content" if "content" in told else told[0], left, right)
    if first is not None:
        return first[1]
    return None if moved is None or scope.loose else moved[1]


_Named = tuple[TableRow | None, bytes]


def _pairs(a: LayerTable, b: LayerTable) -> Iterator[tuple[_Named, _Named]]:
    names, others = FirstNames(), FirstNames()
    for left, right in side_by_side(a.rows(), b.rows(), _place):
        name = names.add(left, 0, shown=True) if left is not None and left.inode else b""
        other = others.add(right, 0, shown=True) if right is not None and right.inode else b""
        yield (left, name), (right, other)


def _same(left: TableRow, right: TableRow) -> bool:
    return left[OWN] == right[OWN] and left.place == right.place


def _place(row: TableRow) -> tuple[bytes, int]:
    if not row.deletes:
        return row.path, _BODY
    return row.path, 0 if row.mode == WHITEOUT else 1


def kind_of(row: TableRow) -> str:
    """What a row is, for people."""
    if row.deletes:
        return "deletion" if row.mode == WHITEOUT else "opaque directory"
    return _KINDS.get(stat.S_IFMT(row.mode), "hard link")


_KINDS: Final = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symbolic link",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFIFO: "fifo",
}
