"""``imgpack flatten``: all layers of an image made one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.clock import now_ns
from imgpack.cli.options.destination import Destination, destination_options
from imgpack.cli.options.index.annotations import annotated, annotation_option
from imgpack.cli.options.location import (
    Choice,
    choice_options,
    scratch_directory,
)
from imgpack.cli.options.metadata import Record, record_options
from imgpack.cli.options.parameters import FILE
from imgpack.cli.options.registry import RegistryOptions, registry_options
from imgpack.cli.options.transfer import jobs_option

if TYPE_CHECKING:
    from imgpack.cli.output.terminal import Terminal


@click.command("flatten")
@click.argument("source", type=FILE, metavar="IMAGE")
@destination_options
@click.option(
    "--above",
    type=FILE,
    metavar="BASE",
    help="Keep the layers of this base, and make one of those on top of it.",
)
@click.option(
    "--compression",
    default="gzip",
    show_default=True,
    metavar="gzip[:1-12]|zstd[:1-19]|none",
    help="How the layer is compressed; gzip alone takes what suits each part of the content.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["docker", "oci"]),
    help="Whose media types it gets. [default: the image's]",
)
@annotation_option("manifest")
@record_options
@jobs_option
@choice_options
@registry_options
@click.pass_obj
def flatten(
    terminal: Terminal,
    *,
    source: str,
    destination: Destination,
    above: str | None,
    compression: str,
    kind: str | None,
    annotation: tuple[str, ...],
    record: Record,
    jobs: int,
    choice: Choice,
    registry: RegistryOptions,
) -> None:
    """Make one layer of all layers of IMAGE, an archive, a layout or a reference.

    Of a multi-platform image each platform is flattened, unless --platform chooses one. The
    configuration is kept, and so is the history.
    """
    source, choice = choice.at(source)
    sources = (source, above)
    destination.check(sources, record)
    annotations = api.Annotations.parse(annotation)
    codec = api.Codec.parse(compression)
    with (
        destination.connect(registry, terminal, sources, jobs) as registries,
        api.open(source, registries=registries, scratch=scratch_directory) as opened,
    ):
        named = choice.one(opened)
        with api.flatten(
            named.image,
            above=above,
            where=source,
            format=None if kind is None else api.Format(kind),
            compression=codec,
            registries=registries,
            scratch=scratch_directory,
            jobs=jobs,
            clock=now_ns,
            reporter=terminal,
        ) as image:
            made = annotated(replace(named, image=image, fields=()), annotations, terminal)
            destination.write(made, terminal, registries, sources, jobs, record)
