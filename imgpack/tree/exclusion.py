"""What leaves paths of a tree out, as a walk asks for it, and what came of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

_KEPT: Final = 1 << 16
"""Bytes of paths that are told one by one; what is more is counted."""


class ExclusionRule(NamedTuple):
    """One pattern as it was written, and where: ``line`` is 0 outside of a file."""

    text: str
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else self.text


class Rules(NamedTuple):
    """All that decides, in order; ``file`` is the ignore file that is obeyed, if one is.

    ``told`` hears what a build left out, once the layer is made.
    """

    listed: tuple[ExclusionRule, ...]
    file: str = ""
    told: "Callable[[LeftOut], object] | None" = None


class Sifted(NamedTuple):
    """What becomes of the names in a directory.

    ``hits`` are the rules that hit a name, a bit each, where they are others than those of
    the directory. ``hidden`` is left out itself, with its hits and the rule that says so;
    but if it is a directory, something in it may be kept, and then it is as well. ``out``
    is left out with all that is in it, by which rule.
    """

    kept: list[bytes]
    hits: dict[bytes, int]
    hidden: dict[bytes, tuple[int, int]]
    out: list[tuple[bytes, int]]


class Exclusion(Protocol):
    """Decides from paths alone what of a tree is left out. Paths are relative to its root."""

    @property
    def identity(self) -> str:
        """A text that differs whenever other entries may be left out."""

    @property
    def rules(self) -> Rules:
        """What was written."""

    def sift(self, above: bytes, names: list[bytes], hits: int) -> Sifted:
        """Sort out the ``names`` in a directory, whose path is ``above`` with a slash behind it.

        ``hits`` are those of the directory; of the root, whose path is empty, there are none.
        """


@dataclass(slots=True)
class LeftOut:
    """What a walk left out: ``count`` paths, each with all that is in it.

    ``paths`` are as many of them as can be told, each with the number of its rule;
    ``effective`` has a bit for each rule that hit something.
    """

    rules: Rules
    count: int = 0
    paths: list[tuple[bytes, int]] = field(default_factory=list)
    effective: int = 0
    _room: int = _KEPT

    def add(self, above: bytes, names: Iterable[tuple[bytes, int]]) -> None:
        """Remember what is left out of the directory ``above``, and by which rule."""
        for name, rule in names:
            self.count += 1
            self.effective |= 1 << rule
            if self._room > 0:
                path = above + name
                self._room -= len(path)
                self.paths.append((path, rule))

    def hit(self, hits: Iterable[int]) -> None:
        """Remember rules that hit what is kept."""
        for bits in hits:
            self.effective |= bits

    def tell(self) -> None:
        """Say that the layer is made, to whoever wants to hear it."""
        if self.rules.told is not None:
            self.rules.told(self)

    @property
    def idle(self) -> tuple[ExclusionRule, ...]:
        """The rules that decided nothing."""
        listed = enumerate(self.rules.listed)
        return tuple(rule for number, rule in listed if not self.effective >> number & 1)
