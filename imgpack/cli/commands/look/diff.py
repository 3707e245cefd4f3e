"""``imgpack diff``: what two images have otherwise, and what that comes of."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from imgpack import api, errors
from imgpack.cli.options.cache import trim, usable_cpus
from imgpack.cli.options.image.files import Looking, looking_options
from imgpack.cli.options.image.selection import Selected, selection_options
from imgpack.cli.options.location import (
    base_place,
    connect_for,
    from_standard_input,
    scratch_directory,
)
from imgpack.cli.options.parameters import FILE
from imgpack.cli.output.colour import echo
from imgpack.cli.output.display import one_line

if TYPE_CHECKING:
    from imgpack.api import ComparedLocations
    from imgpack.cli.output.terminal import Terminal


@click.command("diff")
@click.argument("location", type=FILE, metavar="A")
@click.argument("other", type=FILE, metavar="B")
@selection_options
@click.option("--text", is_flag=True, help="Show the lines that differ in small text files.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--platform-b", metavar="OS/ARCH", help="Which one of B, if not that of --platform.")
@looking_options
@click.pass_obj
def diff(
    terminal: Terminal,
    *,
    location: str,
    other: str,
    selected: Selected,
    text: bool,
    as_json: bool,
    platform_b: str | None,
    looking: Looking,
) -> int:
    """Compare two images: manifest, configuration, history, layers and files.

    A and B are archives, layouts, references or locks; PATH:NAME is one image of several. What
    the differences come of is said first. Of two multi-platform images each platform is compared.

    The exit code is 0 if nothing differs that counts, 1 if something does, and another one if
    they cannot be compared.
    """
    scope = selected.parse()
    platform = None if platform_b is None else api.Platform.parse(platform_b)
    if location == other == "-":
        raise click.UsageError("standard input is one image; name the other")
    places = from_standard_input(location), from_standard_input(other)
    with _compared(places, scope, platform, looking, terminal) as comparison:
        if as_json:
            from imgpack.cli.output.compared.documents import show_json

            differs = show_json(comparison, location, other, text=text)
        else:
            differs = _shown(comparison, text=text)
    return errors.DIFFERENT_EXIT_CODE if differs else 0


@contextmanager
def _compared(
    places: tuple[str, str],
    scope: api.ComparisonScope,
    platform_b: api.Platform | None,
    looking: Looking,
    terminal: Terminal,
) -> Iterator[ComparedLocations]:
    """The images at two ``places``, to be looked at inside the ``with``."""
    choice = looking.choice
    for place in places:
        _check_image(choice.within(place)[0])  # which refuses to name one twice
    if not any(api.is_path(base_place(place)) for place in places):
        choice.check(base_place(places[0]))
    limit = looking.cache.limit
    cache = looking.cache.open((), terminal)
    with (
        connect_for(base_place(places[0]), terminal, looking.registry) as first,
        connect_for(base_place(places[1]), terminal, looking.registry) as second,
        api.compare(
            *places,
            scope,
            image=choice.image,
            platform=choice.only_platform,
            other_platform=platform_b,
            registries=(first, second),
            scratch=scratch_directory,
            cache=cache,
            jobs=usable_cpus(),
            reporter=terminal,
        ) as comparison,
    ):
        yield comparison
    if cache is not None:
        trim(cache, limit)


def _check_image(place: str) -> None:
    """Raise ``ArchiveError`` for a tree on disk, which another command compares."""
    if os.path.isdir(place) and not api.holds_images(place):
        raise errors.ArchiveError(
            f"{place} is a directory and no OCI layout",
            f"an image is compared with it by: imgpack verify IMAGE --against {place}",
        )


def _shown(comparison: ComparedLocations, *, text: bool) -> bool:
    """Print it for people; whether anything differs."""
    from imgpack.cli.output.compared.lines import show, show_index

    show_index(comparison.index)
    differs = bool(comparison.index)
    for number, images in enumerate(comparison.images):
        if number or comparison.index:
            echo("", sys.stdout)
        counts = show(images, text=text)
        end = "they are identical" if images.identical else "nothing differs that counts"
        echo(f"  {end}" if not counts else f"\n  {counts.line()}", sys.stdout)
        differs |= bool(counts)
    for where, names in (("A", comparison.only_a), ("B", comparison.only_b)):
        for name in names:
            echo(f"only in {where}: {one_line(name)}", sys.stdout)
            differs = True
    return differs
