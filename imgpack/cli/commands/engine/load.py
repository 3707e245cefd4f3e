"""``imgpack load``: an image from anywhere into a container engine of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.engine import engine_option, find_engine
from imgpack.cli.options.location import Choice, choice_options, open_location
from imgpack.cli.options.metadata import Record, record_options
from imgpack.cli.options.output import NamePrinter
from imgpack.cli.options.parameters import FILE
from imgpack.cli.options.registry import RegistryOptions, registry_options
from imgpack.files.streams import STDIN

if TYPE_CHECKING:
    from imgpack.api import Named, Opened, Platform
    from imgpack.cli.output.terminal import Terminal


@click.command("load")
@click.argument("location", type=FILE, metavar="[ARCHIVE|LAYOUT|REF]", required=False)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "-i",
    "--input",
    "given",
    type=FILE,
    metavar="ARCHIVE",
    help="The archive, as docker load has it; each argument is a NAME then.",
)
@engine_option
@record_options
@choice_options
@registry_options
@click.pass_obj
def load(
    terminal: Terminal,
    *,
    location: str | None,
    names: tuple[str, ...],
    given: str | None,
    engine: str | None,
    record: Record,
    choice: Choice,
    registry: RegistryOptions,
) -> None:
    """Load an image, or all images of an archive, into docker, podman, containerd or kind.

    Under each NAME, or under the names that it has. Layers that the engine has are not sent
    to it, and none is compressed for it to decompress. Prints one line a name, NAME@ID, once
    the engine says that it has the image whole. Without an argument the archive is standard
    input.
    """
    if given is not None:
        names = names if location is None else (location, *names)
        location = given if api.is_path(given) or given == STDIN else f"./{given}"
    location, choice = choice.within(STDIN if location is None else location)
    wanted = tuple(dict.fromkeys(api.parse_name(name) for name in names))
    choice.check(location)
    record.check((location if api.is_path(location) and location != STDIN else None,))
    found = find_engine(engine, terminal)
    printer = NamePrinter(terminal, err=record.takes_standard_output)
    with open_location(location, terminal, registry, choice=choice) as opened:
        images = _images(opened, choice, found.platform, one=bool(wanted))
        if wanted:
            images = (api.Named(images[0].image, wanted),)
        record.expect(images)
        for one in api.load(images, found, reporter=terminal):
            printer.tell_loaded(one)
        published = (
            api.Published(name, one.image.document.descriptor)
            for one in images
            for name in one.names
        )
        record.write(published, images, printer.loaded)
    printer.end()


def _images(
    opened: Opened, choice: Choice, platform: Platform | None, *, one: bool
) -> tuple[Named, ...]:
    """What is chosen, and of an index what the engine takes: no other platform is looked at."""
    if choice.platform is not None or platform is None:
        return (choice.one(opened),) if one else choice.all(opened)
    single = one or choice.image is not None
    roots = (opened.select(choice.image),) if single else opened.roots
    if not roots:
        return opened.images()  # which says so
    return tuple(opened.image(root, _platform_of(opened, root, platform)) for root in roots)


def _platform_of(opened: Opened, root: api.Root, platform: Platform) -> Platform | None:
    return platform if isinstance(opened.document(root), api.Index) else None
