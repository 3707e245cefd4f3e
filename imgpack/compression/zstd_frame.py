"""A zstd frame (RFC 8878) that is put together of blocks that were compressed apart.

A block may refer to what stands before it in the frame, so a segment is compressed with
the end of the one before as its dictionary, and loses nothing by the cut. A decoder that
comes to its blocks differs from the one that the compressor had in mind in one thing: the
three offsets that were used last (section 3.1.1.5), which a frame begins with 1, 4 and 8
and a block may repeat. ``RESET`` puts them back: three blocks of one match each, of three
bytes that are 8, 4 and 1 bytes away. They need a run of equal bytes, which the header of
every tar entry has; where there is none, a frame begins. (Tables of entropy are not
repeated: a dictionary of content alone has none.)
"""

from typing import Final

from imgpack.compression.algorithm import Bytes, Surroundings

WINDOW_LOG: Final = 22
"""The largest window that a segment is compressed with: 4 MiB. It looks back at as much and
its dictionary, which is less than the 8 MiB that every decoder has (section 3.1.1.1.2)."""
REACH: Final = 1 << 20
"""Bytes of the dictionary: as much as level 3 has room for in its tables."""
HEADER: Final = bytes.fromhex("28b52ffd 00 63")
"""The header of a frame of unknown size without a checksum, whose window is 5.5 MiB."""
END: Final = bytes.fromhex("010000")
"""The last block of a frame: an empty one."""

_BEFORE: Final = 8
"""Bytes of the run that are there before the matches."""
_MATCHED: Final = 9
_RUN: Final = bytes(_BEFORE + _MATCHED)
_HEAD: Final = 512
"""Bytes in which the run is looked for: the header of a tar entry."""
_RLE: Final = 1

# Each block: no literals, one sequence, whose three codes are each the only one of its
# table: no literals, the offset's, a length of 3; and the bits of the offset behind a 1.
RESET: Final = b"".join(
    bytes.fromhex(block)
    for block in (
        "3c0000 00 01 54 00 03 00 0b",
        "3c0000 00 01 54 00 02 00 07",
        "3c0000 00 01 54 00 02 00 04",
    )
)


def joint(data: Bytes, before: bytes) -> int:
    """The number of bytes at the start of ``data`` that join it to the frame before.

    0 if there is none, or no run of zeros in the first 512 bytes: a frame begins.
    """
    at = bytes(data[:_HEAD]).find(_RUN) if before else -1
    return 0 if at < 0 else at + len(_RUN)


def tail(data: Bytes, before: bytes) -> bytes:
    """The last ``REACH`` bytes of the frame that goes on behind ``data``, or all."""
    end = bytes(data[-REACH:])
    if len(end) < REACH and joint(data, before):
        return (before + end)[-REACH:]
    return end


def beginning(data: Bytes, joined: int, around: Surroundings) -> bytes:
    """What stands before the blocks of ``data``, of which ``joined`` bytes join it."""
    if not joined:
        return END + HEADER if around.before else HEADER
    head = bytes(data[: joined - _MATCHED])
    return b"".join(((len(head) << 3).to_bytes(3, "little"), head, RESET))


def blocks(frame: bytes, header_size: int) -> tuple[Bytes, Bytes, Bytes]:
    """The blocks of a frame without a checksum, in parts: none is the last one any more."""
    view, at = memoryview(frame), header_size
    while not frame[at] & 1:
        header = int.from_bytes(view[at : at + 3], "little")
        at += 3 + (1 if header >> 1 & 3 == _RLE else header >> 3)
    return view[header_size:at], bytes((frame[at] & 0xFE,)), view[at + 1 :]
