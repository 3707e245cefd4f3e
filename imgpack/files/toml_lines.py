"""On which line of a TOML file each value stands, which ``tomllib`` does not say.

TOML 1.0.0. What is no TOML is left to ``tomllib`` to find: the lines up to there are known.
Invariants: time and memory are linear in the text; no value lies deeper than ``DEEPEST``.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from contextlib import suppress
from typing import Final

Path = tuple[str | int, ...]
"""Where a value stands in the file: keys of tables, and numbers in lists."""

DEEPEST: Final = 32
"""Tables and lists within each other. Whoever reads deeper ones recurses, or takes long."""

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_KEY: Final = re.compile(r"""([A-Za-z0-9_-]+)|("(?:[^"\\\n]|\\.)*")|'([^'\n]*)'""")
_TEXT: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|' r"'''.*?'{3,5}|" r'"(?:[^"\\\n]|\\.)*"|' r"'[^'\n]*'", re.DOTALL
)
_PLAIN: Final = re.compile(r"[^\[\]{},#\r\n\"']+")


class TooDeepError(Exception):
    """Something lies too deep, on the line numbered ``line``."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class _LostError(Exception):
    """It is no TOML."""


def lines_of(text: str) -> dict[Path, int]:
    """The lines, from 1, of all tables and values of the file ``text``.

    A table's is that of its first header. Raises ``TooDeepError``.
    """
    scan = _Scan(text)
    with suppress(_LostError):
        scan.document()
    return scan.lines


def key_of(text: str) -> tuple[Path, str] | None:
    """The key that ``text``, which is ``KEY=VALUE``, begins with, and the rest; else ``None``.

    Raises ``TooDeepError``.
    """
    scan = _Scan(text)
    try:
        return scan.assignment()
    except _LostError:
        return None


class _Scan:
    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._counts: dict[Path, int] = {}

    def document(self) -> None:
        """All of it: headers, and pairs below them."""
        table: Path = ()
        while True:
            self._skip(_BLANK)
            if self._at == len(self._text):
                return
            if self._takes("[["):
                table = self._header("]]")
                self._counts[table] = self._counts.get(table, -1) + 1
                table = (*table, self._counts[table])
                self._note(table)
            elif self._takes("["):
                table = self._header("]")
            else:
                self._pair(table)

    def assignment(self) -> tuple[Path, str]:
        """A key, and what stands behind its equals sign."""
        path = tuple(self._key())
        self._expect("=")
        return path, self._text[self._at :]

    def _header(self, end: str) -> Path:
        path: Path = ()
        parts = self._key()
        for number, part in enumerate(parts, 1):
            path = self._check((*path, part))
            self._note(path)
            if path in self._counts and number < len(parts):
                path = (*path, self._counts[path])
        self._expect(end)
        return path

    def _pair(self, table: Path) -> None:
        path = table
        for part in self._key():
            path = self._check((*path, part))
            self._note(path)
        self._expect("=")
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        if self._takes("["):
            self._list(path)
        elif self._takes("{"):
            self._inline(path)
        elif self._skip(_TEXT) == 0 and self._skip(_PLAIN) == 0:
            raise _LostError

    def _list(self, path: Path) -> None:
        number = 0
        while True:
            self._skip(_BLANK)
            if self._takes("]"):
                return
            item = self._check((*path, number))
            self._note(item)
            self._value(item)
            number += 1
            self._skip(_BLANK)
            if not self._takes(","):
                self._expect("]")
                return

    def _inline(self, path: Path) -> None:
        self._skip(_BLANK)
        while not self._takes("}"):
            self._pair(path)
            self._skip(_BLANK)
            if not self._takes(","):
                self._expect("}")
                return
            self._skip(_BLANK)

    def _key(self) -> list[str]:
        parts = []
        while True:
            self._skip(_SPACE)
            match = _KEY.match(self._text, self._at)
            if match is None:
                raise _LostError
            self._at = match.end()
            parts.append(_unquoted(match))
            if len(parts) > DEEPEST:
                raise TooDeepError(self._line())
            self._skip(_SPACE)
            if not self._takes("."):
                return parts

    def _check(self, path: Path) -> Path:
        if len(path) > DEEPEST:
            raise TooDeepError(self._line())
        return path

    def _note(self, path: Path) -> None:
        self.lines.setdefault(path, self._line())

    def _line(self) -> int:
        # A header and its key are noted when they have been read: they end on their line.
        return bisect_right(self._starts, self._at)

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self._text, self._at)
        start, self._at = self._at, match.end() if match else self._at
        return self._at - start

    def _takes(self, token: str) -> bool:
        there = self._text.startswith(token, self._at)
        self._at += len(token) if there else 0
        return there

    def _expect(self, token: str) -> None:
        if not self._takes(token):
            raise _LostError


def _unquoted(match: re.Match[str]) -> str:
    bare, basic, literal = match.groups()
    if basic is None:
        return bare if bare is not None else literal
    if "\\" not in basic:
        return str(basic[1:-1])
    import tomllib

    try:
        return str(tomllib.loads(f"key = {basic}")["key"])
    except tomllib.TOMLDecodeError as error:
        raise _LostError from error
