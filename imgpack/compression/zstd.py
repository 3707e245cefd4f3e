"""zstd (RFC 8878): one frame that goes on over the segments; see ``zstd_frame``.

A segment alone is a frame of its own, with its size and a check sum.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from imgpack.compression.algorithm import (
    ALONE,
    Algorithm,
    Bytes,
    Cutting,
    Surroundings,
    equal,
    slices,
)
from imgpack.compression.zstd_frame import (
    END,
    HEADER,
    REACH,
    WINDOW_LOG,
    beginning,
    blocks,
    joint,
    tail,
)

_DEFAULT_LEVEL: Final = 3
_INPUT: Final = 2048
"""Bytes fed to zstd at a time: four of them may say 128 KiB, so this bounds memory to 64 MiB."""
_MAX_WINDOW: Final = 1 << 27

_CUTTING: Final = Cutting(mean=8 << 20, largest=12 << 20, last_piece=12 << 20, ahead=2)
"""Larger than other segments: each costs as much time as ``REACH`` bytes more, or a little
size where it begins a frame."""


def _version() -> str:
    import zstandard

    return "zstd-" + ".".join(map(str, zstandard.ZSTD_VERSION))


def _dictionary(before: bytes) -> Any:
    import zstandard

    raw = zstandard.DICT_TYPE_RAWCONTENT
    return zstandard.ZstdCompressionDict(before, dict_type=raw) if before else None


def _compressed(data: Bytes, level: int, before: bytes, *, checksum: bool) -> bytes:
    """A frame of ``data``, which may refer to ``before``."""
    import zstandard

    from_level = zstandard.ZstdCompressionParameters.from_level
    size = len(data) + len(before)
    usual = from_level(level, source_size=size)
    parameters = from_level(
        level,
        source_size=size,
        window_log=min(usual.window_log, WINDOW_LOG),
        chain_log=min(usual.chain_log, WINDOW_LOG + 1),  # what the window fills, as libzstd has it
        write_content_size=True,
        write_checksum=checksum,
    )
    frame: bytes = zstandard.ZstdCompressor(
        compression_params=parameters, dict_data=_dictionary(before)
    ).compress(data)
    return frame


def _compress(data: Bytes, level: int, _: int | None, around: Surroundings) -> bytes:
    import zstandard

    with _memory_errors():
        if around == ALONE:
            return _compressed(data, level, b"", checksum=True)
        joined = joint(data, around.before)
        before = around.before + data[:joined] if joined else b""
        frame = _compressed(data[joined:], level, before, checksum=False)
    start, end = beginning(data, joined, around), END if around.last else b""
    return b"".join((start, *blocks(frame, zstandard.frame_header_size(frame)), end))


@contextmanager
def _memory_errors() -> Iterator[None]:
    """zstd says in an error of its own that there is not enough memory."""
    import zstandard

    try:
        yield
    except zstandard.ZstdError as error:
        if "not enough memory" in str(error):
            raise MemoryError(str(error)) from error
        raise


def _restores(data: Bytes, raw: Bytes, around: Surroundings) -> bool:
    import zstandard

    frame, before = data, b""
    if around != ALONE:
        joined = joint(raw, around.before)
        start = beginning(raw, joined, around)
        if data[: len(start)] != start:
            return False
        before = around.before if joined else b""
        opened = HEADER if joined else b""
        closed = data[len(END) :] if around.before and not joined else data
        frame = b"".join((opened, closed, b"" if around.last else END))
    try:
        if around == ALONE and zstandard.frame_content_size(frame) != len(raw):
            return False
        with _memory_errors():
            decompressor = zstandard.ZstdDecompressor(dict_data=_dictionary(before))
            restored = decompressor.decompress(
                frame, max_output_size=len(raw), allow_extra_data=False
            )
    except zstandard.ZstdError:
        return False
    return equal(restored, raw)


def _decompress(chunks: Iterable[bytes]) -> Iterator[bytes]:
    import zstandard

    frame = None
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
    try:
        for chunk in slices(chunks, _INPUT):
            while chunk:
                if frame is None:
                    frame = decompressor.decompressobj()
                with _memory_errors():
                    part = frame.decompress(chunk)
                yield part
                chunk = frame.unused_data if frame.eof else b""
                if frame.eof:
                    frame = None
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    if frame is not None:
        raise EOFError("it ends in the middle of a frame")


def compress_pieces(pieces: Iterable[bytes], level: int = _DEFAULT_LEVEL) -> Iterator[bytes]:
    """One frame of what comes in ``pieces``, for this machine's own use: its bytes may change."""
    import zstandard

    frame = zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()
    for piece in pieces:
        yield frame.compress(piece)
    yield frame.flush()


ZSTD: Final = Algorithm(
    (1, 19), _DEFAULT_LEVEL, _version, _compress, _restores, _decompress, _CUTTING, REACH, tail
)
