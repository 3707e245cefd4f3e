"""Annotations: what is said of a document or of what names it, and of which.

OCI image-spec ``annotations.md``; the text is written as ``docker buildx`` reads it:
``[PLACE[PLATFORM],...:]KEY=VALUE``.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from imgpack.errors import ConfigError, printable, quoted
from imgpack.spec.platform import Platform

_PLACE: Final = re.compile(r"([a-z-]+)(?:\[([A-Za-z0-9_./-]+)\])?")


class AnnotationPlace(Enum):
    """Where an annotation is.

    That of a descriptor is where one document names the other: a manifest's in its index, or
    where there is none, as an index's, in ``index.json`` of an archive or layout. ``layer`` are
    the descriptors of all layers in a manifest.
    """

    MANIFEST = "manifest"
    INDEX = "index"
    MANIFEST_DESCRIPTOR = "manifest-descriptor"
    INDEX_DESCRIPTOR = "index-descriptor"
    LAYER = "layer"


_OF_AN_INDEX: Final = frozenset({AnnotationPlace.INDEX, AnnotationPlace.INDEX_DESCRIPTOR})
"""Where there is one for all platforms."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """``key`` is ``value`` at a ``place``: of one ``platform``, or of all (``None``)."""

    place: AnnotationPlace
    key: str
    value: str
    platform: Platform | None = None

    def __post_init__(self) -> None:
        if not self.key or self.key != self.key.strip():
            raise ConfigError(f"the annotation {quoted(self.key)} is no key", _HOW)
        if self.platform is not None and self.place in _OF_AN_INDEX:
            raise ConfigError(
                f"the annotation {printable(self.key)} of an index is for {self.platform}",
                "an index is of all platforms; write manifest or manifest-descriptor",
            )

    def is_for(self, platform: Platform | None) -> bool:
        """Whether it is said of the image for ``platform``."""
        return self.platform is None or (platform is not None and self.platform.matches(platform))


_HOW: Final = "write KEY=VALUE, or PLACE:KEY=VALUE as index:KEY=VALUE"


@dataclass(frozen=True, slots=True)
class Annotations:
    """Several of them; of two for one key at one place the last counts."""

    items: tuple[Annotation, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.items)

    def __add__(self, other: "Annotations") -> "Annotations":
        return Annotations(self.items + other.items)

    @classmethod
    def parse(
        cls, texts: Iterable[str], default: AnnotationPlace = AnnotationPlace.MANIFEST
    ) -> "Annotations":
        """Each of ``texts``; ``default`` is where one is that does not say. ``ConfigError``."""
        return cls(tuple(one for text in texts for one in _parse(text, default)))

    @classmethod
    def removals(
        cls, texts: Iterable[str], default: AnnotationPlace = AnnotationPlace.MANIFEST
    ) -> "Annotations":
        """As ``parse``, of texts that say no value: ``[PLACE[PLATFORM],...:]KEY``."""
        for text in texts:
            if "=" in text:
                raise ConfigError(
                    f"the annotation {quoted(text)} to remove has a value", "write its key"
                )
        return cls.parse((f"{text}=" for text in texts), default)

    @classmethod
    def at(cls, place: AnnotationPlace, pairs: Mapping[str, str]) -> "Annotations":
        """``pairs`` at one place."""
        return cls(tuple(Annotation(place, key, value) for key, value in pairs.items()))

    def of(self, place: AnnotationPlace, platform: Platform | None = None) -> dict[str, str]:
        """What is said at ``place``, of the image for ``platform``."""
        return {
            one.key: one.value for one in self.items if one.place is place and one.is_for(platform)
        }

    def places(self) -> frozenset[AnnotationPlace]:
        """Where there are any."""
        return frozenset(one.place for one in self.items)


def _parse(text: str, default: AnnotationPlace) -> list[Annotation]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"the annotation {quoted(text)} has no value", _HOW)
    where, colon, key = name.partition(":")
    if not colon:
        return [Annotation(default, name, value)]
    places = (_place(one, text) for one in where.split(","))
    return [Annotation(place, key, value, platform) for place, platform in places]


def _place(where: str, text: str) -> tuple[AnnotationPlace, Platform | None]:
    known = [each.value for each in AnnotationPlace]
    match = _PLACE.fullmatch(where)
    if match is None or match[1] not in known:
        raise ConfigError(
            f"the annotation {quoted(text)} is at {quoted(where)}, which is no place",
            f"there are {', '.join(known)}, all but the index's also as manifest[linux/arm64]",
        )
    platform = match[2]
    return AnnotationPlace(match[1]), None if platform is None else Platform.parse(platform)
