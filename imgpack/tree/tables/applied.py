"""What the tables of layers make together, row by row, without a tree in memory.

OCI image-spec ``layer.md``, "Applying Changesets", as ``merged.py`` has it, but for one thing: a
hard link to a file of a lower layer is a file of its own with the same bytes. The tables are read
side by side in the order of paths. For each directory on the way there is a *floor*: the lowest
layer of which anything in it shows.
"""

import stat
from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from heapq import merge
from itertools import groupby, repeat
from typing import BinaryIO, Final, NamedTuple, Protocol

from imgpack.errors import ArchiveError, NotFoundError, about, brief
from imgpack.tree.entry import WHITEOUT, Entry, path_order
from imgpack.tree.problems import Problems
from imgpack.tree.tables.rows import TYPE, TableRow, made_up_row
from imgpack.tree.tables.table import LayerTable
from imgpack.tree.tree import Stamps, join

_Cuts = tuple[tuple[int, bool], ...]
_Numbered = tuple[int, TableRow]
_WAYS: Final = 4
"""Ways that are remembered: each may be two thousand directories of long names."""
_new = tuple.__new__


class LayerRow(NamedTuple):
    """A row of the layer ``layer``, counted from 0, and what became of it.

    ``by`` is the lowest layer that hides it; its own, if it shows. ``deleted``: by a whiteout, not
    by something else at its path or above. ``held`` is the layer that has the bytes: another one
    for a hard link to a lower layer's file, which ``row`` has the rest of.
    """

    row: TableRow
    layer: int
    by: int
    deleted: bool
    held: int

    @property
    def shown(self) -> bool:
        """Whether the image has it."""
        return self.by == self.layer


class FileBytes(Protocol):
    """Where the bytes of files are."""

    def open_row(self, layer: int, row: TableRow) -> BinaryIO:
        """Those of a regular file of a layer; the caller closes it."""


class RowContent:
    """What an entry of a layer has beyond its fields; ``layer`` is counted from 0."""

    __slots__ = ("bytes", "layer", "row")

    def __init__(self, row: TableRow, layer: int, source: FileBytes | None = None) -> None:
        self.row = row
        self.layer = layer
        self.bytes = source

    @property
    def target(self) -> bytes:
        """Where a symbolic link points."""
        return self.row.link

    @property
    def xattrs(self) -> Mapping[bytes, bytes]:
        """As its layer says."""
        return dict(self.row.xattrs)

    @property
    def sha256(self) -> str | None:
        """That of a regular file's bytes in hexadecimal, if it is known."""
        return None if self.row.sha256 is None else self.row.sha256.hex()

    def open(self) -> BinaryIO:
        """The bytes, if the layer is at hand. Raises ``NotFoundError``."""
        if self.bytes is None:
            raise NotFoundError(
                f"the bytes of {brief(self.row.path)} are in a layer that is not at hand",
                "use the image itself, with its layers",
            )
        return self.bytes.open_row(self.layer, self.row)


class _Floor(NamedTuple):
    """What shows in a directory: layers from the last of ``cuts`` on.

    Each cut is a layer that hides what the ones below it have there, and whether it deletes it.
    """

    inside: bytes
    cuts: _Cuts


_GROUND: Final = _Floor(b"", ())


class _WayStep(NamedTuple):
    """What layers have at ``path``, if it is there, and the floor of what is in it."""

    path: bytes
    found: LayerRow | None
    floor: _Floor


_BOTTOM: Final = _WayStep(b"", None, _GROUND)


class Applied:
    """The tree of the layers whose ``tables`` these are, bottom first."""

    def __init__(
        self,
        tables: Sequence[LayerTable],
        name: str = "layers",
        source: FileBytes | None = None,
    ) -> None:
        self.tables = tuple(tables)
        self._name = name
        self._source = source
        self._ways: dict[int, list[_WayStep]] = {}
        """The steps of the last path that was looked up in so many of the layers."""

    def __str__(self) -> str:
        return self._name

    @property
    def stamps(self) -> Stamps | None:
        """None: it is no tree on disk."""
        return None

    @property
    def count(self) -> int:
        """Rows of all layers together, deletions and made-up directories too."""
        return sum(table.count for table in self.tables)

    def laid(
        self, under: bytes = b"", *, deep: bool = True, links: bool = True
    ) -> Iterator[LayerRow]:
        """All entries of all layers, in the order of their paths, and what became of each.

        Or those of ``under`` and what is in it; without ``deep``, what is right in it.
        Of a path that has several, the lowest layer's comes first; deletions do not come.
        Without ``links``, a hard link to a lower layer's file stays as it stands; with them, one
        to nothing raises ``ArchiveError``.
        """
        if len(self.tables) == 1:
            yield from self._alone(self.tables[0].rows(under, deep=deep), links=links)
            return
        sources = [
            zip(repeat(number), table.rows(under, deep=deep))
            for number, table in enumerate(self.tables)
        ]
        floor = _GROUND
        if under:
            floor = self._way(under.rpartition(b"/")[0], len(self.tables)).floor
        floors = [floor._replace(inside=b"")]
        for path, group in groupby(merge(*sources, key=_order), key=_path):
            while not path.startswith(floors[-1].inside):
                floors.pop()
            found, below = _settle(list(group), floors[-1], path)
            for one in found:
                if one.by == one.layer or not one.row.made_up:
                    whole = one.row.mode & TYPE or not links
                    yield one if whole else self._whole(one)
            if below is not None:
                floors.append(below)

    def _alone(self, rows: Iterator[TableRow], *, links: bool) -> Iterator[LayerRow]:
        """As ``laid``, of the only layer: nothing hides any of its ``rows``."""
        for row in rows:
            if not row.deletes:
                one = _new(LayerRow, (row, 0, 0, False, 0))
                yield one if row.mode & TYPE or not links else self._whole(one)

    def shown(self, under: bytes = b"", *, deep: bool = True) -> Iterator[LayerRow]:
        """The entries that the image has, the root's first, if a layer says it.

        ``under`` and ``deep`` are as for ``laid``.
        """
        return (one for one in self.laid(under, deep=deep) if one.by == one.layer)

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """As ``Tree.entries``."""
        root = self.find(b"") if under else None
        if root is not None:
            yield root._replace(path=under)
        for one in self.shown():
            if one.row.path:
                entry = self._entry(one)
                yield entry._replace(path=join(under, entry.path)) if under else entry

    def find(self, path: bytes) -> Entry | None:
        """As ``Tree.find``."""
        found = self.at(path)
        return None if found is None else self._entry(found)

    def at(self, path: bytes) -> LayerRow | None:
        """What the image has at ``path``, which is empty for the root."""
        return self._whole_of(self._below(path, len(self.tables)))

    def links(self, laid: LayerRow) -> int:
        """How many paths of the image are the file ``laid``, which shows."""
        inode = laid.row.inode
        return self._links[laid.held][inode] if inode else 1

    def _below(self, path: bytes, count: int) -> LayerRow | None:
        """What the lowest ``count`` layers have at ``path``."""
        found = self._way(path, count).found
        if found is None and not path:
            return LayerRow(made_up_row(b"", 0), 0, 0, deleted=False, held=0)
        return found

    def _way(self, path: bytes, count: int) -> "_WayStep":
        """What the lowest ``count`` layers have at ``path``; what was looked up above it is known.

        So a path is looked up part by part in one look-up for each part, however deep it is.
        """
        if count not in self._ways and len(self._ways) == _WAYS:
            self._ways.clear()
        way = self._ways.setdefault(count, [])
        if not way:
            way.append(self._step(b"", count, _BOTTOM))
        while len(way) > 1 and not (path == way[-1].path or path.startswith(way[-1].path + b"/")):
            way.pop()
        while path and (above := way[-1]).path != path:
            end = path.find(b"/", len(above.path) + 1)
            way.append(self._step(path if end < 0 else path[:end], count, above))
        return way[-1] if path else way[0]

    def _step(self, path: bytes, count: int, above: "_WayStep") -> "_WayStep":
        rows = [
            (number, row)
            for number, table in enumerate(self.tables[:count])
            for row in table.at(path)
        ]
        laid, below = _settle(rows, above.floor, path)
        found = next((one for one in laid if one.shown), None)
        if above.path and above.found is None:
            found = None
        return _WayStep(path, found, below or above.floor)

    @cached_property
    def _links(self) -> "list[array[int]]":
        """How many paths of each inode of each layer the image has."""
        counts = [array("I", bytes(4 * (table.linked + 1))) for table in self.tables]
        if any(table.linked for table in self.tables):
            for one in self.shown():
                if one.row.inode:
                    counts[one.held][one.row.inode] += 1
        return counts

    def _whole_of(self, laid: LayerRow | None) -> LayerRow | None:
        return None if laid is None else self._whole(laid)

    def _whole(self, laid: LayerRow) -> LayerRow:
        """``laid``; a hard link to a lower layer's file with what that has."""
        links: list[LayerRow] = []
        body = laid
        while not stat.S_IFMT(body.row.mode):
            links.append(body)
            body = self._linked(body)
        if not links:
            return laid
        row = laid.row
        xattrs = dict(body.row.xattrs)
        for one in reversed(links):
            xattrs.update(one.row.xattrs)
        whole = body.row._replace(
            path=row.path, mode=stat.S_IFMT(body.row.mode) | stat.S_IMODE(row.mode), uid=row.uid,
            gid=row.gid, mtime_ns=row.mtime_ns, xattrs=tuple(xattrs.items()), inode=0, links=1,
        )  # fmt: skip
        return laid._replace(row=whole, held=body.held)

    def _linked(self, laid: LayerRow) -> LayerRow:
        """What lower layers have where a hard link points: the next one, or a file."""
        row = laid.row
        with about(self.tables[laid.layer].name):
            found = self._below(row.link, laid.layer)
            if found is None or found.row.is_directory:
                raise ArchiveError(
                    f"{brief(row.path)} is a hard link to {brief(row.link)}, which is "
                    + ("not there" if found is None else "a directory"),
                    "make the layer again, from the whole tree",
                )
        return found

    def _entry(self, laid: LayerRow) -> Entry:
        row, layer = laid.row, laid.held
        links = self.links(laid)
        several = links > 1
        return _new(
            Entry,
            (
                row.path, RowContent(row, layer, self._source), row.mode,
                row.inode if several else 0, layer + 1 if several else 0, links,
                row.uid, row.gid, row.size, row.mtime_ns, 0, row.rdev, b"", None, (),
            ),
        )  # fmt: skip


def _order(numbered: _Numbered) -> tuple[bytes, int, bool]:
    return path_order(numbered[1].path), numbered[0], not numbered[1].deletes


def _path(numbered: _Numbered) -> bytes:
    return numbered[1].path


def _settle(
    rows: Sequence[_Numbered], above: _Floor, path: bytes
) -> tuple[list[LayerRow], _Floor | None]:
    """What became of the ``rows`` of one path, and what shows in it, if anything may be in it.

    They come by their layers' numbers, deletions first; ``above`` is the floor of its directory.
    """
    if len(rows) == 1 and not above.cuts and not rows[0][1].deletes:  # most of all
        layer, row = rows[0]
        inside = row.is_directory
        floor = _Floor(path + b"/" if path else b"", ()) if inside else None
        return [LayerRow(row, layer, layer, deleted=False, held=layer)], floor
    return _settle_several(rows, above, path)


def _settle_several(
    rows: Sequence[_Numbered], above: _Floor, path: bytes
) -> tuple[list[LayerRow], _Floor | None]:
    """As ``_settle``, whatever there is."""
    state = _PathRows(above.cuts)
    inside = False
    for layer, row in rows:
        inside = inside or row.deletes or row.is_directory
        state.add(layer, row)
    cuts = state.end()
    return state.found, _Floor(path + b"/" if path else b"", cuts) if inside else None


class _PathRows:
    """One path, as one layer after another changes it; ``above`` are cuts of its directory."""

    __slots__ = ("_above", "_cuts", "_there", "found")

    def __init__(self, above: _Cuts) -> None:
        self.found: list[LayerRow] = []
        self._above = above
        self._cuts: _Cuts = ()
        self._there: TableRow | None = None

    def add(self, layer: int, row: TableRow) -> None:
        """The next ``row``, which is of a ``layer`` no lower than the one before."""
        if self._above:
            self._cut_above(layer)
        there = self._there
        if row.deletes:
            if row.mode == WHITEOUT:
                self._hide(layer, deletes=True)
            self._cut(layer, deletes=True)
            return
        if there is not None:
            if there.is_directory and row.made_up:
                return
            if not (there.is_directory and row.is_directory):
                self._cut(layer, deletes=False)
            self._hide(layer, deletes=False)
        self.found.append(LayerRow(row, layer, layer, deleted=False, held=layer))
        self._there = row

    def end(self) -> _Cuts:
        """The cuts of what is in it, after the last row."""
        if self._above:
            self._cut_above(self._above[-1][0])
        return self._cuts

    def _cut_above(self, layer: int) -> None:
        while self._above and self._above[0][0] <= layer:
            (by, deletes), *rest = self._above
            self._above = tuple(rest)
            self._hide(by, deletes=deletes)
            self._cut(by, deletes=deletes)

    def _hide(self, layer: int, *, deletes: bool) -> None:
        if self._there is not None:
            self.found[-1] = self.found[-1]._replace(by=layer, deleted=deletes)
            self._there = None

    def _cut(self, layer: int, *, deletes: bool) -> None:
        if not self._cuts or self._cuts[-1][0] != layer:
            self._cuts = (*self._cuts, (layer, deletes))
