"""The table of each layer of an image, remembered in the cache under the layer's digests.

A layer is read whole once, verified, and its table kept: then what is in the image is known
without a byte of it. Whoever may write the cache may say what a layer holds.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from imgpack.errors import LimitError
from imgpack.events import SILENT, Reporter
from imgpack.files.pool import Stop, run_all
from imgpack.files.scratch import ScratchFile
from imgpack.image.base.layer import MAX_KEPT, BaseLayer
from imgpack.image.image import Image
from imgpack.layer.cache.segments import SegmentCache
from imgpack.spec.format import Compression
from imgpack.spec.layer import Layer
from imgpack.tree.merge.merged import HashedMember
from imgpack.tree.tables.kept import kept_table
from imgpack.tree.tables.making import layer_table
from imgpack.tree.tables.table import MAX_TABLE, LayerTable, Remark

_FORMAT: Final = "imgpack-table-2"
_AT_ONCE: Final = 3
"""Layers that are read at once: of a registry as many streams, and memory for each."""
_MAX_HEAD: Final = 1 << 24
"""Bytes of the line of JSON in front of a table."""


@dataclass(frozen=True, slots=True)
class ReadLayer:
    """A layer that was read, now or some time ago: its table, and bytes of files by their offsets.

    Those are of files that are often asked for: the accounts.
    """

    table: LayerTable
    kept: Mapping[int, bytes] = field(default_factory=dict)


def read_layers(
    image: Image,
    where: str,
    scratch: Callable[[], str],
    *,
    cache: SegmentCache | None = None,
    read: dict[Layer, ReadLayer] | None = None,
    at_most: int | None = None,
    jobs: int = 1,
    reporter: Reporter = SILENT,
) -> list[ReadLayer]:
    """The layers of ``image``, which lies ``where``, bottom first; what the cache has is not read.

    With more than one of ``jobs`` some are read at once. ``scratch`` finds a directory for
    tables. ``read`` has what was read of other images, and gets what is read now. With ``at_most``
    layers of more bytes in all are not read, and nothing is kept. Raises
    ``DigestError``, ``ArchiveError``, ``TreeError``, ``LimitError``, ``UnsupportedError`` naming
    the layer, ``OutputError``, and what the source raises.
    """
    found = {} if read is None else read
    stop = Stop()

    def read_one(layer: Layer, kept_in: SegmentCache | None) -> None:
        base = BaseLayer(image, layer, where, jobs, reporter)
        found[layer] = _read(base, layer, scratch, kept_in, stop)

    left = [layer for layer in dict.fromkeys(image.layers) if layer not in found]
    if at_most is not None:
        if cache is not None:
            names = {layer: BaseLayer(image, layer, where).name for layer in left}
            kept = {layer: _kept(cache, _key(layer), names[layer], scratch) for layer in left}
            found |= {layer: one for layer, one in kept.items() if one is not None}
        left = [layer for layer in left if layer not in found]
        if sum(layer.descriptor.size for layer in left) > at_most:
            raise LimitError(f"the layers of {where} have more than {at_most} bytes")
        cache = None
    work = [partial(read_one, layer, cache) for layer in left]
    run_all(work, _AT_ONCE if jobs > 1 else 1, stop)
    return [found[layer] for layer in image.layers]


def _read(
    base: BaseLayer,
    layer: Layer,
    scratch: Callable[[], str],
    cache: SegmentCache | None,
    stop: Stop,
) -> ReadLayer:
    key = _key(layer)
    there = None if cache is None else _kept(cache, key, base.name, scratch)
    if there is not None:
        return there
    base.check_held()
    members = base.members()
    members = replace(members, members=_until(stop, members.members))
    made = ReadLayer(layer_table(members, scratch), base.kept)
    if cache is not None:
        from imgpack.compression.zstd import compress_pieces

        cache.keep_tree(key, compress_pieces(_packed(key, made)))
    return made


def _until(stop: Stop, members: Iterable[HashedMember]) -> Iterator[HashedMember]:
    """``members``, as long as somebody waits for them."""
    for member in members:
        stop.check()
        yield member


def _key(layer: Layer) -> str:
    said = f"{_FORMAT}\n{layer.diff_id} {layer.descriptor.digest}"
    return hashlib.sha256(said.encode()).hexdigest()


def _packed(key: str, layer: ReadLayer) -> Iterator[bytes]:
    """A table as the cache keeps it: a line of JSON, the bytes of files, the rows."""
    table = layer.table
    head = {
        "key": key,
        "size": table.size,
        "remarks": [(one.what, one.path.hex(), one.count) for one in table.remarks],
        "kept": [(offset, len(data)) for offset, data in layer.kept.items()],
    }
    yield json.dumps(head).encode() + b"\n"
    yield from layer.kept.values()
    yield from table.file.read(0, table.size)


def _kept(cache: SegmentCache, key: str, name: str, scratch: Callable[[], str]) -> ReadLayer | None:
    """The layer that ``_packed`` made, if the cache has it; what is damaged is removed."""
    from imgpack.compression.codec import decompress

    def read(pieces: Iterator[bytes]) -> ReadLayer:
        chunks = decompress(pieces, Compression.ZSTD, limit=MAX_TABLE)
        return _unpacked(_KeptPieces(chunks), key, name, scratch)

    return cache.tree(key, read)


def _unpacked(pieces: "_KeptPieces", key: str, name: str, scratch: Callable[[], str]) -> ReadLayer:
    head: dict[str, Any] = json.loads(pieces.line())
    if head["key"] != key:
        raise ValueError("it is that of another layer")
    sizes = [size for _, size in head["kept"]]
    if sum(sizes) > MAX_KEPT or min(sizes, default=0) < 0:
        raise ValueError("it has files that are not kept")
    kept = {int(offset): pieces.exactly(size) for offset, size in head["kept"]}
    remarks = tuple(
        Remark(str(what), bytes.fromhex(path), int(count)) for what, path, count in head["remarks"]
    )
    file = ScratchFile(scratch())
    for piece in pieces.rest():
        file.append(piece)
    if file.size != head["size"]:
        raise ValueError("it is cut short")
    return ReadLayer(kept_table(name, file, remarks), kept)


class _KeptPieces:
    """Bytes that come in pieces, and are taken in others."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = b""

    def line(self) -> bytes:
        """Up to the end of a line."""
        while b"\n" not in self._buffer and len(self._buffer) <= _MAX_HEAD:
            self._buffer += self._next()
        line, _, self._buffer = self._buffer.partition(b"\n")
        if len(line) > _MAX_HEAD:
            raise ValueError("it has no head")
        return line

    def exactly(self, size: int) -> bytes:
        """The next ``size`` bytes. Raises ``ValueError`` if there are fewer."""
        parts, there = [self._buffer], len(self._buffer)
        while there < size:
            parts.append(self._next())
            there += len(parts[-1])
        whole = b"".join(parts)
        self._buffer = whole[size:]
        return whole[:size]

    def rest(self) -> Iterator[bytes]:
        """All that is left."""
        yield self._buffer
        yield from self._chunks

    def _next(self) -> bytes:
        found = next(self._chunks, None)
        if found is None:
            raise ValueError("it is cut short")
        return found
