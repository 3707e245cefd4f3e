"""An image whose layers are compressed another way: the same tar streams, the same image ID.

``docs/layer-format.md``, "Recompressed layers": the stream is cut every ``mean`` bytes of the
codec's cutting, whatever is in it, and each piece is a segment. Invariants: a layer depends on
its tar stream and on the codec alone; it is verified while it is read, digest and ``diff_id``.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from imgpack.compression.codec import Codec
from imgpack.errors import ArchiveError, DigestError, LimitError
from imgpack.events import SILENT, Reporter
from imgpack.files.scratch import ScratchBlobs
from imgpack.image.base.layer import BaseLayer
from imgpack.image.edit.configured import with_documents
from imgpack.image.image import Image
from imgpack.layer.pipeline import Pipeline
from imgpack.layer.segments import Segment
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.format import Format
from imgpack.spec.layer import Layer

_OF_THE_BLOB: Final = (
    "io.github.containers.zstd-chunked.",
    "io.containers.zstd-chunked.",
    "io.containers.estargz.",
    "containerd.io/snapshot/stargz/",
    "com.docker.compression",
)
"""How annotations begin that say where something is in a compressed layer."""


@dataclass(frozen=True, slots=True)
class Recompressing:
    """How the layers of images at ``where`` are compressed anew, into ``blobs``, each once.

    Without a ``format`` it is each image's own.
    """

    where: str
    blobs: ScratchBlobs
    codec: Codec
    jobs: int = 1
    format: Format | None = None
    reporter: Reporter = SILENT
    _done: dict[tuple[Digest, Digest], Descriptor] = field(default_factory=dict)

    def recompress(self, image: Image) -> Image:
        """``image`` with other layers; those that are kept elsewhere stay.

        Raises ``UnsupportedError`` where the format has no such layers, ``DigestError``,
        ``ArchiveError``, ``LimitError``, ``OutputError``, and what the source raises.
        """
        kind = image.format if self.format is None else self.format
        media_type = kind.layer_type(self.codec.compression)
        layers = tuple(self._layer(image, layer, media_type) for layer in image.layers)
        return with_documents(image, image.config, layers, self.blobs, kind)

    def _layer(self, image: Image, layer: Layer, media_type: str) -> Descriptor:
        old = layer.descriptor
        if mediatype.is_foreign(old.media_type):
            self.reporter.detail(f"{self.where}: the foreign layer {old.digest} stays as it is")
            return old
        key = old.digest, layer.diff_id
        if key not in self._done:
            try:
                self._done[key] = self._compressed(image, layer)
            except (ArchiveError, DigestError, LimitError) as error:
                raise error.reworded(
                    f"{self.where}: layer {old.digest}: {error.message}"
                ) from error
        made = self._done[key]
        kept = [pair for pair in old.annotations if not pair[0].startswith(_OF_THE_BLOB)]
        return replace(made, media_type=media_type, annotations=tuple(kept))

    def _compressed(self, image: Image, layer: Layer) -> Descriptor:
        stream = BaseLayer(image, layer, self.where, self.jobs).stream()
        pipeline = Pipeline(self.codec, None, self.jobs)
        blob = self.blobs.open_blob()
        meter = self.reporter.begin(layer.descriptor.digest.hex[:12], None)
        try:
            run = pipeline.run(segments(stream, self.codec.cutting.mean), blob, meter)
            blob.commit(run.written.digest, run.written.size)
        finally:
            stream.close()
            blob.abort()
            meter.end()
        return run.written.layer("").descriptor


def segments(stream: Iterable[bytes], size: int) -> Iterator[Segment]:
    """``stream`` as segments of ``size`` bytes, however it comes; the last may be shorter."""
    waiting = bytearray()
    for piece in stream:
        waiting += piece
        while len(waiting) > size:
            yield Segment(bytes(waiting[:size]), [])
            del waiting[:size]
    yield Segment(bytes(waiting), [], last=True)
