"""Descriptors: a media type, a digest and a size in bytes, wherever one document names another.

Source: OCI image-spec ``descriptor.md``.
"""

from dataclasses import dataclass
from typing import Any, Final

from imgpack.errors import DocumentError, InvalidReferenceError
from imgpack.spec.digest import Digest
from imgpack.spec.json import check_keys, member
from imgpack.spec.platform import Platform

MAX_SIZE: Final = 1 << 53
"""Bytes; a number above this is no size: JSON numbers stop being exact there."""
MAX_MEDIA_TYPE: Final = 255
"""Characters: RFC 6838 (section 4.2) allows 127, a slash and 127."""

_KEYS: Final = frozenset({"mediaType", "size", "digest", "urls", "annotations", "platform", "data"})


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a blob or document is; ``size`` in bytes; ``platform`` in an index only."""

    media_type: str
    digest: Digest
    size: int
    annotations: tuple[tuple[str, str], ...] = ()
    urls: tuple[str, ...] = ()
    platform: Platform | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_SIZE:
            raise DocumentError(f"the descriptor of {self.digest} has the size {self.size}")

    @classmethod
    def parse(cls, obj: Any, what: str) -> "Descriptor":
        """The descriptor in a decoded JSON object; ``what`` names the document in errors."""
        if not isinstance(obj, dict):
            raise DocumentError(f"{what}: a descriptor is not an object")
        check_keys(obj, _KEYS, what)
        platform = member(obj, "platform", dict, what, default=None)
        annotations = member(obj, "annotations", dict, what, default={})
        urls = member(obj, "urls", list, what, default=[])
        if not all(isinstance(value, str) for value in (*annotations.values(), *urls)):
            raise DocumentError(f"{what}: an annotation or url is not a string")
        try:
            digest = Digest.parse(member(obj, "digest", str, what))
        except InvalidReferenceError as error:
            raise DocumentError(f"{what}: {error.message}", error.hint) from error
        media_type = member(obj, "mediaType", str, what, default="")
        if len(media_type) > MAX_MEDIA_TYPE:
            raise DocumentError(
                f"{what}: the mediaType of {digest} has {len(media_type)} characters",
                f"at most {MAX_MEDIA_TYPE} are accepted",
            )
        return cls(
            media_type,
            digest,
            member(obj, "size", int, what),
            tuple(annotations.items()),
            tuple(urls),
            None if platform is None else Platform.from_json(platform, what),
        )

    def as_json(self) -> dict[str, Any]:
        """The JSON object, keys in the order that Docker and crane write."""
        out: dict[str, Any] = {
            "mediaType": self.media_type,
            "size": self.size,
            "digest": str(self.digest),
        }
        if self.urls:
            out["urls"] = list(self.urls)
        if self.annotations:
            out["annotations"] = dict(self.annotations)
        if self.platform is not None:
            out["platform"] = self.platform.as_json()
        return out

    def annotation(self, key: str) -> str | None:
        """The value of one annotation, or ``None``."""
        return dict(self.annotations).get(key)


def describe(media_type: str, raw: bytes) -> Descriptor:
    """The descriptor of the document ``raw``."""
    return Descriptor(media_type, Digest.of(raw), len(raw))
