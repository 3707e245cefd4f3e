"""Reading gzip (RFC 1952): members as this program writes them at once, all others by zlib.

libdeflate takes a quarter of the time of zlib, but needs a whole member and its size. Where a
member ends is guessed, by the header of the next, and proved: its trailer is right, and nowhere
else in it, so nothing lies between its end and the next. Where the guess fails zlib reads the
member, from its start. So the bytes are those that zlib gives, and what is damaged is its error
to tell; but libdeflate lets pass that a block has codes for symbols that do not exist.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from imgpack.compression.algorithm import slices

GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Deflate, no name, no time, no extra flags, unknown system: nothing of the host, nothing of
the level. Go's ``compress/gzip`` writes the same."""

_TRAILER: Final = struct.Struct("<II")
_LEAST: Final = len(GZIP_HEADER) + _TRAILER.size
_LARGEST: Final = 4 << 20
"""Bytes that come of a member which is read at once: more is no segment (``algorithm.SMALL``)."""
_LONGEST: Final = _LARGEST + (1 << 16)
"""Bytes of such a member: stored blocks and the header add a little."""
_RATIO: Final = 1032
"""Bytes that come of one at most (zlib's technical details, "Maximum Compression Factor")."""
_CHUNK: Final = 1 << 16
"""Bytes that are at hand beside a member, at most."""
_PART: Final = 1 << 20
"""Bytes that come of zlib at once."""
_INPUT: Final = 1 << 15
"""Bytes fed to zlib at a time: it copies what is behind a member, which may have 20 bytes."""


def inflate(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """What the members in ``chunks`` hold, in constant memory.

    Raises ``EOFError`` for one that is cut, ``zlib.error`` for one that is damaged.
    """
    source = _Source(chunks)
    while source.more(1):
        member = source.member()
        whole = _whole(member)
        if whole is None:
            yield from _streamed(source)
        else:
            source.skip(len(member))
            yield whole


class _Source:
    """The bytes of a stream, the next of which can be looked at."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = slices(chunks, _CHUNK)
        self._buffer = bytearray()

    def more(self, size: int) -> bool:
        """Have ``size`` bytes at hand; whether there are as many."""
        while len(self._buffer) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._buffer += chunk
        return True

    def skip(self, size: int) -> None:
        """Pass over ``size`` bytes that are at hand."""
        del self._buffer[:size]

    def peek(self, size: int) -> bytes:
        """The next bytes, at most ``size``; none at the end."""
        self.more(1)
        return bytes(self._buffer[:size])

    def member(self) -> bytearray:
        """What lies in front of the next header, if a member may be it; else nothing."""
        self.more(_LEAST)
        if not self._buffer.startswith(GZIP_HEADER):
            return bytearray()
        looked = _LEAST
        while (end := self._buffer.find(GZIP_HEADER, looked, _LONGEST)) < 0:
            there = len(self._buffer)
            if there >= _LONGEST:
                return bytearray()
            looked = max(there - len(GZIP_HEADER) + 1, _LEAST)
            if not self.more(there + 1):
                end = there
                break
        return self._buffer[:end]


def _whole(member: bytearray) -> bytes | None:
    """What ``member`` holds, if it is one from its first byte to its last; else ``None``."""
    import deflate

    if len(member) < _LEAST:
        return None
    trailer = member[-_TRAILER.size :]
    _, size = _TRAILER.unpack(trailer)
    if size > min(_LARGEST, len(member) * _RATIO):
        return None
    if member.find(trailer) != len(member) - _TRAILER.size:
        return None  # another one may be the one that libdeflate sees
    try:
        data = deflate.gzip_decompress(member, size or 1)
    except deflate.DeflateError:
        return None
    return bytes(data) if _TRAILER.pack(deflate.crc32(data), len(data)) == trailer else None


def _streamed(source: _Source) -> Iterator[bytes]:
    member = zlib.decompressobj(wbits=31)
    while not member.eof:
        chunk = source.peek(_INPUT)
        if not chunk:
            raise EOFError("it ends in the middle of a member")
        yield (part := member.decompress(chunk, _PART))
        while len(part) == _PART:  # there may be more, with or without input left
            yield (part := member.decompress(member.unconsumed_tail, _PART))
        source.skip(len(chunk) - len(member.unused_data))
