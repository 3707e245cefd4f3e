"""``imgpack config``: what an image says of itself and is run with, changed without a build."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.build.config import RuntimeFlags, in_unicode, runtime_options
from imgpack.cli.options.build.unset import UnsetFlags, clearing_options
from imgpack.cli.options.clock import parse_time
from imgpack.cli.options.image.changing import Changing, changing_options
from imgpack.cli.options.parameters import FILE
from imgpack.spec.config import rfc3339

if TYPE_CHECKING:
    from imgpack.cli.output.terminal import Terminal


@click.command("config")
@click.argument("source", type=FILE, metavar="IMAGE")
@runtime_options
@clearing_options
@click.option("--created", metavar="TIME", help="The image's time. [default: it stays]")
@click.option("--author", metavar="TEXT", help="The author.")
@click.option("--comment", metavar="TEXT", help="A comment for the history.")
@click.option("--no-history", is_flag=True, help="Say nothing of the changes in the history.")
@changing_options
@click.pass_obj
def config(
    terminal: Terminal,
    *,
    source: str,
    runtime: RuntimeFlags,
    unset: UnsetFlags,
    created: str | None,
    author: str | None,
    comment: str | None,
    no_history: bool,
    changing: Changing,
) -> None:
    """Change the configuration of IMAGE, an archive, a layout or a reference; no layer is read.

    Of a multi-platform image each platform's, unless --platform chooses one. Each change is a
    step of the history without a layer, as that of a build; steps that are there stay.
    """
    changes = in_unicode(unset).changes(in_unicode(runtime))
    if changes == api.RuntimeChanges(expand=True) and not (created or author):
        raise click.UsageError("say what to change, as -e NAME=VALUE")
    if no_history and comment:
        raise click.UsageError("--comment is for the history, of which --no-history writes none")
    time = "" if created is None else rfc3339(parse_time(created, "--created"))
    with changing.open(source, terminal) as change:
        image = api.configure(
            change.named.image,
            changes,
            where=change.where,
            created=time,
            author=author or "",
            comment=comment or "",
            history=not no_history,
            platform=change.platform,
            reporter=terminal,
        )
        if image == change.named.image:
            terminal.warn(f"{change.where}: there is nothing to change: it says this already")
        change.write(replace(change.named, image=image))
