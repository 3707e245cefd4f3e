"""What both readers share: a container of files, bounded documents, blobs by digest.

Invariants: a document is read whole only if it is small, and is checked against
its digest before it is parsed; errors name the archive and the document.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from imgpack.archive.contents import blob_path
from imgpack.errors import ArchiveError, ImgpackError, LimitError, NotFoundError
from imgpack.image import Image, MultiImage, artifact
from imgpack.spec.canonical import MAX_DOCUMENT
from imgpack.spec.config import ImageConfig
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.manifest import Manifest
from imgpack.spec.reference import Reference
from imgpack.store import verify_stream


class Container(Protocol):
    """Named files: a tar archive or a directory."""

    def size(self, name: str) -> int | None:
        """The size in bytes of a regular file, or ``None`` if it is not there."""

    def chunks(self, name: str, offset: int = 0) -> Iterator[bytes]:
        """Its bytes from ``offset``."""

    def close(self) -> None:
        """Close what is open."""


@dataclass(frozen=True, slots=True)
class Found:
    """An image of an archive, and what else than a name it may be asked for by."""

    image: Image | MultiImage
    labels: tuple[str, ...] = ()


@dataclass(slots=True)
class Blobs:
    """The blobs of a container: a ``BlobSource``. ``names`` are those not under their digest."""

    container: Container
    path: str
    names: dict[Digest, str] = field(default_factory=dict)

    def name(self, digest: Digest) -> str:
        """The name of the file that holds a blob."""
        return self.names.get(digest) or blob_path(digest)

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a blob from ``offset``, not verified. Raises ``NotFoundError``."""
        name = self.name(descriptor.digest)
        if self.container.size(name) is None:
            raise NotFoundError(f"{self.path} has no blob {descriptor.digest}")
        yield from self.container.chunks(name, offset)

    def holds(self, descriptor: Descriptor) -> bool:
        """Whether there is a blob of that digest."""
        return self.container.size(self.name(descriptor.digest)) is not None

    def document(self, descriptor: Descriptor, what: str) -> bytes:
        """A small blob, verified. Raises ``DigestError``, ``LimitError``, ``NotFoundError``."""
        what = f"{self.path}: {what} {descriptor.digest}"
        if descriptor.size > MAX_DOCUMENT:
            raise LimitError(
                f"{what} has {descriptor.size} bytes", f"at most {MAX_DOCUMENT} are accepted"
            )
        return b"".join(verify_stream(self.read_blob(descriptor), descriptor, what))

    def config(self, manifest: Manifest) -> ImageConfig:
        """The configuration of ``manifest``, verified."""
        raw = self.document(manifest.config, "configuration")
        return ImageConfig.parse(raw, f"{self.path}: configuration {manifest.config.digest}")

    def artifact(self, manifest: Manifest) -> Image:
        """What is no image, in an index."""
        return artifact(manifest, self.document(manifest.config, "configuration"), self)

    def image(self, manifest: Manifest, names: tuple[Reference, ...]) -> Image:
        """The image of ``manifest``, whose layers must be there with their sizes."""
        image = make_image(self.path, manifest, self.config(manifest), self, names)
        for layer in image.layers:
            size = self.container.size(self.name(layer.digest))
            if size is not None and size != layer.size:
                raise ArchiveError(
                    f"{self.path}: the layer {layer.digest} has {size} bytes, "
                    f"and its manifest says {layer.size}",
                    "the archive is damaged; make it again",
                )
        return image


def make_image(
    path: str,
    manifest: Manifest,
    config: ImageConfig,
    source: Blobs,
    names: tuple[Reference, ...],
) -> Image:
    """An ``Image``, with ``path`` in the message if its parts do not fit together."""
    try:
        return Image(manifest, config, source, names)
    except ImgpackError as error:
        raise type(error)(f"{path}: {error.message}", error.hint) from error


def read_small(container: Container, name: str, path: str) -> bytes | None:
    """A metadata file, or ``None`` if it is not there. Raises ``LimitError``."""
    size = container.size(name)
    if size is None:
        return None
    if size > MAX_DOCUMENT:
        raise LimitError(f"{path}: {name} has {size} bytes", f"at most {MAX_DOCUMENT} are accepted")
    return b"".join(container.chunks(name))


def parse_names(texts: list[str]) -> tuple[tuple[Reference, ...], tuple[str, ...]]:
    """Those of ``texts`` that are image names, and those that are not."""
    names: list[Reference] = []
    others: list[str] = []
    for text in dict.fromkeys(texts):
        try:
            names.append(Reference.parse(text).tagged())
        except ImgpackError:
            others.append(text)
    return tuple(dict.fromkeys(names)), tuple(others)
