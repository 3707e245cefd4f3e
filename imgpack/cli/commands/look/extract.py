"""``imgpack extract``: the files of an image, written to a directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.image.files import Looking, looking_options
from imgpack.cli.options.location import scratch_directory
from imgpack.cli.options.parameters import FILE, OUTPUT

if TYPE_CHECKING:
    from imgpack.cli.output.terminal import Terminal


@click.command("extract")
@click.argument("location", type=FILE, metavar="ARCHIVE|REF")
@click.argument("directory", type=OUTPUT, metavar="DIR")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option(
    "--rootless",
    is_flag=True,
    help="Record owners, set-id bits and devices in attributes that a build reads, as umoci does.",
)
@looking_options
@click.pass_obj
def extract(
    terminal: Terminal,
    *,
    location: str,
    directory: str,
    paths: tuple[str, ...],
    rootless: bool,
    looking: Looking,
) -> None:
    """Write the files of an image to DIR, which is new or empty: all, or those at each PATH.

    Only what shows in the end is written, and nothing outside of DIR, whatever the layers say.
    DIR appears whole or not at all. Links on the way of a PATH are followed as the image has
    them, and at its end if it ends in a slash. Owners and devices need root, or --rootless.
    """
    if directory == "-":
        raise click.UsageError("DIR is a directory; a tar is written by: imgpack export")
    with looking.open(location, terminal) as files:
        done = api.extract(
            files,
            directory,
            paths,
            rootless=rootless,
            scratch=scratch_directory,
            reporter=terminal,
        )
    terminal.detail(f"{done.entries:,} entries are in {directory}")
