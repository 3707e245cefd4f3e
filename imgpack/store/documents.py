"""What both readers share: a container of files, small ones read whole, blobs by digest."""

from collections.abc import Callable, Iterator
from typing import Protocol

from imgpack.errors import ArchiveError, ImgpackError, LimitError, NotFoundError
from imgpack.files.blobs import verify_stream
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.json import MAX_DOCUMENT
from imgpack.spec.reference import Reference
from imgpack.store.contents import blob_path
from imgpack.tar.index import TarFile


class Container(Protocol):
    """Named files: a tar archive or a directory."""

    def size(self, name: str) -> int | None:
        """The size in bytes of a regular file, or ``None`` if it is not there."""

    def chunks(self, name: str, offset: int = 0) -> Iterator[bytes]:
        """Its bytes from ``offset``."""

    def close(self) -> None:
        """Close what is open."""


class ContainerSource:
    """The blobs and documents of a container: an ``ImageSource``.

    ``names`` are the files of those that are not under their digest, ``paths`` says where
    all others may be, ``made`` are the documents that the container does not hold as such,
    ``left_out`` the layers that it says that it is without.
    """

    def __init__(self, container: Container, path: str) -> None:
        self.container = container
        self.path = path
        self.names: dict[Digest, str] = {}
        self.made: dict[Digest, bytes] = {}
        self.left_out: set[Digest] = set()
        self.paths: Callable[[Digest], tuple[str, ...]] = lambda digest: (blob_path(digest),)

    def size(self, digest: Digest) -> int | None:
        """The size in bytes of a blob, or ``None`` if it is not there."""
        return self.container.size(self._name(digest))

    def lacks(self, digest: Digest) -> bool:
        """Whether a blob is not there, and the container says so."""
        return digest in self.left_out and self.size(digest) is None

    def check_size(self, blob: Descriptor) -> None:
        """Refuse a blob of another size than ``blob`` says. Raises ``ArchiveError``."""
        size = self.size(blob.digest)
        if size is None and isinstance(self.container, TarFile) and not self.container.ended:
            raise ArchiveError(
                f"{self.path} is truncated: it has no end, and no layer {blob.digest}",
                "copy or make it again",
            )
        if size not in (None, blob.size):
            raise ArchiveError(
                f"{self.path}: the layer {blob.digest} has {size} bytes, "
                f"and its manifest says {blob.size}",
                "the archive is damaged; make it again",
            )

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a blob from ``offset``, not verified. Raises ``NotFoundError``."""
        if descriptor.digest in self.made:
            yield self.made[descriptor.digest][offset:]
            return
        if self.size(descriptor.digest) is None:
            raise NotFoundError(f"{self.path} has no blob {descriptor.digest}")
        yield from self.container.chunks(self._name(descriptor.digest), offset)

    def fetch(self, descriptor: Descriptor) -> bytes | None:
        """A document, verified; ``None`` if it is not there. Raises ``DigestError``."""
        if descriptor.digest in self.made:
            return self.made[descriptor.digest]
        if self.size(descriptor.digest) is None:
            return None
        what = f"{self.path}: document {descriptor.digest}"
        return b"".join(verify_stream(self.read_blob(descriptor), descriptor, what))

    def _name(self, digest: Digest) -> str:
        if digest in self.names:
            return self.names[digest]
        first, *others = self.paths(digest)
        return next((name for name in others if self.container.size(name) is not None), first)


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
