"""``imgpack index``: platform images, from wherever they are, joined into one index."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.api.bases import split
from imgpack.cli.options.destination import Destination
from imgpack.cli.options.index.annotations import annotation_option
from imgpack.cli.options.location import from_standard_input, scratch_directory
from imgpack.cli.options.metadata import Record, record_options
from imgpack.cli.options.output import prune_option
from imgpack.cli.options.parameters import FILE, gathered, once
from imgpack.cli.options.registry import RegistryOptions, registry_options
from imgpack.cli.options.transfer import jobs_option
from imgpack.cli.output.usage import Subcommands
from imgpack.errors import NotFoundError, OutputError, SourceError
from imgpack.files.streams import STDOUT
from imgpack.spec.annotations import AnnotationPlace

if TYPE_CHECKING:
    from imgpack.api import Annotations, Named, Registries
    from imgpack.cli.output.terminal import Terminal

_CHANGING = {AnnotationPlace.MANIFEST, AnnotationPlace.LAYER}
"""Where an annotation changes the image itself, and so its digest."""


@click.group("index", cls=Subcommands)
def index() -> None:
    """Join platform images into one index."""


@dataclass(frozen=True, slots=True)
class _Joining:
    """What is joined, as it was written."""

    added: tuple[str, ...]
    platforms: tuple[str, ...]
    append: bool
    replace: bool
    annotation: tuple[str, ...]

    def annotations(self, *, is_path: bool) -> Annotations:
        """What is said of the index. Raises ``ConfigError`` and ``UsageError``."""
        found = api.Annotations.parse(self.annotation, AnnotationPlace.INDEX)
        if changing := found.places() & _CHANGING:
            raise click.UsageError(
                f"--annotation {min(one.value for one in changing)}: an index joins images as they "
                "are; annotate them when they are built, or write manifest-descriptor"
            )
        if AnnotationPlace.INDEX_DESCRIPTOR in found.places() and not is_path:
            raise click.UsageError(
                "--annotation index-descriptor is said in an archive or a layout; add -o"
            )
        return found


@index.command("create")
@click.argument("reference", metavar="[REF]", required=False)
@click.option(
    "-o",
    "--output",
    type=FILE,
    multiple=True,
    callback=once("imgpack copy makes another copy"),
    metavar="FILE|DIR/|-",
    help="Write an archive, an OCI layout directory, or - for a stream, and push nothing.",
)
@click.option(
    "-t",
    "--tag",
    "tags",
    multiple=True,
    metavar="NAME[:TAG]",
    help="A name in the archive or layout (repeatable).",
)
@prune_option
@gathered(
    "joining",
    _Joining,
    click.option(
        "--add",
        "added",
        type=FILE,
        multiple=True,
        required=True,
        metavar="ARCHIVE|DIR|REF",
        help="An image, or every image of an index; PATH:NAME is one of several (repeatable).",
    ),
    click.option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="OS/ARCH",
        help="Take only these platforms (repeatable); each must be there.",
    ),
    click.option("--append", is_flag=True, help="Keep the images of the index that is there."),
    click.option(
        "--replace", is_flag=True, help="As --append, with new images in place of old ones."
    ),
    annotation_option("index", "manifest-descriptor, index-descriptor"),
)
@record_options
@jobs_option
@registry_options
@click.pass_obj
def create(
    terminal: Terminal,
    *,
    reference: str | None,
    output: str | None,
    tags: tuple[str, ...],
    prune: bool,
    joining: _Joining,
    record: Record,
    jobs: int,
    registry: RegistryOptions,
) -> None:
    """Make an index of the images of every --add, push it to REF, and print NAME@DIGEST.

    Images that are elsewhere are brought to REF's repository: mounted within a registry,
    copied from others. With -o instead of REF it goes into an archive or a layout.
    """
    target = Destination(
        _place(reference, output), tags, prune, shallow=False, allow_nondistributable=False
    )
    if output is None and api.is_path(target.output):
        raise click.UsageError(f"REF {target.output} is a path; write -o {target.output}")
    sources = tuple(from_standard_input(one) for one in joining.added)
    target.check(sources, record)
    wanted = tuple(api.Platform.parse(text) for text in joining.platforms)
    annotations = joining.annotations(is_path=target.is_path)
    with ExitStack() as stack:
        whom = sources if target.is_path else ()  # credentials are for REF, if there is one
        registries = stack.enter_context(target.connect(registry, terminal, whom, jobs))
        images = [_opened(one, registries, stack).image for one in sources]
        old = _old(target, registries, stack) if joining.append or joining.replace else None
        there = None if old is None else old.image
        joined = api.join(images, wanted, old=there, replacing=joining.replace)
        named = replace(old, image=joined, fields=()) if old else api.Named(joined)
        made = api.annotated(named, annotations)
        target.write(made, terminal, registries, sources, jobs, record)


def _place(reference: str | None, output: str | None) -> str:
    if (reference is None) == (output is None):
        raise click.UsageError("say where the index goes: REF, or -o FILE|DIR/")
    return output or reference or ""


def _opened(text: str, registries: Registries, stack: ExitStack) -> Named:
    """The image at ``text``, or of several the one of ``PATH:NAME``."""
    place, name = split(text)
    opening = api.open(place, registries=registries, scratch=scratch_directory)
    opened = stack.enter_context(opening)
    return opened.image(opened.select(name, base=True))


def _old(target: Destination, registries: Registries, stack: ExitStack) -> Named:
    """What is there already. Raises what opening it does, ``OutputError`` if more would be lost."""
    place = target.output
    if place == STDOUT:
        raise click.UsageError("standard output holds no index to append to; name a file")
    opening = api.open(place, registries=registries, scratch=scratch_directory)
    try:
        opened = stack.enter_context(opening)
    except (NotFoundError, SourceError) as error:
        raise error.reworded(
            f"there is nothing to append to: {error.message}",
            "leave out --append and --replace for the first image",
        ) from error
    if target.is_path and not api.is_layout(place) and len(opened.roots) > 1:
        raise OutputError(
            f"{place} holds {len(opened.roots)} images, and the others would be lost",
            "append to a layout, or write another archive",
        )
    named = target.tags[0] if target.tags and len(opened.roots) > 1 else None
    return opened.image(opened.select(named))
