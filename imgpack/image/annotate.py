"""Images with annotations added to them, which makes new documents and no new layers.

OCI image-spec ``annotations.md``. Docker's media types have no annotations: what gets some
has OCI's afterwards, as BuildKit does it.
"""

from dataclasses import replace
from typing import Final, TypeVar

from imgpack.errors import ConfigError, UnsupportedError
from imgpack.image.documents import in_format
from imgpack.image.image import AnyImage, Image, ImageIndex, images_in
from imgpack.spec.annotations import AnnotationPlace, Annotations
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.format import Format
from imgpack.spec.manifest import build_index, build_manifest
from imgpack.spec.platform import Platform

_Kind = TypeVar("_Kind", bound=AnyImage)

_OUTSIDE: Final = AnnotationPlace.INDEX_DESCRIPTOR
"""The only place that is in no document of an index."""


def annotate(image: _Kind, annotations: Annotations) -> _Kind:
    """``image`` with ``annotations``, which replace those of the same keys.

    Those of descriptors outside of it are for ``pointing``. Raises ``ConfigError`` for a
    platform or an index that is not there, ``UnsupportedError`` for what is no image.
    """
    if not annotations:
        return image
    _check(image, annotations)
    return _annotated(image, annotations)  # type: ignore[return-value]


def pointing(image: AnyImage, annotations: Annotations) -> tuple[tuple[str, str], ...]:
    """What ``index.json`` of an archive or layout is to say of ``image`` besides."""
    if isinstance(image, Image):
        found = annotations.of(AnnotationPlace.MANIFEST_DESCRIPTOR, image.config.platform)
    else:
        found = annotations.of(AnnotationPlace.INDEX_DESCRIPTOR)
    return tuple(sorted(found.items()))


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
