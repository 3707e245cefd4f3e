"""``imgpack blob``: stream one verified blob out of a registry, archive or layout."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.location import connect_for
from imgpack.cli.options.output import to_standard_output
from imgpack.cli.options.parameters import FILE
from imgpack.cli.options.registry import RegistryOptions, registry_options
from imgpack.files.streams import STDOUT, open_output
from imgpack.spec.digest import is_short

if TYPE_CHECKING:
    from imgpack.cli.output.terminal import Terminal


@click.command("blob")
@click.argument("location", type=FILE, metavar="REF@DIGEST|ARCHIVE@DIGEST")
@click.option(
    "-o", "--output", type=FILE, metavar="FILE", help="Write to a file, whole or not at all."
)
@registry_options
@click.pass_obj
def blob(
    terminal: Terminal, *, location: str, output: str | None, registry: RegistryOptions
) -> None:
    """Stream one blob to standard output, and fail if its digest is not the one asked for.

    In an archive or layout the beginning of a digest will do, if only one has it.
    On a pipe, bytes go out before the last of them is checked: look at the exit
    code, or use -o.
    """
    place, at, text = location.rpartition("@")
    if not at or not place:
        raise click.UsageError("say which blob: REF@sha256:… or ARCHIVE@sha256:…")
    digest = text if api.is_path(place) and is_short(text) else api.Digest.parse(text)
    target = STDOUT if output is None else output
    to_stdout = to_standard_output(target, "a blob")
    with (
        connect_for(place, terminal, registry) as registries,
        api.open_blob(place, digest, registries=registries) as chunks,
    ):
        if to_stdout:
            sys.stdout.buffer.writelines(chunks)
            sys.stdout.buffer.flush()
            return
        with open_output(target) as write:
            for chunk in chunks:
                write(chunk)
