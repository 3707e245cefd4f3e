"""gzip (RFC 1952): written by libdeflate, one member a segment; read by zlib."""

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from imgpack.compression.adaptive import RULE, STORED
from imgpack.compression.algorithm import Algorithm, Bytes, Surroundings, equal, slices
from imgpack.compression.checksum import crc32

GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Deflate, no name, no time, no extra flags, unknown system: nothing of the host, nothing of
the level."""

_BLOCK: Final = 0xFFFF
"""Bytes of a stored block at most."""
_CHUNK: Final = 1 << 20
_INPUT: Final = 1 << 15
"""Bytes fed to zlib at a time: it copies what is behind a member, which may have 20 bytes."""


def _version() -> str:
    import deflate

    return f"deflate-{deflate.__version__}"


def _compress(data: Bytes, level: int, crc: int | None, _: Surroundings) -> bytes:
    import deflate

    trailer = struct.pack("<II", crc32(data) if crc is None else crc, len(data) & 0xFFFFFFFF)
    if level == STORED:
        return b"".join((GZIP_HEADER, *_stored(data), trailer))
    return b"".join((GZIP_HEADER, deflate.deflate_compress(data, level), trailer))


def _stored(data: Bytes) -> Iterator[Bytes]:
    """A deflate stream of blocks that are as they are (RFC 1951, section 3.2.4)."""
    last = max(len(data) - 1, 0) // _BLOCK * _BLOCK
    for at in range(0, last + 1, _BLOCK):
        block = data[at : at + _BLOCK]
        yield struct.pack("<BHH", at == last, len(block), len(block) ^ 0xFFFF)
        yield block


def _restores(data: Bytes, raw: Bytes, _: Surroundings) -> bool:
    import deflate

    try:
        restored = deflate.gzip_decompress(data, len(raw))
    except deflate.DeflateError:
        return False
    return data[: len(GZIP_HEADER)] == GZIP_HEADER and equal(restored, raw)


def _decompress(chunks: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from _inflate(chunks)
    except zlib.error as error:
        raise ValueError(str(error)) from error


def _inflate(chunks: Iterable[bytes]) -> Iterator[bytes]:
    member = None
    for chunk in slices(chunks, _INPUT):
        while chunk:
            if member is None:
                member = zlib.decompressobj(wbits=31)
            yield (part := member.decompress(chunk, _CHUNK))
            while len(part) == _CHUNK:  # there may be more, with or without input left
                yield (part := member.decompress(member.unconsumed_tail, _CHUNK))
            chunk = member.unused_data
            if member.eof:
                member = None
    if member is not None:
        raise EOFError("it ends in the middle of a member")


GZIP: Final = Algorithm((1, 12), RULE, _version, _compress, _restores, _decompress)
