"""What patterns leave out of a tree: exactly what a build with BuildKit leaves out.

Source: moby/patternmatcher, ``MatchesUsingParentResults``, as tonistiigi/fsutil's walk uses
it. The patterns are asked in order: one that leaves out while nothing has, an exception
while something has, and the last hit decides. What hit a directory hits all that is in it;
a pattern that was not asked for the directory is asked again for what is in it.

Most names are never looked at one by one. Which patterns can hit anything in a directory is
found once for all that is in it, and then the names are compared with how those patterns
begin and end. Invariant: what is not looked at has the hits of its directory and no others.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from imgpack.errors import ConfigError, LimitError, printable
from imgpack.tree.exclusion import LeftOut, Rules, Sifted
from imgpack.tree.rules.glob import as_bytes, as_text
from imgpack.tree.rules.ignore_file import (
    IgnorePattern,
    parse_ignore_pattern,
    read_ignore_file,
    warnings_of,
)

_MOST: Final = 10_000
_REMEMBERED: Final = 4096
"""Sets of patterns whose preparation is kept: more than there are, but for a hostile file."""


class Ignore:
    """An ``Exclusion`` by patterns; ``file`` is the ignore file that they come of, and
    ``told`` hears what a build left out.
    """

    def __init__(
        self,
        patterns: Iterable[IgnorePattern],
        file: str = "",
        told: Callable[[LeftOut], object] | None = None,
    ) -> None:
        self._patterns = tuple(patterns)
        self._file = file
        self._told = told
        self._exceptions = sum(1 << n for n, one in enumerate(self._patterns) if one.exception)
        self._situations: dict[int, _Situation] = {}
        self._sieves: dict[int, _Sieve] = {}

    @property
    def identity(self) -> str:
        """The patterns, without what was never in them: comments, spaces, the file's name."""
        listed = [(pattern.exception, pattern.glob.text) for pattern in self._patterns]
        return repr((listed, bool(self._file)))

    @property
    def rules(self) -> Rules:
        """As ``Exclusion.rules``."""
        return Rules(tuple(one.rule for one in self._patterns), self._file, self._told)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to say of patterns that Docker, by mistake, reads otherwise."""
        return tuple(warnings_of(self._patterns))

    def sift(self, above: bytes, names: list[bytes], hits: int) -> Sifted:
        """As ``Exclusion.sift``; the order of the names stays."""
        situation = self._situations.get(hits)
        if situation is None:
            _make_room(self._situations)
            situation = self._situations[hits] = _Situation(self._patterns, hits)
        directory = as_text(above)
        mask = situation.mask(directory)
        # Where nothing hit, no exception is asked unless another pattern hits first.
        asked = mask if hits else mask & ~self._exceptions
        sieve = self._sieves.get(asked)
        if sieve is None:
            _make_room(self._sieves)
            sieve = self._sieves[asked] = _Sieve(self._patterns, asked)
        touched = sieve.touched(names)
        if not touched and not situation.excluded:
            return Sifted(names, {}, {}, [])
        return self._sorted(directory, names, touched, situation, mask)

    def _sorted(
        self,
        above: str,
        names: list[bytes],
        touched: list[bytes],
        situation: "_Situation",
        mask: int,
    ) -> Sifted:
        hits = situation.hits
        found = {name: self._evaluated(above, as_text(name), hits, mask) for name in touched}
        inherited = hits, situation.last
        kept, others, hidden, out = [], {}, {}, []
        for name in names:
            result, last = found.get(name, inherited)
            if last < 0 or self._patterns[last].exception:
                kept.append(name)
                if result != hits:
                    others[name] = result
            elif (last == situation.last and situation.everywhere) or self._reaches(
                f"{above}{as_text(name)}/", last
            ):
                hidden[name] = result, last
            else:
                out.append((name, last))
        return Sifted(kept, others, hidden, out)

    def _evaluated(self, above: str, name: str, inherited: int, mask: int) -> tuple[int, int]:
        """The patterns that hit, and the last of them; -1 if there is none."""
        result, last, excluded = 0, -1, False
        for number, pattern in enumerate(self._patterns):
            bit = 1 << number
            if not inherited & bit:
                if not mask & bit or pattern.exception != excluded:
                    continue
                if not pattern.glob.matches(above, name):
                    continue
            result |= bit
            last, excluded = number, not pattern.exception
        return result, last

    def _reaches(self, directory: str, last: int) -> bool:
        """Whether an exception may keep something in a directory that ``last`` leaves out."""
        for pattern in itertools.islice(self._patterns, last + 1, None):
            if pattern.exception:
                start = pattern.glob.start
                if start.startswith(directory):
                    return True
                if not pattern.glob.literal and directory.startswith(start):
                    return True
        return False


def ignore(
    patterns: Iterable[str | bytes] = (),
    file: bytes | None = None,
    told: Callable[[LeftOut], object] | None = None,
) -> Ignore:
    """What the ignore ``file`` leaves out, and then ``patterns``, of the same language.

    Raises ``SourceError``, ``ConfigError`` and ``LimitError``.
    """
    listed = [] if file is None else list(read_ignore_file(file))
    for text in patterns:
        pattern = parse_ignore_pattern(text if isinstance(text, str) else as_text(text))
        if pattern is None:
            raise ConfigError("a pattern is empty", "say what to leave out")
        listed.append(pattern)
    if len(listed) > _MOST:
        raise LimitError(f"{len(listed):,} patterns are more than {_MOST:,}", "leave some out")
    return Ignore(listed, "" if file is None else printable(file), told)


def _make_room(remembered: "dict[int, _Situation] | dict[int, _Sieve]") -> None:
    if len(remembered) >= _REMEMBERED:
        remembered.clear()


class _Situation:
    """What is left to ask where some patterns hit the directory: ``hits``, a bit each.

    ``last`` is the last of them, or -1, and ``excluded`` what it decides. ``everywhere``: an
    exception behind it may hit at any path.
    """

    def __init__(self, patterns: Sequence[IgnorePattern], hits: int) -> None:
        self.hits = hits
        self.last = hits.bit_length() - 1
        self.excluded = self.last >= 0 and not patterns[self.last].exception
        self.everywhere = any(
            one.exception and not one.glob.start for one in patterns[self.last + 1 :]
        )
        self._always = 0
        self._at: dict[str, int] = {}
        self._below: list[tuple[re.Pattern[str], int]] = []
        self._whole: list[tuple[str, int]] = []
        for number, pattern in enumerate(patterns):
            if not hits >> number & 1:
                self._add(pattern, 1 << number)

    def _add(self, pattern: IgnorePattern, bit: int) -> None:
        above = pattern.glob.above
        if above is None:
            self._whole.append((pattern.glob.start, bit))
        elif above.literal:
            self._at[above.start] = self._at.get(above.start, 0) | bit
        elif above.start or above.inside:
            self._below.append((re.compile(above.regexp), bit))
        else:
            self._always |= bit

    def mask(self, above: str) -> int:
        """The patterns that may hit something in the directory ``above``, a bit each."""
        mask = self._always | self._at.get(above, 0)
        for regexp, bit in self._below:
            if "\n" in above or regexp.fullmatch(above):
                mask |= bit
        for start, bit in self._whole:
            if start.startswith(above) or above.startswith(start):
                mask |= bit
        return mask


class _Sieve:
    """Finds, by their bytes, the names that one of the patterns in ``mask`` may hit."""

    def __init__(self, patterns: Sequence[IgnorePattern], mask: int) -> None:
        self._all = False
        literals, starts, ends, inside = set(), set(), set(), set()
        for number, pattern in enumerate(patterns):
            if not mask >> number & 1:
                continue
            name = pattern.glob.name
            if name is None or not name.inside:
                self._all = True
            elif name.literal:
                literals.add(as_bytes(name.start))
            elif name.start:
                starts.add(as_bytes(name.start))
            elif name.end:
                ends.add(as_bytes(name.end))
            else:
                inside.add(as_bytes(name.inside))
        self._literals = frozenset(literals)
        self._starts, self._ends = tuple(starts), tuple(ends)
        self._inside = re.compile(b"|".join(map(re.escape, sorted(inside)))) if inside else None

    def touched(self, names: list[bytes]) -> list[bytes]:
        """Those of ``names`` that have to be looked at one by one."""
        if self._all:
            return names
        literals, starts, ends, inside = self._literals, self._starts, self._ends, self._inside
        if inside is not None:
            search = inside.search
            return [
                name
                for name in names
                if name in literals
                or name.endswith(ends)
                or name.startswith(starts)
                or search(name)
            ]
        if not starts and not ends:
            return [] if literals.isdisjoint(names) else [n for n in names if n in literals]
        return [n for n in names if n in literals or n.endswith(ends) or n.startswith(starts)]
