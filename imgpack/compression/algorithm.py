"""What a codec's file says of it: its levels, and how bytes go both ways."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

Bytes = bytes | memoryview


class LevelRule(NamedTuple):
    """How the content decides the level: ``level`` is a pure function of a segment's bytes.

    ``name`` is another one whenever ``level`` may say something else.
    """

    name: str
    level: Callable[[Bytes], int]


class Algorithm(NamedTuple):
    """One way to compress; a table of these is all that the rest of the package knows.

    ``levels`` are the lowest and the highest that may be asked for, ``default`` is what holds
    otherwise, ``version`` names the release that decides the bytes.

    ``compress`` makes one member or frame of bytes, a level (one of ``levels``, or what
    ``default`` says) and their ``crc32`` if it is known; ``restores`` says whether its first
    argument begins with a member or frame of the second. Both are thread-safe.
    ``decompress`` reads a whole stream in constant memory; it raises ``ValueError`` or
    ``EOFError`` for one that is damaged or cut.
    """

    levels: tuple[int, int]
    default: int | LevelRule
    version: Callable[[], str]
    compress: Callable[[Bytes, int, int | None], bytes]
    restores: Callable[[Bytes, Bytes], bool]
    decompress: Callable[[Iterable[bytes]], Iterable[bytes]]


def equal(one: bytes | bytearray, other: Bytes) -> bool:
    """As ``==``, which goes byte by byte for a view and bytes; this is as fast as memory."""
    return len(one) == len(other) and one.startswith(other)


def slices(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes, at most ``size`` at a time."""
    for chunk in chunks:
        for at in range(0, len(chunk), size):
            yield chunk[at : at + size]
