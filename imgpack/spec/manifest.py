"""Image manifests and indexes, Docker's and OCI's, with the raw bytes that are hashed and sent.

Sources: Distribution "Image Manifest V 2, Schema 2"; OCI image-spec
``manifest.md`` and ``image-index.md``.

Invariants: ``raw`` is what was parsed or built, never serialised again; a
document with the fields of two kinds is refused, and so is one whose
``mediaType`` is not the type it was served under (CVE-2021-41190).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from imgpack.errors import DocumentError, LimitError
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor, describe
from imgpack.spec.digest import Digest
from imgpack.spec.json import check_keys, decode, encode, member

MAX_LAYERS: Final = 125
"""Docker's classic stores refuse a deeper image (``max depth exceeded``)."""

MAX_INDEX_ENTRIES: Final = 1024

BASE_NAME: Final = "org.opencontainers.image.base.name"
"""The annotation that says what image's layers an image starts with (``annotations.md``)."""
BASE_DIGEST: Final = "org.opencontainers.image.base.digest"
BASE_KEYS: Final = frozenset({BASE_NAME, BASE_DIGEST})
"""All that says what an image is on, in annotations and labels."""

_MANIFEST_FIELDS: Final = frozenset({"config", "layers"})
_INDEX_FIELDS: Final = frozenset({"manifests"})
_SCHEMA1_FIELDS: Final = frozenset({"fsLayers", "history", "signatures"})
_KNOWN: Final = (
    _MANIFEST_FIELDS
    | _INDEX_FIELDS
    | _SCHEMA1_FIELDS
    | {"schemaVersion", "mediaType", "annotations", "artifactType", "subject"}
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image, or an artifact: its configuration and its layers, bottom first.

    ``descriptor`` is what the document is, by its raw bytes.
    """

    raw: bytes
    descriptor: Descriptor
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: tuple[tuple[str, str], ...] = ()
    artifact_type: str = ""

    @property
    def media_type(self) -> str:
        """What kind of manifest it is."""
        return self.descriptor.media_type

    @property
    def is_image(self) -> bool:
        """Whether it is one; charts, signatures and attestations have manifests, too."""
        return self.config.media_type in mediatype.IMAGE_CONFIGS

    @classmethod
    def parse(cls, raw: bytes, media_type: str = "", digest: Digest | None = None) -> "Manifest":
        """Parse ``raw``, served under ``media_type`` (empty: unknown) and ``digest`` (sha256).

        Raises ``DocumentError``.
        """
        obj, media_type = _decode(raw, media_type)
        if media_type not in mediatype.MANIFESTS:
            raise DocumentError(f"the type {media_type[:80]!r} is not an image manifest")
        layers = member(obj, "layers", list)
        if len(layers) > MAX_INDEX_ENTRIES:
            raise LimitError(f"it names {len(layers)} layers")
        return cls(
            raw,
            describe(media_type, raw, digest),
            Descriptor.parse(member(obj, "config", dict)),
            tuple(Descriptor.parse(layer) for layer in layers),
            _annotations(obj),
            member(obj, "artifactType", str, default=""),
        )


@dataclass(frozen=True, slots=True)
class Index:
    """Several images under one name, one for each platform; ``descriptor`` as in ``Manifest``."""

    raw: bytes
    descriptor: Descriptor
    manifests: tuple[Descriptor, ...]
    annotations: tuple[tuple[str, str], ...] = ()

    @property
    def media_type(self) -> str:
        """What kind of index it is."""
        return self.descriptor.media_type

    @classmethod
    def parse(cls, raw: bytes, media_type: str = "", digest: Digest | None = None) -> "Index":
        """Parse ``raw``, as ``Manifest.parse`` does. Raises ``DocumentError``."""
        obj, media_type = _decode(raw, media_type)
        if media_type not in mediatype.INDEXES:
            raise DocumentError(f"the type {media_type[:80]!r} is not an image index")
        manifests = member(obj, "manifests", list)
        if len(manifests) > MAX_INDEX_ENTRIES:
            raise LimitError(f"it names {len(manifests)} manifests")
        return cls(
            raw,
            describe(media_type, raw, digest),
            tuple(Descriptor.parse(entry) for entry in manifests),
            _annotations(obj),
        )


def parse_document(
    raw: bytes, media_type: str = "", digest: Digest | None = None
) -> Manifest | Index:
    """Parse a manifest or an index, whichever ``raw`` is. Raises ``DocumentError``."""
    _, kind = _decode(raw, media_type)
    return (Index if kind in mediatype.INDEXES else Manifest).parse(raw, media_type, digest)


def build_manifest(
    config: Descriptor,
    layers: Sequence[Descriptor],
    media_type: str,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """A new manifest: compact JSON in the key order of Docker and crane."""
    obj: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": config.as_json(),
        "layers": [layer.as_json() for layer in layers],
    }
    raw = encode(_annotated(obj, annotations))
    return Manifest(raw, describe(media_type, raw), config, tuple(layers), _items(annotations))


def build_index(
    manifests: Sequence[Descriptor],
    media_type: str = mediatype.OCI_INDEX,
    annotations: Mapping[str, str] | None = None,
) -> Index:
    """A new index over ``manifests``, in their order."""
    obj: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [entry.as_json() for entry in manifests],
    }
    raw = encode(_annotated(obj, annotations))
    return Index(raw, describe(media_type, raw), tuple(manifests), _items(annotations))


def _items(annotations: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((annotations or {}).items()))


def _annotated(obj: dict[str, Any], annotations: Mapping[str, str] | None) -> dict[str, Any]:
    if annotations:
        obj["annotations"] = dict(_items(annotations))
    return obj


def _annotations(obj: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    annotations = member(obj, "annotations", dict, default={})
    if not all(isinstance(value, str) for value in annotations.values()):
        raise DocumentError("an annotation is not a string")
    return tuple(annotations.items())


def _decode(raw: bytes, media_type: str) -> tuple[dict[str, Any], str]:
    """The decoded object and its one media type, once it is clear of what kind it is."""
    obj = decode(raw)
    check_keys(obj, _KNOWN)
    if member(obj, "schemaVersion", int) != 2:
        raise DocumentError(f"the schemaVersion is {obj['schemaVersion']}, not 2")
    is_manifest, is_index = bool(_MANIFEST_FIELDS & obj.keys()), bool(_INDEX_FIELDS & obj.keys())
    if _SCHEMA1_FIELDS & obj.keys() or is_manifest == is_index:
        raise DocumentError(
            "the document is ambiguous: its fields are not those of one kind of document"
        )
    own = member(obj, "mediaType", str, default="")
    media_type = media_type.partition(";")[0].strip()
    if media_type and own and media_type != own:
        raise DocumentError(f"it says it is {own[:80]!r} but was served as {media_type[:80]!r}")
    fallback = mediatype.OCI_INDEX if is_index else mediatype.OCI_MANIFEST
    kind = own or media_type or fallback
    if kind in (mediatype.INDEXES if is_manifest else mediatype.MANIFESTS):
        raise DocumentError(f"the document is ambiguous: its fields are not those of {kind!r}")
    return obj, kind
