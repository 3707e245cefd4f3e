"""A model's weights: bfloat16 numbers of a normal distribution around 0, in shards.

A uniform 16-bit number picks one of 65,536 equally likely quantiles: to a compressor
these are what a sample is, and the standard library makes a gigabyte of them a minute.
"""

import random
import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist

SIGMA = 0.02
_VALUES = 1 << 16
_PIECE = 1 << 20


def bfloat16(value: float) -> int:
    """The bits of the nearest bfloat16, ties to even."""
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    return int(bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def numbers(size: int, seed: int) -> Iterator[bytes]:
    """``size`` bytes, an even number, in pieces of at most 1 MiB."""
    normal = NormalDist(0, SIGMA)
    quantiles = [bfloat16(normal.inv_cdf((i + 0.5) / _VALUES)) for i in range(_VALUES)]
    source = random.Random(seed)
    for at in range(0, size, _PIECE):
        picks = array("H", source.randbytes(min(_PIECE, size - at)))
        yield array("H", [quantiles[pick] for pick in picks]).tobytes()


def write_weights(directory: Path, size: int, shards: int, seed: int = 0) -> None:
    """``shards`` files of together ``size`` bytes."""
    for shard in range(1, shards + 1):
        with (directory / f"model-{shard:05}-of-{shards:05}.bin").open("wb") as file:
            file.writelines(numbers(size // shards, seed + shard))
