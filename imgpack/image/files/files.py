"""The files of one image: what its layers make together, what each has, and the bytes.

Nothing of a layer is read when its table is remembered. The bytes of a file are read out of the
layer's stream, and have the SHA-256 that they had when the layer was verified.
"""

import hashlib
import io
import stat
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import closing
from typing import BinaryIO, Final, NamedTuple

from imgpack.errors import ArchiveError, DigestError, NotFoundError, Remedy, about, brief
from imgpack.events import SILENT, Reporter
from imgpack.files.incoming import file_of
from imgpack.image.base.layer import BaseLayer
from imgpack.image.files.tables import ReadLayer, read_layers
from imgpack.image.image import Image, is_away
from imgpack.layer.cache.segments import SegmentCache
from imgpack.spec.layer import Layer
from imgpack.spec.platform import Platform
from imgpack.tar.stream import StreamMember, read_members
from imgpack.tree.entry import Entry
from imgpack.tree.merge.listing import listed_sha256
from imgpack.tree.tables.applied import Applied, RowContent
from imgpack.tree.tables.rows import TableRow
from imgpack.tree.tables.table import LayerTable, TableWriter
from imgpack.tree.tree import Tree

_SIZE: Final = 32


class FileContent(NamedTuple):
    """A regular file of a layer: the ``place`` of its member there, and its bytes, to be read once.

    They have to be read before the next is asked for.
    """

    place: int
    member: StreamMember
    pieces: Iterator[bytes]


class ImageFiles(Applied):
    """The tree of ``image``, which lies ``where``; its layers counted from 0, bottom first.

    ``name`` is what it is called there, or empty; ``jobs`` threads read a layer. If it is
    ``locked``, one layer is what all of them make, and has no bytes. ``others`` are the platforms
    of its index that were not asked for, where nobody said which.
    """

    def __init__(
        self,
        image: Image,
        where: str,
        layers: Iterable[ReadLayer],
        *,
        name: str,
        locked: bool,
        jobs: int,
        reporter: Reporter,
        others: tuple[Platform, ...],
    ) -> None:
        self.image = image
        self.where = where
        self.name = name
        self.others = others
        self.locked = locked
        self._layers = tuple(layers)
        self._jobs = jobs
        self._reporter = reporter
        super().__init__([layer.table for layer in self._layers], where, self)

    def contents(self, layer: int, places: Collection[int]) -> Generator[FileContent, None, None]:
        """The regular files of a layer whose members' places are in ``places``, in that order.

        The layer is read up to the last of them. Each file ends with ``DigestError`` if its bytes
        are not those that were verified. Raises ``NotFoundError`` if the layer is not at hand,
        and what reading it raises.
        """
        if not places:
            return
        for one in self.image.layers:  # then the table is of no layer
            if is_away(self.image, one.descriptor):
                raise NotFoundError(
                    f"{self.where} does not hold the layer {one.descriptor.digest}",
                    Remedy.FETCH_LAYERS(),
                )
        base = self._base(layer)
        with about(base.name), closing(base.unchecked()) as stream:
            yield from _chosen(stream, places, _Digests(self.tables[layer], places), base.name)

    def stream(self, layer: int) -> Generator[bytes]:
        """The tar stream of a layer, which need not be read to its end. Raises as ``contents``."""
        base = self._base(layer)
        with about(base.name), closing(base.unchecked()) as pieces:
            yield from pieces

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of a regular file that this gave; all of its layer in front of it is read.

        Raises as ``contents``.
        """
        content = entry.content
        assert isinstance(content, RowContent)
        return self.read_row(content.layer, content.row)

    def read_row(self, layer: int, row: TableRow) -> Iterator[bytes]:
        """As ``read``, of a row of a layer."""
        kept = self._kept(layer, row)
        if kept is not None:
            yield kept
            return
        for found in self.contents(layer, (row.place,)):
            yield from found.pieces

    def open_row(self, layer: int, row: TableRow) -> BinaryIO:
        """As ``FileBytes.open_row``."""
        kept = self._kept(layer, row)
        return io.BytesIO(kept) if kept is not None else file_of(self.read_row(layer, row))

    def _kept(self, layer: int, row: TableRow) -> bytes | None:
        """The bytes of a file, if they lie beside the table."""
        kept = self._layers[layer].kept.get(row.offset)
        return kept if kept is not None and len(kept) == row.size else None

    def _base(self, layer: int) -> BaseLayer:
        if self.locked or self.image.layers[layer].descriptor.digest in self.image.absent:
            raise NotFoundError(
                f"{self.where} says what files there are; its layers have the bytes, and are not "
                "at hand",
                Remedy.FETCH_LAYERS(),
            )
        return BaseLayer(
            self.image, self.image.layers[layer], self.where, self._jobs, self._reporter
        )


def image_contents(
    image: Image,
    where: str,
    scratch: Callable[[], str],
    *,
    name: str = "",
    tree: Tree | None = None,
    cache: SegmentCache | None = None,
    read: dict[Layer, ReadLayer] | None = None,
    at_most: int | None = None,
    jobs: int = 1,
    reporter: Reporter = SILENT,
    others: tuple[Platform, ...] = (),
) -> ImageFiles:
    """The files of ``image``, which is ``name`` ``where`` it lies.

    What the ``cache`` remembers is not read.
    If ``tree`` is given, it is what all layers make, as one: those of a lock are not at hand.
    ``scratch`` finds a directory for tables; ``read`` and ``at_most`` are as for ``read_layers``,
    ``others`` as of ``ImageFiles``. Raises as ``read_layers``.
    """
    if tree is not None:
        layers = [ReadLayer(_table(tree, scratch))]
    else:
        layers = read_layers(
            image, where, scratch,
            cache=cache, read=read, at_most=at_most, jobs=jobs, reporter=reporter,
        )  # fmt: skip
    return ImageFiles(
        image, where, layers,
        name=name, locked=tree is not None, jobs=jobs, reporter=reporter, others=others,
    )  # fmt: skip


def _table(tree: Tree, scratch: Callable[[], str]) -> LayerTable:
    """A table of the entries of ``tree``, which has no deletions."""
    writer = TableWriter(scratch)
    inodes: dict[int, int] = {}
    for place, entry in enumerate(_with_root(tree)):
        content = entry.content
        xattrs = () if isinstance(content, bytes) else tuple(content.xattrs.items())
        sha256 = listed_sha256(entry)
        row = TableRow(
            entry.path, entry.mode, entry.uid, entry.gid, entry.mtime_ns, entry.size, entry.rdev,
            entry.target() if stat.S_ISLNK(entry.mode) else b"", xattrs,
            None if sha256 is None else bytes.fromhex(sha256), 0, place,
            inodes.setdefault(entry.inode, len(inodes) + 1) if entry.links > 1 else 0, entry.links,
        )  # fmt: skip
        writer.add(row)
    return writer.table(str(tree), ())


def _with_root(tree: Tree) -> Iterator[Entry]:
    root = tree.find(b"")
    if root is not None:
        yield root._replace(path=b"")
    yield from tree.entries()


class _Digests:
    """The SHA-256 of files of a layer by their places, in 32 bytes for each member."""

    def __init__(self, table: LayerTable, places: Collection[int]) -> None:
        self._bytes = bytearray(_SIZE * (max(places) + 1))
        for row in table.rows():
            if row.sha256 is not None and row.place in places:
                self._bytes[row.place * _SIZE : (row.place + 1) * _SIZE] = row.sha256

    def get(self, place: int) -> bytes | None:
        """That of the file at ``place``, if it is known."""
        found = bytes(self._bytes[place * _SIZE : (place + 1) * _SIZE])
        return found if any(found) else None


def _chosen(
    stream: Iterable[bytes], places: Collection[int], digests: _Digests, name: str
) -> Iterator[FileContent]:
    left = len(places)
    for place, (member, content) in enumerate(read_members(stream)):
        if place not in places:
            continue
        if member.kind == stat.S_IFREG:
            what = f"{name}: {brief(member.path)}"  # they are read outside of about()
            pieces = _checked(content, digests.get(place), what)
            yield FileContent(place, member, pieces)
        left -= 1
        if not left:
            return
    raise ArchiveError("it changed while it was read")


def _checked(content: Iterator[bytes], digest: bytes | None, what: str) -> Iterator[bytes]:
    if digest is None:
        yield from content
        return
    hasher = hashlib.sha256()
    for piece in content:
        hasher.update(piece)
        yield piece
    if hasher.digest() != digest:
        raise DigestError(f"{what} is not what it was when the layer was verified")
