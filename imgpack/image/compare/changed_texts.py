"""The texts of files that differ, out of both images, as unified diffs.

Bounded: a file of at most ``MAX_TEXT`` bytes, and all files together ``MAX_TEXTS``. Each layer is
read once for all files of it.
"""

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from imgpack.image.compare.texts import is_binary, unified
from imgpack.image.compare.values import FileDifference
from imgpack.image.files.files import ImageFiles
from imgpack.tree.merge.applied import LayerRow

MAX_TEXT: Final = 256 << 10
"""Bytes of a file whose lines are compared."""
MAX_TEXTS: Final = 16 << 20
"""Bytes of all such files of both images, which are held in memory."""


@dataclass(slots=True)
class TextDifferences:
    """Files whose content differs, collected while they come; then their texts are read.

    ``skipped`` counts those that are too large, alone or together.
    """

    files: list[FileDifference] = field(default_factory=list)
    skipped: int = 0
    _room: int = MAX_TEXTS

    def add(self, one: FileDifference) -> None:
        """Take a difference, if it is one of content."""
        a, b = one.a, one.b
        if a is None or b is None or not {"content", "size"} & set(one.fields):
            return
        if not (stat.S_ISREG(a.row.mode) and stat.S_ISREG(b.row.mode)):
            return
        size = a.row.size + b.row.size
        if max(a.row.size, b.row.size) > MAX_TEXT or size > self._room:
            self.skipped += 1
            return
        self._room -= size
        self.files.append(one)

    def read(self, a: ImageFiles, b: ImageFiles) -> Iterator[tuple[bytes, tuple[bytes, ...]]]:
        """The path and the diff of each, without lines for binaries. Raises as ``contents``."""
        before = _contents(a, (one.a for one in self.files))
        after = _contents(b, (one.b for one in self.files))
        for number, one in enumerate(self.files):
            old, new = before[number], after[number]
            binary = is_binary(old) or is_binary(new)
            yield one.path, () if binary else tuple(unified(old, new))


def _contents(files: ImageFiles, rows: Iterable[LayerRow | None]) -> dict[int, bytes]:
    """The bytes of ``rows``, by their numbers."""
    wanted: dict[int, dict[int, list[int]]] = {}
    for number, one in enumerate(rows):
        if one is not None:
            wanted.setdefault(one.held, {}).setdefault(one.row.place, []).append(number)
    found: dict[int, bytes] = {}
    for layer, places in wanted.items():
        for content in files.contents(layer, places):
            data = b"".join(content.pieces)
            found |= dict.fromkeys(places[content.place], data)
    return found
