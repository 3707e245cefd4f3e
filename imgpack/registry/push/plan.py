"""What a push has to do: which blobs and documents go to which repository, under which names.

Invariants: every document was verified before anything is planned; a blob
appears once in a repository, however many images name it; foreign layers are
not pushed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from imgpack.errors import DocumentError, Remedy, UnsupportedError
from imgpack.image.image import BlobSource, Image, MultiImage, RawBlob, check_complete
from imgpack.registry.push.mount import recorded_bases
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import EMPTY_LAYER, EMPTY_LAYER_GZIP, Digest
from imgpack.spec.manifest import Index, Manifest
from imgpack.spec.reference import Reference
from imgpack.spec.schema1.payload import build_schema1, empty_layers
from imgpack.spec.schema1.signature import SigningKey, sign


@dataclass(frozen=True, slots=True)
class Delivery:
    """An image and the names to push it to; a name without a tag is pushed by digest only."""

    image: Image | MultiImage
    names: tuple[Reference, ...]

    def __post_init__(self) -> None:
        if isinstance(self.image, MultiImage):
            check_complete(self.image)
        for name in self.names:
            digest = self.image.document.descriptor.digest
            if name.digest not in (None, digest):
                raise DocumentError(
                    f"{name.shown()}: the image's digest is {digest}",
                    "push it to a tag, or to the digest that it has",
                )


@dataclass(frozen=True, slots=True)
class Schema1Wish:
    """How to sign schema1 manifests; ``time`` is RFC 3339 in UTC; ``tag`` empty: TAG-schema1."""

    key: SigningKey
    time: str
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob to be there, and where its bytes are."""

    descriptor: Descriptor
    source: BlobSource


@dataclass(frozen=True, slots=True)
class Document:
    """Bytes to PUT: under a tag, or under their own digest (``tag`` ``None``)."""

    name: Reference
    raw: bytes
    media_type: str
    digest: Digest
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Parcel:
    """Everything that goes to one repository; ``documents`` in an order that is never dangling.

    ``bases`` are repositories that the user named to mount from, ``recorded``
    those that the image itself names.
    """

    registry: str
    repository: str
    layers: tuple[Blob, ...]
    configs: tuple[Blob, ...]
    children: tuple[Document, ...]
    documents: tuple[Document, ...]
    bases: tuple[str, ...] = ()
    recorded: tuple[str, ...] = ()

    @property
    def blobs(self) -> dict[Digest, Blob]:
        """Layers and configurations by digest."""
        return {blob.descriptor.digest: blob for blob in (*self.layers, *self.configs)}


def parcels(
    deliveries: Sequence[Delivery],
    mount_from: Iterable[Reference] = (),
    schema1: Schema1Wish | None = None,
) -> tuple[Parcel, ...]:
    """What goes to each repository, in the order in which they are first named."""
    places = dict.fromkeys(
        (name.registry, name.repository) for delivery in deliveries for name in delivery.names
    )
    given = tuple(mount_from)
    return tuple(_parcel(place, deliveries, given, schema1) for place in places)


def _parcel(
    place: tuple[str, str],
    deliveries: Sequence[Delivery],
    mount_from: tuple[Reference, ...],
    schema1: Schema1Wish | None,
) -> Parcel:
    layers: dict[Digest, Blob] = {}
    configs: dict[Digest, Blob] = {}
    children: dict[Digest, Document] = {}
    documents: list[Document] = []
    recorded: list[Reference] = []
    for delivery in deliveries:
        names = [name for name in delivery.names if (name.registry, name.repository) == place]
        if not names:
            continue
        for child in delivery.image.members:
            _add_blobs(child, layers, configs)
            if isinstance(delivery.image, MultiImage):
                children[child.manifest.descriptor.digest] = _document(child.manifest, names[0])
        documents += [_document(delivery.image.document, name, name.tag) for name in names]
        recorded += recorded_bases(delivery.image)
        if schema1 is not None:
            _add_schema1(delivery, names, schema1, layers, documents)
    return Parcel(
        *place,
        tuple(layers.values()),
        tuple(configs.values()),
        tuple(children.values()),
        tuple(documents),
        _in_registry(place[0], mount_from),
        _in_registry(place[0], recorded),
    )


def _in_registry(registry: str, names: Iterable[Reference]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.repository for name in names if name.registry == registry))


def _document(document: Manifest | Index, name: Reference, tag: str | None = None) -> Document:
    return Document(name, document.raw, document.media_type, document.descriptor.digest, tag)


def _add_blobs(child: Image, layers: dict[Digest, Blob], configs: dict[Digest, Blob]) -> None:
    for layer in child.layers:
        if not mediatype.is_foreign(layer.media_type):
            layers.setdefault(layer.digest, Blob(layer, child.source))
    config = child.manifest.config
    configs.setdefault(config.digest, Blob(config, RawBlob(child.config.raw)))


def _add_schema1(
    delivery: Delivery,
    names: Sequence[Reference],
    wish: Schema1Wish,
    layers: dict[Digest, Blob],
    documents: list[Document],
) -> None:
    if isinstance(delivery.image, MultiImage):
        raise UnsupportedError(
            "a schema1 manifest is of one platform, and this image has several",
            Remedy.CHOOSE_PLATFORM(),
        )
    image = delivery.image
    for name in names:
        if name.tag is None:
            continue
        tagged = name.with_tag(wish.tag or f"{name.tag}-schema1")
        made = build_schema1(image.manifest, image.config, name.repository, tagged.target)
        raw = sign(made.payload, wish.key, wish.time)
        documents.append(
            Document(tagged, raw, mediatype.SCHEMA1_SIGNED, made.digest, tagged.target)
        )
    if empty_layers(image.config):
        empty = Descriptor(mediatype.DOCKER_LAYER_GZIP, EMPTY_LAYER, len(EMPTY_LAYER_GZIP))
        layers.setdefault(EMPTY_LAYER, Blob(empty, RawBlob(EMPTY_LAYER_GZIP)))
