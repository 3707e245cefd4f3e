"""Images with annotations added to them, which makes new documents and no new layers.

OCI image-spec ``annotations.md``. Docker's media types have no annotations: what gets some
has OCI's afterwards, as BuildKit does it.
"""

from dataclasses import replace
from typing import Final

from imgpack.errors import ConfigError, UnsupportedError
from imgpack.image.documents import in_format
from imgpack.image.image import AnyImage, Image, ImageIndex, Named, images_in
from imgpack.spec.annotations import AnnotationPlace, Annotations
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.format import Format
from imgpack.spec.manifest import build_index, build_manifest
from imgpack.spec.platform import Platform

_OUTSIDE: Final = AnnotationPlace.INDEX_DESCRIPTOR
"""The only place that is in no document of an index."""


def annotated(named: Named, annotations: Annotations) -> Named:
    """``named`` with ``annotations``, which replace those of the same keys.

    What is said of the descriptor of its document is in archives and layouts only. Raises
    ``ConfigError`` for a platform or an index that is not there, ``UnsupportedError`` for what
    is no image.
    """
    if not annotations:
        return named
    _check(named.image, annotations)
    own = dict(named.annotations) | _pointing(named.image, annotations)
    image = _annotated(named.image, annotations)
    return replace(named, image=image, annotations=tuple(sorted(own.items())))


def _pointing(image: AnyImage, annotations: Annotations) -> dict[str, str]:
    """What is said of ``image`` where nothing but ``index.json`` names it."""
    if isinstance(image, Image):
        return annotations.of(AnnotationPlace.MANIFEST_DESCRIPTOR, image.config.platform)
    return annotations.of(AnnotationPlace.INDEX_DESCRIPTOR)


def _check(image: AnyImage, annotations: Annotations) -> None:
    there = list(dict.fromkeys(one.config.platform for one in images_in(image)))
    for one in annotations.items:
        of_index = one.place in (AnnotationPlace.INDEX, AnnotationPlace.INDEX_DESCRIPTOR)
        if of_index and not isinstance(image, ImageIndex):
            raise ConfigError(
                f"there is no index to annotate with {one.key}: the image is of one platform",
                f"write {one.key} for its manifest",
            )
        if one.platform is not None and not any(map(one.is_for, there)):
            raise ConfigError(
                f"the annotation {one.key} is for {one.platform}, and there is no such image",
                f"there are: {', '.join(map(str, there))}",
            )


def _annotated(image: AnyImage, annotations: Annotations) -> AnyImage:
    if isinstance(image, Image):
        return _image(image, annotations)
    if isinstance(image, ImageIndex):
        return _index(image, annotations)
    raise UnsupportedError(
        f"{image.document.media_type[:80]!r} is no image, but an artifact: it is not annotated",
        "choose an image",
    )


def _image(image: Image, annotations: Annotations) -> Image:
    platform = image.config.platform
    own = annotations.of(AnnotationPlace.MANIFEST, platform)
    layer = annotations.of(AnnotationPlace.LAYER, platform)
    if not (own or layer):
        return image
    old = image.manifest
    layers = [_merged(in_format(one, Format.OCI), layer) for one in old.layers]
    config = replace(old.config, media_type=Format.OCI.config_type)
    merged = dict(old.annotations) | own
    return replace(image, manifest=build_manifest(config, layers, Format.OCI.manifest_type, merged))


def _index(image: ImageIndex, annotations: Annotations) -> ImageIndex:
    image.check_complete()
    members = {one.document.descriptor.digest: one for one in image.members}
    entries: list[Descriptor] = []
    made: list[AnyImage] = []
    for entry in image.index.manifests:
        old = members[entry.digest]
        new = _annotated(old, annotations) if isinstance(old, Image | ImageIndex) else old
        said = annotations.of(AnnotationPlace.MANIFEST_DESCRIPTOR, _platform(entry, old))
        entries.append(_merged(_pointed(entry, new), said if isinstance(old, Image) else {}))
        made.append(new)
    own = dict(image.index.annotations) | annotations.of(AnnotationPlace.INDEX)
    inside = annotations.places() - {_OUTSIDE}
    kind = Format.OCI.index_type if inside else image.index.media_type
    return ImageIndex(build_index(entries, kind, own), tuple(made))


def _platform(entry: Descriptor, image: AnyImage) -> Platform | None:
    return entry.platform or (image.config.platform if isinstance(image, Image) else None)


def _pointed(entry: Descriptor, new: AnyImage) -> Descriptor:
    """What ``entry`` says, of ``new``."""
    described = new.document.descriptor
    return replace(
        entry, media_type=described.media_type, digest=described.digest, size=described.size
    )


def _merged(descriptor: Descriptor, annotations: dict[str, str]) -> Descriptor:
    if not annotations:
        return descriptor
    merged = dict(descriptor.annotations) | annotations
    return replace(descriptor, annotations=tuple(sorted(merged.items())))
