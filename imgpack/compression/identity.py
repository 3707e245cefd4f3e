"""No compression: a layer that is its tar stream."""

from typing import Final

from imgpack.compression.algorithm import Algorithm

IDENTITY: Final = Algorithm(
    (0, 0),
    0,
    version=lambda: "",
    compress=lambda data, level, crc, around: bytes(data),
    restores=lambda data, raw, around: data == raw,
    decompress=lambda chunks: chunks,
)
