"""What a codec's file says of it: its levels, and how bytes go both ways."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

Bytes = bytes | memoryview


class LevelRule(NamedTuple):
    """How the content decides the level: ``level`` is a pure function of a segment's bytes.

    ``name`` is another one whenever ``level`` may say something else.
    """

    name: str
    level: Callable[[Bytes], int]


@dataclass(frozen=True, slots=True)
class Cutting:
    """How large the segments of a tar stream are, in bytes; it decides digests.

    ``mean`` is that of a usual segment, ``largest`` cuts whatever comes, which bounds memory,
    and a large file's remainder up to ``last_piece`` is not cut again. ``ahead`` segments may
    wait beside those being compressed, which bounds memory too, and decides no digest: with
    fewer, cores wait for a large one.
    """

    mean: int
    largest: int
    last_piece: int
    ahead: int


SMALL: Final = Cutting(mean=1 << 20, largest=4 << 20, last_piece=3 << 19, ahead=6)
"""For members that know nothing of one another: larger ones are hardly better."""


class Surroundings(NamedTuple):
    """What is around a segment: bytes ``before`` it that it may refer to, none at the start.

    ``last`` says that nothing comes after it.
    """

    before: bytes
    last: bool


ALONE: Final = Surroundings(b"", last=True)
"""A segment that is the whole stream."""


class Algorithm(NamedTuple):
    """One way to compress; a table of these is all that the rest of the package knows.

    ``levels`` are the lowest and the highest that may be asked for, ``default`` is what holds
    otherwise, ``version`` names the release that decides the bytes.

    ``compress`` makes one member or part of a frame of bytes, a level (one of ``levels``, or
    what ``default`` says), their ``crc32`` if it is known and what is around them; ``restores``
    says whether its first argument begins with what ``compress`` may make of the second and
    third. Both are thread-safe. ``decompress`` reads a whole stream in constant memory; it
    raises ``ValueError`` or ``EOFError`` for one that is damaged or cut. ``cutting`` is how a
    stream is cut for it, ``reach`` the number of bytes before a segment that matter to it at
    most, and ``tail`` those before the one that follows upon some bytes, with what is before
    these.
    """

    levels: tuple[int, int]
    default: int | LevelRule
    version: Callable[[], str]
    compress: Callable[[Bytes, int, int | None, Surroundings], bytes]
    restores: Callable[[Bytes, Bytes, Surroundings], bool]
    decompress: Callable[[Iterable[bytes]], Iterable[bytes]]
    cutting: Cutting = SMALL
    reach: int = 0
    tail: Callable[[Bytes, bytes], bytes] = lambda data, before: b""


def equal(one: bytes | bytearray, other: Bytes) -> bool:
    """As ``==``, which goes byte by byte for a view and bytes; this is as fast as memory."""
    return len(one) == len(other) and one.startswith(other)


def slices(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes, at most ``size`` at a time."""
    for chunk in chunks:
        for at in range(0, len(chunk), size):
            yield chunk[at : at + size]
