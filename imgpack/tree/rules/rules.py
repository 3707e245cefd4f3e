"""Rules: what is changed in all that a pattern matches.

A rule is for the paths that its pattern matches and, where that is a directory, for all
below. Of several the last one wins. Invariant: a pattern that changed nothing in any layer is
an error, since it was written for something.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from imgpack.errors import ConfigError
from imgpack.tree.entry import Entry

_KEPT = 1 << 14
"""Directories of which it is remembered what matched them."""


class Pattern(Protocol):
    """What matches paths of the image; ``str`` of it is what was written."""

    @property
    def literal(self) -> bool:
        """Whether it matches one path only."""

    def matches(self, path: bytes) -> bool:
        """Whether it is ``path`` itself that is meant."""


class Effect(Protocol):
    """What a rule does; ``str`` of it differs whenever it does something else."""

    def __call__(self, entry: Entry) -> Entry | None:
        """``entry`` changed, or ``None`` if nothing of that kind can be."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A change of all that ``pattern`` matches, ``None`` for everything.

    ``name`` is what messages call it.
    """

    name: str
    pattern: Pattern | None
    effect: Effect


@dataclass(frozen=True, slots=True)
class RuleList:
    """Rules in their order; ``identity`` differs whenever other entries may come out."""

    rules: tuple[Rule, ...] = ()

    @property
    def identity(self) -> str:
        """What each matches and does."""
        return repr([(rule.pattern and str(rule.pattern), str(rule.effect)) for rule in self.rules])

    def __bool__(self) -> bool:
        return bool(self.rules)

    def begin(self, matched: set[int]) -> "RulesOfLayer":
        """What changes the entries of one layer, and adds to ``matched`` the rules that did."""
        return RulesOfLayer(self.rules, matched)

    def naming(self, entry: Entry) -> Entry | None:
        """``entry`` as the rules leave it that name its very path; ``None`` if none does.

        Whoever builds means the directories of lower layers by their names, and not by
        patterns that are for what is in them.
        """
        left: Entry | None = None
        for rule in self.rules:
            pattern = rule.pattern
            if pattern is not None and pattern.literal and pattern.matches(entry.path):
                left = rule.effect(left or entry) or left
        return left

    def check(self, matched: Collection[int]) -> None:
        """Raise ``ConfigError`` if a pattern is not among those that matched in any layer."""
        idle = [
            rule.name
            for number, rule in enumerate(self.rules)
            if number not in matched and rule.pattern is not None
        ]
        if idle:
            raise ConfigError(
                f"nothing that it could change matches {', '.join(idle)}",
                "patterns are for the whole path in the image, and **/ is at any depth",
            )


NO_RULES = RuleList()


class RulesOfLayer:
    """The rules for one layer, whose entries come with each directory before what is in it."""

    def __init__(self, rules: Sequence[Rule], matched: set[int]) -> None:
        self._rules = rules
        self._matched = matched
        self._everywhere = tuple(n for n, rule in enumerate(rules) if rule.pattern is None)
        self._known: dict[bytes, tuple[int, ...]] = {b"": self._everywhere}

    def __call__(self, entry: Entry) -> Entry:
        """``entry`` as the rules leave it."""
        path = entry.path
        numbers = self._below(path) if entry.is_directory else self._of(path)
        for number in numbers:
            changed = self._rules[number].effect(entry)
            if changed is not None:
                entry = changed
                self._matched.add(number)
        return entry

    def _below(self, path: bytes) -> tuple[int, ...]:
        """The numbers of the rules for a directory, which are for all that is in it."""
        pending = []
        while (found := self._known.get(path)) is None:
            pending.append(path)
            path = path.rpartition(b"/")[0]
        if len(self._known) >= _KEPT:
            self._known = {b"": self._everywhere}
        for directory in reversed(pending):
            found = self._known[directory] = self._with_own(found, directory)
        return found

    def _of(self, path: bytes) -> tuple[int, ...]:
        return self._with_own(self._below(path.rpartition(b"/")[0]), path)

    def _with_own(self, above: tuple[int, ...], path: bytes) -> tuple[int, ...]:
        if len(above) == len(self._rules):
            return above
        own = [
            number
            for number, rule in enumerate(self._rules)
            if number in above or (rule.pattern is not None and rule.pattern.matches(path))
        ]
        return above if len(own) == len(above) else tuple(own)
