"""The members of a layer of a base, read once: verified on the way, each file's bytes hashed.

Invariants: reading ends well only if the layer has its digest, its size and its ``diff_id``;
memory holds a few pieces of it. With more than one job, one thread decompresses, one hashes what
comes of that, and the caller's reads the members; most of it without the interpreter's lock.
"""

import contextlib
import hashlib
import io
import stat
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

from imgpack.compression.unpack import metered, unpack
from imgpack.errors import (
    ArchiveError,
    DigestError,
    NotFoundError,
    UnsupportedError,
    printable,
)
from imgpack.events import SILENT, Reporter
from imgpack.files.ahead import ahead, joined
from imgpack.files.blobs import verify_stream
from imgpack.files.scratch import ScratchFile
from imgpack.image.image import Image, absent_layer, is_away
from imgpack.spec.format import compression_of
from imgpack.spec.layer import Layer
from imgpack.tar.stream import StreamMember, read_members
from imgpack.tree.inputs.tarball import StoredMember
from imgpack.tree.merge.merged import HashedMember, LayerMembers

PIECE: Final = 1 << 20
"""Bytes that one thread hands to the other at once: with fewer, they wait for each other."""
AHEAD: Final = 4
"""Pieces that wait for the next thread; one may be a whole member of a gzip layer, 4 MiB."""
MAX_KEPT: Final = 1 << 20
"""Bytes of a file that may be kept, and of all files that one layer keeps."""
_KEPT: Final = frozenset({b"passwd", b"group"})
"""Names of files that are probably asked for: the accounts, wherever a link puts them."""


class BaseLayer:
    """One layer of ``image``, which lies ``where``; a ``LayerBytes`` that reads it again."""

    def __init__(
        self, image: Image, layer: Layer, where: str, jobs: int = 1, reporter: Reporter = SILENT
    ) -> None:
        self._image = image
        self._layer = layer
        self._where = where
        self._jobs = jobs
        self._reporter = reporter
        self._kept: dict[int, bytes] = {}
        self._room = MAX_KEPT

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self._where}: layer {self._layer.descriptor.digest}"

    @property
    def kept(self) -> Mapping[int, bytes]:
        """The bytes of small files that are often asked for, by their offsets, once it was read."""
        return self._kept

    def check_held(self) -> None:
        """Raise ``UnsupportedError`` if its source does not hold it."""
        if is_away(self._image, self._layer.descriptor):
            raise absent_layer(self._layer.descriptor, self._where)

    def members(self) -> LayerMembers:
        """Its members, to be read once.

        Reading raises ``DigestError``, ``ArchiveError``, ``LimitError``, ``UnsupportedError``, and
        what the source raises.
        """
        return LayerMembers(self.name, self._hashed(self.stream()), self)

    def stored(self, file: ScratchFile) -> LayerMembers:
        """As ``members``; all bytes of the layer are kept in ``file``, where they can be opened.

        Raises ``OutputError`` as well.
        """
        stream = _kept(self.stream(), file)
        return LayerMembers(self.name, self._hashed(stream), _ScratchLayer(file, file.size))

    def open(self, member: StreamMember) -> BinaryIO:
        """As ``LayerBytes.open``, of a file of at most ``MAX_KEPT`` bytes; else ``NotFoundError``.

        Most such files are not kept, and all in front of them is read again.
        """
        if member.size > MAX_KEPT:
            raise NotFoundError(f"{self.name}: a file of {member.size} bytes is not kept")
        if member.offset in self._kept:
            return io.BytesIO(self._kept[member.offset])
        return io.BytesIO(self.head(member, member.size))

    def head(self, member: StreamMember, size: int) -> bytes:
        """The first ``size`` bytes of a file, or all it has; all in front of it is read again."""
        with contextlib.closing(self._raw()) as raw:
            for found, content in read_members(raw):
                if found.kind == stat.S_IFREG and found.offset == member.offset:
                    return _first(content, size)
        raise ArchiveError(f"{self.name} changed while it was read")

    def stream(self) -> Generator[bytes]:
        """Its tar stream, uncompressed, in large pieces, checked as ``members`` is."""
        with contextlib.closing(self._raw()) as raw:
            yield from self._ahead(self._checked(raw))

    def unchecked(self) -> Generator[bytes]:
        """As ``stream``, which need not be read to its end; only the blob's digest is checked."""
        yield from self._raw()

    def _checked(self, raw: Iterable[bytes]) -> Iterator[bytes]:
        """``raw``, which has the ``diff_id`` that it should have, or it ends with an error."""
        if self._layer.diff_id == self._layer.descriptor.digest:
            yield from raw  # not compressed, and checked as the blob
            return
        hasher = self._layer.diff_id.hasher()
        for piece in raw:
            hasher.update(piece)
            yield piece
        if hasher.hexdigest() != self._layer.diff_id.hex:
            raise DigestError(
                f"it unpacks to {self._layer.diff_id.algorithm}:{hasher.hexdigest()}, "
                f"and the configuration says {self._layer.diff_id}"
            )

    def _raw(self) -> Generator[bytes]:
        descriptor = self._layer.descriptor
        if is_away(self._image, descriptor):
            raise absent_layer(descriptor, self._where)
        meter = self._reporter.begin(descriptor.digest.hex[:12], descriptor.size)
        try:
            blob = verify_stream(self._image.source.read_blob(descriptor), descriptor, "it")
            yield from self._ahead(joined(unpack(metered(blob, meter))[1], PIECE))
        finally:
            meter.end()

    def _ahead(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        return ahead(pieces, AHEAD) if self._jobs > 1 else pieces

    def _hashed(self, pieces: Generator[bytes]) -> Iterator[HashedMember]:
        with contextlib.closing(pieces) as stream:
            try:
                for member, content in read_members(stream):
                    yield HashedMember(member, self._digest(member, content))
            except ArchiveError as error:
                for _ in stream:  # damage shows in the digests, which say more
                    pass
                kind = self._layer.descriptor.media_type
                if compression_of(kind) is not None:
                    raise
                raise UnsupportedError(
                    f"it is of the type {printable(kind[:80])}, and no layer of files",
                    "choose an image",
                ) from error

    def _digest(self, member: StreamMember, content: Iterator[bytes]) -> bytes | None:
        """The SHA-256 of the bytes of a regular file, some of which are kept."""
        if member.kind != stat.S_IFREG:
            return None
        hasher = hashlib.sha256()
        if member.path.rpartition(b"/")[2] in _KEPT and member.size <= self._room:
            data = self._kept[member.offset] = b"".join(content)
            self._room -= len(data)
            hasher.update(data)
        for piece in content:
            hasher.update(piece)
        return hasher.digest()


@dataclass(frozen=True, slots=True)
class _ScratchLayer:
    """The bytes of a layer in a scratch file, from the byte ``start``; a ``LayerBytes``."""

    file: ScratchFile
    start: int

    def read(self, offset: int, end: int) -> Iterator[bytes]:
        """As ``Stored.read``."""
        return self.file.read(self.start + offset, self.start + end)

    def open(self, member: StreamMember) -> BinaryIO:
        """As ``LayerBytes.open``."""
        return StoredMember(self, member).open()


def _kept(pieces: Generator[bytes], file: ScratchFile) -> Generator[bytes]:
    with contextlib.closing(pieces):
        for piece in pieces:
            file.append(piece)
            yield piece


def _first(content: Iterator[bytes], size: int) -> bytes:
    data = b""
    for piece in content:
        data += piece
        if len(data) >= size:
            break
    return data[:size]
