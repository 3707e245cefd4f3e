"""Entries of two images side by side, in the order of their paths, field by field.

Memory holds the inodes with several names of which not all have come yet, and nothing else.
"""

import stat
from collections.abc import Callable, Iterator
from typing import TypeVar

from imgpack.image.compare.scope import ChosenPaths, ComparisonScope
from imgpack.image.compare.values import FileDifference
from imgpack.tree.entry import path_order
from imgpack.tree.tables.applied import Applied, LayerRow
from imgpack.tree.tables.rows import TableRow, made_up_row

_Item = TypeVar("_Item")
_Place = tuple[bytes, int]
OWN = slice(1, 10)
"""Of a row: what says what it is, without where it lies and what else has its inode."""


def side_by_side(
    a: Iterator[_Item], b: Iterator[_Item], place: Callable[[_Item], _Place]
) -> Iterator[tuple[_Item | None, _Item | None]]:
    """The items of two sorted iterators: both where they have the same place, or one of them."""
    left, right = next(a, None), next(b, None)
    while left is not None and right is not None:
        (path, rank), (other, other_rank) = place(left), place(right)
        if path == other and rank == other_rank:
            yield left, right
            left, right = next(a, None), next(b, None)
        elif (path_order(path), rank) < (path_order(other), other_rank):
            yield left, None
            left = next(a, None)
        else:
            yield None, right
            right = next(b, None)
    while left is not None:
        yield left, None
        left = next(a, None)
    while right is not None:
        yield None, right
        right = next(b, None)


class RowFields:
    """Compares two rows of one path, in the fields that count."""

    def __init__(self, fields: frozenset[str]) -> None:
        self._fields = fields

    def differing(self, a: TableRow, b: TableRow) -> tuple[str, ...]:
        """The names of the fields in which they differ, but for ``links``."""
        if a[OWN] == b[OWN]:
            return ()
        kind = stat.S_IFMT(a.mode)
        if kind != stat.S_IFMT(b.mode):
            return ("type",) if "type" in self._fields else ()
        told = [
            name
            for name, before, after in (
                ("mode", stat.S_IMODE(a.mode), stat.S_IMODE(b.mode)),
                ("uid", a.uid, b.uid),
                ("gid", a.gid, b.gid),
                ("mtime", a.mtime_ns, b.mtime_ns),
                ("target", a.link, b.link) if kind in (0, stat.S_IFLNK) else ("target", 0, 0),
                ("device", a.rdev, b.rdev),
                ("xattrs", dict(a.xattrs), dict(b.xattrs)),
            )
            if before != after and name in self._fields
        ]
        if "mtime" in told and (a.made_up or b.made_up):
            told.remove("mtime")  # engines make one up
        if kind == stat.S_IFREG and "content" in self._fields:
            if a.size != b.size:
                told.append("size")
            if a.sha256 != b.sha256 and None not in (a.sha256, b.sha256):
                told.append("content")
        return tuple(told)


class FirstNames:
    """The first path of each inode, as its paths come in order."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], tuple[bytes, int]] = {}

    def add(self, row: TableRow, layer: int, *, shown: bool) -> bytes:
        """The first of the shown paths of the inode that ``row`` is one of; else empty."""
        if not row.inode:
            return row.path
        key = layer, row.inode
        first, left = self._open.pop(key, (b"", row.links))
        if shown and not first:
            first = row.path
        if left > 1:
            self._open[key] = first, left - 1
        return first


_Shown = tuple[LayerRow, bytes]
"""What an image has at a path, and the first path of its inode."""


def file_differences(a: Applied, b: Applied, scope: ComparisonScope) -> Iterator[FileDifference]:
    """The paths that differ between the trees *a* and *b*, in order. Raises as ``Applied.laid``."""
    fields = scope.fields
    differing = RowFields(fields).differing
    links = "links" in fields
    chosen = ChosenPaths(scope)
    every = chosen.all
    for left, right in side_by_side(_shown(a), _shown(b), _place_of_shown):
        one = (left or right or _NEVER)[0]
        if not every and one.row.path not in chosen:
            continue
        if left is None or right is None:
            yield FileDifference(one.row.path, left and left[0], right and right[0])
            continue
        told = differing(left[0].row, right[0].row)
        shared = None
        if links and left[1] != right[1]:
            told, shared = (*told, "links"), (left[1], right[1])
        if told:
            yield FileDifference(one.row.path, left[0], right[0], told, shared)


def _shown(tree: Applied) -> Iterator[_Shown]:
    """What the image has, with its root, whether or not a layer says that."""
    names = FirstNames()
    first = True
    for one in tree.laid():
        row = one.row
        shown = one.by == one.layer
        if first:
            first = False
            if row.path:
                yield _ROOT, b""
        name = names.add(row, one.held, shown=shown) if row.inode else row.path
        if shown:
            yield one, name
    if first:
        yield _ROOT, b""


def _place_of_shown(shown: _Shown) -> _Place:
    return shown[0].row.path, 0


_ROOT = LayerRow(made_up_row(b"", 0), 0, 0, deleted=False, held=0)
_NEVER = (_ROOT, b"")
