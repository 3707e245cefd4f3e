"""``imgpack index``: join platform images, pushed by different machines, into one index."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.location import scratch_directory
from imgpack.cli.options.metadata import Record, record_options
from imgpack.cli.options.output import push_printing
from imgpack.cli.options.registry import RegistryOptions, connect, registry_options
from imgpack.cli.options.transfer import jobs_option, upload_journal
from imgpack.errors import InvalidReferenceError

if TYPE_CHECKING:
    from imgpack.api import Reference
    from imgpack.cli.output.terminal import Terminal


@click.group("index")
def index() -> None:
    """Join platform images into one index."""


@index.command("create")
@click.argument("reference", metavar="REF")
@click.option(
    "--add",
    "added",
    multiple=True,
    required=True,
    metavar="REF",
    help="An image, or every image of an index (repeatable).",
)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="OS/ARCH",
    help="Take only these platforms (repeatable); each must be there.",
)
@click.option(
    "--annotation", "annotations", multiple=True, metavar="KEY=VALUE", help="Annotate the index."
)
@record_options
@jobs_option
@registry_options
@click.pass_obj
def create(
    terminal: Terminal,
    *,
    reference: str,
    added: tuple[str, ...],
    platforms: tuple[str, ...],
    annotations: tuple[str, ...],
    record: Record,
    jobs: int,
    registry: RegistryOptions,
) -> None:
    """Make an index of the images of every --add, push it to REF, and print NAME@DIGEST.

    Images that are elsewhere are brought to REF's repository: mounted within a
    registry, copied from others.
    """
    record.check()
    name = api.target_name(reference)
    sources = tuple(_source(text) for text in added)
    wanted = tuple(api.Platform.parse(text) for text in platforms)
    pairs = _annotations(annotations)
    with ExitStack() as stack:
        registries = stack.enter_context(connect(registry, terminal, [name.registry], jobs=jobs))
        images = []
        for source in sources:
            opening = api.open(source, registries=registries, scratch=scratch_directory)
            images.append(stack.enter_context(opening).image().image)
        joined = api.join(images, wanted, pairs)
        options = api.PushOptions(mount_from=sources, journal=upload_journal())
        push_printing(terminal, registries, [api.Named(joined, (name,))], options, jobs, record)


def _source(text: str) -> Reference:
    if api.is_path(text):
        raise InvalidReferenceError(
            f"--add {text} is a path, and an index joins images of a registry",
            f"push it first: imgpack push {text} REF --by-digest",
        )
    return api.parse_reference(text)


def _annotations(texts: tuple[str, ...]) -> dict[str, str]:
    out = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise click.UsageError(f"--annotation {text!r}: write KEY=VALUE")
        out[key] = value
    return out
