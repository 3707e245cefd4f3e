"""Making a cache smaller: what a build does when it ends, and what people ask for.

After a build nobody looks at the whole cache. If it is too large, and now and then if it is not,
the next few parts are counted anew, in turn, and the least recently used entries of these go: an
eighth of their bytes, since they are a fair sample of all, so that about the oldest eighth of
the cache is what goes first. How many parts that takes depends on how much was stored, and on
nothing else. If what is found is far from what was noted (strangers or killed builds were at
work), everything is counted once.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from imgpack.layer.cache.entries import OLD, PARTS, TMP, Found, few, files, parts
from imgpack.layer.cache.sizes import Sizes, read_sizes, write_sizes

_SAMPLE: Final = 192
"""Files that are looked at together: of fewer, the oldest eighth says little."""
_SHARE: Final = 8
"""Of a sample no more than one in so many bytes goes, unless more of the cache has to;
and what is wrong by more is not believed."""
_REST: Final = 7
"""Builds in a row that end below the limit and look at nothing."""
_MAX_AGES: Final = 1 << 16
NEVER: Final = -(1 << 127)
"""Nanoseconds: before whatever a file system can say."""
ANY_SIZE: Final = 1 << 127
"""Bytes: more than a file system holds."""
_used: Final = attrgetter("used_ns")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a cache is to hold: ``limit`` bytes, and nothing used before ``since_ns``.

    Temporary files older than ``stale_ns`` go as well: their writers were killed.
    """

    limit: int
    stale_ns: int
    since_ns: int = NEVER


class Trim:
    """One trim of the cache in ``directory``; ``dry`` removes nothing, and notes nothing.

    ``dropped`` entries of ``freed`` bytes went so far, and ``size`` bytes are left.
    Every method raises ``OSError`` if it may not remove what it has to.
    """

    def __init__(self, directory: str, wanted: Wanted, *, dry: bool = False) -> None:
        self.dropped = self.freed = self.size = 0
        self._directory = directory
        self._wanted = wanted
        self._dry = dry
        self._sizes = Sizes([0] * PARTS)

    def after_build(self, stored: Mapping[int, int]) -> None:
        """Look at a few parts, and remove what is too much, after ``stored`` came in."""
        noted = read_sizes(self._directory)
        if noted is not None:
            noted.add(stored)
            self._sizes = noted
            if self._in_turn():
                write_sizes(self._directory, noted)
                return
        self.whole()

    def whole(self) -> None:
        """Count everything; then remove the least recently used, whatever they are."""
        self._sizes = Sizes([0] * PARTS, self._sizes.next)
        self.size = 0
        ages = _Ages()
        for found in self._living(files(self._directory)):
            if found.kind != TMP:
                ages.add(found.used_ns, found.size)
        if self.size > self._wanted.limit:
            self._drop_oldest(ages)
        if not self._dry:
            write_sizes(self._directory, self._sizes)

    def _living(self, met: Iterable[Found]) -> Iterator[Found]:
        """What is left of ``met``, which is counted, when what has to go in any case is gone."""
        wanted, noted = self._wanted, self._sizes.parts
        for found in met:
            self.size += found.size
            if found.part >= 0:
                noted[found.part] += found.size
            oldest = wanted.stale_ns if found.kind in (TMP, OLD) else wanted.since_ns
            if found.used_ns < oldest:
                self._drop(found)
            else:
                yield found

    def _drop_oldest(self, ages: "_Ages") -> None:
        """Remove what is older than a time, and of what is about as old some."""
        begin, end, some = ages.oldest(self.size - self._wanted.limit)
        for found in files(self._directory):
            if found.kind == TMP or not self._wanted.since_ns <= found.used_ns < end:
                continue
            if found.used_ns >= begin:
                if some <= 0:
                    continue
                some -= found.size
            self._drop(found)

    def _in_turn(self) -> bool:
        """Whether the noted sizes are about right, and enough could be removed by them."""
        beside = list(self._living(few(self._directory)))
        self.size += self._sizes.total
        if self.size <= self._wanted.limit and self._sizes.rested < _REST:
            self._sizes.rested += 1
            return True
        self._sizes.rested = 0
        turn = parts(self._directory, self._sizes.next)
        first = more = True
        while more:
            noted, size, sample, more = self._sample(turn)
            if more and abs(size - noted) * _SHARE > max(size, noted):
                return False
            self.size += size - noted
            excess = self.size - self._wanted.limit
            if excess > 0:
                all_of_it = first and not more
                least = 0 if all_of_it else size // _SHARE
                share = max(least, size * excess // max(1, self.size))
                self._drop_of(sample, beside, least, size if all_of_it else share)
            if self.size <= self._wanted.limit:
                return True
            first = False
        return False

    def _sample(
        self, turn: Iterator[tuple[range, list[Found]]]
    ) -> tuple[int, int, list[Found], bool]:
        """The next parts: the bytes noted and the bytes found, the files, and if there are more."""
        sizes, noted, size = self._sizes, 0, 0
        sample: list[Found] = []
        for looked, found in turn:
            those = slice(looked.start, looked.stop)
            noted += sum(sizes.parts[those])
            sizes.parts[those] = [0] * len(looked)
            for one in found:
                sizes.parts[one.part] += one.size
                size += one.size
            sizes.next = looked.stop % PARTS
            sample += found
            if len(sample) >= _SAMPLE:
                return noted, size, sample, True
        return noted, size, sample, False

    def _drop_of(self, sample: list[Found], beside: list[Found], least: int, most: int) -> None:
        """Remove the oldest of ``sample``: ``least`` bytes, so that the next builds find room,
        and ``most`` while there is too much; and of what is ``beside`` what is older than these.
        """
        gone = 0
        for found in sorted((*sample, *beside), key=_used):
            enough = self.size <= self._wanted.limit
            if found.part >= 0:
                if gone >= (least if enough else most):
                    return
                gone += found.size
            elif enough or found.kind == TMP:
                continue
            else:
                beside.remove(found)
            self._drop(found)

    def _drop(self, found: Found) -> None:
        if not self._dry:
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                os.unlink(found.path)
        self.dropped += 1
        self.freed += found.size
        # What other processes stored since was not counted.
        self.size = max(0, self.size - found.size)
        self._sizes.add({found.part: -found.size} if found.part >= 0 else {})


class _Ages:
    """How many bytes were used last in which second, or longer time: few numbers in any case."""

    def __init__(self) -> None:
        self._step = 1_000_000_000
        self._bytes: Counter[int] = Counter()

    def add(self, used_ns: int, size: int) -> None:
        """Count ``size`` bytes that were used at a time."""
        self._bytes[used_ns // self._step] += size
        if len(self._bytes) > _MAX_AGES:
            self._step *= 2
            finer, self._bytes = self._bytes, Counter()
            for at, count in finer.items():
                self._bytes[at // 2] += count

    def oldest(self, size: int) -> tuple[int, int, int]:
        """From when to when the newest of the oldest ``size`` bytes were used, and how many
        of these bytes were used in this time; times in nanoseconds.
        """
        for at, count in sorted(self._bytes.items()):
            if count >= size:
                return at * self._step, (at + 1) * self._step, size
            size -= count
        return -NEVER, -NEVER, 0
