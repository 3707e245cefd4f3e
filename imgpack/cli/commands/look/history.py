"""``imgpack history``: the steps of an image's making, as Docker shows them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from imgpack import api
from imgpack.api.bases import choose
from imgpack.cli.options.location import Choice, choice_options, open_location
from imgpack.cli.options.parameters import FILE
from imgpack.cli.options.registry import RegistryOptions, registry_options
from imgpack.cli.output.display import available, clipped, json_text, one_line, padded, table
from imgpack.events import human_size
from imgpack.spec.mediatype import is_layer

if TYPE_CHECKING:
    from imgpack.api import Image, ImageStep
    from imgpack.cli.output.terminal import Terminal

_ID: Final = 12
_COMMAND: Final = 45
"""Columns of a command and of a comment, as Docker has them."""
_HEAD: Final = ("LAYER", "CREATED", "CREATED BY", "SIZE", "COMMENT")
_SIZE: Final = 3


@click.command("history")
@click.argument("location", type=FILE, metavar="ARCHIVE|REF|LOCK")
@click.option("--no-trunc", is_flag=True, help="Digests, commands and comments in full.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, with all digests.")
@choice_options
@registry_options
@click.pass_obj
def history(
    terminal: Terminal,
    *,
    location: str,
    no_trunc: bool,
    as_json: bool,
    choice: Choice,
    registry: RegistryOptions,
) -> None:
    """Show the steps of an image's making, the last one first.

    LAYER is the digest of the layer that came of a step, SIZE its bytes as it is stored: no
    layer is read.
    """
    if as_json and no_trunc:
        raise click.UsageError("--json has all of it; leave out --no-trunc")
    path, choice = choice.within(location)
    with open_location(path, terminal, registry, choice=choice) as opened:
        image = choose(opened, opened.select(choice.image), choice.only_platform)
        if as_json:
            click.echo(json_text(_document(location, image)))
            return
        rows = [_HEAD, *(_row(step, whole=no_trunc) for step in reversed(api.image_steps(image)))]
        if no_trunc:
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            cells = (
                [
                    padded(c, w, right=n == _SIZE)
                    for n, (c, w) in enumerate(zip(row, widths, strict=True))
                ]
                for row in rows
            )
            lines = ["  ".join(row).rstrip() for row in cells]
        else:
            lines = table(rows, right=(_SIZE,), flexible=2, width=available())
        sys.stdout.writelines(f"{line}\n" for line in lines)


def _row(step: ImageStep, *, whole: bool) -> tuple[str, ...]:
    digest, size = "-", "-"
    if step.layer is not None:
        digest = str(step.layer.descriptor.digest)
        digest = digest if whole else step.layer.descriptor.digest.hex[:_ID]
        size = human_size(step.layer.descriptor.size)
    said = step.said
    comment = said.comment
    if step.layer is not None and not is_layer(step.layer.descriptor.media_type):
        comment = f"no layer of files: {step.layer.descriptor.media_type} {comment}".rstrip()
    texts = [one_line(said.created_by), one_line(comment)]
    if not whole:
        texts = [clipped(text, _COMMAND) for text in texts]
    when = one_line(said.created if whole else said.created[:19].replace("T", " "))
    return digest, when, texts[0], size, texts[1]


def _document(location: str, image: Image) -> dict[str, Any]:
    return {
        "location": location,
        "manifest": str(image.manifest.descriptor.digest),
        "id": str(image.config.digest),
        "history": [_described(step) for step in reversed(api.image_steps(image))],
    }


def _described(step: ImageStep) -> dict[str, Any]:
    said, layer = step.said, step.layer
    return {
        "created": said.created or None,
        "created_by": said.created_by,
        "author": said.author,
        "comment": said.comment,
        "layer": None
        if layer is None
        else layer.descriptor.as_json() | {"diff_id": str(layer.diff_id)},
    }
