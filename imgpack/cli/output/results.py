"""What the commands say at the end, and where: one line a name, unless an archive goes there."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from imgpack.cli.options.scratch import scratch_directory
from imgpack.cli.output.metadata import takes_standard_output, write_metadata
from imgpack.cli.output.terminal import Terminal
from imgpack.files.streams import named_descriptor
from imgpack.image.image import Named, Published
from imgpack.spec.digest import Digest
from imgpack.spec.reference import Reference
from imgpack.store.archive.write import STDOUT

if TYPE_CHECKING:
    from imgpack.registry.push.push import RegistrySink


def pinned(name: Reference, digest: Digest) -> str:
    """``NAME@sha256:…``, with the tag if the name has one."""
    return replace(name, digest=digest).shown()


def write_printing(
    sink: "RegistrySink", images: Sequence[Named], jobs: int, metadata_file: str | None = None
) -> None:
    """Push, printing each name when it is there: one line on standard output.

    On standard error, if the metadata goes to standard output. If nobody reads it,
    the push goes on, and its end is the failure.
    """
    lost: list[OSError] = []

    def pushed(one: Published) -> None:
        try:
            if not lost and one.name is not None:
                line = pinned(one.name, one.descriptor.digest)
                click.echo(line, err=takes_standard_output(metadata_file))
        except OSError as error:
            lost.append(error)

    published = sink.write(images, jobs=jobs, on_published=pushed)
    if metadata_file is not None:
        write_metadata(metadata_file, published, [named.image for named in images])
    if lost:
        raise lost[0]


def to_standard_output(output: str, what: str = "an archive") -> bool:
    """Whether ``what`` goes to standard output, by any name; a terminal is refused."""
    if output != STDOUT and named_descriptor(output) != 1:
        return False
    if sys.stdout.isatty():
        raise click.UsageError(f"{what} is no text for a terminal; pipe it, or give -o FILE")
    return True


def write_archive(terminal: Terminal, images: Sequence[Named], target: str, jobs: int) -> None:
    """Write ``images`` to an archive, a layout or a stream, and print what was written."""
    from imgpack.store.archive.write import open_writer

    to_stdout = to_standard_output(target)
    with open_writer(
        target,
        stdout=sys.stdout.buffer if to_stdout else None,
        scratch=scratch_directory,
        reporter=terminal,
    ) as writer:
        published = writer.write(images, jobs=jobs)
    if not all(named.tags for named in images):
        terminal.warn("the -t of imgpack build and imgpack pull names it")
    for one in published:
        if one.name is not None:
            click.echo(pinned(one.name, one.descriptor.digest), err=to_stdout)
