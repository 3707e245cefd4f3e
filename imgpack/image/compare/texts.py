"""Small texts of two images, line by line: a unified diff, as POSIX ``diff -u`` has it.

E. Myers, "An O(ND) Difference Algorithm", 1986, sections 2 and 4. Bounded for hostile texts: of
more edits than ``_MAX_EDITS``, and once ``_MAX_STEPS`` are spent on all files, all that is not the
same at both ends is told as changed; a file has at most ``MAX_TEXT`` bytes, and all files together
``MAX_TEXTS``. Each layer is read once for all.
"""

import stat
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from imgpack.image.compare.values import FileDifference
from imgpack.image.files.files import ImageFiles
from imgpack.tree.tables.applied import LayerRow

MAX_TEXT: Final = 256 << 10
"""Bytes of a file whose lines are compared."""
MAX_TEXTS: Final = 16 << 20
"""Bytes of all such files of both images, which are held in memory."""
_MAX_EDITS: Final = 1000
_MAX_STEPS: Final = 40_000_000
"""Steps of the search in all files: some seconds. One with too many edits takes half a million."""
_CONTEXT: Final = 3
_BINARY: Final = 8192
"""Bytes that are looked at for a NUL, as git and GNU diff do it."""

_Span = tuple[int, int, int, int]
"""Lines of *a* from one to before another, and those of *b* that stand for them."""


def is_binary(data: bytes) -> bool:
    """Whether it is no text."""
    return b"\0" in data[:_BINARY]


@dataclass(slots=True)
class Effort:
    """The ``steps`` that the search for the fewest edits may take yet, in whatever files."""

    steps: int = _MAX_STEPS


def unified(a: bytes, b: bytes, effort: Effort) -> Iterator[bytes]:
    """The lines of a unified diff of two texts, without the two that name the files."""
    before, after = _lines(a), _lines(b)
    for spans in _hunks(_changes(before, after, effort)):
        start, other = max(spans[0][0] - _CONTEXT, 0), max(spans[0][2] - _CONTEXT, 0)
        end, other_end = (
            min(spans[-1][1] + _CONTEXT, len(before)),
            min(spans[-1][3] + _CONTEXT, len(after)),
        )
        yield b"@@ -%b +%b @@" % (_range(start, end), _range(other, other_end))
        at = start
        for i, i_end, j, j_end in spans:
            yield from _marked(b" ", before[at:i])
            yield from _marked(b"-", before[i:i_end])
            yield from _marked(b"+", after[j:j_end])
            at = i_end
        yield from _marked(b" ", before[at:end])


def _lines(text: bytes) -> list[bytes]:
    """Its lines as POSIX has them: a carriage return ends none."""
    *whole, rest = text.split(b"\n")
    lines = [line + b"\n" for line in whole]
    return [*lines, rest] if rest else lines


def _range(start: int, end: int) -> bytes:
    count = end - start
    first = start + 1 if count else start
    return b"%d" % first if count == 1 else b"%d,%d" % (first, count)


def _marked(mark: bytes, lines: Sequence[bytes]) -> Iterator[bytes]:
    for line in lines:
        yield mark + line.rstrip(b"\n")
        if not line.endswith(b"\n"):
            yield b"\\ No newline at end of file"


def _hunks(changes: Sequence[_Span]) -> Iterator[list[_Span]]:
    """Changes that are near each other, together."""
    group: list[_Span] = []
    for change in changes:
        if group and change[0] - group[-1][1] > 2 * _CONTEXT:
            yield group
            group = []
        group.append(change)
    if group:
        yield group


def _changes(a: Sequence[bytes], b: Sequence[bytes], effort: Effort) -> list[_Span]:
    """What has to be changed of *a* to get *b*, in order."""
    start, shorter = 0, min(len(a), len(b))
    while start < shorter and a[start] == b[start]:
        start += 1
    end = 0
    while end < shorter - start and a[-1 - end] == b[-1 - end]:
        end += 1
    first, second = a[start : len(a) - end], b[start : len(b) - end]
    if not first and not second:
        return []
    steps = _shortest(first, second, effort)
    if steps is None:
        return [(start, len(a) - end, start, len(b) - end)]
    return [
        (i + start, i_end + start, j + start, j_end + start)
        for i, i_end, j, j_end in _joined(steps)
    ]


def _shortest(a: Sequence[bytes], b: Sequence[bytes], effort: Effort) -> list[_Span] | None:
    """Single deletions and insertions from the end to the start; ``None`` if they are too many."""
    furthest = array("l", [0]) * (2 * _MAX_EDITS + 3)
    trace: list[array[int]] = []
    middle = _MAX_EDITS + 1
    for edits in range(min(len(a) + len(b), _MAX_EDITS) + 1):
        effort.steps -= edits + 1
        if effort.steps < 0:
            return None
        trace.append(furthest[middle - edits - 1 : middle + edits + 2])
        for k in range(-edits, edits + 1, 2):
            down = k == -edits or (
                k != edits and furthest[middle + k - 1] < furthest[middle + k + 1]
            )
            x = furthest[middle + k + 1] if down else furthest[middle + k - 1] + 1
            y = x - k
            while x < len(a) and y < len(b) and a[x] == b[y]:
                x, y = x + 1, y + 1
            furthest[middle + k] = x
            if x >= len(a) and y >= len(b):
                return list(_back(trace, len(a), len(b)))
    return None


def _back(trace: Sequence["array[int]"], x: int, y: int) -> Iterator[_Span]:
    for edits in range(len(trace) - 1, 0, -1):
        row, middle = trace[edits], edits + 1
        k = x - y
        down = k == -edits or (k != edits and row[middle + k - 1] < row[middle + k + 1])
        came = k + 1 if down else k - 1
        x = row[middle + came]
        y = x - came
        yield (x, x, y, y + 1) if down else (x, x + 1, y, y)


def _joined(steps: list[_Span]) -> list[_Span]:
    """Edits from the start to the end, those that touch as one."""
    found: list[_Span] = []
    for i, i_end, j, j_end in reversed(steps):
        if found and found[-1][1] == i and found[-1][3] == j:
            found[-1] = found[-1][0], i_end, found[-1][2], j_end
        else:
            found.append((i, i_end, j, j_end))
    return found


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
        effort = Effort()
        for number, one in enumerate(self.files):
            old, new = before[number], after[number]
            binary = is_binary(old) or is_binary(new)
            yield one.path, () if binary else tuple(unified(old, new, effort))


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
