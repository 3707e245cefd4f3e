"""What both readers share: a container of files, bounded documents, blobs by digest.

Invariants: a document is read whole only if it is small, and is checked against
its digest before it is parsed; it is read and parsed once, and counts towards
``MAX_DOCUMENTS`` as often as it is named, so a small archive cannot stand for
much work, memory or output; errors name the archive and the document.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from imgpack.errors import (
    ArchiveError,
    ImgpackError,
    LimitError,
    NotFoundError,
    about,
)
from imgpack.files.blobs import verify_stream
from imgpack.image.image import Image, MultiImage, artifact
from imgpack.spec.config import ImageConfig
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.json import MAX_DOCUMENT, MAX_DOCUMENTS
from imgpack.spec.manifest import Index, Manifest, parse_document
from imgpack.spec.reference import Reference
from imgpack.store.contents import blob_path

_LEAST: Final = 1 << 10
"""What the smallest document counts for: so their number is bounded too."""


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
    _raws: dict[Descriptor, bytes] = field(default_factory=dict)
    _manifests: dict[tuple[Digest, str], Manifest | Index] = field(default_factory=dict)
    _configs: dict[Digest, ImageConfig] = field(default_factory=dict)
    _named: int = 0

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

    def count(self, size: int) -> None:
        """Take note that a document of ``size`` bytes is named. Raises ``LimitError``."""
        self._named += max(size, _LEAST)
        if self._named > MAX_DOCUMENTS:
            raise LimitError(
                f"{self.path} names manifests and configurations of more than "
                f"{MAX_DOCUMENTS} bytes together",
                "make several archives, each of fewer images",
            )

    def document(self, descriptor: Descriptor, what: str) -> bytes:
        """A small blob, verified. Raises ``DigestError``, ``LimitError``, ``NotFoundError``."""
        what = f"{self.path}: {what} {descriptor.digest}"
        if descriptor.size > MAX_DOCUMENT:
            raise LimitError(
                f"{what} has {descriptor.size} bytes", f"at most {MAX_DOCUMENT} are accepted"
            )
        self.count(descriptor.size)
        bare = Descriptor("", descriptor.digest, descriptor.size)
        if bare not in self._raws:
            chunks = verify_stream(self.read_blob(descriptor), descriptor, what)
            self._raws[bare] = b"".join(chunks)
        return self._raws[bare]

    def manifest(self, descriptor: Descriptor) -> Manifest | Index:
        """A manifest or index, verified."""
        raw = self.document(descriptor, "manifest")
        key = descriptor.digest, descriptor.media_type
        if key not in self._manifests:
            what = f"{self.path}: manifest {descriptor.digest}"
            self._manifests[key] = parse_document(raw, descriptor.media_type, what)
        return self._manifests[key]

    def config(self, manifest: Manifest) -> ImageConfig:
        """The configuration of ``manifest``, verified."""
        digest = manifest.config.digest
        raw = self.document(manifest.config, "configuration")
        if digest not in self._configs:
            what = f"{self.path}: configuration {digest}"
            self._configs[digest] = ImageConfig.parse(raw, what)
        return self._configs[digest]

    def artifact(self, manifest: Manifest) -> Image:
        """What is no image, in an index."""
        return artifact(manifest, self.document(manifest.config, "configuration"), self)

    def image(self, manifest: Manifest, names: tuple[Reference, ...]) -> Image:
        """The image of ``manifest``, whose layers must be there with their sizes."""
        config = self.config(manifest)
        with about(self.path):
            image = Image(manifest, config, self, names)
        for layer in image.layers:
            size = self.container.size(self.name(layer.digest))
            if size is not None and size != layer.size:
                raise ArchiveError(
                    f"{self.path}: the layer {layer.digest} has {size} bytes, "
                    f"and its manifest says {layer.size}",
                    "the archive is damaged; make it again",
                )
        return image


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
