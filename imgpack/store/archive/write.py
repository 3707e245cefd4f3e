"""Writing the one combined archive, to a file or as a stream, and choosing the kind of output.

The archive is what ``contents`` and ``assembly`` say it is: ``oci-layout``,
``index.json``, ``manifest.json``, ``schema1.json`` (Docker format only),
``blobs/``, then manifests, configurations and layers, each once, and two zero
blocks. It is never compressed as a whole and holds no links.
"""

import os
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import BinaryIO, Final, Self

from imgpack.errors import OutputError, about
from imgpack.events import SILENT, Reporter
from imgpack.files.atomic import AtomicFile
from imgpack.files.blobs import BlobWriter
from imgpack.files.scratch import nameless_file
from imgpack.files.streams import STDOUT, StreamFile, is_stream
from imgpack.files.writing import output_errors, scratch_errors
from imgpack.image.image import Named
from imgpack.image.location import is_layout
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.store.archive.assembly import Assembly
from imgpack.store.writer import ImageWriter

_COMPRESSED: Final = (
    ".tar.gz",
    ".tgz",
    ".tar.zst",
    ".tzst",
    ".tar.xz",
    ".txz",
    ".tar.bz2",
    ".tbz2",
)
_TRANSPORT: Final = re.compile(r"(oci|oci-archive|docker-archive|dir):([^:]+)")


def open_writer(
    target: str,
    *,
    stdout: BinaryIO | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
    reporter: Reporter = SILENT,
    prune: bool = False,
    shallow: bool = False,
    replaced: Collection[Digest] = (),
) -> ImageWriter:
    """Where an image is written to, by the form of ``target``; use it in a ``with``.

    ``-`` streams to ``stdout``; a path that ends in ``/``, or is a directory, is
    an OCI layout; any other is an archive file. A pipe, a device or a descriptor of
    this process (``/dev/stdout``) is streamed to.
    ``scratch`` finds the directory for a stream's assembly; ``prune`` is for a layout, and
    removes what nothing in it names, and so are documents that go as they are ``replaced``;
    ``shallow``: without the layers that are not at hand.
    Raises ``OutputError``.
    """
    if not target:
        raise OutputError("the output has an empty name", "name a file, or - for standard output")
    if "\0" in target:
        raise OutputError(f"{target!r} is no path: it has a NUL in it")
    if target == STDOUT:
        if stdout is None:
            raise ValueError("standard output is wanted and was not given")
        return StreamWriter("standard output", stdout, scratch, reporter, shallow=shallow)
    if is_layout(target):
        from imgpack.store.layout.write import LayoutWriter

        return LayoutWriter(target, reporter, prune=prune, shallow=shallow, replaced=replaced)
    if is_stream(target):
        return StreamWriter(target, None, scratch, reporter, shallow=shallow)
    _check_name(target)
    return ArchiveWriter(target, reporter, shallow=shallow, in_place=bool(replaced))


def _check_name(target: str) -> None:
    """Refuse a name that promises something else than a plain tar. Raises ``OutputError``."""
    if target.endswith(_COMPRESSED):
        raise OutputError(
            f"{target} would be no compressed archive: few loaders read one, and the layers "
            "are compressed",
            f"write {target[: -len(_suffix(target))]}.tar, or pipe - into a compressor",
        )
    if match := _TRANSPORT.match(target):
        raise OutputError(
            f"{target} is written as skopeo writes it, and would be a file of that name",
            f"write {match[2]}{'/' if match[1] == 'oci' else ''}, or ./{target} if that is meant",
        )


def _suffix(target: str) -> str:
    return next(end for end in _COMPRESSED if target.endswith(end))


class _TarWriter(ImageWriter):
    """What the archive file and the stream share: an assembly."""

    def __init__(self, path: str, reporter: Reporter, *, shallow: bool = False) -> None:
        super().__init__(path, reporter, shallow=shallow)
        self._stack = ExitStack()
        self._open: Assembly | None = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open = None
        self._stack.__exit__(kind, error, traceback)

    @property
    def _assembly(self) -> Assembly:
        if self._open is None:
            raise RuntimeError("a writer is used outside of its with block")
        return self._open

    def _prepare(self, images: Sequence[Named]) -> None:
        with about(self.path):
            self._assembly.plan(images)

    def open_blob(self, expected_size: int | None = None) -> BlobWriter:
        """Start a layer of unknown digest behind what was written before."""
        return self._assembly.open(expected_size)

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a layer that was written, from where it lies."""
        return self._assembly.read(descriptor, offset)

    def _open_known(self, descriptor: Descriptor) -> BlobWriter:
        return self._assembly.reserve(descriptor)

    def _size(self, digest: Digest) -> int | None:
        return self._assembly.size(digest)


class ArchiveWriter(_TarWriter):
    """An archive file; its assembly lies beside it and becomes it by a rename.

    It is not synced, as no archiver does: that would cost more than the build, and
    after a power cut every digest in it tells whether it is whole. One that is changed
    ``in_place`` is, for there may be no other, and whoever could not read it cannot then.
    """

    def __init__(
        self, path: str, reporter: Reporter, *, shallow: bool = False, in_place: bool = False
    ) -> None:
        super().__init__(path, reporter, shallow=shallow)
        self._in_place = in_place

    def __enter__(self) -> Self:
        file = AtomicFile(self.path, keep_mode=self._in_place)
        self._file = self._stack.enter_context(file)
        self._open = Assembly(self._file.fileno(), partial(output_errors, self.path))
        return self

    def _publish(self, images: Sequence[Named]) -> None:
        """Fill in the front and rename; copy first if a blob does not lie right."""
        parts = self._assembly.parts(images)
        if self._assembly.finalize(parts):
            self._file.commit(sync=self._in_place)
            return
        self.reporter.detail(f"{self.path}: the layers move to their places, by a copy")
        with AtomicFile(self.path, keep_mode=self._in_place) as second:
            self._assembly.copy(parts, second.fileno())
            second.commit(sync=self._in_place)


class StreamWriter(_TarWriter):
    """An archive that goes out in one piece, without seeks, once it is complete.

    The assembly is a file without a name where ``scratch`` says, gone however this ends.
    """

    def __init__(
        self,
        path: str,
        stdout: BinaryIO | None,
        scratch: Callable[[], str],
        reporter: Reporter,
        *,
        shallow: bool = False,
    ) -> None:
        super().__init__(path, reporter, shallow=shallow)
        self._stdout = stdout
        self._scratch = scratch

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            if self._stdout is None:
                self._stream = stack.enter_context(StreamFile(self.path))
            directory = self._scratch()
            errors = partial(scratch_errors, directory)
            with errors():
                assembly = nameless_file(directory)
            stack.callback(os.close, assembly)
            self._open = Assembly(assembly, errors)
            self._stack = stack.pop_all()
        return self

    def _publish(self, images: Sequence[Named]) -> None:
        """Write the archive out; ``BrokenPipeError`` if its reader went away."""
        chunks = self._assembly.stream(self._assembly.parts(images))
        out = self._stream if self._stdout is None else self._stdout
        with output_errors(self.path):
            for chunk in chunks:
                out.write(chunk)
            if self._stdout is not None:
                self._stdout.flush()
