"""Arguments and options that name files or directories, so that shells complete them.

Invariant: nothing is looked at here. Whoever opens a path says what is wrong with it,
with the exit code of that cause.
"""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import CompletionItem


class PathName(click.types.StringParamType):
    """A text that may be a path of the ``kind`` that click's completion knows."""

    name = "path"

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Leave it to the shell."""
        return [CompletionItem(incomplete, type=self._kind)]


FILE: Final = PathName("file")
DIRECTORY: Final = PathName("dir")
