"""The options of ``build`` and ``push`` that are about a file, and whether there is one.

Invariant: where no file is meant, nothing is loaded for it, and no more than a name or two
looked up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click

from imgpack.cli.options.build.headings import BuildCommand
from imgpack.cli.options.parameters import FILE, once
from imgpack.cli.project.flags import ProjectFlags

project_options: Final[Sequence[Any]] = (
    click.option(
        "-f", "--file", "project_file", type=FILE, multiple=True, metavar="FILE",
        callback=once("there is one file"),
        help="The file that says what to build. [default: imgpack.toml, or tool.imgpack in "
             "pyproject.toml]",
    ),
    click.option(
        "--set", "settings", multiple=True, metavar="KEY=VALUE",
        help="Set a key of the file, as image.web.tag=2 or variables.X=1 (repeatable).",
    ),
    click.option(
        "--print", "print_plan", is_flag=True,
        help="Show as JSON what the file says, after all options, and do nothing.",
    ),
)  # fmt: skip


def file_options(command: Any) -> Any:
    """Add the options that are about a file."""
    for option in reversed(project_options):
        command = option(command)
    return command


def _flags(ctx: click.Context) -> ProjectFlags:
    """Their values, which the command itself does not get."""
    return ProjectFlags(*(ctx.params.pop(name) for name in ProjectFlags.__dataclass_fields__))


class BuildProject(BuildCommand):
    """``build``, of what the file says if no source is given."""

    def invoke(self, ctx: click.Context) -> Any:
        """Build all images, or those that are named; without a file, the sources."""
        flags, words = _flags(ctx), ctx.params["sources"]
        if flags.perhaps(words):
            from imgpack.cli.project.runs import build_images

            if build_images(self, ctx, flags, words):
                return None
        if ctx.params["metadata_file"] is not None:
            from imgpack.cli.project.record.writing import inputs_of_options

            ctx.params["inputs"] = inputs_of_options(ctx)
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            if words or not error.message.startswith("nothing goes into the image"):
                raise
            raise click.UsageError(f"{error.message}{_above()}", ctx) from error


class PushProject(click.Command):
    """``push``, of what ``build`` wrote of the file if no archive is given."""

    def invoke(self, ctx: click.Context) -> Any:
        """Push all images, or those that are named; without a file, the archive."""
        flags, first = _flags(ctx), ctx.params["archive"]
        words = () if first is None else (first, *ctx.params["references"])
        if flags.perhaps(words):
            from imgpack.cli.project.runs import push_images

            if push_images(self, ctx, flags, words):
                return None
        if first is None:
            problem = "Missing argument 'ARCHIVE'; name an archive, or write imgpack.toml"
            raise click.UsageError(problem + _above(), ctx)
        return super().invoke(ctx)


def _above() -> str:
    """What to add to an error of a command that found no file: the one above, if there is one."""
    from imgpack.cli.project.file.reading import find_above

    above = find_above()
    return "" if above is None else f"; --file {above} is there"
