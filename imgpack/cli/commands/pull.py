"""``imgpack pull``: an image from a registry into an archive or layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.location import scratch_directory
from imgpack.cli.options.metadata import Record, record_options
from imgpack.cli.options.output import (
    check_prune,
    prune_option,
    to_standard_output,
    write_archive,
)
from imgpack.cli.options.parameters import OUTPUT
from imgpack.cli.options.registry import RegistryOptions, connect, registry_options
from imgpack.cli.options.transfer import jobs_option

if TYPE_CHECKING:
    from imgpack.cli.output.terminal import Terminal


@click.command("pull")
@click.argument("reference", metavar="REF")
@click.option(
    "-o",
    "--output",
    type=OUTPUT,
    metavar="OUT",
    help="A file, - for standard output, or a path ending in / for an OCI layout;"
    " NAME.tar by default.",
)
@click.option("-t", "--tag", "tags", multiple=True, metavar="NAME", help="Name it so instead.")
@click.option("--platform", metavar="OS/ARCH", help="Only this one of a multi-platform image.")
@prune_option
@record_options
@jobs_option
@registry_options
@click.pass_obj
def pull(
    terminal: Terminal,
    *,
    reference: str,
    output: str | None,
    tags: tuple[str, ...],
    platform: str | None,
    prune: bool,
    record: Record,
    jobs: int,
    registry: RegistryOptions,
) -> None:
    """Pull REF into the archive format of imgpack build, every byte verified.

    A schema1 image is converted; its signature is checked.
    """
    wanted = None if platform is None else api.Platform.parse(platform)
    name = api.parse_reference(reference)
    given = tuple(api.parse_name(tag) for tag in tags)
    place = output if output is not None else f"{name.repository.rpartition('/')[2]}.tar"
    check_prune(place, prune=prune)
    to_standard_output(place)
    record.check((place,))
    with (
        connect(registry, terminal, jobs=jobs) as registries,
        api.open(name, registries=registries, scratch=scratch_directory) as opened,
    ):
        named = opened.image(platform=wanted)
        api.refuse_foreign(named.image, name.shown())
        digest = named.image.document.descriptor.digest
        named = api.Named(named.image, given or named.names or (name.with_digest(digest),))
        write_archive(terminal, [named], place, jobs, record, prune=prune)
