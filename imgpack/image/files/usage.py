"""What takes the space in an image: layers, directories, files; what is hidden, what is double.

All sizes are bytes of files as they are when unpacked. A file counts once, however many hard
links it has, and none for one to a lower layer's file. Memory does not grow with the number of
entries, but for sixteen bytes for each file: digests are compared by 64 bits of them.
"""

import stat
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from itertools import groupby
from operator import itemgetter
from typing import Final, Generic, TypeVar

from imgpack.tree.below import is_below
from imgpack.tree.tables.applied import Applied, LayerRow

_PARTS: Final = 256
"""Parts in which digests are sorted, by their first byte: one at a time is a list."""
_NAMED: Final = 100
"""Paths of one content that are told; of more, their number."""
_T = TypeVar("_T")


@dataclass(slots=True)
class LayerUsage:
    """Of a layer: its entries, the bytes of its files, and those that higher layers hide."""

    entries: int = 0
    size: int = 0
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class DirectoryUsage:
    """A directory: the bytes of all files in it, at any depth, and how many there are."""

    path: bytes
    size: int
    files: int


@dataclass(frozen=True, slots=True)
class HiddenFile:
    """A file of a layer that the layer ``by`` deleted, or replaced; by the ``same`` bytes maybe."""

    file: LayerRow
    same: bool


@dataclass(frozen=True, slots=True)
class DeletedDirectory:
    """A directory that the layer ``by`` deletes with all that is in it: of ``layer``, its files."""

    path: bytes
    layer: int
    by: int
    size: int
    files: int


@dataclass(frozen=True, slots=True)
class DuplicateFiles:
    """One content that several files of the image have; the first of them."""

    sha256: bytes
    size: int
    copies: int
    files: tuple[LayerRow, ...]

    @property
    def wasted(self) -> int:
        """Bytes of all but one."""
        return self.size * (self.copies - 1)


@dataclass(frozen=True, slots=True)
class ImageUsage:
    """What takes the space; of lists the largest come first, and sums are of all there is."""

    layers: tuple[LayerUsage, ...]
    directories: tuple[DirectoryUsage, ...]
    files: tuple[LayerRow, ...]
    deleted: tuple[DeletedDirectory, ...]
    hidden: tuple[HiddenFile, ...]
    hidden_files: int
    duplicates: tuple[DuplicateFiles, ...]
    duplicate_files: int
    duplicate_size: int

    @property
    def size(self) -> int:
        """Bytes of the files of all layers."""
        return sum(layer.size for layer in self.layers)

    @property
    def hidden_size(self) -> int:
        """Bytes of files that the image does not have, in layers that do."""
        return sum(layer.hidden for layer in self.layers)


def image_usage(tree: Applied, *, depth: int = 1, top: int = 10) -> ImageUsage:
    """What takes the space in ``tree``: directories to ``depth``, and ``top`` of each list.

    The root has the depth 0. Raises as ``Applied.laid``.
    """
    layers = tuple(LayerUsage() for _ in tree.tables)
    files = _Largest[LayerRow](top)
    directories = _Directories(depth, top)
    deleted = _Deleted(top)
    hidden = _Hidden(top)
    copies = _Copies()
    for one, size in stored_sizes(tree):
        layers[one.layer].entries += 1
        layers[one.layer].size += size
        if one.by == one.layer:
            directories.add(one, size)
            files.add(size, one)
            copies.add(one, size)
        else:
            layers[one.layer].hidden += size
        deleted.add(one, size)
        hidden.add(one, size)
    found, count, wasted = copies.largest(top)
    return ImageUsage(
        layers, directories.largest(), files.largest(), deleted.largest(), hidden.largest(),
        hidden.count, _named(tree, found) if found else (), count, wasted,
    )  # fmt: skip


def stored_sizes(tree: Applied) -> Iterator[tuple[LayerRow, int]]:
    """All entries of all layers, and the bytes that each takes. Raises as ``Applied.laid``."""
    seen = [bytearray(table.linked + 1) for table in tree.tables]
    for one in tree.laid():
        row = one.row
        size = row.size if stat.S_ISREG(row.mode) and one.held == one.layer else 0
        if row.inode and size:
            # It takes them where it shows, if it does by any name, and by the first name alone.
            if seen[one.layer][row.inode] or not (one.shown or not tree.links(one)):
                size = 0
            else:
                seen[one.layer][row.inode] = 1
        yield one, size


class _Largest(Generic[_T]):
    """The largest of what comes, at most ``count``; of those of one size the first."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._seen = 0
        self._heap: list[tuple[int, int, _T]] = []

    def add(self, size: int, one: _T) -> None:
        """The next; nothing is none."""
        if not size or not self._count:
            return
        self._seen -= 1
        if len(self._heap) < self._count:
            heappush(self._heap, (size, self._seen, one))
        elif size > self._heap[0][0]:
            heappushpop(self._heap, (size, self._seen, one))

    def largest(self) -> tuple[_T, ...]:
        """The largest first."""
        return tuple(one for _, _, one in sorted(self._heap, key=itemgetter(0, 1), reverse=True))


@dataclass(slots=True)
class _DirectorySum:
    """A directory whose entries come now: all of them have ``inside`` before them."""

    inside: bytes
    size: int = 0
    files: int = 0


class _Directories:
    """Sums of directories, which come before what is in them."""

    def __init__(self, depth: int, top: int) -> None:
        self._depth = depth
        self._largest = _Largest[DirectoryUsage](top)
        self._open = [_DirectorySum(b"")]

    def add(self, one: LayerRow, size: int) -> None:
        """The next entry of the image, which takes ``size``."""
        path = one.row.path
        while not path.startswith(self._open[-1].inside):
            self._close()
        if one.row.is_directory:
            if path:
                self._open.append(_DirectorySum(path + b"/"))
            return
        self._open[-1].size += size
        self._open[-1].files += stat.S_ISREG(one.row.mode)

    def largest(self) -> tuple[DirectoryUsage, ...]:
        """Those of all that came."""
        while self._open:
            self._close()
        return self._largest.largest()

    def _close(self) -> None:
        done = self._open.pop()
        if self._open:
            self._open[-1].size += done.size
            self._open[-1].files += done.files
        if len(self._open) <= self._depth:
            found = DirectoryUsage(done.inside[:-1], done.size, done.files)
            self._largest.add(done.size, found)


@dataclass(slots=True)
class _Deletion:
    """A directory that the layer ``by`` deletes, while what is in it comes.

    ``layers`` has the bytes of the files of each, and how many there are.
    """

    path: bytes
    by: int
    layers: dict[int, tuple[int, int]] = field(default_factory=dict)


class _Deleted:
    """Directories that are deleted whole; those within one that goes at once are its part."""

    def __init__(self, top: int) -> None:
        self._largest = _Largest[DeletedDirectory](top)
        self._open: list[_Deletion] = []

    def add(self, one: LayerRow, size: int) -> None:
        """The next entry of a layer, which takes ``size``."""
        path = one.row.path
        while self._open and not is_below(path, self._open[-1].path):
            self._close()
        if not one.deleted:
            return
        found = next((deletion for deletion in self._open if deletion.by == one.by), None)
        if found is None and one.row.is_directory:
            self._open.append(found := _Deletion(path, one.by))
        if found is not None and size:
            before, files = found.layers.get(one.layer, (0, 0))
            found.layers[one.layer] = before + size, files + 1

    def largest(self) -> tuple[DeletedDirectory, ...]:
        """Those of all that came."""
        while self._open:
            self._close()
        return self._largest.largest()

    def _close(self) -> None:
        done = self._open.pop()
        for layer, (size, files) in sorted(done.layers.items()):
            self._largest.add(size, DeletedDirectory(done.path, layer, done.by, size, files))


class _Hidden:
    """Files that the image does not have; what replaces one comes next, or not at all."""

    def __init__(self, top: int) -> None:
        self.count = 0
        self._largest = _Largest[HiddenFile](top)
        self._last: tuple[LayerRow, int] | None = None

    def add(self, one: LayerRow, size: int) -> None:
        """The next entry of a layer, which takes ``size``."""
        if self._last is not None:
            self._end(one)
        if size and not one.shown:
            self.count += 1
            self._last = one, size

    def largest(self) -> tuple[HiddenFile, ...]:
        """Those of all that came."""
        if self._last is not None:
            self._end(None)
        return self._largest.largest()

    def _end(self, after: LayerRow | None) -> None:
        assert self._last is not None
        (one, size), self._last = self._last, None
        row = one.row
        same = after is not None and (after.row.path, after.layer, after.row.sha256) == (
            row.path, one.by, row.sha256,
        )  # fmt: skip
        self._largest.add(size, HiddenFile(one, same and row.sha256 is not None))


_Content = tuple[int, int]
"""Eight bytes of a digest as a number, and the size."""


class _Copies:
    """The contents of all files, as numbers."""

    def __init__(self) -> None:
        self._digests = [array("Q") for _ in range(_PARTS)]
        self._sizes = [array("Q") for _ in range(_PARTS)]

    def add(self, one: LayerRow, size: int) -> None:
        """The next file of the image."""
        digest = one.row.sha256
        if size and digest is not None:
            self._digests[digest[-1]].append(int.from_bytes(digest[:8]))
            self._sizes[digest[-1]].append(size)

    def largest(self, top: int) -> tuple[tuple[tuple[_Content, int], ...], int, int]:
        """What is there several times, and how often; how many copies too many, and their bytes."""
        largest = _Largest[tuple[_Content, int]](top)
        count = wasted = 0
        for digests, sizes in zip(self._digests, self._sizes, strict=True):
            for content, same in groupby(sorted(zip(digests, sizes, strict=True))):
                copies = sum(1 for _ in same)
                if copies > 1:
                    count += copies - 1
                    wasted += (copies - 1) * content[1]
                    largest.add((copies - 1) * content[1], (content, copies))
        return largest.largest(), count, wasted


def _named(tree: Applied, found: tuple[tuple[_Content, int], ...]) -> tuple[DuplicateFiles, ...]:
    """The files that have these contents."""
    named: dict[_Content, list[LayerRow]] = {content: [] for content, _ in found}
    for one, size in stored_sizes(tree):
        digest = one.row.sha256
        if size and one.shown and digest is not None:
            files = named.get((int.from_bytes(digest[:8]), size))
            if files is not None and len(files) < _NAMED:
                files.append(one)
    return tuple(
        DuplicateFiles(
            named[content][0].row.sha256 or b"", content[1], copies, tuple(named[content])
        )
        for content, copies in found
    )
