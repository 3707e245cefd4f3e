"""How many bytes the parts of a cache hold, in a small file, so that nobody has to look.

The file has a line, the part that is to be looked at next, since how many builds, a number for
each part and a CRC-32. It is a note and no truth: processes that end at once may lose what one
of them noted, and killed ones note nothing. What is found when a part is looked at replaces its
number.
Invariant: what is damaged counts as missing, and is counted anew.
"""

import contextlib
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from imgpack.compression.checksum import crc32
from imgpack.files.atomic import Temporary
from imgpack.files.reading import read_regular
from imgpack.files.writing import write_all
from imgpack.layer.cache.entries import PARTS, SIZES, TMP

_HEAD: Final = b"imgpack sizes 1\n"
_NUMBERS: Final = struct.Struct(f"<HH{PARTS}Q")
_CHECK: Final = struct.Struct("<I")
_LENGTH: Final = len(_HEAD) + _NUMBERS.size + _CHECK.size
_MAX_PART: Final = 1 << 51
"""Bytes that are noted of a part at most: strangers' files may be as large as they like."""


@dataclass(slots=True)
class Sizes:
    """The bytes in each part, the number of the part that is to be looked at next, and how many
    builds in a row looked at none.
    """

    parts: list[int]
    next: int = 0
    rested: int = 0

    @property
    def total(self) -> int:
        """Bytes in all parts."""
        return sum(self.parts)

    def add(self, stored: Mapping[int, int]) -> None:
        """Count what was stored since, or removed if it is less than 0, in bytes by part."""
        for part, size in stored.items():
            self.parts[part] = max(0, self.parts[part] + size)


def read_sizes(directory: str) -> Sizes | None:
    """What the cache in ``directory`` notes; ``None`` if that is missing or damaged."""
    try:
        data = read_regular(os.path.join(directory, SIZES), _LENGTH + 1)
    except OSError:
        return None
    noted, check = data[: -_CHECK.size], data[-_CHECK.size :]
    if len(data) != _LENGTH or not noted.startswith(_HEAD) or check != _CHECK.pack(crc32(noted)):
        return None
    first, rested, *numbers = _NUMBERS.unpack_from(noted, len(_HEAD))
    if first >= PARTS or max(numbers) > _MAX_PART:
        return None
    return Sizes(numbers, first, rested)


def write_sizes(directory: str, sizes: Sizes) -> None:
    """Note ``sizes``; where that cannot be written, they are counted again next time."""
    numbers = (min(size, _MAX_PART) for size in sizes.parts)
    noted = _HEAD + _NUMBERS.pack(sizes.next, sizes.rested, *numbers)
    with (
        contextlib.suppress(OSError),
        Temporary(os.path.join(directory, TMP), SIZES, locked=False).open_file() as file,
    ):
        write_all(file.fd, noted + _CHECK.pack(crc32(noted)))
        file.rename(os.path.join(directory, SIZES), sync=False)
