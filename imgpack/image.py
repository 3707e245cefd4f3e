"""Images, and the two protocols that carry them from any source to any sink.

An archive, a layout and a registry are each a ``BlobSource`` to read from and
an ``ImageSink`` to write to; they do not know one another. ``copy_image`` is
the one order in which anything is written: layers, configuration, manifest,
name. So a reader never meets a document that names what is not there yet.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from imgpack.errors import DigestError, DocumentError
from imgpack.spec.config import ImageConfig
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.manifest import Index, Manifest
from imgpack.spec.reference import Reference


class BlobSource(Protocol):
    """Where blobs are read from."""

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a blob from ``offset``; callable again (that is how a retry works).

        The bytes are not verified here: whoever takes them in checks digest and size.
        """


class ImageSink(Protocol):
    """Where an image is written to. Every method is safe to call again."""

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Whether the blob is already there."""

    def put_blob(self, descriptor: Descriptor, source: BlobSource) -> None:
        """Take in one blob, verifying digest and size; nothing is visible if it fails."""

    def put_manifest(self, document: Manifest | Index, names: tuple[Reference, ...]) -> None:
        """Store a document whose blobs are all there, and point ``names`` at it."""


@dataclass(frozen=True, slots=True)
class Image:
    """One platform's image: its documents, its names, and where its blobs are."""

    manifest: Manifest
    config: ImageConfig
    source: BlobSource
    names: tuple[Reference, ...] = ()

    def __post_init__(self) -> None:
        if self.manifest.config.digest != self.config.digest:
            raise DigestError(
                f"the manifest names the configuration {self.manifest.config.digest}, "
                f"but its bytes are {self.config.digest}"
            )
        layers, diff_ids = len(self.manifest.layers), len(self.config.diff_ids)
        if layers != diff_ids:
            raise DocumentError(
                f"the manifest has {layers} layers and the configuration {diff_ids} diff_ids"
            )

    @property
    def layers(self) -> tuple[Descriptor, ...]:
        """The layers, bottom first, each distinct digest once."""
        return tuple({layer.digest: layer for layer in self.manifest.layers}.values())


@dataclass(frozen=True, slots=True)
class MultiImage:
    """An index and the images that it names, in its order."""

    index: Index
    images: tuple[Image, ...]
    names: tuple[Reference, ...] = ()
