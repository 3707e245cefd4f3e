"""An engine as what an image is built into, alone or beside an archive.

Invariants: layers lie in nameless files, or where the other sink has them, and are read from
there; the engine gets an image when all of it is there, and after the other sink.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from imgpack.engine.loading import Engine, Loaded, load_images
from imgpack.events import SILENT, Reporter
from imgpack.files.blobs import BlobWriter
from imgpack.files.scratch import ScratchBlobs, ScratchFile
from imgpack.image.image import BlobSource, Named, Published, ReadableSink, with_made
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.format import Format


class LoadingSink:
    """An engine as a ``ReadableSink``; a context manager, around one image or index.

    The image goes into ``also`` first, if that is given; ``scratch`` finds the directory for its
    layers if not. ``on_loaded`` is told of each name when the engine has it.
    """

    def __init__(
        self,
        engine: Engine,
        also: ReadableSink | None,
        scratch: Callable[[], str],
        *,
        reporter: Reporter = SILENT,
        on_loaded: Callable[[Loaded], object] = lambda loaded: None,
    ) -> None:
        self.default_format = Format.DOCKER if also is None else also.default_format
        self._engine = engine
        self._also = also
        self._scratch = scratch
        self._reporter = reporter
        self._on_loaded = on_loaded
        self._made: dict[Digest, BlobSource] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if self._also is None:
            file = self._stack.enter_context(closing(ScratchFile(self._scratch())))
            self._store: ScratchBlobs | ReadableSink = ScratchBlobs(file)
        else:
            self._store = self._also
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def reserve(self, draft: Named, known: frozenset[Digest] = frozenset()) -> None:
        """As the other sink does."""
        if self._also is not None:
            self._also.reserve(draft, known)

    def open_blob(self, expected_size: int | None = None) -> BlobWriter:
        """Start a layer where layers lie."""
        return _KeptLayer(self._store.open_blob(expected_size), self._store, self._made)

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a layer that was committed."""
        return self._store.read_blob(descriptor, offset)

    def write(self, images: Sequence[Named], *, jobs: int = 4) -> tuple[Published, ...]:
        """Write into the other sink, then load. Raises what it and ``load_images`` do."""
        if self._also is None:
            names = [(name, one) for one in images for name in one.names or (None,)]
            published = tuple(Published(name, one.image.document.descriptor) for name, one in names)
        else:
            published = self._also.write(images, jobs=jobs)
        readable = [replace(one, image=with_made(one.image, self._made)) for one in images]
        for loaded in load_images(self._engine, readable, self._reporter):
            self._on_loaded(loaded)
        return published


@dataclass(frozen=True, slots=True)
class _KeptLayer:
    """A layer that is being written, and remembered when it is complete."""

    blob: BlobWriter
    store: BlobSource
    made: dict[Digest, BlobSource]

    def write(self, data: bytes | memoryview) -> None:
        self.blob.write(data)

    def commit(self, digest: Digest, size: int) -> None:
        self.blob.commit(digest, size)
        self.made[digest] = self.store

    def abort(self) -> None:
        self.blob.abort()


if TYPE_CHECKING:

    def _meets(sink: LoadingSink) -> ReadableSink:
        return sink
