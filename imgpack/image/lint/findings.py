"""What is found by the rules, what of it is told, and what is ignored."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

from imgpack.errors import ConfigError, printable, quoted
from imgpack.image.lint.rules import RULES, LintLevel, LintRule
from imgpack.tree.rules.glob import Glob

MOST_TOLD: Final = 1000
"""Findings of one rule that are kept; more are counted, so that memory is bounded."""


@dataclass(frozen=True, slots=True)
class LintFinding:
    """Something that a rule found, in words for people.

    It is at a ``path`` of the image (bytes, relative; ``None``: not in a file) and a ``line`` of
    it (from 1; 0: the whole), in the ``layer`` (from 0, bottom first); ``deleted_by`` is the layer
    that hides or deletes it. ``place`` is where in the configuration, as ``config.Env``.
    """

    rule: LintRule
    message: str
    path: bytes | None = None
    layer: int | None = None
    deleted_by: int | None = None
    line: int = 0
    place: str = ""

    def as_json(self) -> dict[str, Any]:
        """For programs; layers are counted from 1, and paths have no slash in front."""
        found: dict[str, Any] = {
            "rule": self.rule.id,
            "level": self.rule.level.value,
            "message": self.message,
        }
        if self.path is not None:
            found["path"] = printable(self.path)
        if self.line:
            found["line"] = self.line
        if self.layer is not None:
            found["layer"] = self.layer + 1
        if self.deleted_by is not None:
            found["deletedBy"] = self.deleted_by + 1
        return found | ({"place": self.place} if self.place else {})


@dataclass(frozen=True, slots=True)
class LintIgnore:
    """A rule whose findings are not told: all of them, or those at paths that ``glob`` matches."""

    rule: str
    glob: Glob | None = None

    @classmethod
    def known(cls) -> tuple[str, ...]:
        """The ids of all rules."""
        return tuple(RULES)

    @classmethod
    def parse(cls, text: str) -> Self:
        """``ID`` or ``ID:PATTERN``, a pattern as in .dockerignore. Raises ``ConfigError``."""
        rule, colon, pattern = text.partition(":")
        if rule not in RULES:
            from difflib import get_close_matches

            near = get_close_matches(rule, RULES, 1)
            hint = f"did you mean {near[0]}?" if near else f"the rules are: {', '.join(RULES)}"
            raise ConfigError(f"{quoted(rule)} is no rule", hint)
        try:
            if colon and not pattern.strip("/"):
                raise ValueError("it is empty")
            return cls(rule, Glob(pattern.strip("/")) if colon else None)
        except ValueError as error:
            raise ConfigError(f"{quoted(text)} has no pattern: {error}") from None

    def covers(self, rule: LintRule, path: bytes | None) -> bool:
        """Whether a finding at ``path``, or in a directory that matches, is ignored."""
        if rule.id != self.rule or self.glob is None:
            return rule.id == self.rule
        while path:
            above, slash, name = path.decode("utf-8", "surrogateescape").rpartition("/")
            if self.glob.matches(above + slash, name):
                return True
            path = path.rpartition(b"/")[0]
        return False


@dataclass(frozen=True, slots=True)
class Linted:
    """All that was found: the worst first, then in the order of the rules.

    ``more`` counts findings of a rule beyond the first thousand, ``ignored`` those that were not
    to be told. ``unchecked`` says what could not be looked at, as the bytes of absent layers.
    """

    findings: tuple[LintFinding, ...]
    more: tuple[tuple[LintRule, int], ...] = ()
    ignored: int = 0
    unchecked: tuple[str, ...] = ()

    def count(self, level: LintLevel) -> int:
        """How many findings of ``level`` there are, with those that are only counted."""
        told = sum(found.rule.level is level for found in self.findings)
        return told + sum(count for rule, count in self.more if rule.level is level)

    def fails(self, least: LintLevel) -> bool:
        """Whether there is a finding as bad as ``least``, or worse."""
        return any(found.rule.level.reaches(least) for found in self.findings)

    def as_json(self) -> dict[str, Any]:
        """For programs: ``docs/output.schema.json``."""
        return {
            "findings": [found.as_json() for found in self.findings],
            "more": {rule.id: count for rule, count in self.more},
            "counts": {level.value: self.count(level) for level in LintLevel},
            "ignored": self.ignored,
            "unchecked": list(self.unchecked),
        }


class LintFindings:
    """Findings as they come; those that ``ignored`` cover are only counted."""

    def __init__(self, ignored: Iterable[LintIgnore] = ()) -> None:
        self._ignored = tuple(ignored)
        self._by_rule: dict[str, list[LintFinding]] = {name: [] for name in RULES}
        self._more: dict[str, int] = {}
        self._left_out = 0
        self._unchecked: dict[str, None] = {}

    def add(
        self,
        rule: str,
        message: str,
        path: bytes | None = None,
        layer: int | None = None,
        *,
        deleted_by: int | None = None,
        line: int = 0,
        place: str = "",
    ) -> None:
        """One more, of the rule with the id ``rule``; the rest as in ``LintFinding``."""
        if self.ignores(rule, path):
            self._left_out += 1
        elif len(told := self._by_rule[rule]) < MOST_TOLD:
            told.append(LintFinding(RULES[rule], message, path, layer, deleted_by, line, place))
        else:
            self._more[rule] = self._more.get(rule, 0) + 1

    def ignores(self, rule: str, path: bytes | None = None) -> bool:
        """Whether what ``rule`` finds at ``path``, or anywhere, is not told."""
        return any(one.covers(RULES[rule], path) for one in self._ignored)

    def unchecked(self, what: str) -> None:
        """Remember what could not be looked at."""
        self._unchecked[what] = None

    def end(self) -> Linted:
        """All of them."""
        return Linted(
            tuple(self._sorted()),
            tuple((RULES[name], count) for name, count in self._more.items()),
            self._left_out,
            tuple(self._unchecked),
        )

    def _sorted(self) -> Iterator[LintFinding]:
        for level in LintLevel:
            for found in self._by_rule.values():
                yield from (one for one in found if one.rule.level is level)
