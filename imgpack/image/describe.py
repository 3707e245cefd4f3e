"""An image as JSON, for programs: one shape wherever imgpack prints one.

``docs/output.schema.json`` says it to others.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from imgpack.image.image import (
    AnyImage,
    Artifact,
    Image,
    ImageIndex,
    Named,
    Opaque,
    Published,
    layers_of,
    missing_layers,
)
from imgpack.spec.config import History
from imgpack.spec.digest import Digest
from imgpack.spec.layer import Layer


@dataclass(frozen=True, slots=True)
class ImageStep:
    """A step of an image's making, and the layer that came of it, if one did."""

    said: History
    layer: Layer | None


def image_steps(image: Image) -> tuple[ImageStep, ...]:
    """The steps of ``image``, first to last; a layer that no step names is one of its own.

    OCI image-spec ``config.md``, "history".
    """
    layers = iter(image.layers)
    steps = [
        ImageStep(said, None if said.empty_layer else next(layers, None))
        for said in image.config.history
    ]
    return (*steps, *(ImageStep(History(), layer) for layer in layers))


def described(named: Named) -> dict[str, Any]:
    """What there is to know of an image and all in it; sizes in bytes."""
    names = {"names": [str(name) for name in named.names], "labels": list(named.labels)}
    return names | _described(named.image)


def published_names(published: tuple[Published, ...]) -> list[dict[str, Any]]:
    """What each name stands for now: its document's descriptor."""
    return [
        {"name": str(one.name)} | one.descriptor.as_json()
        for one in published
        if one.name is not None
    ]


def recorded(published: Iterable[Published], images: Iterable[Named]) -> dict[str, Any]:
    """What was made or moved: the names that stand for it, and what there is to know of it.

    Of one document it says as well what Docker's buildx does (its metadata file), in its keys.
    """
    published, images = tuple(published), tuple(images)
    out: dict[str, Any] = {
        "published": published_names(published),
        "images": [described(image) for image in images],
    }
    documents = {one.image.document.descriptor.digest: one.image for one in images}
    if len(documents) == 1:
        (image,) = documents.values()
        descriptor = image.document.descriptor
        out["containerimage.digest"] = str(descriptor.digest)
        out["containerimage.descriptor"] = descriptor.as_json()
        if isinstance(image, Image):
            out["containerimage.config.digest"] = str(image.config.digest)
    names = [str(one.name) for one in published if one.name is not None]
    if names:
        out["image.name"] = ",".join(dict.fromkeys(names))
    return out


def image_id(image: AnyImage) -> Digest:
    """What Docker calls an image's ID: its configuration's digest; of an index the index's."""
    return image.config.digest if isinstance(image, Image) else image.document.descriptor.digest


def _described(image: AnyImage) -> dict[str, Any]:
    out: dict[str, Any]
    if isinstance(image, ImageIndex):
        members = [described(Named(member)) for member in image.members]
        out = {"index": image.index.descriptor.as_json(), "images": members}
        return out | _annotations(image.index.annotations)
    if isinstance(image, Opaque):
        return {"blob": image.descriptor.as_json()}
    manifest = image.manifest
    out = {
        "manifest": manifest.descriptor.as_json(),
        "config": manifest.config.as_json(),
        "size": total_size(image),
    } | _annotations(manifest.annotations)
    if missing := missing_layers(image):
        out["missing"] = [str(layer.digest) for layer in missing]
    if isinstance(image, Artifact):
        layers = [layer.as_json() for layer in manifest.layers]
        return out | {"artifactType": image.type, "layers": layers}
    config = image.config
    return out | {
        "platform": config.platform.as_json(),
        "created": config.created or None,
        "layers": [
            layer.descriptor.as_json() | {"diff_id": str(layer.diff_id)} for layer in image.layers
        ],
        "runtime": dict(config.config),
        "history": [entry.as_json() for entry in config.history],
    }


def _annotations(pairs: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    return {"annotations": dict(pairs)} if pairs else {}


def total_size(image: AnyImage) -> int:
    """Bytes of the distinct layers, as they are stored."""
    return sum({layer.digest: layer.size for layer in layers_of(image)}.values())
