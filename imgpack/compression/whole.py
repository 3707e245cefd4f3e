"""A file that is compressed as a whole, in any way that is common: read back in order.

gzip and zstd as layers are; xz and bzip2, which no layer has, by the standard library.
"""

import bz2
import lzma
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Final

from imgpack.compression.codec import MAX_LAYER, decompress
from imgpack.errors import ArchiveError, LimitError
from imgpack.spec.format import Compression, detect

_HEAD: Final = 512
"""Bytes that tell how a file is compressed."""
_PART: Final = 1 << 20
"""Bytes that come out at once, however well they were compressed."""
_MEMORY: Final = 1 << 28
"""Bytes of memory for xz: four times what ``xz -9`` needs."""

_Decompressor = lzma.LZMADecompressor | bz2.BZ2Decompressor


def plain(chunks: Iterable[bytes], *, limit: int = MAX_LAYER) -> Iterator[bytes]:
    """The bytes of a file that is compressed somehow, or not at all, in constant memory.

    Raises ``ArchiveError`` for one that is damaged or cut, and ``LimitError`` when more
    than ``limit`` bytes come out, or more memory is needed than any usual file needs.
    """
    chunks = iter(chunks)
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= _HEAD:
            break
    rest: Iterator[bytes] = chain([head], chunks)
    kind = detect(head)
    if kind == "xz":
        rest, kind = _streams(rest, kind, lambda: lzma.LZMADecompressor(memlimit=_MEMORY)), "none"
    elif kind == "bzip2":
        rest, kind = _streams(rest, kind, bz2.BZ2Decompressor), "none"
    yield from decompress(rest, Compression(kind), limit=limit)


def _streams(
    chunks: Iterable[bytes], kind: str, begin: Callable[[], _Decompressor]
) -> Iterator[bytes]:
    """One stream after another, each with the zeros behind it that xz allows."""
    decompressor: _Decompressor | None = None
    try:
        for chunk in chunks:
            while chunk or (decompressor is not None and not decompressor.needs_input):
                if decompressor is None:
                    chunk = chunk.lstrip(b"\0")
                    if not chunk:
                        break
                    decompressor = begin()
                yield decompressor.decompress(chunk, _PART)
                chunk = decompressor.unused_data if decompressor.eof else b""
                if decompressor.eof:
                    decompressor = None
    except (OSError, lzma.LZMAError) as error:
        if "memory" in str(error).lower():
            raise LimitError(
                f"it takes more than {_MEMORY >> 20} MiB of memory to decompress",
                "compress it again with an ordinary level",
            ) from error
        raise ArchiveError(f"the {kind} stream is damaged: {error}") from error
    if decompressor is not None:
        raise ArchiveError(f"the {kind} stream is damaged: it is cut off")
