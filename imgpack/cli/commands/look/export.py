"""``imgpack export``: the files of an image as one tar."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

import click

from imgpack import api
from imgpack.cli.options.cache import usable_cpus
from imgpack.cli.options.image.files import Looking, looking_options
from imgpack.cli.options.location import scratch_directory
from imgpack.cli.options.metadata import check_apart
from imgpack.cli.options.output import to_standard_output
from imgpack.cli.options.parameters import FILE, OUTPUT
from imgpack.files.streams import open_output

if TYPE_CHECKING:
    from imgpack.api import Codec
    from imgpack.cli.output.terminal import Terminal

_ENDS: Final = {
    **dict.fromkeys((".gz", ".tgz"), "gzip"),
    **dict.fromkeys((".zst", ".tzst"), "zstd"),
    **dict.fromkeys(
        (".xz", ".txz", ".bz2", ".tbz2", ".lz4", ".lz", ".lzma", ".br", ".Z", ".zip", ".7z"), ""
    ),
}
"""Ends of names, and which compression they promise; none that is made here."""


@click.command("export")
@click.argument("location", type=FILE, metavar="ARCHIVE|REF")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
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
    metavar="none|gzip[:1-12]|zstd[:1-19]",
    help="How the tar is compressed. [default: as the name ends: .tar.gz, .tar.zst, or not]",
)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Threads that compress. [default: the CPUs]",
)
@looking_options
@click.pass_obj
def export(
    terminal: Terminal,
    *,
    location: str,
    paths: tuple[str, ...],
    output: str,
    compression: str | None,
    jobs: int | None,
    looking: Looking,
) -> None:
    """Write the files of an image as one tar: what its layers make together, or each PATH of it.

    PATH is as for extract: with the directories above, links on the way followed. The tar has
    the same bytes on every machine. It has no entry for the root directory, as a layer of
    imgpack has none. tar x, docker import and imgpack build take it.
    """
    codec = _codec(output, compression)
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
            paths,
            compression=codec,
            scratch=scratch_directory,
            jobs=jobs or usable_cpus(),
            reporter=terminal,
        )
        if to_stdout:
            sys.stdout.buffer.flush()


def _codec(output: str, compression: str | None) -> Codec:
    """How it is compressed: as was said, or as the name promises. Raises ``click.UsageError``."""
    end = next((end for end in _ENDS if output.endswith(end)), "")
    promised = _ENDS.get(end)
    if promised == "":
        raise click.UsageError(f"{output}: a tar is not compressed so; name it .tar.gz or .tar.zst")
    codec = api.Codec.parse(compression or promised or "none")
    if promised is not None and codec.compression.value != promised:
        raise click.UsageError(
            f"{output} would hold a tar with --compression {compression}; name it .tar, or leave "
            "that out"
        )
    return codec
