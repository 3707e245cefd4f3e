"""Text for people: sizes, tables, and strings from untrusted documents made harmless.

Invariant: nothing that a document says reaches the terminal as a control sequence.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Final

from imgpack.errors import printable
from imgpack.spec.json import encode

_CELL: Final = 160
"""Characters of a table's cell: every row is padded to the longest, which must not be endless."""
_LEAST: Final = 20
"""Characters that are left of a cell that is cut off: of a digest, the first twelve."""


def one_line(text: str) -> str:
    """``text`` on one line, with control and format characters escaped."""
    return printable(text.replace("\t", " ").replace("\n", " "))


def json_text(document: object) -> str:
    """``document`` as JSON, which escapes in its own way what would not be printed."""
    text = encode(document, indent=2).decode()
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text)


def clipped(text: str, length: int) -> str:
    """``text``, its end cut off if it has more than ``length`` characters."""
    return text if len(text) <= length else text[: length - 1] + "…"


def available() -> int | None:
    """The columns of the terminal that standard output is; elsewhere lines are of any length."""
    if not sys.stdout.isatty():
        return None
    return os.get_terminal_size(sys.stdout.fileno()).columns or 80


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
    widths = dict(enumerate(max(map(len, column)) for column in zip(*rows, strict=True)))
    if width is not None:
        _fit(widths, flexible, width)
    return [
        "  ".join(
            clipped(row[column], room).rjust(room)
            if column in right
            else clipped(row[column], room).ljust(room)
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
