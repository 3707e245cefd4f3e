"""Codecs: how a segment is compressed, and how any layer is read back.

Each segment becomes one gzip member, or blocks of a zstd frame that goes on; one after the
other they are a valid stream. libdeflate and zstd give the same bytes on every CPU for one
release, so the release is part of a codec's identity: what imgpack promises across releases
is the ``diff_id``, not the digest.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from imgpack.compression.algorithm import ALONE, Bytes, Cutting, LevelRule, Surroundings
from imgpack.compression.gzip import GZIP
from imgpack.compression.identity import IDENTITY
from imgpack.compression.zstd import ZSTD
from imgpack.errors import ArchiveError, ConfigError, LimitError
from imgpack.spec.format import Compression

MAX_LAYER: Final = 1 << 42
"""Bytes that a layer may decompress to: 4 TiB, beyond which it is a bomb."""


_ALGORITHMS: Final = {
    Compression.NONE: IDENTITY,
    Compression.GZIP: GZIP,
    Compression.ZSTD: ZSTD,
}


@dataclass(frozen=True, slots=True)
class Codec:
    """A kind of compression and its level; valid once built.

    Without a level it is the usual one: 3 for zstd, and for gzip what suits the content of
    each segment.
    """

    compression: Compression
    level: int | None = None

    def __post_init__(self) -> None:
        low, high = _ALGORITHMS[self.compression].levels
        if self.level is not None and not low <= self.level <= high:
            raise ConfigError(
                f"{self.compression.value} has no level {self.level}",
                f"levels are {low} to {high}" if high else "it has no levels",
            )

    @classmethod
    def parse(cls, text: str) -> "Codec":
        """Parse ``gzip[:LEVEL]``, ``zstd[:LEVEL]`` or ``none``; raises ``ConfigError``."""
        name, colon, level = text.partition(":")
        try:
            kind = Compression(name)
            if colon and not (level.isascii() and level.isdigit() and len(level) <= 3):
                raise ValueError
        except ValueError:
            raise ConfigError(
                f"unknown compression {text!r}", "write gzip[:1-12], zstd[:1-19] or none"
            ) from None
        return cls(kind, int(level) if colon else None)

    def identity(self) -> str:
        """A text that differs whenever the compressed bytes of a segment may differ."""
        level = self._level
        name = level.name if isinstance(level, LevelRule) else level
        return f"{self.compression.value}:{name}:{_ALGORITHMS[self.compression].version()}"

    @property
    def cutting(self) -> Cutting:
        """How a tar stream is cut into segments for this codec."""
        return _ALGORITHMS[self.compression].cutting

    @property
    def reach(self) -> int:
        """How many bytes before a segment decide what becomes of it, at most."""
        return _ALGORITHMS[self.compression].reach

    def tail(self, data: Bytes, before: bytes) -> bytes:
        """What is before the segment that follows upon ``data``, which has ``before``."""
        return _ALGORITHMS[self.compression].tail(data, before)

    def compress(self, data: Bytes, crc: int | None = None, around: Surroundings = ALONE) -> bytes:
        """``data`` compressed; thread-safe, without the interpreter lock.

        ``crc`` is the ``crc32`` of ``data``, if the caller has it already. What comes of
        segments that are compressed with what is ``around`` them is a stream together.
        """
        level = self._level
        number = level.level(data) if isinstance(level, LevelRule) else level
        return _ALGORITHMS[self.compression].compress(data, number, crc, around)

    @property
    def _level(self) -> int | LevelRule:
        return _ALGORITHMS[self.compression].default if self.level is None else self.level

    def restores(self, data: Bytes, raw: Bytes, around: Surroundings = ALONE) -> bool:
        """Whether ``data`` begins with ``raw`` as it may be compressed there; thread-safe."""
        return _ALGORITHMS[self.compression].restores(data, raw, around)


def decompress(
    chunks: Iterable[bytes], kind: Compression, *, limit: int = MAX_LAYER
) -> Iterator[bytes]:
    """The raw tar stream of a layer, or an archive's as a whole, in constant memory.

    Raises ``ArchiveError`` for a damaged or truncated stream and ``LimitError``
    when more than ``limit`` bytes come out.
    """
    stream = chunks if kind is Compression.NONE else _decompress(chunks, kind)
    total = 0
    for part in stream:
        total += len(part)
        if total > limit:
            raise LimitError(f"it decompresses to more than {limit} bytes")
        yield part


def _decompress(chunks: Iterable[bytes], kind: Compression) -> Iterator[bytes]:
    try:
        yield from _ALGORITHMS[kind].decompress(chunks)
    except (EOFError, ValueError) as error:
        raise ArchiveError(f"the {kind.value} stream is damaged: {error}") from error
