"""gzip (RFC 1952): written by libdeflate, one member a segment."""

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from imgpack.compression.adaptive import RULE, STORED
from imgpack.compression.algorithm import Algorithm, Bytes, Surroundings, equal
from imgpack.compression.checksum import crc32
from imgpack.compression.inflate import GZIP_HEADER, inflate

_BLOCK: Final = 0xFFFF
"""Bytes of a stored block at most."""


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
        yield from inflate(chunks)
    except zlib.error as error:
        # "Error -3 while decompressing data: " says nothing to people.
        raise ValueError(str(error).rpartition(": ")[2]) from error


GZIP: Final = Algorithm((1, 12), RULE, _version, _compress, _restores, _decompress)
