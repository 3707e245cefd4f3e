"""``imgpack help``: the help of a command, or a page on a topic."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import click

from imgpack.cli.output.help import Help
from imgpack.cli.topics.pages import OTHER_WORDS, TOPICS, page, summary, topic


def _offered(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Topics and commands, or those of the command before."""
    words = ctx.params.get("words") or ()
    context = _command(ctx.find_root(), words)
    names = _names(context) if context is not None else []
    there = dict.fromkeys((*(() if words else TOPICS), *names))
    return [name for name in there if name.startswith(incomplete)]


@click.command("help")
@click.argument("words", metavar="[TOPIC|COMMAND]...", nargs=-1, shell_complete=_offered)
@click.pass_context
def help(ctx: click.Context, *, words: tuple[str, ...]) -> None:
    """Show the help of COMMAND, or a page on TOPIC; without one, the topics there are."""
    if not words:
        click.echo(_topics(), nl=False)
        return
    name, root = topic(" ".join(words)), ctx.find_root()
    command = _command(root, words)
    if name is not None and (command is None or name == " ".join(words)):
        click.echo(page(name), nl=False)
        if command is not None:
            click.echo(f"\nIts options: {command.command_path} --help")
    elif command is not None:
        click.echo(command.get_help())
    else:
        known = (*TOPICS, *" ".join(OTHER_WORDS.values()).split(), *_names(root))
        close = get_close_matches("-".join(words), known, 1)
        hint = f"did you mean imgpack help {close[0]}?" if close else "see imgpack help"
        raise click.UsageError(f"there is no topic and no command {' '.join(words)!r}; {hint}")


def _topics() -> str:
    formatter = Help()
    formatter.write_text("imgpack help COMMAND shows the options of a command, imgpack help TOPIC:")
    formatter.write("\n")
    formatter.indent()
    formatter.write_dl([(name, summary(name)) for name in TOPICS])
    return formatter.getvalue()


def _names(context: click.Context) -> list[str]:
    command = context.command
    return command.list_commands(context) if isinstance(command, click.Group) else []


def _command(context: click.Context, words: Sequence[str]) -> click.Context | None:
    """The context of the command that ``words`` name, below that of a group."""
    for word in words:
        group = context.command
        found = group.get_command(context, word) if isinstance(group, click.Group) else None
        if found is None:
            return None
        context = found.context_class(found, context, word)
    return context
