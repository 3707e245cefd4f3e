"""Modes as chmod(1) writes them: octal, or clauses that change what a file has.

Source: POSIX, "chmod", and GNU coreutils 9.1, whose results these are, but for two choices
that make them the same on every host. A clause that names nobody is under the umask 022,
whatever the caller's. And a directory is no exception: an octal mode sets all twelve bits,
and ``=`` clears the set-id bits that it does not name, where GNU keeps those of directories.
"""

import re
from dataclasses import dataclass
from typing import Final

from imgpack.errors import ConfigError, quoted

_UMASK: Final = 0o022
_OCTAL: Final = re.compile(r"[0-7]{1,5}")
_CLAUSE: Final = re.compile(r"([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*|[0-7]{1,5}))+)")
_ACTION: Final = re.compile(r"([-+=])([ugo]|[rwxXst]*|[0-7]{1,5})(?=[-+=]|$)")
_BITS: Final = {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": 0o1000}
_CLASSES: Final = {"u": 0o4700, "g": 0o2070, "o": 0o1007}
"""What each class may change; the sticky bit is for all, and for others, as GNU has it."""
_SHIFTS: Final = {"u": 6, "g": 3, "o": 0}
_ALL: Final = 0o7777


@dataclass(frozen=True, slots=True)
class _Action:
    """One operator with what is behind it; ``who`` is empty if nobody was named."""

    who: str
    operator: str
    operand: str

    def __call__(self, mode: int, *, directory: bool) -> int:
        mask, bits = self._mask(), self._bits(mode, directory=directory) & self._mask()
        if not self.who and not self.operand.isdigit():
            bits &= ~_UMASK
        if self.operator == "+":
            return mode | bits
        if self.operator == "-":
            return mode & ~bits
        return (mode & ~mask) | bits

    def _mask(self) -> int:
        if not self.who or "a" in self.who:
            return _ALL
        return sum(_CLASSES[one] for one in set(self.who))

    def _bits(self, mode: int, *, directory: bool) -> int:
        if self.operand.isdigit():
            return int(self.operand, 8)
        if self.operand in _SHIFTS and self.operand:
            return (mode >> _SHIFTS[self.operand] & 0o7) * 0o111
        bits = 0
        for letter in self.operand:
            if letter != "X":
                bits |= _BITS[letter]
            elif directory or mode & 0o111:
                bits |= 0o111
        return bits


@dataclass(frozen=True, slots=True)
class ModeChange:
    """What becomes of permissions; ``text`` is what was written."""

    text: str
    actions: tuple[_Action, ...]

    @classmethod
    def parse(cls, text: str) -> "ModeChange":
        """An octal mode or clauses. Raises ``ConfigError``."""
        if _OCTAL.fullmatch(text) and int(text, 8) <= _ALL:
            return cls(text, (_Action("a", "=", text),))
        actions: list[_Action] = []
        for clause in text.split(","):
            found = _CLAUSE.fullmatch(clause)
            if found is None:
                raise _refused(text)
            who, changes = found[1], found[2]
            parts = _ACTION.findall(changes)
            numbers = [operand for _, operand in parts if operand.isdigit()]
            # GNU takes a number behind an operator only alone, for all classes.
            if numbers and (who or len(parts) > 1 or int(numbers[0], 8) > _ALL):
                raise _refused(text)
            if "".join(sum(parts, ())) != changes:
                raise _refused(text)
            actions += [_Action(who, operator, operand) for operator, operand in parts]
        return cls(text, tuple(actions))

    def __call__(self, mode: int, *, directory: bool) -> int:
        """The permissions that ``mode``, of twelve bits, becomes."""
        for action in self.actions:
            mode = action(mode, directory=directory)
        return mode


def _refused(text: str) -> ConfigError:
    return ConfigError(
        f"{quoted(text)} is not a mode",
        "write octal, as 0755, or what chmod takes, as u=rwX,go=rX",
    )
