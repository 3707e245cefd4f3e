"""Images, indexes and artifacts, the source that holds their blobs, and the sinks they go to.

OCI image-spec ``manifest.md`` and ``image-index.md``. An archive, a layout and a
registry are each a ``BlobSource`` to read from and an ``ImageSink`` to write to; they do
not know one another. Invariants: an instance is whole: a configuration is the one
that its manifest names; a member of an index is one that it names, in its order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from imgpack.errors import DigestError, DocumentError, Remedy, UnsupportedError
from imgpack.files.blobs import BlobWriter
from imgpack.spec import mediatype
from imgpack.spec.config import ImageConfig
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.format import Format
from imgpack.spec.layer import Layer
from imgpack.spec.manifest import Index, Manifest
from imgpack.spec.reference import Reference


class BlobSource(Protocol):
    """Where blobs are read from."""

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a blob from ``offset``; callable again (that is how a retry works).

        The bytes are not verified here: whoever takes them in checks digest and size.
        """


@dataclass(frozen=True, slots=True)
class Image:
    """One platform's image: its documents, and where its blobs are.

    ``absent`` are the layers that ``source`` does not hold: foreign ones, which are at the
    ``urls`` of their descriptors, and those of a base in an image that is *shallow*.
    """

    manifest: Manifest
    config: ImageConfig
    source: BlobSource
    absent: frozenset[Digest] = frozenset()

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
    def format(self) -> Format:
        """Whose media types it has."""
        return Format.of(self.manifest.media_type)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, bottom first."""
        pairs = zip(self.manifest.layers, self.config.diff_ids, strict=True)
        return tuple(Layer(*pair) for pair in pairs)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A manifest that is no image: a chart, a signature, a list of parts; carried as it is."""

    manifest: Manifest
    source: BlobSource
    absent: frozenset[Digest] = frozenset()

    @property
    def document(self) -> Manifest:
        """What its names point at."""
        return self.manifest

    @property
    def type(self) -> str:
        """What kind of artifact it says it is (image-spec ``manifest.md``, "artifactType").

        An attestation has an image's configuration, and is of the type of what is in it.
        """
        said = self.manifest.artifact_type or self.manifest.config.media_type
        dressed = self.manifest.is_image and self.manifest.layers
        return self.manifest.layers[0].media_type if dressed else said


@dataclass(frozen=True, slots=True)
class Opaque:
    """What an index names by a type that nobody here knows: carried as it is, byte for byte.

    OCI image-spec ``image-index.md``: unknown types are no error for a reader.
    """

    descriptor: Descriptor
    source: BlobSource

    @property
    def document(self) -> "Opaque":
        """What its names point at: itself."""
        return self

    @property
    def media_type(self) -> str:
        """What it is said to be."""
        return self.descriptor.media_type


@dataclass(frozen=True, slots=True)
class ImageIndex:
    """An index and what it names, as far as its source holds it, in its order."""

    index: Index
    members: "tuple[AnyImage, ...]"

    @property
    def document(self) -> Index:
        """What its names point at."""
        return self.index

    def check_complete(self) -> None:
        """Refuse an index of manifests that its source does not hold. Raises ``DocumentError``."""
        held = {member.document.descriptor.digest for member in self.members}
        missing = [entry for entry in self.index.manifests if entry.digest not in held]
        if missing:
            where = f" ({missing[0].platform})" if missing[0].platform else ""
            raise DocumentError(
                f"the index names {len(self.index.manifests)} manifests, and {len(missing)} of "
                f"them are not there, as {missing[0].digest}{where}",
                Remedy.CHOOSE_PLATFORM(),
            )


AnyImage = Image | Artifact | ImageIndex | Opaque


def walk(image: AnyImage) -> Iterator[AnyImage]:
    """``image`` and everything in it, an index before its members, at any depth."""
    yield image
    if isinstance(image, ImageIndex):
        for member in image.members:
            yield from walk(member)


def layers_of(image: AnyImage) -> tuple[Descriptor, ...]:
    """The layers of an image or artifact itself."""
    return image.manifest.layers if isinstance(image, Image | Artifact) else ()


def images_in(image: AnyImage) -> Iterator[Image]:
    """The images themselves, without what is beside them."""
    return (one for one in walk(image) if isinstance(one, Image))


@dataclass(frozen=True, slots=True)
class Named:
    """An image and what points at it.

    ``names`` are references; ``labels`` what stands in their place in a layout without
    being one (``v1``: a tag without a repository); ``annotations`` what a layout's index
    says of it besides, and ``fields`` what else its entry there holds, as decoded JSON.
    """

    image: AnyImage
    names: tuple[Reference, ...] = ()
    labels: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    fields: tuple[tuple[str, Any], ...] = ()

    @property
    def tags(self) -> tuple[Reference, ...]:
        """The names that a loader can use: those with a tag, each once, without a digest."""
        tagged = (name.with_tag(name.tag) for name in self.names if name.tag is not None)
        return tuple(dict.fromkeys(tagged))


@dataclass(frozen=True, slots=True)
class Published:
    """A document that is now where it should be, and a name that points at it (if any does)."""

    name: Reference | None
    descriptor: Descriptor


class ImageSink(Protocol):
    """Where whole images are written to: an archive, a layout or a registry."""

    def write(self, images: Sequence[Named], *, jobs: int = 4) -> tuple[Published, ...]:
        """Write everything, ``jobs`` blobs at once: layers, configurations, manifests, names.

        So a reader never meets a document that names what is not there yet. What
        the sink has already is not read. Every digest and size is verified on the way.
        """


class BlobSink(Protocol):
    """Where layers are streamed to while they are made."""

    def open_blob(self, expected_size: int | None = None) -> BlobWriter:
        """Start a layer of unknown digest; the expected size in bytes is a hint.

        One at a time: commit or abort it before the next call.
        """


class LayerSink(ImageSink, BlobSink, Protocol):
    """A sink that layers are streamed into while they are made, before ``write``."""

    default_format: Format
    """Whose media types an image has there if nobody says."""

    def reserve(self, draft: Named, known: frozenset[Digest] = frozenset()) -> None:
        """Make room for the documents of ``draft``, of which only the lengths count.

        Its layers ``known`` are those that it will have, and can be read from its source.
        """


class ReadableSink(LayerSink, BlobSource, Protocol):
    """A sink of which the layers that are committed can be read, before ``write`` as well."""


@dataclass(frozen=True, slots=True)
class RawBlob:
    """One blob in memory, as a source."""

    raw: bytes

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes from ``offset``, whatever the descriptor says of them."""
        yield self.raw[offset:]


def is_away(one: AnyImage, layer: Descriptor) -> bool:
    """Whether its source does not hold a layer."""
    return isinstance(one, Image | Artifact) and layer.digest in one.absent


def missing_layers(image: AnyImage) -> tuple[Descriptor, ...]:
    """What makes an image shallow: the layers that are not held and not foreign, each once."""
    return tuple(
        {
            layer.digest: layer
            for one in walk(image)
            for layer in layers_of(one)
            if is_away(one, layer) and not mediatype.is_foreign(layer.media_type)
        }.values()
    )


def with_held(image: AnyImage, held: frozenset[Digest]) -> AnyImage:
    """``image`` where the layers ``held`` are at hand, whatever its source says."""
    if isinstance(image, ImageIndex):
        return replace(image, members=tuple(with_held(one, held) for one in image.members))
    return image if isinstance(image, Opaque) else replace(image, absent=image.absent - held)


@dataclass(frozen=True, slots=True)
class MadeLayers:
    """The layers that were ``made``, each where it was written, and those of a base, elsewhere."""

    made: Mapping[Digest, BlobSource]
    others: BlobSource

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """As ``BlobSource.read_blob``."""
        return self.made.get(descriptor.digest, self.others).read_blob(descriptor, offset)


def with_made(image: AnyImage, made: Mapping[Digest, BlobSource]) -> AnyImage:
    """``image``, whose layers are read from where they were ``made``, if they were."""
    if isinstance(image, ImageIndex):
        return replace(image, members=tuple(with_made(one, made) for one in image.members))
    if not isinstance(image, Image):
        return image
    return replace(image, source=MadeLayers(made, image.source))


def refuse_foreign(image: AnyImage, where: str) -> None:
    """Refuse an image with a layer that ``where`` does not hold. Raises ``UnsupportedError``."""
    for one in walk(image):
        for layer in layers_of(one):
            if is_away(one, layer):
                raise absent_layer(layer, where)


def absent_layer(layer: Descriptor, where: str) -> UnsupportedError:
    """The error for a layer that its source does not hold, though all is as it should be."""
    if not mediatype.is_foreign(layer.media_type):
        return UnsupportedError(
            f"{where} does not hold the layer {layer.digest} (it is shallow)",
            Remedy.GIVE_LAYERS(),
        )
    return UnsupportedError(
        f"{where}: the layer {layer.digest} is kept elsewhere (a foreign layer)",
        "imgpack fetches nothing from URLs in a manifest",
    )
