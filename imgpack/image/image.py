"""Images, and the two protocols that carry them from any source to any sink.

An archive, a layout and a registry are each a ``BlobSource`` to read from; the
first two are an ``ImageSink`` to write to as well (a registry is pushed to). They
do not know one another. ``copy_image`` has the order in which anything is written:
layers, configuration, manifest, name. So a reader never meets a document that
names what is not there yet.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

from imgpack.errors import DigestError, DocumentError, Remedy, UnsupportedError
from imgpack.events import SILENT, Meter, Reporter
from imgpack.files.pool import Stop, run_all
from imgpack.spec import mediatype
from imgpack.spec.config import ImageConfig
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.manifest import Index, Manifest
from imgpack.spec.platform import Platform
from imgpack.spec.reference import Reference


class BlobSource(Protocol):
    """Where blobs are read from."""

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a blob from ``offset``; callable again (that is how a retry works).

        The bytes are not verified here: whoever takes them in checks digest and size.
        """


class ImageSink(Protocol):
    """Where an image is written to. Every method is safe to call again."""

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Whether the blob is already there."""

    def put_blob(self, descriptor: Descriptor, source: BlobSource) -> None:
        """Take in one blob, verifying digest and size; nothing is visible if it fails."""

    def put_manifest(self, document: Manifest | Index, names: tuple[Reference, ...]) -> None:
        """Store a document whose blobs are all there, and point ``names`` at it."""


@runtime_checkable
class PlanningSink(Protocol):
    """A sink that works better when it knows beforehand what will come."""

    def plan(
        self,
        document: Manifest | Index,
        names: tuple[Reference, ...],
        *,
        manifests: Iterable[Manifest | Index] = (),
        configs: Iterable[bytes] = (),
    ) -> None:
        """These documents will be put, under these names."""


@dataclass(frozen=True, slots=True)
class Image:
    """One platform's image: its documents, its names, and where its blobs are."""

    manifest: Manifest
    config: ImageConfig
    source: BlobSource
    names: tuple[Reference, ...] = ()

    def __post_init__(self) -> None:
        if self.manifest.config.digest != self.config.digest:
            raise DigestError(
                f"the manifest names the configuration {self.manifest.config.digest}, "
                f"but its bytes are {self.config.digest}"
            )
        layers, diff_ids = len(self.manifest.layers), len(self.config.diff_ids)
        if layers != diff_ids:
            raise DocumentError(
                f"the manifest has {layers} layers and the configuration {diff_ids} diff_ids"
            )

    @property
    def document(self) -> Manifest:
        """What its names point at."""
        return self.manifest

    @property
    def members(self) -> "tuple[Image, ...]":
        """Itself: as ``MultiImage.members``."""
        return (self,)

    @property
    def layers(self) -> tuple[Descriptor, ...]:
        """The layers, bottom first, each distinct digest once."""
        return tuple({layer.digest: layer for layer in self.manifest.layers}.values())


def artifact(manifest: Manifest, config: bytes, source: BlobSource) -> Image:
    """What stands in an index beside its images (a signature, a list of parts) and is none.

    It is carried along as it is: it is for no platform, and its blobs stand for themselves.
    """
    blobs = tuple(blob.digest for blob in manifest.layers)
    return Image(manifest, ImageConfig(config, Platform("unknown", "unknown"), blobs, ()), source)


@dataclass(frozen=True, slots=True)
class MultiImage:
    """An index and the images that it names, in its order."""

    index: Index
    images: tuple[Image, ...]
    names: tuple[Reference, ...] = ()

    @property
    def document(self) -> Index:
        """What its names point at."""
        return self.index

    @property
    def members(self) -> tuple[Image, ...]:
        """The images, one for each platform."""
        return self.images


def copy_image(
    image: Image | MultiImage,
    sink: ImageSink,
    names: tuple[Reference, ...],
    reporter: Reporter = SILENT,
    *,
    jobs: int = 1,
) -> None:
    """Copy layers (``jobs`` at once), configurations and manifests; at the very end, name them.

    What the sink has already is not read; with more than one job it takes blobs from
    several threads. Raises what source and sink raise, and ``DocumentError`` if an
    index names manifests that its source does not hold.
    """
    images, document = image.members, image.document
    if isinstance(image, MultiImage):
        check_complete(image)
    if isinstance(sink, PlanningSink):
        manifests = [one.manifest for one in images]
        sink.plan(document, names, manifests=manifests, configs=[one.config.raw for one in images])
    stop = Stop()
    layers = {
        layer.digest: partial(_copy_blob, layer, one.source, sink, reporter, stop)
        for one in images
        for layer in one.layers
        if not mediatype.is_foreign(layer.media_type)
    }
    run_all(tuple(layers.values()), jobs, stop)
    for one in images:
        sink.put_blob(one.manifest.config, RawBlob(one.config.raw))
        if document is not one.manifest:
            sink.put_manifest(one.manifest, ())
    sink.put_manifest(document, names)


def refuse_foreign(image: Image | MultiImage, where: str) -> None:
    """Refuse an image with a layer that ``where`` does not hold. Raises ``UnsupportedError``."""
    for one in image.members:
        for layer in one.layers:
            if mediatype.is_foreign(layer.media_type):
                raise foreign_layer(layer, where)


def foreign_layer(descriptor: Descriptor, where: str) -> UnsupportedError:
    """The error for a layer that only its ``urls`` could give."""
    return UnsupportedError(
        f"{where}: the layer {descriptor.digest} is kept elsewhere (a foreign layer)",
        "imgpack fetches nothing from URLs in a manifest",
    )


def check_complete(image: MultiImage) -> None:
    """Refuse an index of manifests that its source does not hold. Raises ``DocumentError``."""
    held = {one.manifest.descriptor.digest for one in image.images}
    missing = [entry for entry in image.index.manifests if entry.digest not in held]
    if missing:
        where = f" ({missing[0].platform})" if missing[0].platform else ""
        raise DocumentError(
            f"the index names {len(image.index.manifests)} manifests, and {len(missing)} of them "
            f"are not there, as {missing[0].digest}{where}",
            Remedy.CHOOSE_PLATFORM(),
        )


def _copy_blob(
    descriptor: Descriptor, source: BlobSource, sink: ImageSink, reporter: Reporter, stop: Stop
) -> None:
    if sink.has_blob(descriptor):
        reporter.detail(f"{descriptor.digest} is already there")
        return
    meter = reporter.begin(descriptor.digest.hex[:12], descriptor.size)
    try:
        sink.put_blob(descriptor, _Watched(source, meter, stop))
    finally:
        meter.end()


@dataclass(frozen=True, slots=True)
class RawBlob:
    """One blob in memory, as a source."""

    raw: bytes

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes from ``offset``, whatever the descriptor says of them."""
        yield self.raw[offset:]


class _Watched:
    """A source that tells a meter how far its reader is, and ends when nobody waits for it.

    A second attempt starts again.
    """

    def __init__(self, source: BlobSource, meter: Meter, stop: Stop) -> None:
        self._source = source
        self._meter = meter
        self._stop = stop
        self._at = 0

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        self._meter.advance(offset - self._at)
        self._at = offset
        for chunk in self._source.read_blob(descriptor, offset):
            self._stop.check()
            yield chunk
            self._at += len(chunk)
            self._meter.advance(len(chunk))
