"""The paths of an image as rows of a few values, each below the one that its depth says.

A row is ``[depth, name, …]``, depth first: it lies in the last row before it of a lower depth. A
name of 0 is the path before it once more. A row of these two alone is on the way to others, and
no layer that counts has it. What is at a row's end and 0 or empty is left out.
"""

import stat
from collections.abc import Iterator
from typing import Final

from imgpack.errors import printable
from imgpack.tree.entry import path_order
from imgpack.tree.merge.applied import Applied, LayerRow
from imgpack.tree.merge.rows import TableRow

ReportRow = list[int | str]

ADDED: Final = 1
REMOVED: Final = 2
CHANGED: Final = 3

_DELETED: Final = 1
_COUNTED_ELSEWHERE: Final = 2
_LINKS: Final = 40
"""Bits of the number of an inode in a layer."""


class _PathSteps:
    """Where the last row was, so that the next says only what is new of its path."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def rows(self, path: bytes, *more: int | str) -> Iterator[ReportRow]:
        """The row of ``path`` with what ``more`` there is, after those on the way to it."""
        before, parts = self._parts, path.split(b"/")
        self._parts = parts
        if parts == before:
            yield _trimmed([len(parts), 0, *more])
            return
        depth = 0
        while depth < len(parts) - 1 and before[depth : depth + 1] == parts[depth : depth + 1]:
            depth += 1
        for above in range(depth, len(parts) - 1):
            yield [above + 1, printable(parts[above])]
        yield _trimmed([len(parts), printable(parts[-1]), *more])


def _trimmed(row: ReportRow) -> ReportRow:
    while len(row) > 3 and row[-1] in (0, ""):
        row.pop()
    return row


def entry_rows(files: Applied) -> Iterator[ReportRow]:
    """All entries of all layers: ``[depth, name, mode, layer, size, by, flags, uid, gid, target]``.

    Layers count from 1; ``by`` is the one that hides it, or 0. Flags: 1, it is deleted; 2, its
    bytes are those of another path or layer, and count there. Raises as ``Applied.laid``.
    """
    way = _PathSteps()
    counted: set[int] = set()
    for laid in files.laid():
        row = laid.row
        if not row.path:
            continue
        by = 0 if laid.shown else laid.by + 1
        flags = _DELETED * laid.deleted
        if laid.held != laid.layer or not _counts(laid, counted):
            flags |= _COUNTED_ELSEWHERE
        yield from way.rows(
            row.path, row.mode, laid.layer + 1, _size(row), by, flags, row.uid, row.gid,
            printable(row.link) if stat.S_ISLNK(row.mode) else "",
        )  # fmt: skip


def _counts(laid: LayerRow, counted: set[int]) -> bool:
    """Whether it is the first path of its inode."""
    if not laid.row.inode:
        return True
    inode = laid.layer << _LINKS | laid.row.inode
    first = inode not in counted
    counted.add(inode)
    return first


def change_rows(before: Applied, after: Applied) -> Iterator[ReportRow]:
    """What differs: ``[depth, name, kind, mode, size before, size after, what]``.

    The kind is ``ADDED``, ``REMOVED`` or ``CHANGED``; ``what`` changed is a sum: 1 content, 2 type,
    4 mode, 8 owner, 16 target, 32 attributes or device. A time alone is no change. Raises as
    ``Applied.laid``.
    """
    way = _PathSteps()
    for old, new in _joined(before, after):
        if new is None:
            assert old is not None
            yield from way.rows(old.path, REMOVED, old.mode, _size(old))
        elif old is None:
            yield from way.rows(new.path, ADDED, new.mode, 0, _size(new))
        elif what := _differing(old, new):
            yield from way.rows(new.path, CHANGED, new.mode, _size(old), _size(new), what)


def _joined(before: Applied, after: Applied) -> Iterator[tuple[TableRow | None, TableRow | None]]:
    """The rows of both by their paths, but for the root's."""
    olds = (one.row for one in before.shown() if one.row.path)
    news = (one.row for one in after.shown() if one.row.path)
    old, new = next(olds, None), next(news, None)
    while old is not None or new is not None:
        if new is None or (old is not None and path_order(old.path) < path_order(new.path)):
            yield old, None
            old = next(olds, None)
        elif old is None or old.path != new.path:
            yield None, new
            new = next(news, None)
        else:
            yield old, new
            old, new = next(olds, None), next(news, None)


def _differing(old: TableRow, new: TableRow) -> int:
    if stat.S_IFMT(old.mode) != stat.S_IFMT(new.mode):
        return 2
    owners = (old.uid, old.gid), (new.uid, new.gid)
    attributes = (sorted(old.xattrs), old.rdev), (sorted(new.xattrs), new.rdev)
    return (
        1 * (stat.S_ISREG(old.mode) and _content(old, new))
        + 4 * (old.mode != new.mode)
        + 8 * (owners[0] != owners[1])
        + 16 * (stat.S_ISLNK(old.mode) and old.link != new.link)
        + 32 * (attributes[0] != attributes[1])
    )


def _content(old: TableRow, new: TableRow) -> bool:
    """Whether two files differ; by their times, where a lock does not say their digests."""
    if old.sha256 is None or new.sha256 is None:
        return (old.size, old.mtime_ns) != (new.size, new.mtime_ns)
    return old.sha256 != new.sha256


def _size(row: TableRow) -> int:
    return row.size if stat.S_ISREG(row.mode) else 0
