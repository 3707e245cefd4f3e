"""Files without a name, and blobs on their way in that lie in one; directories for a while.

Invariants: such a file has no name from the moment it exists (where a file system
cannot do that, from the next), so nothing is left behind however the process ends,
and what a killed process left of a directory the next one removes; any number of blobs
share one file, and so one descriptor; memory holds one piece of a blob.
"""

import os
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from imgpack.files.atomic import Temporary, sweep
from imgpack.files.blobs import BlobWriter
from imgpack.files.writing import pwrite_all, scratch_errors
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest

_NAMELESS: Final = os.O_RDWR | os.O_TMPFILE | os.O_EXCL | os.O_CLOEXEC
_PIECE: Final = 1 << 20


def nameless_file(directory: str) -> int:
    """The descriptor of a new file without a name in ``directory``. Raises ``OSError``."""
    with suppress(OSError):  # NFS, FUSE and old overlays have no such files
        return os.open(directory, _NAMELESS, 0o600)
    with Temporary(directory, "nameless", mode=0o600, locked=False).open_file() as file:
        return os.dup(file.fd)


@contextmanager
def directory_for_a_while(directory: str, label: str) -> Iterator[str]:
    """A new directory below ``directory``, of nobody else's, that is gone after the block.

    What killed processes of this user left there under the same label goes first. Raises
    ``OutputError`` naming ``directory``.
    """
    with Temporary(directory, label) as made:
        with scratch_errors(directory):
            made.open_directory(private=True)
            sweep(directory, label, owner=os.fstat(made.fd).st_uid)
        yield made.path


class ScratchFile:
    """A nameless file that grows; closed when nobody holds it any more.

    Raises ``OutputError`` naming the directory.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        with scratch_errors(directory):
            self._descriptor = nameless_file(directory)
        self._finalizer = weakref.finalize(self, os.close, self._descriptor)
        self.size = 0

    def append(self, data: bytes | memoryview) -> None:
        """Add ``data`` at the end."""
        with scratch_errors(self._directory):
            pwrite_all(self._descriptor, data, self.size)
        self.size += len(data)

    def read(self, offset: int, end: int) -> Iterator[bytes]:
        """The bytes from ``offset`` to ``end``."""
        while offset < end:
            piece = os.pread(self._descriptor, min(_PIECE, end - offset), offset)
            if not piece:
                return
            offset += len(piece)
            yield piece

    def close(self) -> None:
        """Give the space back now."""
        self._finalizer()


@dataclass(frozen=True, slots=True)
class ScratchBlob:
    """A blob in a scratch file, from the byte ``start``."""

    file: ScratchFile
    start: int
    size: int

    def read(self, offset: int = 0) -> Iterator[bytes]:
        """The bytes from ``offset``."""
        return self.file.read(self.start + offset, self.start + self.size)


class ScratchSource:
    """A source of blobs that are in a scratch file."""

    def __init__(self, blobs: Mapping[Digest, ScratchBlob]) -> None:
        self._blobs = blobs

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes from ``offset``."""
        return self._blobs[descriptor.digest].read(offset)


class ScratchBlobs(ScratchSource):
    """Blobs that are written to a scratch file, one at a time, and read from it then."""

    def __init__(self, file: ScratchFile) -> None:
        self._written: dict[Digest, ScratchBlob] = {}
        self._file = file
        super().__init__(self._written)

    def open_blob(self, expected_size: int | None = None) -> BlobWriter:
        """Start a blob of unknown digest."""
        return _ScratchWriter(self._file, self._written)


class DroppedBlobs(ScratchSource):
    """Blobs with a scratch file each, whose space is given back as soon as one is dropped.

    ``directory`` finds where they lie, when it is needed.
    """

    def __init__(self, directory: Callable[[], str]) -> None:
        self._written: dict[Digest, ScratchBlob] = {}
        self._directory = directory
        super().__init__(self._written)

    def open_blob(self, expected_size: int | None = None) -> BlobWriter:
        """Start a blob of unknown digest."""
        return _OwnFileWriter(ScratchFile(self._directory()), self._written)

    def drop(self, digest: Digest) -> None:
        """Forget a blob, which nobody reads any more."""
        self._written.pop(digest).file.close()

    def close(self) -> None:
        """Drop all of them."""
        for digest in tuple(self._written):
            self.drop(digest)


class _ScratchWriter:
    """The blob at the end of the file."""

    def __init__(self, file: ScratchFile, written: dict[Digest, ScratchBlob]) -> None:
        self._file = file
        self._start = file.size
        self._written = written

    def write(self, data: bytes | memoryview) -> None:
        self._file.append(data)

    def commit(self, digest: Digest, size: int) -> None:
        self._written[digest] = ScratchBlob(self._file, self._start, size)

    def abort(self) -> None:
        """What was written stays until the file is closed, and nobody sees it."""


class _OwnFileWriter(_ScratchWriter):
    """A blob with a file that is its own."""

    _committed = False

    def commit(self, digest: Digest, size: int) -> None:
        super().commit(digest, size)
        self._committed = True

    def abort(self) -> None:
        """Give the space back."""
        if not self._committed:
            self._file.close()
