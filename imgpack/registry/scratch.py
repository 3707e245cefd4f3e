"""Blobs on their way in, in files without a name.

Invariants: a scratch file has no name from the moment it exists, so nothing is
left behind however the process ends; memory holds one piece of a blob.
"""

import os
import tempfile
import weakref
from collections.abc import Iterator
from typing import Final

from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest

_PIECE: Final = 1 << 20


class ScratchFile:
    """A nameless file that grows; closed when nobody holds it any more."""

    def __init__(self, directory: str | None = None) -> None:
        descriptor, path = tempfile.mkstemp(prefix=".imgpack-", dir=directory)
        os.unlink(path)
        self._descriptor = descriptor
        self._finalizer = weakref.finalize(self, os.close, descriptor)
        self.size = 0

    def append(self, data: bytes) -> None:
        """Add ``data`` at the end. Raises ``OSError``."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, self.size)
            self.size += written
            view = view[written:]

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


class ScratchSource:
    """A source of blobs that are in scratch files."""

    def __init__(self, files: dict[Digest, ScratchFile]) -> None:
        self._files = files

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes from ``offset``."""
        file = self._files[descriptor.digest]
        return file.read(offset, file.size)
