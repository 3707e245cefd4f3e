"""zstd (RFC 8878): one frame a segment, with its size and a check sum."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from imgpack.compression.algorithm import Algorithm, Bytes, equal, slices

_DEFAULT_LEVEL: Final = 3
_INPUT: Final = 2048
"""Bytes fed to zstd at a time: four of them may say 128 KiB, so this bounds memory to 64 MiB."""
_MAX_WINDOW: Final = 1 << 27

_compressors = threading.local()  # a zstd context belongs to one thread at a time


def _version() -> str:
    import zstandard

    return "zstd-" + ".".join(map(str, zstandard.ZSTD_VERSION))


def _compressor(level: int) -> Any:
    known = _compressors.__dict__.setdefault("by_level", {})
    if level not in known:
        import zstandard

        known[level] = zstandard.ZstdCompressor(
            level=level, write_content_size=True, write_checksum=True
        )
    return known[level]


def _compress(data: Bytes, level: int, _: int | None) -> bytes:
    with _memory_errors():
        compressed: bytes = _compressor(level).compress(data)
    return compressed


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


def _restores(data: Bytes, raw: Bytes) -> bool:
    import zstandard

    try:
        if zstandard.frame_content_size(data) != len(raw):
            return False
        with _memory_errors():
            frame = zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError:
        return False
    return equal(frame, raw)


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


ZSTD: Final = Algorithm((1, 19), _DEFAULT_LEVEL, _version, _compress, _restores, _decompress)
