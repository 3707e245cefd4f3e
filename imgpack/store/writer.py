"""What the writers of archives and layouts share: documents in memory, blobs checked on the way in.

Invariants: layers stream and are never in memory; manifests, indexes and
configurations are at most 4 MiB each and are kept until ``finish``; nothing is
visible under its final name before ``finish``, and nothing remains without it.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from imgpack.errors import LimitError
from imgpack.events import Reporter
from imgpack.files.blobs import BlobWriter, verify_stream
from imgpack.image.image import BlobSource, ImageSink, PlanningSink
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.json import MAX_DOCUMENT
from imgpack.spec.manifest import Index, Manifest
from imgpack.spec.reference import Reference
from imgpack.store.contents import Contents, Root

_CONFIGS: Final = frozenset({mediatype.DOCKER_CONFIG, mediatype.OCI_CONFIG})


class ImageWriter(ABC):
    """An archive or layout that is being written: a context manager and an ``ImageSink``.

    Either layers are streamed in as they are made (``open_blob``), or whole
    images are copied in (``put_blob``, from several threads if need be); in both
    cases documents follow, and ``finish`` makes it all visible. Left without
    ``finish``, nothing remains. Methods raise ``OutputError`` naming the path.
    """

    def __init__(self, path: str, reporter: Reporter) -> None:
        self.path = path
        self._reporter = reporter
        self._configs: dict[Digest, bytes] = {}
        self._manifests: dict[Digest, Manifest | Index] = {}
        self._names: dict[Digest, tuple[Reference, ...]] = {}
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove whatever was not finished."""

    @abstractmethod
    def open_blob(self, expected_size: int | None = None) -> BlobWriter:
        """Start a layer of unknown digest; the expected size in bytes is a hint.

        One at a time: commit or abort it before the next call.
        """

    @abstractmethod
    def _reserve(self, descriptor: Descriptor) -> BlobWriter:
        """Start a layer that is known."""

    @abstractmethod
    def _expect(self, contents: Contents) -> None:
        """Prepare for what will probably be put."""

    @abstractmethod
    def _size(self, digest: Digest) -> int | None:
        """The size in bytes of a layer that is there, or ``None``."""

    @abstractmethod
    def finish(self) -> None:
        """Complete, sync and publish; the last call."""

    def plan(
        self,
        document: Manifest | Index,
        names: tuple[Reference, ...],
        *,
        manifests: Iterable[Manifest | Index] = (),
        configs: Iterable[bytes] = (),
    ) -> None:
        """Say before the first layer what will probably be put; a wrong guess only costs time.

        ``document`` is the manifest, or an index over ``manifests``; ``configs``
        are the raw configurations. Digests and sizes that are not known yet may be
        any of the same length: only the length of each document counts.
        """
        children = {child.descriptor.digest: child for child in manifests}
        raws = {Digest.of(raw): raw for raw in configs}
        self._expect(Contents((Root(document, names),), children, raws))

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Whether a layer or configuration was already put."""
        return (
            descriptor.digest in self._configs or self._size(descriptor.digest) == descriptor.size
        )

    def put_blob(self, descriptor: Descriptor, source: BlobSource) -> None:
        """Take in a layer or configuration; ``DigestError`` if its bytes are not what it says."""
        if self.has_blob(descriptor):
            return
        what = f"blob {descriptor.digest}"
        if descriptor.media_type in _CONFIGS:
            if descriptor.size > MAX_DOCUMENT:
                raise LimitError(f"{what}, a configuration, has {descriptor.size} bytes")
            chunks = verify_stream(source.read_blob(descriptor), descriptor, what)
            self.put_document(b"".join(chunks))
            return
        blob = self._reserve(descriptor)
        try:
            for chunk in verify_stream(source.read_blob(descriptor), descriptor, what):
                blob.write(chunk)
            blob.commit(descriptor.digest, descriptor.size)
        finally:
            blob.abort()

    def put_document(self, raw: bytes) -> None:
        """Take in a configuration."""
        self._configs[Digest.of(raw)] = raw

    def put_manifest(self, document: Manifest | Index, names: tuple[Reference, ...]) -> None:
        """Take in a manifest or index and point ``names`` at it; children before their index.

        A name that pointed at another document moves.
        """
        digest = document.descriptor.digest
        with self._guard:
            self._manifests[digest] = document
            for other in self._names:
                self._names[other] = tuple(n for n in self._names[other] if n not in names)
            self._names[digest] = tuple(dict.fromkeys((*self._names.get(digest, ()), *names)))

    def _contents(self) -> Contents:
        """What was put: every document with a name, or that no index holds, is a root."""
        children = {
            entry.digest
            for document in self._manifests.values()
            if isinstance(document, Index)
            for entry in document.manifests
        }
        roots = tuple(
            Root(document, self._names[digest])
            for digest, document in self._manifests.items()
            if self._names[digest] or digest not in children
        )
        for root in roots:
            if not root.tags:
                self._reporter.warn(
                    f"{self.path}: an image has no name; containerd-based loaders (ctr, kind, k3s)"
                    " store nothing of it, Docker and podman load it by its ID; the -t of"
                    " imgpack build and imgpack pull names it"
                )
        return Contents(roots, self._manifests, self._configs)


if TYPE_CHECKING:

    def _meets(writer: ImageWriter) -> tuple[ImageSink, PlanningSink]:
        return writer, writer
