"""What layers say of each other: deletions, hard links, and where symbolic links lead.

OCI image-spec ``layer.md``, "Applying Changesets". One pass over the tables of all layers.
"""

import stat
from collections.abc import Iterator, Sequence
from heapq import merge
from typing import Final, NamedTuple

from imgpack.errors import ArchiveError, brief
from imgpack.image.check.layers import CheckedLayer
from imgpack.image.check.problems import Findings, ImageCheck, ProblemLevel
from imgpack.tree.below import Below, Laid
from imgpack.tree.entry import WHITEOUT, path_order
from imgpack.tree.tables.applied import Applied, LayerRow
from imgpack.tree.tables.rows import TableRow

_MOUNTED: Final = frozenset({b"dev", b"proc", b"run", b"sys"})
"""Directories that a runtime mounts something on: what is in them is no matter of the image."""
_FOLLOWED: Final = 500
"""Symbolic links through other links that are followed."""


def check_merged(layers: Sequence[CheckedLayer], names: Sequence[str], findings: Findings) -> None:
    """Look at all ``layers`` of an image together, bottom first; ``names`` are what each is called.

    ``layers`` is not empty.
    """
    applied = Applied([layer.table for layer in layers])
    _check_hard_links(applied, names, findings)
    links = _LaidSymlinks(layers)
    deletes = any(layer.deletes for layer in layers)
    if not (deletes or links.missing):
        return
    deletions = _LaidDeletions(applied if deletes else None, names, findings)
    for laid in applied.laid(links=False):
        if deletes:
            deletions.meet(laid)
        if laid.shown:
            links.missing.discard(laid.row.path)
    deletions.end()
    links.tell(applied, names, findings)


def _check_hard_links(applied: Applied, names: Sequence[str], findings: Findings) -> None:
    for number, table in enumerate(applied.tables):
        if not table.borrowed:
            continue
        below = Applied(applied.tables[:number])
        for row in table.rows():
            if stat.S_IFMT(row.mode):
                continue
            try:
                found = below.at(row.link) if number else None
            except ArchiveError:  # it is a link to nothing itself, which is told of it
                found = None
            link = f"{brief(row.path)} is a hard link to {brief(row.link)}, which is "
            if any(not one.deletes for one in table.at(row.link)):
                link += "behind it, and docker and podman cannot unpack that"
            elif found is None:
                link += "not there"
            elif found.row.is_directory:
                link += "a directory"
            else:
                link += "in a lower layer, and docker and podman cannot unpack that"
            findings.add(ImageCheck.HARD_LINK, names[number], link, path=row.path)


class _LaidDeletion(NamedTuple):
    """A deletion of the layer ``layer``, all of whose work is at paths that start so."""

    inside: bytes
    layer: int
    row: TableRow


class _LaidDeletions:
    """The deletions of all layers, met in the order of paths beside what they may delete."""

    def __init__(self, applied: Applied | None, names: Sequence[str], findings: Findings) -> None:
        tables = () if applied is None else applied.tables
        sources = [_deletions(number, table.rows()) for number, table in enumerate(tables)]
        self._left = merge(*sources, key=_place)
        self._next = next(self._left, None)
        self._open: list[_LaidDeletion] = []
        self._names = names
        self._findings = findings

    def meet(self, laid: LayerRow) -> None:
        """Look at the next entry of any layer."""
        path = laid.row.path
        key = path_order(path)
        while self._next is not None and _place(self._next) <= key:
            self._close(self._next.row.path)
            self._open.append(self._next)
            self._next = next(self._left, None)
        self._close(path)
        if laid.deleted:
            self._open = [one for one in self._open if not _did(one, laid)]

    def end(self) -> None:
        """What was met by now is all there is."""
        while self._next is not None:
            self._tell(self._next)
            self._next = next(self._left, None)
        for one in self._open:
            self._tell(one)

    def _close(self, path: bytes) -> None:
        """Tell of those that delete nothing, for all that is in them has been met."""
        left = []
        for one in self._open:
            if path == one.row.path or path.startswith(one.inside):
                left.append(one)
            else:
                self._tell(one)
        self._open = left

    def _tell(self, one: _LaidDeletion) -> None:
        where, path = self._names[one.layer], one.row.path
        if one.row.mode == WHITEOUT:
            text = f"{brief(path)} is deleted, and no lower layer has it"
            self._findings.add(ImageCheck.WHITEOUT, where, text, path=path)
            return
        text = f"{brief(path) or 'the root'} is opaque, and lower layers have nothing in it"
        level = ProblemLevel.NOTE  # builders mark new directories so
        self._findings.add(ImageCheck.WHITEOUT, where, text, path=path, level=level)


def _deletions(number: int, rows: Iterator[TableRow]) -> Iterator[_LaidDeletion]:
    for row in rows:
        if row.deletes:
            yield _LaidDeletion(row.path + b"/" if row.path else b"", number, row)


def _place(one: _LaidDeletion) -> bytes:
    return path_order(one.row.path)


def _did(one: _LaidDeletion, laid: LayerRow) -> bool:
    """Whether it is what deleted an entry, which is at its path or in it."""
    if laid.by != one.layer:
        return False
    path = laid.row.path
    if path == one.row.path:
        return one.row.mode == WHITEOUT
    return path.startswith(one.inside)


class _LaidSymlinks:
    """Symbolic links, by the paths that they name; ``missing`` are those not met yet."""

    def __init__(self, layers: Sequence[CheckedLayer]) -> None:
        self._links: list[tuple[bytes, int, bytes | None]] = []
        self.missing: set[bytes] = set()
        for number, layer in enumerate(layers):
            for path, target in layer.symlinks:
                named = _named(path, target)
                if named is None or named.partition(b"/")[0] not in _MOUNTED:
                    self._links.append((path, number, named))
                    if named:
                        self.missing.add(named)

    def tell(self, applied: Applied, names: Sequence[str], findings: Findings) -> None:
        """Tell of those that the image has, and that lead nowhere or out of it."""
        below = Below((Laid(applied),))
        left = _FOLLOWED
        for path, number, named in self._links:
            if named is None:
                text = f"{brief(path)} leads above the root of the image"
                findings.add(ImageCheck.SYMLINK, names[number], text, path=path)
            elif named in self.missing and left:
                left -= 1
                found = applied.find(path)
                shown = found is not None and stat.S_ISLNK(found.mode)
                if shown and below.follow(path) is None:
                    text = f"{brief(path)} leads to {brief(named)}, which is not there"
                    findings.add(ImageCheck.SYMLINK, names[number], text, path=path)


def _named(path: bytes, target: bytes) -> bytes | None:
    """The path that a link names, if no other link is on the way; ``None`` above the root."""
    way = [] if target.startswith(b"/") else path.split(b"/")[:-1]
    for part in target.split(b"/"):
        if part == b"..":
            if not way:
                return None
            way.pop()
        elif part not in (b"", b"."):
            way.append(part)
    return b"/".join(way)
