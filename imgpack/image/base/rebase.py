"""An image moved to another base: its own layers as they are, on top of other ones.

Invariants: no layer is read or made; the configuration is merged three ways; what the
manifest's annotations say is kept but for what it is on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imgpack.errors import (
    ConfigError,
    DocumentError,
    InvalidReferenceError,
    LimitError,
    NotFoundError,
    Remedy,
    quoted,
)
from imgpack.image.base.stack import Stacked, check_base
from imgpack.image.documents import MANY_LAYERS, BaseName, in_format
from imgpack.image.image import BlobSource, Image
from imgpack.spec.descriptor import Descriptor, describe
from imgpack.spec.digest import Digest
from imgpack.spec.manifest import BASE_DIGEST, BASE_KEYS, BASE_NAME, MAX_LAYERS, build_manifest
from imgpack.spec.merge.rebase import rebase_config
from imgpack.spec.reference import Reference


@dataclass(frozen=True, slots=True)
class Rebased:
    """An image on its new base; ``count`` of its layers were those of the ``old`` one.

    ``remarks`` are what a user should know of its documents.
    """

    image: Image
    old: Image
    count: int
    remarks: tuple[str, ...]


def move(image: Image, old: Image, new: Image, name: BaseName, where: str) -> Rebased:
    """``image``, which lies ``where``, on ``new``, which is called ``name``, instead of ``old``.

    Raises ``ConfigError`` if it is not on ``old`` or the platforms differ, ``LimitError`` for
    too many layers, ``UnsupportedError`` for layers of ``new`` that its format has no type for,
    ``DocumentError``.
    """
    count = check_base(image, old, where, Remedy.NAME_OLD_BASE())
    own, other = image.config.platform, new.config.platform
    if (own.os, own.architecture) != (other.os, other.architecture):
        raise ConfigError(
            f"{where} is for {own}, and the new base for {other}", "name a base for that platform"
        )
    below, above = new.manifest.layers, image.manifest.layers[count:]
    layers = [*(in_format(layer, image.format) for layer in below), *above]
    if len(layers) > MAX_LAYERS:
        raise LimitError(
            f"{where} would have {len(layers)} layers, {len(below)} of them the base's",
            f"Docker takes {MAX_LAYERS}",
        )
    recorded = name.as_annotations()
    merged = rebase_config(image.config, old.config, new.config, recorded)
    config = merged.config
    manifest = build_manifest(
        describe(image.manifest.config.media_type, config.raw, config.digest),
        layers,
        image.manifest.media_type,
        on_base(dict(image.manifest.annotations), recorded),
    )
    source = Stacked(_held(image, above, new), new.source)
    absent = new.absent & {layer.digest for layer in below}
    absent |= image.absent & {layer.digest for layer in above}
    moved = Image(manifest, config, source, absent)
    return Rebased(moved, old, count, (*merged.remarks, *_many(len(layers))))


def on_base(annotations: Mapping[str, str], recorded: Mapping[str, str]) -> dict[str, str]:
    """``annotations`` with what is ``recorded`` of a base in the place of what was."""
    kept = {key: value for key, value in annotations.items() if key not in BASE_KEYS}
    return kept | dict(recorded)


def recorded_base(image: Image, outer: Mapping[str, str], where: str) -> Reference:
    """What ``image`` says it is on: in annotations, in labels, in ``outer`` annotations.

    The digest counts, for the tag may have moved. Raises ``NotFoundError``, ``DocumentError``.
    """
    labels = image.config.config.get("Labels")
    places = (dict(image.manifest.annotations), labels if isinstance(labels, dict) else {}, outer)
    for said in places:
        name, digest = said.get(BASE_NAME), said.get(BASE_DIGEST)
        if not name:
            continue
        try:
            found = Reference.parse(str(name))
            return found.with_digest(Digest.parse(str(digest))) if digest else found.tagged()
        except InvalidReferenceError as error:
            raise DocumentError(
                f"{where} says that it is on {quoted(str(name))}: {error.message}",
                Remedy.NAME_OLD_BASE(),
            ) from error
    raise NotFoundError(f"{where} does not say what base it is on", Remedy.NAME_OLD_BASE())


def _held(image: Image, above: Sequence[Descriptor], new: Image) -> dict[Digest, BlobSource]:
    below = {layer.digest for layer in new.manifest.layers}
    return {layer.digest: image.source for layer in above if layer.digest not in below}


def _many(count: int) -> tuple[str, ...]:
    if count <= MANY_LAYERS:
        return ()
    return (f"{count} layers leave little room for images on top: Docker takes {MAX_LAYERS}",)
