"""Codecs: how a segment is compressed, and how any layer is read back.

Each segment becomes one gzip member (RFC 1952) or one zstd frame (RFC 8878); a
concatenation of either is a valid stream. libdeflate and zstd give the same
bytes on every CPU for one release, so the release is part of a codec's identity:
what imgpack promises across releases is the ``diff_id``, not the digest.

The only module that uses ``deflate`` and ``zstandard``; both are imported when used.
"""

import struct
import threading
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from imgpack.errors import ArchiveError, ConfigError, LimitError
from imgpack.spec.format import Compression, compression_of

DEFAULT_GZIP_LEVEL: Final = 3
"""The fastest level whose output is at most 1.03 times that of ``gzip -6``."""
DEFAULT_ZSTD_LEVEL: Final = 3

GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Deflate, no name, no time, no extra flags, unknown system: nothing of the host, nothing of
the level."""

_CHUNK: Final = 1 << 20
_GZIP_INPUT: Final = 1 << 15
"""Bytes fed to zlib at a time: it copies what is behind a member, which may have 20 bytes."""
_ZSTD_INPUT: Final = 2048
"""Bytes fed to zstd at a time: four of them may say 128 KiB, so this bounds memory to 64 MiB."""
MAX_LAYER: Final = 1 << 42
"""Bytes that a layer may decompress to: 4 TiB, beyond which it is a bomb."""


_LEVELS: Final = {Compression.GZIP: (1, 12), Compression.ZSTD: (1, 19)}


@dataclass(frozen=True, slots=True)
class Codec:
    """A kind of compression and its level; valid once built."""

    compression: Compression
    level: int = 0

    def __post_init__(self) -> None:
        low, high = _LEVELS.get(self.compression, (0, 0))
        if not low <= self.level <= high:
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
            number = int(level) if colon else _default_level(kind)
        except ValueError:
            raise ConfigError(
                f"unknown compression {text!r}", "write gzip[:1-12], zstd[:1-19] or none"
            ) from None
        return cls(kind, number)

    def identity(self) -> str:
        """A text that differs whenever the compressed bytes of a segment may differ."""
        return f"{self.compression.value}:{self.level}:{_version(self.compression)}"

    def compress(self, data: bytes | memoryview, crc: int | None = None) -> bytes:
        """One gzip member or zstd frame of ``data``; thread-safe, without the interpreter lock.

        ``crc`` is the ``crc32`` of ``data``, if the caller has it already.
        """
        if self.compression is Compression.GZIP:
            return _gzip_member(data, self.level, crc32(data) if crc is None else crc)
        if self.compression is Compression.ZSTD:
            compressed: bytes = _zstd_compressor(self.level).compress(data)
            return compressed
        return bytes(data)

    def restores(self, data: bytes | memoryview, raw: bytes | memoryview) -> bool:
        """Whether ``data`` begins with a member or frame of ``raw``; thread-safe."""
        if self.compression is Compression.GZIP:
            import deflate

            try:
                restored = deflate.gzip_decompress(data, len(raw))
            except deflate.DeflateError:
                return False
            return data[: len(GZIP_HEADER)] == GZIP_HEADER and _equal(restored, raw)
        if self.compression is Compression.ZSTD:
            frame = _unzstd_frame(data, len(raw))
            return frame is not None and _equal(frame, raw)
        return data == raw


def _equal(one: bytes | bytearray, other: bytes | memoryview) -> bool:
    # As fast as memory; == of a view and bytes goes byte by byte.
    return len(one) == len(other) and one.startswith(other)


def crc32(data: bytes | memoryview, before: int = 0) -> int:
    """The check sum that a gzip member ends with (RFC 1952, section 2.3.1).

    ``before`` is that of the bytes in front of ``data``.
    """
    import deflate

    found: int = deflate.crc32(data, before)
    return found


def fingerprint(data: bytes | memoryview, crc: int | None = None) -> str:
    """A cheap 64-bit check sum and the length in bytes: not proof against collisions.

    ``crc`` is the ``crc32`` of ``data``, if the caller has it already.
    """
    import deflate

    first = crc32(data) if crc is None else crc
    return f"{first:08x}{deflate.adler32(data):08x}{len(data):x}"


def _unzstd_frame(data: bytes | memoryview, size: int) -> bytes | None:
    import zstandard

    try:
        if zstandard.frame_content_size(data) != size:
            return None
        raw: bytes = zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError:
        return None
    return raw


def _default_level(kind: Compression) -> int:
    return {Compression.GZIP: DEFAULT_GZIP_LEVEL, Compression.ZSTD: DEFAULT_ZSTD_LEVEL}.get(kind, 0)


def _version(kind: Compression) -> str:
    if kind is Compression.GZIP:
        import deflate

        return f"deflate-{deflate.__version__}"
    if kind is Compression.ZSTD:
        import zstandard

        return "zstd-" + ".".join(map(str, zstandard.ZSTD_VERSION))
    return ""


def _gzip_member(data: bytes | memoryview, level: int, crc: int) -> bytes:
    import deflate

    trailer = struct.pack("<II", crc, len(data) & 0xFFFFFFFF)
    return b"".join((GZIP_HEADER, deflate.deflate_compress(data, level), trailer))


_compressors = threading.local()  # a zstd context belongs to one thread at a time


def _zstd_compressor(level: int) -> Any:
    known = _compressors.__dict__.setdefault("by_level", {})
    if level not in known:
        import zstandard

        known[level] = zstandard.ZstdCompressor(
            level=level, write_content_size=True, write_checksum=True
        )
    return known[level]


def decompress(
    chunks: Iterable[bytes], media_type: str, *, limit: int = MAX_LAYER
) -> Iterator[bytes]:
    """The raw tar stream of a layer, in constant memory.

    Raises ``ArchiveError`` for a damaged or truncated stream and ``LimitError``
    when more than ``limit`` bytes come out.
    """
    kind = compression_of(media_type)
    stream = chunks if kind is Compression.NONE else _decompress(chunks, kind)
    total = 0
    for piece in stream:
        total += len(piece)
        if total > limit:
            raise LimitError(f"a layer decompresses to more than {limit} bytes")
        yield piece


def _decompress(chunks: Iterable[bytes], kind: Compression) -> Iterator[bytes]:
    inflate = _inflate if kind is Compression.GZIP else _unzstd
    try:
        yield from inflate(chunks)
    except (zlib.error, EOFError, ValueError) as error:
        raise ArchiveError(f"a {kind.value} layer is damaged: {error}") from error


def _inflate(chunks: Iterable[bytes]) -> Iterator[bytes]:
    member = None
    for chunk in _slices(chunks, _GZIP_INPUT):
        while chunk:
            if member is None:
                member = zlib.decompressobj(wbits=31)
            yield (piece := member.decompress(chunk, _CHUNK))
            while len(piece) == _CHUNK:  # there may be more, with or without input left
                yield (piece := member.decompress(member.unconsumed_tail, _CHUNK))
            chunk = member.unused_data
            if member.eof:
                member = None
    if member is not None:
        raise EOFError("it ends in the middle of a member")


def _slices(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        for at in range(0, len(chunk), size):
            yield chunk[at : at + size]


def _unzstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    import zstandard

    frame = None
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    try:
        for chunk in _slices(chunks, _ZSTD_INPUT):
            while chunk:
                if frame is None:
                    frame = decompressor.decompressobj()
                yield frame.decompress(chunk)
                chunk = frame.unused_data if frame.eof else b""
                if frame.eof:
                    frame = None
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    if frame is not None:
        raise EOFError("it ends in the middle of a frame")
