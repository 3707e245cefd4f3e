"""Inputs that a user names: a file that can be read at any place, or a stream that cannot."""

import errno
import io
import os
import stat
import weakref
from collections.abc import Iterator
from typing import Any, BinaryIO, Protocol

from imgpack.files.reading import CHUNK, NotRegularError, read_range
from imgpack.files.streams import named_descriptor


class Stored(Protocol):
    """Bytes that stay where they are, to be read at any place as often as needed."""

    def read(self, offset: int, end: int) -> Iterator[bytes]:
        """The bytes from ``offset`` to ``end``, or fewer if there are no more."""


class StoredFile:
    """A regular file that is open; closed when nobody holds it any more."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._finalizer = weakref.finalize(self, os.close, descriptor)

    def read(self, offset: int, end: int) -> Iterator[bytes]:
        """As ``Stored.read``. Raises ``OSError``."""
        return read_range(self.descriptor, offset, end - offset)

    def close(self) -> None:
        """Close it now."""
        self._finalizer()


def open_input(path: str) -> int:
    """A descriptor of the file, pipe or open descriptor (``/dev/stdin``) at ``path``, or null.

    Raises ``OSError``, of which ``NotRegularError`` for anything else.
    """
    named = named_descriptor(path)
    if named is not None:
        descriptor = os.dup(named)
    else:
        # Whoever names a pipe waits for its writer; nothing else is waited for.
        waits = stat.S_ISFIFO(os.stat(path).st_mode)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if waits else os.O_NONBLOCK))
        except OSError as error:
            if error.errno == errno.ENXIO:  # a socket, or a device of nothing
                raise NotRegularError(error.errno, "neither a file nor a directory") from error
            raise
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or _is_null(descriptor):
        return descriptor
    os.close(descriptor)
    raise NotRegularError(errno.EINVAL, "neither a file nor a directory")


def _is_null(descriptor: int) -> bool:
    """Whether it is ``/dev/null``, an empty stream: so services have their standard input."""
    status = os.fstat(descriptor)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == os.stat(os.devnull).st_rdev


def is_regular(descriptor: int) -> bool:
    """Whether what is open can be read at any place."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def read_input(descriptor: int) -> Iterator[bytes]:
    """The bytes of what is open, in chunks: a file from its start, a stream from where it is."""
    if is_regular(descriptor):
        yield from read_range(descriptor, 0, None)
        return
    while piece := os.read(descriptor, CHUNK):
        yield piece


class _Pieces(io.RawIOBase):
    """A file of the bytes that an iterator gives."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def file_of(pieces: Iterator[bytes]) -> BinaryIO:
    """A file of the bytes in ``pieces``, to be read once."""
    return io.BufferedReader(_Pieces(pieces), CHUNK)
