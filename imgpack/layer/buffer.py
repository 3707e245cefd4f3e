"""Memory that segments are put together in, used again when a segment is written.

Files are read to where they will lie in the segment: no byte is copied to be
joined with others. Memory from the system is as dear as filling it, so it goes round.
"""

import mmap
import os
from typing import Final, NamedTuple

from imgpack.tree.entry import Entry

_PAGE: Final = mmap.PAGESIZE
LARGE: Final = 32 << 10
"""Bytes of a file whose place in a buffer is noted: they are worth opening it once more."""


def memory(size: int) -> memoryview:
    """So many bytes of zeros."""
    return memoryview(mmap.mmap(-1, size))


class Excerpt(NamedTuple):
    """``size`` bytes of a buffer, from ``at``, which the file ``path`` on disk has from ``offset``.

    ``status`` tells whether it is the same file still, with the same bytes.
    """

    at: int
    size: int
    path: bytes
    offset: int
    status: tuple[int, ...]

    @staticmethod
    def status_of(now: os.stat_result) -> tuple[int, ...]:
        """The status of a file that is open."""
        return (*now[:3], now.st_size, now.st_mtime_ns, now.st_ctime_ns)


class Buffer:
    """Bytes that grow at the end; ``view[:filled]`` are those written so far.

    ``excerpts`` are those that large files have as well, in order.

    The memory is the system's until it is touched, so room that is not used costs nothing.
    """

    __slots__ = ("excerpts", "filled", "view")

    def __init__(self, view: memoryview) -> None:
        self.view = view
        self.filled = 0
        self.excerpts: list[Excerpt] = []

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

    def note(self, at: int, size: int, path: bytes, seen: Entry, offset: int = 0) -> None:
        """The bytes from ``at`` are those of a file, which is as the walk saw it."""
        if size:
            _, _, mode, inode, device, _, _, _, whole, mtime_ns, ctime_ns, *_ = seen
            status = mode, inode, device, whole, mtime_ns, ctime_ns
            self.excerpts.append(Excerpt(at, size, path, offset, status))


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
        buffer.filled, buffer.excerpts = 0, []
        return buffer

    def give(self, buffer: Buffer) -> None:
        """Take ``buffer`` back: nobody looks at it any more. One that grew is let go."""
        if len(buffer.view) == self._size:
            self._free.append(buffer)
