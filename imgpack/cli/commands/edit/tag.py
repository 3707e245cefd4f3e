"""``imgpack tag``: more names for an image, where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.image.changing import check_place
from imgpack.cli.options.location import (
    Choice,
    connect_for,
    scratch_directory,
)
from imgpack.cli.options.output import print_names
from imgpack.cli.options.parameters import FILE
from imgpack.cli.options.registry import RegistryOptions, registry_options
from imgpack.cli.options.transfer import jobs_option

if TYPE_CHECKING:
    from imgpack.api import Reference
    from imgpack.cli.output.terminal import Terminal


@click.command("tag")
@click.argument("source", type=FILE, metavar="IMAGE")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--image",
    metavar="NAME",
    help="Which one of several images in an archive; PATH:NAME says it, too.",
)
@jobs_option
@registry_options
@click.pass_obj
def tag(
    terminal: Terminal,
    *,
    source: str,
    names: tuple[str, ...],
    image: str | None,
    jobs: int,
    registry: RegistryOptions,
) -> None:
    """Give IMAGE, in an archive, a layout or a registry, each NAME as well.

    A NAME that another image has moves. In a registry a NAME may be a tag alone; the manifest
    is stored under it, and no layer is read or sent.
    """
    place, choice = Choice(image).at(source)
    if api.is_path(place):
        check_place(place)
    given = [_name(text, place) for text in names]
    with connect_for(place, terminal, registry, jobs=jobs) as registries:
        published = api.tag(
            place,
            given,
            image=choice.image,
            registries=registries,
            scratch=scratch_directory,
            jobs=jobs,
            reporter=terminal,
        )
    print_names(terminal, published, err=False)


def _name(text: str, place: str) -> Reference:
    """The name ``text`` of what is at ``place``, beside which a word alone is a tag."""
    if api.is_path(place):
        return api.parse_name(text)
    if "/" in text or ":" in text:
        api.parse_name(text)
        return api.target_name(text)
    return api.parse_reference(place).with_tag(text)
