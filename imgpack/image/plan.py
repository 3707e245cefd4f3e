"""What has to be written for some images: every blob and document once, in an order to rely on.

Invariants: a blob appears once, however many images name it; a layer that no source holds
is none of them; documents come children first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from imgpack.errors import ConfigError, DocumentError
from imgpack.image.image import (
    AnyImage,
    BlobSource,
    Image,
    ImageIndex,
    Named,
    Opaque,
    RawBlob,
    is_away,
    layers_of,
    missing_layers,
    walk,
)
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.manifest import Index, Manifest


@dataclass(frozen=True, slots=True)
class PlannedBlob:
    """A blob to be there, and where its bytes are."""

    descriptor: Descriptor
    source: BlobSource


@dataclass(frozen=True, slots=True)
class Plan:
    """``blobs`` are layers and what artifacts consist of; ``configs`` are in memory.

    ``documents`` are all manifests and indexes, children first. ``missing`` are layers that no
    image holds, foreign ones left out: whoever writes must have them already.
    """

    blobs: tuple[PlannedBlob, ...]
    configs: tuple[PlannedBlob, ...]
    documents: tuple[Manifest | Index, ...]
    missing: tuple[Descriptor, ...] = ()


def one_for_each(images: Sequence[Named]) -> tuple[Named, ...]:
    """``images`` with each document once, under all its names and labels.

    Raises ``ConfigError`` for a tag or label of two images, of which only one could have it,
    ``ValueError`` for no image at all.
    """
    if not images:
        raise ValueError("there is no image to write")
    owners: dict[str, Digest] = {}
    merged: dict[Digest, Named] = {}
    for named in images:
        digest = named.image.document.descriptor.digest
        for name in (*map(str, named.tags), *named.labels):
            if owners.setdefault(name, digest) != digest:
                raise ConfigError(
                    f"{name} is to name two images: {owners[name]} and {digest}",
                    "give each a name of its own, or choose one of them",
                )
        before = merged.get(digest, Named(named.image))
        merged[digest] = Named(
            before.image,
            tuple(dict.fromkeys((*before.names, *named.names))),
            tuple(dict.fromkeys((*before.labels, *named.labels))),
            tuple((dict(before.annotations) | dict(named.annotations)).items()),
            tuple((dict(before.fields) | dict(named.fields)).items()),
        )
    return tuple(merged.values())


def plan(images: Sequence[Named]) -> Plan:
    """Everything that ``images`` consist of.

    Raises ``DocumentError`` for an incomplete index, and for a blob of two sizes.
    """
    blobs: dict[Digest, PlannedBlob] = {}
    configs: dict[Digest, PlannedBlob] = {}
    documents: dict[Digest, Manifest | Index] = {}
    for named in images:
        for one in walk(named.image):
            if isinstance(one, ImageIndex):
                one.check_complete()
                continue
            own = layers_of(one)
            if isinstance(one, Opaque):
                own = (one.descriptor,)
            elif isinstance(one, Image):
                config = PlannedBlob(one.manifest.config, RawBlob(one.config.raw))
                configs.setdefault(config.descriptor.digest, config)
            else:
                own = (one.manifest.config, *own)
            for blob in own:
                if not is_away(one, blob):
                    known = blobs.setdefault(blob.digest, PlannedBlob(blob, one.source))
                    _check_size(known.descriptor, blob)
        for document in _children_first(named.image):
            documents.setdefault(document.descriptor.digest, document)
    missing = {
        layer.digest: layer
        for named in images
        for layer in missing_layers(named.image)
        if layer.digest not in blobs
    }
    return Plan(
        tuple(blobs.values()),
        tuple(configs.values()),
        tuple(documents.values()),
        tuple(missing.values()),
    )


def _check_size(known: Descriptor, blob: Descriptor) -> None:
    if known.size != blob.size:
        raise DocumentError(
            f"the blob {blob.digest} is said to have {known.size} bytes, and {blob.size} as well",
            "the image is damaged; build or fetch it again",
        )


def _children_first(image: AnyImage) -> list[Manifest | Index]:
    members = image.members if isinstance(image, ImageIndex) else ()
    own = () if isinstance(image, Opaque) else (image.document,)
    return [*(each for member in members for each in _children_first(member)), *own]
