"""Platform images joined into one index.

OCI image-spec ``image-index.md``; Docker's manifest list where all of them are Docker's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from imgpack.errors import ConfigError, NotFoundError, Remedy
from imgpack.events import Reporter
from imgpack.image.image import AnyImage, Image, ImageIndex
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.format import Format
from imgpack.spec.manifest import build_index
from imgpack.spec.platform import Platform

SUBJECT: Final = "vnd.docker.reference.digest"
"""What BuildKit says of an attestation in an index: the manifest that it is about."""


def warn_of_dropped(count: int, where: str, reporter: Reporter) -> None:
    """Tell that what is about images that the index at ``where`` has no more was left out."""
    if count:
        reporter.warn(
            f"{where}: {count} attestations or artifacts of the index are about "
            "what it held, and left out"
        )


@dataclass(frozen=True, slots=True)
class _Joined:
    """An image and what the new index will say of it."""

    descriptor: Descriptor
    image: AnyImage


def join(
    images: Iterable[AnyImage],
    platforms: Sequence[Platform] = (),
    annotations: Mapping[str, str] | None = None,
    *,
    old: AnyImage | None = None,
    replacing: bool = False,
) -> ImageIndex:
    """An index of ``images`` and of the members of indexes among them, each once, in order.

    With ``platforms`` only those are taken, and each must be there. They come after those of the
    ``old`` index, whose annotations are kept; when ``replacing``, instead of those that it has
    for their platforms. Raises ``ConfigError`` for two different images of one platform,
    ``NotFoundError``.
    """
    entries = _chosen(_entries(images), platforms)
    kept = dict(annotations or {})
    if old is not None:
        entries = _added(_entries([old]), entries, replacing=replacing)
        kept = (dict(old.index.annotations) if isinstance(old, ImageIndex) else {}) | kept
    # Some registries refuse an OCI index over Docker manifests, and the other way round.
    types = {entry.descriptor.media_type for entry in entries}
    docker = types == {Format.DOCKER.manifest_type} and not kept
    kind = Format.DOCKER if docker else Format.OCI
    descriptors = [entry.descriptor for entry in entries]
    index = build_index(descriptors, kind.index_type, kept)
    return ImageIndex(index, tuple(entry.image for entry in entries))


def _entries(images: Iterable[AnyImage]) -> list[_Joined]:
    found: dict[Digest | Platform, _Joined] = {}
    for image in images:
        for entry in _of(image):
            known = found.setdefault(_key(entry.descriptor), entry)
            if known.descriptor.digest != entry.descriptor.digest:
                raise ConfigError(
                    f"two different images are for {entry.descriptor.platform}: "
                    f"{known.descriptor.digest} and {entry.descriptor.digest}",
                    "add only one of them",
                )
    return list(found.values())


def _key(entry: Descriptor) -> Digest | Platform:
    """What only one in an index has."""
    platform = entry.platform
    # Attestations have no platform; what they belong to is in their annotations.
    if platform is None or platform.os == "unknown":
        return entry.digest
    return replace(platform, variant=platform.plain_variant)


def _added(old: list[_Joined], new: list[_Joined], *, replacing: bool) -> list[_Joined]:
    """``old`` with those of ``new`` that it does not have, in the place of the same platform's."""
    fresh = {_key(entry.descriptor): entry for entry in new}
    gone: set[str] = set()
    out: list[_Joined] = []
    for entry in old:
        other = fresh.pop(_key(entry.descriptor), entry)
        if other.descriptor.digest != entry.descriptor.digest:
            if not replacing:
                raise ConfigError(
                    f"the index has another image for {entry.descriptor.platform}",
                    Remedy.REPLACE_PLATFORM(),
                )
            gone.add(str(entry.descriptor.digest))
        out.append(other)
    # What an attestation is about is not there any more.
    out = [one for one in out if one.descriptor.annotation(SUBJECT) not in gone]
    return [*out, *fresh.values()]


def _of(image: AnyImage) -> list[_Joined]:
    """The images with their descriptors; those of an index keep what it says of them."""
    if not isinstance(image, ImageIndex):
        described = image.document.descriptor
        return [_Joined(replace(described, platform=_platform_of(image)), image)]
    image.check_complete()
    members = {one.document.descriptor.digest: one for one in image.members}
    return [
        _Joined(
            replace(entry, platform=entry.platform or _platform_of(members[entry.digest])),
            members[entry.digest],
        )
        for entry in image.index.manifests
    ]


def _platform_of(image: AnyImage) -> Platform | None:
    return image.config.platform if isinstance(image, Image) else None


def _chosen(entries: list[_Joined], wanted: Sequence[Platform]) -> list[_Joined]:
    if not wanted:
        return entries
    known = [(entry, entry.descriptor.platform) for entry in entries]
    out: dict[Digest, _Joined] = {}
    for platform in wanted:
        found = [entry for entry, own in known if own is not None and platform.matches(own)]
        if not found:
            there = ", ".join(str(own) for _, own in known if own)
            hint = f"there are: {there}" if there else "none of them has a platform"
            raise NotFoundError(f"none of the images is for {platform}", hint)
        out |= {entry.descriptor.digest: entry for entry in found}
    return list(out.values())
