"""Text for people: sizes, tables, and strings from untrusted documents made harmless.

Invariant: nothing that a document says reaches the terminal as a control sequence.
"""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from collections.abc import Sequence
from typing import Final

from imgpack.errors import printable
from imgpack.spec.json import go_escapes

_CELL: Final = 160
"""Columns of a table's cell: every row is padded to the longest, which must not be endless."""
_LEAST: Final = 20
"""Columns that are left of a cell that is cut off: of a digest, the first twelve."""
_DIGEST: Final = re.compile(r"(\bsha\d+:[0-9a-f]{12})[0-9a-f]{20,}")
_WORD: Final = re.compile(r"\s*\S+")
_MARK: Final = re.compile(r"[^\s/:,;=&@.-]/|\S[:,;=&@.-]")
"""After what a long word is broken; not before its second character, nor within ``:/``."""


def one_line(text: str) -> str:
    """``text`` on one line, with control and format characters escaped."""
    return printable(text.replace("\t", " ").replace("\n", " "))


def json_text(document: object) -> str:
    """``document`` as JSON, which escapes in its own way what would not be printed.

    Bytes of a path that are no UTF-8 are among that, as lone surrogates.
    """
    text = go_escapes(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text)


def columns_of(text: str) -> int:
    """The columns that ``text`` takes on a terminal (Unicode, UAX #11 and UAX #44)."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):  # on top of the character before
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def clipped(text: str, columns: int) -> str:
    """``text``, its end cut off if it takes more than ``columns``, of which there is one."""
    return text if columns_of(text) <= columns else text[: _fitting(text, columns - 1)] + "…"


def _fitting(text: str, columns: int) -> int:
    """How many characters of ``text`` fit in ``columns``."""
    for number, char in enumerate(text):
        columns -= _columns(char)
        if columns < 0:
            return number
    return len(text)


def padded(text: str, columns: int, *, right: bool = False) -> str:
    """``text`` with spaces after it, or before it (``right``), to take ``columns``."""
    spaces = " " * (columns - columns_of(text))
    return spaces + text if right else text + spaces


def shortened(text: str, width: int | None) -> str:
    """``text`` with the first of its digests' digits alone, if it takes more than ``width``."""
    if width is None or columns_of(text) <= width:
        return text
    return _DIGEST.sub(r"\1…", text)


def folded(text: str, width: int | None, indent: int = 0) -> list[str]:
    """``text`` as lines of ``width`` columns; those after the first are indented.

    A word that is wider than a line is broken, after a mark if there is one in its end.
    """
    if width is None or columns_of(text) <= width:
        return [text]
    width = max(width, indent + _LEAST)
    lines, line = [], ""
    for word in _WORD.findall(text):
        room, size = width - columns_of(line), columns_of(word.lstrip())
        if columns_of(word) > room and line and (size <= width - indent or room < _LEAST):
            lines.append(line)
            line, word = " " * indent, word.lstrip()
        while columns_of(line + word) > width:
            end = _fitting(word, width - columns_of(line))
            marks = [mark.end() for mark in _MARK.finditer(word, 0, end)]
            if marks and 2 * marks[-1] >= end:
                end = marks[-1]
            lines.append(line + word[:end])
            line, word = " " * indent, word[end:]
        line += word
    return [*lines, line]


def available() -> int | None:
    """The columns of the terminal that standard output is; elsewhere lines are of any length."""
    if not sys.stdout.isatty():
        return None
    return os.get_terminal_size(sys.stdout.fileno()).columns or 80


def counted(count: int, noun: str) -> str:
    """How many: ``1 layer``, ``2,000 layers``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def table(
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[int] = (),
    flexible: int = 0,
    width: int | None = None,
) -> list[str]:
    """``rows`` as lines in columns; those numbered in ``right`` are aligned to the right.

    In ``width`` columns the one numbered ``flexible`` is cut off, and if that is not
    enough, the last of the others are left out. Long cells are cut off anywhere.
    """
    rows = [[clipped(cell, _CELL) for cell in row] for row in rows]
    widths = dict(enumerate(max(map(columns_of, column)) for column in zip(*rows, strict=True)))
    if width is not None:
        _fit(widths, flexible, width)
    return [
        "  ".join(
            padded(clipped(row[column], room), room, right=column in right)
            for column, room in widths.items()
        ).rstrip()
        for row in rows
    ]


def _fit(widths: dict[int, int], flexible: int, width: int) -> None:
    least = min(_LEAST, widths[flexible])
    for column in reversed([one for one in widths if one != flexible]):
        if sum(widths.values()) - widths[flexible] + 2 * (len(widths) - 1) + least <= width:
            break
        del widths[column]
    spare = width - sum(widths.values()) - 2 * (len(widths) - 1)
    widths[flexible] = max(least, widths[flexible] + min(spare, 0))
