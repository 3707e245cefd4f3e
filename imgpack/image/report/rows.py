"""The paths of an image as rows of a few values, each below the one that its depth says.

A row is ``[depth, name, …]``, depth first: it lies in the last row before it of a lower depth. A
name of 0 is the path before it once more. A row of these two alone is on the way to others, and
no layer that counts has it. What is at a row's end and 0 or empty is left out.
"""

import stat
from collections.abc import Iterator
from typing import Final

from imgpack.errors import printable
from imgpack.image.compare.rows import file_differences
from imgpack.image.compare.scope import ComparisonScope, Ignored
from imgpack.image.compare.values import Presence
from imgpack.image.files.usage import stored_sizes
from imgpack.tree.tables.applied import Applied
from imgpack.tree.tables.rows import TableRow

ReportRow = list[int | str]

_SCOPE: Final = ComparisonScope(ignored=frozenset({Ignored.MTIME, Ignored.LINKS}))
_KINDS: Final = {Presence.ADDED: 1, Presence.REMOVED: 2, Presence.CHANGED: 3}
_WHAT: Final = {
    "content": 1, "size": 1, "type": 2, "mode": 4, "uid": 8, "gid": 8, "target": 16,
    "xattrs": 32, "device": 32,
}  # fmt: skip
_DELETED: Final = 1
_COUNTED_ELSEWHERE: Final = 2


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
    steps = _PathSteps()
    for laid, counted in stored_sizes(files):
        row = laid.row
        if not row.path:
            continue
        by = 0 if laid.shown else laid.by + 1
        flags = _DELETED * laid.deleted
        if _size(row) != counted:
            flags |= _COUNTED_ELSEWHERE
        yield from steps.rows(
            row.path, row.mode, laid.layer + 1, _size(row), by, flags, row.uid, row.gid,
            printable(row.link) if stat.S_ISLNK(row.mode) else "",
        )  # fmt: skip


def change_rows(before: Applied, after: Applied) -> Iterator[ReportRow]:
    """What differs: ``[depth, name, kind, mode, size before, size after, what]``.

    The kind is 1, it was added; 2, removed; 3, changed. ``what`` changed is a sum: 1 content, 2
    type, 4 mode, 8 owner, 16 target, 32 attributes or device. A time alone is no change. Raises as
    ``Applied.laid``.
    """
    steps = _PathSteps()
    for one in file_differences(before, after, _SCOPE):
        there = one.b or one.a
        if one.path and there is not None:
            what = sum({_WHAT[field] for field in one.fields})
            sizes = [0 if side is None else _size(side.row) for side in (one.a, one.b)]
            yield from steps.rows(one.path, _KINDS[one.presence], there.row.mode, *sizes, what)


def _size(row: TableRow) -> int:
    return row.size if stat.S_ISREG(row.mode) else 0
