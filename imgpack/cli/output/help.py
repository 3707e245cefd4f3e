"""Help that fits the terminal, however narrow."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import Any, Final

import click
from click.formatting import wrap_text

from imgpack.cli.output.terminal import Terminal

_WIDEST: Final = 80
_TWO_COLUMNS: Final = 56
"""Columns from which on an option and its explanation stand side by side."""
_HYPHEN: Final = "\u2011"
"""A hyphen after which no line ends."""


class Help(click.HelpFormatter):
    """click's, which is never narrower than 50 columns, for fewer as well."""

    def __init__(
        self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None
    ) -> None:
        columns = width or min(shutil.get_terminal_size().columns, max_width or _WIDEST) - 2
        super().__init__(indent_increment, max(columns, 20))

    def write_text(self, text: str) -> None:
        """Write paragraphs; no line ends within ``--an-option``."""
        super().write_text(text.replace("-", _HYPHEN))

    def getvalue(self) -> str:
        """All that was written."""
        return super().getvalue().replace(_HYPHEN, "-")

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write terms and explanations: side by side, or one below the other."""
        rows = [(term, explanation.replace("-", _HYPHEN)) for term, explanation in rows]
        if self.width >= _TWO_COLUMNS:
            super().write_dl(rows, col_max, col_spacing)
            return
        for term, explanation in rows:
            for text, first in ((term, self.current_indent), (explanation, 6)):
                if text:
                    self.write(wrap_text(text, self.width, " " * first, " " * 6) + "\n")


class HelpContext(click.Context):
    """A command's context, whose help is a ``Help``; hints name no option but its own."""

    formatter_class = Help

    def __init__(self, command: click.Command, *args: Any, **kwargs: Any) -> None:
        super().__init__(command, *args, **kwargs)
        if isinstance(self.obj, Terminal):
            self.obj.options = frozenset(
                name for one in command.params for name in (*one.opts, *one.secondary_opts)
            )
