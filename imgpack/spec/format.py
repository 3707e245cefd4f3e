"""Whose media types a document has, how a layer is compressed, and what each pair is called.

Docker: "Image Manifest V 2, Schema 2" of the Distribution project; OCI: image-spec
``media-types.md``. Invariant: these tables are the only place where a compression
meets a media type or the bytes that a file of it begins with.
"""

from enum import Enum
from typing import Final

from imgpack.errors import Remedy, UnsupportedError
from imgpack.spec import mediatype


class Compression(Enum):
    """The compressions that layers have."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"

    @classmethod
    def of(cls, head: bytes) -> "Compression":
        """That of a layer which begins with ``head``; what is nothing known is not compressed."""
        found = detect(head)
        return cls(found) if found in _NAMES else cls.NONE


class Format(Enum):
    """Whose media types an image's documents and layers have."""

    DOCKER = "docker"
    OCI = "oci"

    @classmethod
    def of(cls, media_type: str) -> "Format":
        """The format that a document or layer of this type belongs to."""
        return cls.DOCKER if ".docker." in media_type else cls.OCI

    @property
    def manifest_type(self) -> str:
        """The media type of a manifest."""
        return mediatype.DOCKER_MANIFEST if self is Format.DOCKER else mediatype.OCI_MANIFEST

    @property
    def index_type(self) -> str:
        """The media type of an index."""
        return mediatype.DOCKER_INDEX if self is Format.DOCKER else mediatype.OCI_INDEX

    @property
    def config_type(self) -> str:
        """The media type of an image configuration."""
        return mediatype.DOCKER_CONFIG if self is Format.DOCKER else mediatype.OCI_CONFIG

    def layer_type(self, compression: Compression) -> str:
        """The media type of a layer. Raises ``UnsupportedError`` where there is none."""
        try:
            return _LAYER_TYPES[self, compression]
        except KeyError:
            raise UnsupportedError(
                "the Docker format has no media type for zstd layers", Remedy.USE_OCI_OR_GZIP()
            ) from None


_LAYER_TYPES: Final = {
    (Format.DOCKER, Compression.NONE): mediatype.DOCKER_LAYER,
    (Format.DOCKER, Compression.GZIP): mediatype.DOCKER_LAYER_GZIP,
    (Format.OCI, Compression.NONE): mediatype.OCI_LAYER,
    (Format.OCI, Compression.GZIP): mediatype.OCI_LAYER_GZIP,
    (Format.OCI, Compression.ZSTD): mediatype.OCI_LAYER_ZSTD,
}
_COMPRESSIONS: Final = {kind: pair[1] for pair, kind in _LAYER_TYPES.items()} | {
    mediatype.DOCKER_LAYER_ZSTD: Compression.ZSTD,
    mediatype.DOCKER_FOREIGN_LAYER_GZIP: Compression.GZIP,
}
_NAMES: Final = frozenset(each.value for each in Compression)
_MAGIC: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    # Frames to be skipped, which pzstd writes in front of each (RFC 8878, section 3.1.2).
    *((bytes((0x50 + number,)) + b"\x2a\x4d\x18", "zstd") for number in range(16)),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
)


def compression_of(media_type: str) -> Compression | None:
    """The compression that a layer's media type names; ``None`` if it is not known."""
    return _COMPRESSIONS.get(media_type)


def detect(head: bytes) -> str:
    """What a file that begins with ``head`` is compressed with; ``none`` if with nothing known.

    The names are those of ``Compression``, and ``xz`` and ``bzip2``, which no layer has.
    """
    return next((name for magic, name in _MAGIC if head.startswith(magic)), "none")
