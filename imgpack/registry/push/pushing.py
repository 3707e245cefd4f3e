"""Pushing an image while it is built: each layer is on its way as soon as it is complete.

Invariants: what a push asks and sends is asked and sent, once; layers are read from where the
build writes them, else from a scratch file each, whose space is given back when the layer is
sent; after a failure of the registry the build ends with its next write; nothing has a name
before everything is there, and the registries' names come first: what the image is written to
as well appears only when they all have it.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from imgpack.files.blobs import BlobWriter
from imgpack.files.pool import Stop, TaskPool
from imgpack.files.scratch import DroppedBlobs
from imgpack.image.image import (
    BlobSource,
    LayerSink,
    Named,
    Published,
    ReadableSink,
    images_in,
    layers_of,
    with_made,
)
from imgpack.image.plan import PlannedBlob
from imgpack.registry.push.plan import RepositoryPlan
from imgpack.registry.push.push import Pushes, PushOptions, RegistryPush
from imgpack.registry.registries import Registries
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.format import Format
from imgpack.spec.mediatype import OCTET_STREAM


class PushingSink:
    """Registries as a ``LayerSink``; a context manager, around one image or index.

    It goes to all of its names, and into ``also``, if that is given; ``scratch`` finds the
    directory for its layers if not. ``jobs`` blobs are sent at once; ``on_published`` is as
    for ``RegistrySink.write``.
    """

    def __init__(
        self,
        registries: Registries,
        options: PushOptions,
        also: ReadableSink | None,
        scratch: Callable[[], str],
        *,
        jobs: int = 4,
        on_published: Callable[[Published], object] = lambda published: None,
    ) -> None:
        self.default_format = Format.DOCKER if also is None else also.default_format
        self._also = also
        self._scratch = DroppedBlobs(scratch)
        self._store = self._scratch if also is None else also
        self._made: dict[Digest, BlobSource] = {}
        self._on_published = on_published
        stop = Stop()
        self._pushes = Pushes(registries, options, stop, jobs)
        self._pool = TaskPool(jobs, stop)
        self._plans: list[tuple[RegistryPush, list[RepositoryPlan]]] = []
        self._taken: set[Digest] = set()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(closing(self._scratch))
        self._stack.enter_context(self._pool)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def reserve(self, draft: Named, known: frozenset[Digest] = frozenset()) -> None:
        """See that the layers which nobody here holds are there, and send those that are known.

        Raises what ``Pushes.plan`` does.
        """
        if self._also is not None:
            self._also.reserve(draft, known)
        # Its digest is not that of the image.
        names = tuple(replace(name, digest=None) for name in draft.names)
        self._plans = self._pushes.plan([replace(draft, names=names)])
        for image in images_in(draft.image):
            for layer in layers_of(image):
                if layer.digest in known - image.absent:
                    self._send(PlannedBlob(layer, image.source))

    def open_blob(self, expected_size: int | None = None) -> BlobWriter:
        """Start a layer, which is sent once it is committed. Raises what sending others did."""
        self._pool.check()
        return _LeavingLayer(self._store.open_blob(expected_size), self._pool, self._committed)

    def _committed(self, blob: BlobWriter, digest: Digest, size: int) -> None:
        if self._also is None and digest in self._taken:
            blob.abort()  # what is there twice is sent once
            return
        blob.commit(digest, size)
        self._made[digest] = self._store
        self._send(PlannedBlob(Descriptor(OCTET_STREAM, digest, size), self._store), made=True)

    def _send(self, blob: PlannedBlob, *, made: bool = False) -> None:
        digest = blob.descriptor.digest
        if self._plans and digest not in self._taken:
            self._taken.add(digest)
            self._pool.add(partial(self._bring, blob, made=made))

    def _bring(self, blob: PlannedBlob, *, made: bool) -> None:
        sent = [push.bring(blob, plans, held=made) for push, plans in self._plans]
        # What a registry only says to have it may miss when it sees the manifest.
        if all(sent) and blob.source is self._scratch:
            del self._made[blob.descriptor.digest]
            self._scratch.drop(blob.descriptor.digest)

    def write(self, images: Sequence[Named], *, jobs: int = 4) -> tuple[Published, ...]:
        """Push and name what is not there yet; then write all of it into the other sink."""
        self._pool.wait()
        pushed = [replace(one, image=with_made(one.image, self._made)) for one in images]
        published = self._pushes.push(pushed, self._on_published)
        if self._also is not None:
            self._also.write(images, jobs=jobs)
        return published


@dataclass(frozen=True, slots=True)
class _LeavingLayer:
    """A layer that is being written, and leaves when it is complete."""

    blob: BlobWriter
    pool: TaskPool
    committed: Callable[[BlobWriter, Digest, int], None]

    def write(self, data: bytes | memoryview) -> None:
        self.pool.check()
        self.blob.write(data)

    def commit(self, digest: Digest, size: int) -> None:
        self.committed(self.blob, digest, size)

    def abort(self) -> None:
        self.blob.abort()


if TYPE_CHECKING:

    def _meets(sink: PushingSink) -> LayerSink:
        return sink
