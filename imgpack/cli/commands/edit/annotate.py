"""``imgpack annotate``: what documents say of themselves and each other, changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.image.changing import Changing, changing_options
from imgpack.cli.options.index.annotations import annotated, annotation_option
from imgpack.cli.options.parameters import FILE
from imgpack.spec.annotations import AnnotationPlace

if TYPE_CHECKING:
    from imgpack.api import Annotations, Platform
    from imgpack.cli.output.terminal import Terminal

_OF_AN_INDEX = {AnnotationPlace.INDEX, AnnotationPlace.INDEX_DESCRIPTOR}


@click.command("annotate")
@click.argument("source", type=FILE, metavar="IMAGE")
@annotation_option("manifest")
@click.option(
    "--remove",
    multiple=True,
    metavar="[PLACE:]KEY",
    help="Remove an annotation, of the PLACE as for --annotation (repeatable).",
)
@changing_options
@click.pass_obj
def annotate(
    terminal: Terminal,
    *,
    source: str,
    annotation: tuple[str, ...],
    remove: tuple[str, ...],
    changing: Changing,
) -> None:
    """Annotate IMAGE, an archive, a layout or a reference, or remove annotations.

    Docker's media types have no annotations: what gets some has OCI's. No layer is read, and
    the image ID stays.
    """
    given, removed = api.Annotations.parse(annotation), api.Annotations.removals(remove)
    if not (given or removed):
        raise click.UsageError("say what to change: --annotation KEY=VALUE, or --remove KEY")
    with changing.open(source, terminal) as change:
        named = change.named
        said, gone = (_only(one, change.platform) for one in (given, removed))
        made = annotated(named, said, terminal, gone, where=change.where)
        if made == named:
            terminal.warn(f"{change.where}: there is nothing to change: it says this already")
        change.write(made)


def _only(annotations: Annotations, platform: Platform | None) -> Annotations:
    """Those that are not said of a platform, of this one alone."""
    if platform is None:
        return annotations
    return api.Annotations(
        tuple(
            one
            if one.platform is not None or one.place in _OF_AN_INDEX
            else replace(one, platform=platform)
            for one in annotations.items
        )
    )
