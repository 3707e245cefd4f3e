"""Memory that segments are put together in, used again when a segment is written.

Files are read to where they will lie in the segment: no byte is copied to be
joined with others. Memory from the system is as dear as filling it, so it goes round.
"""

import mmap
from typing import Final

_PAGE: Final = mmap.PAGESIZE


def memory(size: int) -> memoryview:
    """So many bytes of zeros."""
    return memoryview(mmap.mmap(-1, size))


class Buffer:
    """Bytes that grow at the end; ``view[:filled]`` are those written so far.

    The memory is the system's until it is touched, so room that is not used costs nothing.
    """

    __slots__ = ("filled", "view")

    def __init__(self, view: memoryview) -> None:
        self.view = view
        self.filled = 0

    def reserve(self, count: int) -> memoryview:
        """The view, with room for ``count`` bytes more than are filled."""
        wanted = self.filled + count
        if wanted > len(self.view):
            larger = memory(-(-wanted // _PAGE) * _PAGE)
            larger[: self.filled] = self.view[: self.filled]
            self.view = larger
        return self.view

    def append(self, data: bytes | memoryview) -> None:
        """Write ``data`` at the end."""
        end = self.filled + len(data)
        self.reserve(len(data))[self.filled : end] = data
        self.filled = end


class Buffers:
    """Buffers of one size that go round; ``give`` may be called from any thread."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free: list[Buffer] = []

    def take(self) -> Buffer:
        """An empty buffer."""
        try:
            buffer = self._free.pop()
        except IndexError:
            return Buffer(memory(self._size))
        buffer.filled = 0
        return buffer

    def give(self, buffer: Buffer) -> None:
        """Take ``buffer`` back: nobody looks at it any more. One that grew is let go."""
        if len(buffer.view) == self._size:
            self._free.append(buffer)
