"""Completion in bash, zsh and fish, on click's machinery.

A script (``bash.txt`` and its like) hands the words of the command line over as arguments, the
one that is being typed last. It is answered with a line that says what the shell completes
itself (``file``, ``dir``, or ``plain`` for nothing), and one for each whole word that it
may become beside that, with a tab and a description behind it. What is not known is left to
the shell: without completion it had offered files, and so it does with it.
"""

from __future__ import annotations

import shlex
import sys
from typing import ClassVar

import click
from click.shell_completion import (
    CompletionItem,
    ShellComplete,
    _resolve_context,
    _resolve_incomplete,
    add_completion_class,
)

from imgpack.cli.completion.values import BESIDE_FILES, offered

SHELLS = ("bash", "zsh", "fish")


def script(shell: str) -> str:
    """What makes ``shell`` complete imgpack, to be evaluated by it."""
    from importlib.resources import files

    return files(__package__).joinpath(f"{shell}.txt").read_text("utf-8")


class _Words(ShellComplete):
    quoted: ClassVar[bool] = False
    """Whether the shell hands words over as they are written, with quotes."""

    def source(self) -> str:
        return script(self.name)

    def get_completion_args(self) -> tuple[list[str], str]:
        words = [_unquoted(word) if self.quoted else word for word in sys.argv[1:]]
        return words[:-1], (words or [""])[-1]

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        ctx = _resolve_context(self.cli, self.ctx_args, self.prog_name, args)
        found, rest = _resolve_incomplete(ctx, args, incomplete)
        if isinstance(found, click.Option) and args and args[-1] in found.opts:
            # With an option that lacks its value click takes no argument for what it is.
            ctx = _resolve_context(self.cli, self.ctx_args, self.prog_name, args[:-1])
        before = incomplete[: len(incomplete) - len(rest)]
        parameter = found if isinstance(found, click.Parameter) else None
        known = offered(parameter, ctx, rest) if parameter is not None else []
        items = [CompletionItem(value) for value in known] or found.shell_complete(ctx, rest)
        kinds = [one.type for one in items if one.type != "plain"]
        plain = [CompletionItem(before + one.value, help=one.help) for one in items if not kinds]
        both = known and parameter is not None and parameter.name in BESIDE_FILES
        shell_s = "file" if both or not (plain or rest.startswith("-")) else "plain"
        return [CompletionItem("", (*kinds, shell_s)[0]), *plain]

    def format_completion(self, item: CompletionItem) -> str:
        if not item.value:
            return item.type
        return f"{item.value}\t{item.help}" if item.help else str(item.value)


def _unquoted(word: str) -> str:
    """``word`` as the shell will take it; it may end within quotes."""
    for end in ("", "'", '"', "\\"):
        try:
            return "".join(shlex.split(word + end)) if word else word
        except ValueError:
            continue
    return word


@add_completion_class
class _Bash(_Words):
    name = "bash"
    quoted = True


@add_completion_class
class _Zsh(_Words):
    name = "zsh"


@add_completion_class
class _Fish(_Words):
    name = "fish"
