"""The bytes of an archive in order, out of chunks as they come or out of a file."""

import os
from collections.abc import Iterable, Iterator
from typing import Protocol

from imgpack.files.reading import CHUNK, read_range
from imgpack.tar.header import BLOCK


class Forward(Protocol):
    """The bytes of an archive from the place ``offset`` on."""

    offset: int

    def peek(self, size: int) -> bytes:
        """The next ``size`` bytes, or fewer at the end; they come again."""

    def pieces(self, size: int) -> Iterator[bytes]:
        """The next ``size`` bytes, or fewer at the end."""

    def skip(self, size: int) -> int:
        """Pass over ``size`` bytes; how many there were."""


class ForwardChunks:
    """A stream that is read once."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.offset = 0
        self._chunks = iter(chunks)
        self._buffer = b""
        self._at = 0

    def peek(self, size: int) -> bytes:
        """As ``Forward.peek``."""
        end = self._at + size
        if end > len(self._buffer):
            parts = [self._buffer[self._at :]]
            there = len(parts[0])
            while there < size and (chunk := next(self._chunks, None)) is not None:
                parts.append(chunk)
                there += len(chunk)
            self._buffer, self._at, end = b"".join(parts), 0, size
        return self._buffer[self._at : end]

    def pieces(self, size: int) -> Iterator[bytes]:
        """As ``Forward.pieces``."""
        while size > 0:
            if self._at == len(self._buffer):
                chunk = next(self._chunks, None)
                if chunk is None:
                    return
                self._buffer, self._at = chunk, 0
            piece = self._buffer[self._at : self._at + size]
            self._at += len(piece)
            self.offset += len(piece)
            size -= len(piece)
            if piece:
                yield piece

    def skip(self, size: int) -> int:
        """As ``Forward.skip``."""
        if self._at + size <= len(self._buffer):
            self._at += size
            self.offset += size
            return size
        return sum(map(len, self.pieces(size)))


class ForwardFile:
    """A regular file, by ``pread``."""

    def __init__(self, descriptor: int) -> None:
        self.offset = 0
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._window = b""
        self._start = 0

    def peek(self, size: int) -> bytes:
        """As ``Forward.peek``."""
        at = self.offset - self._start
        if at < 0 or at + size > len(self._window):
            # Small where content was passed over: most of what follows is content again.
            more = CHUNK if at <= len(self._window) else 4 * BLOCK
            self._window = b"".join(read_range(self._descriptor, self.offset, max(size, more)))
            self._start, at = self.offset, 0
        return self._window[at : at + size]

    def pieces(self, size: int) -> Iterator[bytes]:
        """As ``Forward.pieces``."""
        for piece in read_range(self._descriptor, self.offset, size):
            self.offset += len(piece)
            yield piece

    def skip(self, size: int) -> int:
        """As ``Forward.skip``."""
        there = max(min(size, self._size - self.offset), 0)
        self.offset += there
        return there
