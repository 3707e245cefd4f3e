"""What is wrong with a command line, and what was probably meant.

Invariant: what people know from other builders is answered by name; a similar word is
only suggested if it is a slip of the fingers away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import click

_KINDS: Final = {
    "integer range": "is no whole number",
    "integer": "is no whole number",
    "float range": "is no number",
    "float": "is no number",
}
_LONGEST: Final = 80
"""Characters of the words of a command line that are too many, which a shell may have made."""


class Subcommands(click.Group):
    """Commands below a command; one that is not there is answered."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; an unknown word is a usage error, and ends a completion."""
        name = args[0]
        there = name.startswith("-") or self.get_command(ctx, name) is not None
        if not there and not ctx.resilient_parsing:
            group = [] if ctx.parent is None else [ctx.info_name or ""]
            ctx.fail(no_command([*group, *args], self.known_words(ctx), ctx.command_path))
        return super().resolve_command(ctx, args)

    def known_words(self, ctx: click.Context) -> list[str]:
        """What may have been meant by a word that is no command."""
        return self.list_commands(ctx)

    def invoke(self, ctx: click.Context) -> Any:
        """As click does; a usage error that a command raised itself says of which."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            if error.ctx is None:
                name = ctx.invoked_subcommand or ""
                command = self.get_command(ctx, name) or click.Command(None)
                error.ctx = click.Context(command, ctx, name)
            raise


def worded(problem: click.ClickException) -> str:
    """What is wrong, and what to do about it."""
    context = problem.ctx if isinstance(problem, click.UsageError) else None
    path = context.command_path if context is not None else "imgpack"
    help_page = f"see {path} --help"
    if isinstance(problem, click.NoSuchOption) and context is not None:
        name, there = problem.option_name, _options(context)
        command = "imgpack" if context.parent is None else context.command.name
        known = _habit(command or "", name, there)
        return f"{path} has no option {name}; {known or _close(name, there) or help_page}"
    message = _readable(problem.format_message().rstrip("."))
    if context is not None:
        help_page = _instead(problem, context) or help_page
    return message if "; " in message else f"{message}; {help_page}"


def _readable(message: str) -> str:
    """What click says, without the names of its types, and with no more than a line of words."""
    for kind, said in _KINDS.items():
        message = message.replace(f"is not a valid {kind}", said)
    front, bracket, words = message.partition("extra arguments (")
    if len(words) > _LONGEST:
        words = f"{words[:_LONGEST].rpartition(' ')[0]} …)"
    return front + bracket + words


def no_command(words: Sequence[str], there: Collection[str], path: str = "imgpack") -> str:
    """``words`` begin with no command, and what else to say.

    In a group they begin with its name. ``there`` are the commands that ``path`` has.
    """
    from imgpack.cli.habits.commands import answer

    name = words[path.count(" ")]
    place = f"there is no command {name!r}" if path == "imgpack" else f"{path} has no {name!r}"
    return f"{place}; {answer(words, there) or _close(name, there) or f'see {path} --help'}"


def _instead(problem: click.ClickException, context: click.Context) -> str:
    """What to write in the place of what is missing, or is too much; empty if it is not known."""
    if isinstance(problem, click.BadOptionUsage):
        return _usage(context, problem.option_name)
    if isinstance(problem, click.MissingParameter) and isinstance(problem.param, click.Option):
        return _usage(context, problem.param.opts[-1])
    if isinstance(problem, click.MissingParameter):
        pieces = context.command.collect_usage_pieces(context)
        return f"write {context.command_path} {' '.join(pieces).removeprefix('[OPTIONS] ')}"
    if isinstance(problem, click.BadParameter) and problem.param is not None:
        from imgpack.cli.habits.outputs import VALUES

        known = VALUES.get(problem.param.name or "", {})
        return next((known[word] for word in known if f"'{word}' is" in problem.message), "")
    if problem.message.startswith("Got unexpected extra argument"):
        from imgpack.cli.habits.images import EXTRA

        return EXTRA.get(context.command.name or "", "")
    return ""


def _options(context: click.Context) -> set[str]:
    parameters = context.command.get_params(context)
    names = {name for one in parameters for name in (*one.opts, *one.secondary_opts)}
    return {name for name in names if name.startswith("-")}


def _usage(context: click.Context, name: str) -> str:
    """How the option ``name`` is written."""
    for one in context.command.get_params(context):
        if name in one.opts:
            flag = isinstance(one, click.Option) and one.is_flag
            return f"write {name} {'' if flag else one.make_metavar(context)}".rstrip()
    return ""


def _habit(command: str, name: str, there: set[str]) -> str:
    from imgpack.cli.habits.building import OPTIONS as BUILDING
    from imgpack.cli.habits.images import OPTIONS, SHARED

    own = BUILDING if command == "build" else OPTIONS.get(command, {})
    shared = (answers for option, answers in SHARED if option in there)
    return next((found[name] for found in (own, *shared) if name in found), "")


def _close(word: str, there: Iterable[str]) -> str:
    import difflib

    # Of a short word two letters are another word.
    cutoff = 0.75 if len(word.strip("-")) > 3 else 0.6
    found = difflib.get_close_matches(word.strip("-"), [one.strip("-") for one in there], 1, cutoff)
    spelled = [one for one in there if found and one.strip("-") == found[0]]
    return f"did you mean {spelled[0]}?" if spelled and len(word.strip("-")) > 1 else ""
