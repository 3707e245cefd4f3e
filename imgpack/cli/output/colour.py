"""Colours: a few, where somebody looks, and as the environment wants them.

``NO_COLOR`` (no-color.org) goes before ``CLICOLOR_FORCE`` and ``FORCE_COLOR``, and these
before what the stream is (bixense.com/clicolors).
"""

from __future__ import annotations

import os
from typing import Final, TextIO

import click

_RED: Final = "red"
_YELLOW: Final = "yellow"


def is_dumb() -> bool:
    """Whether the terminal, if it is one, takes lines and no control sequences."""
    return os.environ.get("TERM") == "dumb"


def coloured(stream: TextIO) -> bool:
    """Whether ``stream`` is to get colours."""
    if os.environ.get("NO_COLOR"):
        return False
    for name in ("CLICOLOR_FORCE", "FORCE_COLOR"):
        if os.environ.get(name, "0") not in ("", "0"):
            return True
    if is_dumb() or os.environ.get("FORCE_COLOR") == "0" or os.environ.get("CLICOLOR") == "0":
        return False
    return stream.isatty()


def marked(line: str, stream: TextIO) -> str:
    """A line of ours for ``stream``: the words that say that it is an error or a warning."""
    if not coloured(stream):
        return line
    for word, colour in (("error:", _RED), ("warning:", _YELLOW)):
        start = f"imgpack: {word}"
        if line.startswith(start):
            return f"imgpack: {click.style(word, fg=colour, bold=True)}{line[len(start) :]}"
    return line


def bold(text: str, stream: TextIO) -> str:
    """``text`` as it stands out on ``stream``."""
    return click.style(text, bold=True) if text and coloured(stream) else text


def echo(text: str, stream: TextIO) -> None:
    """Write a line, with the colours in it if ``stream`` gets any."""
    click.echo(text, file=stream, color=coloured(stream))
