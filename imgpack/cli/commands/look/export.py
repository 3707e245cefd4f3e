"""``imgpack export``: the files of an image as one tar."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.image.files import Looking, looking_options
from imgpack.cli.options.location import scratch_directory
from imgpack.cli.options.metadata import check_apart
from imgpack.cli.options.output import to_standard_output
from imgpack.cli.options.parameters import FILE, OUTPUT
from imgpack.cli.options.transfer import jobs_option
from imgpack.files.streams import open_output

if TYPE_CHECKING:
    from imgpack.cli.output.terminal import Terminal


@click.command("export")
@click.argument("location", type=FILE, metavar="ARCHIVE|REF")
@click.option(
    "-o",
    "--output",
    type=OUTPUT,
    required=True,
    metavar="FILE|-",
    help="A file, which appears whole or not at all, or - for standard output.",
)
@click.option(
    "--compression",
    default="none",
    show_default=True,
    metavar="none|gzip[:1-12]|zstd[:1-19]",
    help="How the tar is compressed.",
)
@jobs_option
@looking_options
@click.pass_obj
def export(
    terminal: Terminal,
    *,
    location: str,
    output: str,
    compression: str,
    jobs: int,
    looking: Looking,
) -> None:
    """Write the files of an image as one tar: what its layers make together.

    It has the same bytes on every machine. It has no entry for the root directory, as a layer of
    imgpack has none. tar x, docker import and imgpack build take it.
    """
    codec = api.Codec.parse(compression)
    to_stdout = to_standard_output(output, "a tar")
    if not to_stdout:
        check_apart(output, "the tar", (looking.place(location),))
    with (
        looking.open(location, terminal) as files,
        nullcontext(sys.stdout.buffer.write) if to_stdout else open_output(output) as write,
    ):
        api.export(
            files,
            write,
            compression=codec,
            scratch=scratch_directory,
            jobs=jobs,
            reporter=terminal,
        )
        if to_stdout:
            sys.stdout.buffer.flush()
