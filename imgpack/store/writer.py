"""What the writers of archives and layouts share: blobs checked on the way in, then documents.

Invariants: layers stream and are never in memory; nothing is visible under its final
name before all of ``write`` is done, and nothing remains if it is not.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from imgpack.errors import Remedy, UnsupportedError
from imgpack.events import Meter, Reporter, human_size
from imgpack.files.blobs import BlobWriter, verify_stream
from imgpack.files.pool import Stop, run_all
from imgpack.image.image import Named, Published, ReadableSink, images_in, with_held
from imgpack.image.plan import Plan, PlannedBlob, one_for_each, plan
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.format import Format
from imgpack.store.contents import documents


class ImageWriter(ABC):
    """An archive or layout that is being written: a context manager and a ``ReadableSink``.

    Layers may be streamed in as they are made (``open_blob``); ``write`` copies in what
    is not there yet, and makes it all visible: it is the last call. Left without it,
    nothing remains. An image with layers that its source does not hold is written without
    them if it may be ``shallow``. Methods raise ``OutputError`` naming the path.
    """

    default_format = Format.DOCKER
    """Whose media types an image has here if nobody says: what loaders of archives expect."""

    def __init__(self, path: str, reporter: Reporter, *, shallow: bool = False) -> None:
        self.path = path
        self.reporter = reporter
        self._shallow = shallow
        self._written = False

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
    def _open_known(self, descriptor: Descriptor) -> BlobWriter:
        """Start a blob that is known; several may be open at once."""

    @abstractmethod
    def _prepare(self, images: Sequence[Named]) -> None:
        """Make room for what will be written."""

    @abstractmethod
    def _size(self, digest: Digest) -> int | None:
        """The size in bytes of a blob that is there, or ``None``."""

    @abstractmethod
    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes from ``offset`` of a blob that was committed, before ``write``."""

    @abstractmethod
    def _publish(self, images: Sequence[Named]) -> None:
        """Write the documents, whose blobs are all there, and make everything visible."""

    def reserve(self, draft: Named, known: frozenset[Digest] = frozenset()) -> None:
        """Make room for the documents of ``draft``; a wrong guess only costs time.

        Digests and sizes that are not known yet may be any of the same length.
        """
        self._check_new()
        self._check_whole(plan((draft,)))
        self._prepare((draft,))

    def write(self, images: Sequence[Named], *, jobs: int = 4) -> tuple[Published, ...]:
        """Copy in what is missing, complete, sync and publish; as ``ImageSink.write`` says."""
        self._check_new()
        images = one_for_each(images)
        planned = plan(images)
        lost = self._check_whole(planned)
        held = frozenset(layer.digest for layer in planned.missing if layer not in lost)
        # What the writer has already is not said to be left out.
        images = [replace(named, image=with_held(named.image, held)) for named in images]
        self._prepare(images)
        known = documents(images)
        stop = Stop()
        tasks = [
            partial(self._copy, blob, stop)
            for blob in planned.blobs
            if blob.descriptor.digest not in known
        ]
        run_all(tasks, jobs, stop)
        self._written = True
        self._publish(images)
        if lost:
            self.reporter.warn(
                f"{self.path} is shallow: it is without {_told(lost)}, of use only where that is"
            )
        for named in images:
            self._warn_of_no_name(named)
        return tuple(
            Published(name, named.image.document.descriptor)
            for named in images
            for name in named.names or (None,)
        )

    def _check_whole(self, planned: Plan) -> list[Descriptor]:
        """The layers that nobody has. Raises ``UnsupportedError`` if they are needed."""
        lost = [one for one in planned.missing if self._size(one.digest) != one.size]
        if lost and not self._shallow:
            raise UnsupportedError(
                f"{self.path} would be without {_told(lost)}", Remedy.MAKE_SHALLOW()
            )
        return lost

    def _check_new(self) -> None:
        if self._written:
            raise RuntimeError(f"{self.path} was written: create it again to write more")

    def _copy(self, blob: PlannedBlob, stop: Stop) -> None:
        descriptor = blob.descriptor
        if self._size(descriptor.digest) == descriptor.size:
            return
        meter = self.reporter.begin(descriptor.digest.hex[:12], descriptor.size)
        try:
            self._take_in(blob, meter, stop)
        finally:
            meter.end()

    def _take_in(self, blob: PlannedBlob, meter: Meter, stop: Stop) -> None:
        descriptor = blob.descriptor
        chunks = blob.source.read_blob(descriptor)
        writer = self._open_known(descriptor)
        try:
            for chunk in verify_stream(chunks, descriptor, f"blob {descriptor.digest}"):
                stop.check()
                writer.write(chunk)
                meter.advance(len(chunk))
            writer.commit(descriptor.digest, descriptor.size)
        finally:
            writer.abort()

    def _warn_of_no_name(self, named: Named) -> None:
        if not named.tags and any(images_in(named.image)):
            self.reporter.warn(
                f"{self.path}: an image has no name; containerd-based loaders (ctr, kind, k3s)"
                " store nothing of it, Docker and podman load it by its ID",
                Remedy.NAME_IT(),
            )


def _told(lost: Sequence[Descriptor]) -> str:
    """Layers that are left out, in words."""
    what = f"{len(lost)} layers of its base, as" if len(lost) > 1 else "the layer of its base,"
    return f"{what} {lost[0].digest} ({human_size(sum(layer.size for layer in lost))})"


if TYPE_CHECKING:

    def _meets(writer: ImageWriter) -> ReadableSink:
        return writer
