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

_KEYS: Final = frozenset(
    {"mediaType", "size", "digest", "urls", "annotations", "platform", "data", "artifactType"}
)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a blob or document is; ``size`` in bytes; ``platform`` in an index only."""

    media_type: str
    digest: Digest
    size: int
    annotations: tuple[tuple[str, str], ...] = ()
    urls: tuple[str, ...] = ()
    platform: Platform | None = None
    artifact_type: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_SIZE:
            raise DocumentError(f"the descriptor of {self.digest} has the size {self.size}")

    @classmethod
    def parse(cls, obj: Any) -> "Descriptor":
        """The descriptor in a decoded JSON object. Raises ``DocumentError``."""
        if not isinstance(obj, dict):
            raise DocumentError("a descriptor is not an object")
        check_keys(obj, _KEYS)
        platform = member(obj, "platform", dict, default=None)
        annotations = member(obj, "annotations", dict, default={})
        urls = member(obj, "urls", list, default=[])
        if not all(isinstance(value, str) for value in (*annotations.values(), *urls)):
            raise DocumentError("an annotation or url is not a string")
        digest = parse_digest(member(obj, "digest", str))
        media_type = member(obj, "mediaType", str, default="")
        if len(media_type) > MAX_MEDIA_TYPE:
            raise DocumentError(
                f"the mediaType of {digest} has {len(media_type)} characters",
                f"at most {MAX_MEDIA_TYPE} are accepted",
            )
        return cls(
            media_type,
            digest,
            member(obj, "size", int),
            tuple(annotations.items()),
            tuple(urls),
            None if platform is None else Platform.from_json(platform),
            member(obj, "artifactType", str, default=""),
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
        if self.artifact_type:
            out["artifactType"] = self.artifact_type
        return out

    def annotation(self, key: str) -> str | None:
        """The value of one annotation, or ``None``."""
        return dict(self.annotations).get(key)


def describe(media_type: str, raw: bytes, digest: Digest | None = None) -> Descriptor:
    """The descriptor of the document ``raw``, whose ``digest`` is sha256 unless given."""
    return Descriptor(media_type, digest or Digest.of(raw), len(raw))


def parse_digest(text: str) -> Digest:
    """A digest in a document. Raises ``DocumentError``."""
    try:
        return Digest.parse(text)
    except InvalidReferenceError as error:
        raise DocumentError(error.message, error.hint) from error
