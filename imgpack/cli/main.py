"""The ``imgpack`` command: its table of subcommands, and how anything that fails is told.

Invariants: a subcommand's module is imported when that subcommand runs, so
``imgpack --help`` loads neither codecs nor network; every failure ends as one
line on standard error and the exit code of ``docs/exit-codes.md``.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from imgpack import LAYER_FORMAT_VERSION, __version__, errors
from imgpack.cli.output import streams
from imgpack.cli.output.failure import tell
from imgpack.cli.output.help import HelpContext
from imgpack.cli.output.terminal import WAYS, Terminal
from imgpack.cli.output.usage import Subcommands, no_command

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# command: (module, one line for --help, section)
COMMANDS: dict[str, tuple[str, str]] = {
    "build": ("build", "Build an image archive or layout from directory trees."),
    "push": ("push", "Push an archive or layout to a registry."),
    "pull": ("pull", "Pull an image from a registry into an archive or layout."),
    "copy": ("copy", "Copy an image between registries, archives and layouts."),
    "load": ("engine.load", "Load an image into docker, podman, containerd or kind."),
    "flatten": ("edit.flatten", "Make one layer of all layers of an image."),
    "rebase": ("edit.rebase", "Move an image to another base."),
    "config": ("edit.config", "Change what an image says of itself and is run with."),
    "annotate": ("edit.annotate", "Annotate an image, or remove annotations."),
    "tag": ("edit.tag", "Give an image more names, where it is."),
    "append": ("edit.append", "Put more layers on top of an image."),
    "recompress": ("edit.recompress", "Compress the layers of an image another way."),
    "inspect": ("inspect", "Show an image's names, digests, layers, config and history."),
    "ls": ("look.ls", "List the files of an image, or of one of its layers."),
    "cat": ("look.cat", "Print files of an image."),
    "history": ("look.history", "Show the steps of an image's making."),
    "du": ("look.du", "Show what takes the space in an image, and what is wasted."),
    "extract": ("look.extract", "Write the files of an image to a directory."),
    "export": ("look.export", "Write the files of an image as one tar."),
    "diff": ("look.diff", "Show what two images have otherwise, and what that comes of."),
    "verify": ("check.verify", "Check whether an image is sound, and what was built."),
    "lint": ("check.lint", "Look for what is wrong with an image, or will be where it runs."),
    "digest": ("manifest", "Print the digest of an image."),
    "manifest": ("manifest", "Print a manifest, schema1 manifest or configuration, byte for byte."),
    "blob": ("blob", "Stream one verified blob to standard output."),
    "tags": ("tags", "List a repository's tags."),
    "index": ("index", "Join platform images into one index."),
    "rm": ("tags", "Delete a tag or manifest from a registry."),
    "login": ("login", "Store credentials for a registry."),
    "logout": ("login", "Forget credentials for a registry."),
    "base": ("base", "Lock base images, update the locks, fetch their layers."),
    "cache": ("cache", "Show or trim the segment cache."),
    "completion": ("shell.completion", "Print what makes a shell complete imgpack."),
    "help": ("shell.help", "Show the help of a command, or a page on a topic."),
}
_ONE_ARGUMENT = ("manifest", "blob")
"""Commands that are groups of commands in other programs."""

_OF_A_FILE = (
    "build",
    "push",
    "cache",
    "completion",
    "help",
    "login",
    "logout",
    "base",
    "index",
    "verify",
)
"""Commands whose first word is no reference, or may be an image of imgpack.toml."""


class Commands(Subcommands):
    """A group that imports a command only when it is called."""

    context_class = HelpContext

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"imgpack.cli.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        _adapt(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in COMMANDS and args[0] not in _OF_A_FILE:
            from imgpack.cli.project.refused import refuse_image

            refuse_image(args[0], args[1:])
        if args[0] in COMMANDS and args[0] not in _ONE_ARGUMENT:
            return super().resolve_command(ctx, args)
        from imgpack.cli.habits.commands import ALIASES
        from imgpack.cli.habits.commands import COMMANDS as ELSEWHERE

        args = [*ALIASES.get(args[0], args[:1]), *args[1:]]
        if args[0] == "--version" and not ctx.resilient_parsing:
            self.make_context(ctx.info_name, args[:1])
        if len(args) > 2 and " ".join(args[:2]) in ELSEWHERE and args[0] in _ONE_ARGUMENT:
            ctx.fail(no_command(args, COMMANDS, f"imgpack {args[0]}"))
        return super().resolve_command(ctx, args)

    def known_words(self, ctx: click.Context) -> list[str]:
        """Commands, and words that do what others do here."""
        from imgpack.cli.habits.commands import ALIASES

        return [*COMMANDS, *ALIASES]

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _closed_pipe_ends():  # --help and --version print in here
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _closed_pipe_ends():
            return super().invoke(ctx)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """As click does, but no command is imported for it."""
        from click.shell_completion import CompletionItem

        return [
            *(
                CompletionItem(name, help=line)
                for name, (_, line) in COMMANDS.items()
                if name.startswith(incomplete)
            ),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@contextmanager
def _closed_pipe_ends() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        # click itself would end with 1, as for any failure.
        raise click.exceptions.Exit(errors.CLOSED_PIPE_EXIT_CODE) from None


def _set_flag(ctx: click.Context, param: click.Parameter, value: object) -> None:
    terminal = ctx.find_object(Terminal)
    if value and terminal is not None and param.name is not None:
        setattr(terminal, param.name, value)


_PROGRESS_HELP = f"How to show what is at work: {', '.join(WAYS)}. [default: {WAYS[0]}]"
_GLOBAL_FLAGS = (
    click.Option(
        ["-q", "--quiet"],
        is_flag=True,
        expose_value=False,
        callback=_set_flag,
        help="No progress and no warnings.",
    ),
    click.Option(
        ["-v", "--verbose"],
        is_flag=True,
        expose_value=False,
        callback=_set_flag,
        help="Say what is done, and every request.",
    ),
    click.Option(
        ["--progress"],
        type=click.Choice(WAYS),
        metavar="HOW",
        expose_value=False,
        callback=_set_flag,
        help=_PROGRESS_HELP,
    ),
    click.Option(["--debug"], is_flag=True, expose_value=False, hidden=True),
)


def _adapt(command: click.Command) -> None:
    """Let ``imgpack push -q`` mean what ``imgpack -q push`` means, and help fit the terminal."""
    command.context_class = HelpContext
    if isinstance(command, click.Group):
        for child in command.commands.values():
            _adapt(child)
    elif _GLOBAL_FLAGS[0] not in command.params:
        command.params.extend(_GLOBAL_FLAGS)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(
    message=f"imgpack {__version__} (layer format {LAYER_FORMAT_VERSION})",
    version=__version__,
)
@click.option("-q", "--quiet", is_flag=True, help="No progress and no warnings.")
@click.option("-v", "--verbose", is_flag=True, help="Say what is done, and every request.")
@click.option(
    "--progress", type=click.Choice(WAYS), metavar="HOW", default=WAYS[0], help=_PROGRESS_HELP
)
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of a failure.")
@click.pass_context
def cli(ctx: click.Context, *, quiet: bool, verbose: bool, progress: str) -> None:
    """Turn directory trees into container images and push them.

    No daemon, no root, and no network for a build.
    """
    terminal = ctx.ensure_object(Terminal)
    terminal.quiet, terminal.verbose, terminal.progress = quiet, verbose, progress
    ctx.with_resource(terminal)


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit the process."""
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    terminal = Terminal()
    terminal.hide(lambda text: _without_users(text, given))
    if "_IMGPACK_COMPLETE" in os.environ:
        import imgpack.cli.completion.shells  # noqa: F401 - click knows them from then on
    status = _guarded(
        lambda: cli.main(arguments, prog_name="imgpack", standalone_mode=False, obj=terminal),
        terminal,
        debug=debug,
    )
    # What cannot be written must not be met a second time when the interpreter flushes at exit.
    try:
        sys.stdout.flush()
    except OSError as problem:
        status = status or tell(problem, terminal)
        streams.drop_output()
    sys.exit(status)


def _without_users(text: str, arguments: Sequence[str]) -> str:
    """``text`` without the users and passwords that stand in ``arguments``, in whatever role."""
    for argument in arguments:
        value = argument.partition("=")[2] if argument.startswith("--") else argument
        if ":" in (user := errors.user_in(value).lstrip("/")):
            text = text.replace(user, "***@")
    return text


def _guarded(main: Callable[[], Any], terminal: Terminal, *, debug: bool) -> int:
    try:
        result = main()
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (Exception, KeyboardInterrupt) as problem:
        if debug:
            terminal.trace(problem)
        return tell(problem, terminal)
