"""``imgpack recompress``: the layers of an image compressed another way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.image.changing import Changing, changing_options
from imgpack.cli.options.location import scratch_directory
from imgpack.cli.options.parameters import FILE

if TYPE_CHECKING:
    from imgpack.cli.output.terminal import Terminal


@click.command("recompress")
@click.argument("source", type=FILE, metavar="IMAGE")
@click.option(
    "--compression",
    required=True,
    metavar="gzip[:1-12]|zstd[:1-19]|none",
    help="How its layers are compressed; gzip alone takes what suits each part of the content.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["docker", "oci"]),
    help="Whose media types the image gets. [default: its own]",
)
@changing_options
@click.pass_obj
def recompress(
    terminal: Terminal, *, source: str, compression: str, kind: str | None, changing: Changing
) -> None:
    """Compress the layers of IMAGE another way; what is in them, and the image ID, stays.

    Every layer is verified while it is read. Of a multi-platform image each platform's are,
    unless --platform chooses one.
    """
    codec = api.Codec.parse(compression)
    with (
        changing.open(source, terminal) as change,
        api.recompress(
            change.named.image,
            codec,
            where=change.where,
            format=None if kind is None else api.Format(kind),
            platform=change.platform,
            scratch=scratch_directory,
            jobs=changing.jobs,
            reporter=terminal,
        ) as image,
    ):
        change.write(replace(change.named, image=image))
