"""Text for people: sizes, tables, and strings from untrusted documents made harmless.

Invariant: nothing that a document says reaches the terminal as a control sequence.
"""

import json
from collections.abc import Sequence
from typing import Final

from imgpack.errors import printable
from imgpack.spec.json import encode

_CELL: Final = 160
"""Characters of a table's cell: every row is padded to the longest, which must not be endless."""


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


def table(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """``rows`` as lines in columns; those numbered in ``right`` are aligned to the right.

    Long cells are cut off.
    """
    rows = [[clipped(cell, _CELL) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
