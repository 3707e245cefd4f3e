"""``imgpack build``: directory trees into an image archive or layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.build.config import (
    ImageFlags,
    RuntimeFlags,
    image_options,
    in_unicode,
    runtime_options,
)
from imgpack.cli.options.build.exclusion import (
    DryRunFlags,
    ExcludeFlags,
    dry_run_options,
    exclude_options,
    show_planned,
)
from imgpack.cli.options.build.layers import LayerFlags, layer_options
from imgpack.cli.options.build.rules import RuleFlags, rule_options
from imgpack.cli.options.build.sources import (
    check_outside,
    default_output,
    name_of,
    parse_sources,
    written_to,
)
from imgpack.cli.options.build.unset import UnsetFlags, unset_options
from imgpack.cli.options.cache import CacheFlags, cache_options, trim, usable_cpus
from imgpack.cli.options.clock import now_ns, source_date_epoch
from imgpack.cli.options.metadata import (
    check_metadata_file,
    metadata_option,
    takes_standard_output,
    write_metadata,
)
from imgpack.cli.options.output import (
    check_prune,
    create,
    print_names,
    prune_option,
    to_standard_output,
)
from imgpack.cli.options.parameters import DIRECTORY, FILE
from imgpack.errors import InvalidReferenceError, brief

if TYPE_CHECKING:
    from imgpack.api import Change, Directory, Format, Image, Placed, Reference
    from imgpack.cli.output.terminal import Terminal

_EXPLAINED = 100


@click.command("build")
@click.argument("sources", type=DIRECTORY, metavar="SRC[:/DEST]...", nargs=-1, required=True)
@click.option(
    "-t", "--tag", "tags", multiple=True, metavar="NAME[:TAG]", help="A name (repeatable)."
)
@click.option(
    "-o",
    "--output",
    type=FILE,
    metavar="FILE|DIR/|-",
    help="An archive, an OCI layout directory, or - for a stream. [default: SRC.tar]",
)
@prune_option
@image_options
@runtime_options
@unset_options
@layer_options
@rule_options
@click.option(
    "-j", "--jobs", type=click.IntRange(1, 256), metavar="N", help="Threads. [default: the CPUs]"
)
@exclude_options
@dry_run_options
@cache_options
@click.option("--explain", is_flag=True, help="Say which layers were reused, or what changed.")
@metadata_option
@click.pass_obj
def build(
    terminal: Terminal,
    *,
    sources: tuple[str, ...],
    tags: tuple[str, ...],
    output: str | None,
    prune: bool,
    image: ImageFlags,
    runtime: RuntimeFlags,
    unset: UnsetFlags,
    layers: LayerFlags,
    rules: RuleFlags,
    jobs: int | None,
    excluding: ExcludeFlags,
    dry_run: DryRunFlags,
    cache: CacheFlags,
    explain: bool,
    metadata_file: str | None,
) -> None:
    """Build an image from directory trees: each SRC is a layer, the first at the bottom.

    SRC:/dest/dir puts a tree under a path of the image. The result is one tar
    that docker, podman, containerd, skopeo and crane load.
    """
    excluded = excluding.reader(terminal, explain=explain)
    trees = parse_sources(sources, excluded, as_root=not rules.idmap)
    target = default_output(trees[0]) if output is None else output
    check_prune(target, prune=prune)
    unset.check_base()
    image, runtime, unset = in_unicode(image), in_unicode(runtime), in_unicode(unset)
    building = _building(trees, image, image.format(target), runtime, layers, terminal)
    building = partial(building, **rules.arguments(trees, layers, terminal))
    if dry_run.check():
        show_planned(trees, rules.planned(building.keywords), as_json=dry_run.as_json)
        return
    names, limit = _names(tags, trees), cache.limit
    if not to_standard_output(target):
        check_outside(trees, target, "the output")
    check_metadata_file(metadata_file, (target,), trees)
    segments = cache.open(trees, terminal)
    explained = _Explainer(terminal) if explain else None
    building = partial(building, jobs=jobs or usable_cpus(), cache=segments, explain=explained)
    outputs = written_to(target, metadata_file, segments.directory if segments else None)
    with create(terminal, target, prune=prune) as sink:
        built = building(into=sink, names=names, outputs=outputs)
    if segments is not None and segments.stored:
        trim(segments, limit)
    _tell(terminal, built, names, target, metadata_file)


def _tell(
    terminal: Terminal,
    built: Image,
    names: tuple[Reference, ...],
    target: str,
    metadata_file: str | None,
) -> None:
    """Say what was written, and where."""
    to_stdout = to_standard_output(target)
    where = "standard output" if to_stdout else target
    document = built.manifest.descriptor
    terminal.detail(f"image {built.config.digest}, manifest {document.digest}: to {where}")
    published = [api.Published(name, document) for name in names]
    if metadata_file is not None:
        write_metadata(metadata_file, published, [api.Named(built, names)])
    print_names(terminal, published, err=to_stdout or takes_standard_output(metadata_file))


def _building(
    trees: Sequence[Placed[Directory]],
    image: ImageFlags,
    image_format: Format,
    runtime: RuntimeFlags,
    layers: LayerFlags,
    terminal: Terminal,
) -> partial[Image]:
    """``api.build`` with all that decides the image's bytes, parsed and checked."""
    config = runtime.runtime()
    if config.healthcheck is not None and image_format is not api.Format.DOCKER:
        terminal.warn("podman ignores the health check of an OCI image; use --format docker")
    epoch = source_date_epoch()
    return partial(
        api.build,
        trees,
        config=config,
        platform=image.target,
        format=image_format,
        compression=layers.codec(image_format),
        created=image.created_at(epoch),
        author=image.author or "",
        comment=image.comment or "",
        check_contents=layers.check_contents,
        clock=now_ns,
        reporter=terminal,
    )


def _names(tags: tuple[str, ...], trees: tuple[Placed[Directory], ...]) -> tuple[Reference, ...]:
    if tags:
        return tuple(dict.fromkeys(api.parse_name(tag) for tag in tags))
    try:
        return (api.parse_name(name_of(trees[0])),)
    except InvalidReferenceError as error:
        raise InvalidReferenceError(
            f"the directory's name {name_of(trees[0])!r} is no image name", "give one with -t NAME"
        ) from error


class _Explainer:
    """Says for each layer, on standard error, why it was reused or what changed."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._layer = 0

    def __call__(self, reason: str, changes: Iterator[Change] | None) -> None:
        self._layer += 1
        self._terminal.say(f"layer {self._layer}: {reason}")
        for count, change in enumerate(changes or ()):
            if count < _EXPLAINED or self._terminal.verbose:
                self._terminal.say(f"  {brief(change.path)}: {change.how}")
            else:
                self._terminal.say("  and more; --verbose lists them all")
                break
