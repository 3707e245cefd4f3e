"""Images with annotations added to them, which makes new documents and no new layers.

OCI image-spec ``annotations.md``. Docker's media types have no annotations: what gets some
has OCI's afterwards, as BuildKit does it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from imgpack.errors import ConfigError, UnsupportedError
from imgpack.events import SILENT, Reporter
from imgpack.image.documents import in_format
from imgpack.image.image import AnyImage, Image, ImageIndex, Named, images_in
from imgpack.image.join import SUBJECT, warn_of_dropped
from imgpack.spec.annotations import AnnotationPlace, Annotations
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.format import Format
from imgpack.spec.manifest import build_index, build_manifest
from imgpack.spec.platform import Platform

_OUTSIDE: Final = AnnotationPlace.INDEX_DESCRIPTOR
"""The only place that is in no document of an index."""
_NONE: Final = Annotations()


def annotated(
    named: Named,
    annotations: Annotations,
    removed: Annotations = _NONE,
    *,
    where: str = "the image",
    reporter: Reporter = SILENT,
) -> Named:
    """``named`` with ``annotations``, which replace those of the same keys.

    Those that are ``removed`` go first, of which the values do not matter. What is said of the
    descriptor of its document is in archives and layouts only. An attestation in an index that is
    about a manifest which changes goes: nobody attested the new one. ``where`` is what warnings
    call it. Raises ``ConfigError`` for a
    platform or an index that is not there, ``UnsupportedError`` for what is no image.
    """
    if not (annotations or removed):
        return named
    _check(named.image, annotations + removed)
    change = _AnnotationChange(annotations, removed, where, reporter)
    own = change.merged(named.annotations, partial(_pointing, named.image))
    image = _annotated(named.image, change)
    for key in dict.fromkeys(one.key for one in removed.items if one.key not in change.found):
        reporter.warn(f"{where}: there is no annotation {key} to remove")
    return replace(named, image=image, annotations=tuple(sorted(own.items())))


@dataclass(frozen=True, slots=True)
class _AnnotationChange:
    """What is said of the image at ``where``, once what is ``removed`` is gone.

    ``found`` gets the keys of those that were there.
    """

    said: Annotations
    removed: Annotations
    where: str
    reporter: Reporter
    found: set[str] = field(default_factory=set)

    def merged(
        self, old: Iterable[tuple[str, str]], of: Callable[[Annotations], dict[str, str]]
    ) -> dict[str, str]:
        """``old`` annotations of a place, changed; ``of`` finds what is about that place."""
        gone, kept = of(self.removed), dict(old)
        self.found.update(gone.keys() & kept.keys())
        return {key: value for key, value in kept.items() if key not in gone} | of(self.said)

    def at(
        self, descriptor: Descriptor, place: AnnotationPlace, platform: Platform | None
    ) -> Descriptor:
        """``descriptor`` with its annotations changed."""
        of = partial(Annotations.of, place=place, platform=platform)
        merged = self.merged(descriptor.annotations, of)
        if merged == dict(descriptor.annotations):
            return descriptor
        return replace(descriptor, annotations=tuple(sorted(merged.items())))


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


def _annotated(image: AnyImage, change: _AnnotationChange) -> AnyImage:
    if isinstance(image, Image):
        return _image(image, change)
    if isinstance(image, ImageIndex):
        return _index(image, change)
    raise UnsupportedError(
        f"{image.document.media_type[:80]!r} is no image, but an artifact: it is not annotated",
        "choose an image",
    )


def _image(image: Image, change: _AnnotationChange) -> Image:
    platform = image.config.platform
    inside = (AnnotationPlace.MANIFEST, AnnotationPlace.LAYER)
    if not any(
        each.of(place, platform) for each in (change.said, change.removed) for place in inside
    ):
        return image
    old = image.manifest
    of = partial(Annotations.of, place=AnnotationPlace.MANIFEST, platform=platform)
    own = change.merged(old.annotations, of)
    layers = [change.at(one, AnnotationPlace.LAYER, platform) for one in old.layers]
    kind, config = old.media_type, old.config
    if any(change.said.of(place, platform) for place in inside):
        kind = Format.OCI.manifest_type
        config = replace(config, media_type=Format.OCI.config_type)
        layers = [in_format(one, Format.OCI) for one in layers]
    said = (own, tuple(layers), kind)
    if said == (dict(old.annotations), old.layers, old.media_type):
        return image  # in whatever form its document is
    return replace(image, manifest=build_manifest(config, layers, kind, own))


def _index(image: ImageIndex, change: _AnnotationChange) -> ImageIndex:
    image.check_complete()
    members = {one.document.descriptor.digest: one for one in image.members}
    changed = {
        digest: _annotated(old, change)
        for digest, old in members.items()
        if isinstance(old, Image | ImageIndex)
    }
    gone = {str(old) for old, new in changed.items() if new.document.descriptor.digest != old}
    entries: list[Descriptor] = []
    made: list[AnyImage] = []
    for entry in image.index.manifests:
        if entry.annotation(SUBJECT) in gone:
            continue
        old = members[entry.digest]
        new = changed.get(entry.digest, old)
        pointed = _pointed(entry, new)
        if isinstance(old, Image):
            place = AnnotationPlace.MANIFEST_DESCRIPTOR
            pointed = change.at(pointed, place, _platform(entry, old))
        entries.append(pointed)
        made.append(new)
    warn_of_dropped(len(image.index.manifests) - len(made), change.where, change.reporter)
    of = partial(Annotations.of, place=AnnotationPlace.INDEX)
    own = change.merged(image.index.annotations, of)
    inside = change.said.places() - {_OUTSIDE}
    kind = Format.OCI.index_type if inside else image.index.media_type
    there = image.index
    if (own, tuple(entries), kind) == (dict(there.annotations), there.manifests, there.media_type):
        return image
    return ImageIndex(build_index(entries, kind, own), tuple(made))


def _platform(entry: Descriptor, image: AnyImage) -> Platform | None:
    return entry.platform or (image.config.platform if isinstance(image, Image) else None)


def _pointed(entry: Descriptor, new: AnyImage) -> Descriptor:
    """What ``entry`` says, of ``new``."""
    described = new.document.descriptor
    return replace(
        entry, media_type=described.media_type, digest=described.digest, size=described.size
    )
