"""``imgpack build``: directories, tar archives and files into an image archive or layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from imgpack import api
from imgpack.cli.options.build.exclusion import show_planned
from imgpack.cli.options.build.flags import BuildFlags, build_options
from imgpack.cli.options.build.kinds import read_lists
from imgpack.cli.options.build.sources import (
    check_outside,
    default_output,
    name_of,
    parse_sources,
    written_to,
)
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
from imgpack.cli.options.parameters import FILE, once
from imgpack.cli.options.registry import RegistryOptions, registry_options
from imgpack.cli.project.command import BuildProject, file_options
from imgpack.errors import InvalidReferenceError, brief
from imgpack.files.streams import STDOUT

if TYPE_CHECKING:
    from imgpack.api import (
        Base,
        Change,
        Image,
        Reference,
        Runtime,
        RuntimeChanges,
    )
    from imgpack.cli.options.build.kinds import Source
    from imgpack.cli.output.terminal import Terminal

_EXPLAINED = 100


@click.command("build", cls=BuildProject)
@click.argument("sources", type=FILE, metavar="[SRC[:/DEST]|IMAGE]...", nargs=-1)
@file_options
@click.option(
    "-t", "--tag", "tags", multiple=True, metavar="NAME[:TAG]", help="A name (repeatable)."
)
@click.option(
    "-o",
    "--output",
    type=FILE,
    multiple=True,
    callback=once("imgpack copy makes another copy"),
    metavar="FILE|DIR/|-",
    help="An archive, an OCI layout directory, or - for a stream. [default: SRC.tar, "
    "or SRC-image.tar for an archive]",
)
@prune_option
@build_options
@click.option(
    "-j", "--jobs", type=click.IntRange(1, 256), metavar="N", help="Threads. [default: the CPUs]"
)
@cache_options
@click.option("--explain", is_flag=True, help="Say which layers were reused, or what changed.")
@metadata_option
@registry_options
@click.pass_obj
def build(
    terminal: Terminal,
    *,
    sources: tuple[str, ...],
    tags: tuple[str, ...],
    output: str | None,
    prune: bool,
    flags: BuildFlags,
    jobs: int | None,
    cache: CacheFlags,
    explain: bool,
    metadata_file: str | None,
    registry: RegistryOptions,
) -> None:
    """Build an image from directories, tar archives and files: each SRC is a layer.

    The first is at the bottom. SRC:/dest puts a tree under a path of the image, - is an
    archive from standard input; --from BASE puts them on top of another image. The result
    is one tar that docker, podman, containerd, skopeo and crane load.

    Without SRC it builds the images of imgpack.toml, or each IMAGE of them.
    """
    excluded = flags.exclude.reader(terminal, explain=explain)
    parse = partial(
        parse_sources, reporter=terminal, excluded=excluded, as_root=not flags.rules.idmap
    )
    trees, old = flags.read(sources, parse, terminal.warn)
    if flags.dry_run.check():
        _show(trees, old, flags, cache, registry, terminal)
        return
    target, names = _target(output, trees), _names(tags, trees)
    check_prune(target, prune=prune)
    limit, jobs = cache.limit, jobs or usable_cpus()
    _check_output(target, (*trees, *old), flags)
    check_metadata_file(metadata_file, (target, *flags.base.files), trees)
    segments = cache.open(trees, terminal)
    outputs = written_to(target, metadata_file, segments.directory if segments else None)
    with flags.base.open(flags.image.target, terminal, registry, segments, jobs) as base:
        building = partial(
            _building(trees, old, flags, base, target, terminal),
            names=names,
            outputs=outputs,
            jobs=jobs,
            cache=segments,
            explain=_Explainer(terminal) if explain else None,
        )
        with create(terminal, target, prune=prune, shallow=flags.base.shallow) as sink:
            built = building(into=sink)
    if segments is not None and segments.stored:
        trim(segments, limit)
    _tell(terminal, built, names, target, metadata_file, given=output is not None)


def _check_output(target: str, trees: Sequence[Source], flags: BuildFlags) -> None:
    """Refuse to write over what is read. Raises ``OutputError``."""
    if not to_standard_output(target):
        check_outside(trees, target, "the output", "-o")
        flags.base.check_output(target)


def _show(
    trees: Sequence[Source],
    old: Sequence[Source],
    flags: BuildFlags,
    cache: CacheFlags,
    registry: RegistryOptions,
    terminal: Terminal,
) -> None:
    """List what would be packed. The cache is for what the base is."""
    known = cache.open(trees, terminal) if flags.base.given else None
    with flags.base.open(flags.image.target, terminal, registry, known, usable_cpus()) as base:
        found = api.planned(**_packing(trees, old, flags, base, terminal))
        show_planned(found, as_json=flags.dry_run.as_json)


def _tell(
    terminal: Terminal,
    built: Image,
    names: tuple[Reference, ...],
    target: str,
    metadata_file: str | None,
    *,
    given: bool,
) -> None:
    """Say what was written, and where, if that was not ``given``."""
    to_stdout = to_standard_output(target)
    where = "standard output" if target == STDOUT else target
    document = built.manifest.descriptor
    terminal.detail(f"image {built.config.digest}, manifest {document.digest}: to {where}")
    published = [api.Published(name, document) for name in names]
    if metadata_file is not None:
        write_metadata(metadata_file, published, [api.Named(built, names)])
    print_names(terminal, published, err=to_stdout or takes_standard_output(metadata_file))
    if not given:
        terminal.note(f"imgpack: written to {where}")


def _building(
    trees: Sequence[Source],
    old: Sequence[Source],
    flags: BuildFlags,
    base: Base | None,
    target: str,
    terminal: Terminal,
) -> partial[Image]:
    """``api.build`` with all that decides the image's bytes, parsed and checked."""
    image, layers = flags.image, flags.layers
    kind = image.format(target, None if base is None else base.image.format)
    config: Runtime | RuntimeChanges
    config = flags.runtime.runtime() if base is None else flags.unset.changes(flags.runtime)
    if flags.runtime.healthcheck_cmd is not None and kind is not api.Format.DOCKER:
        terminal.warn("podman ignores the health check of an OCI image; use --format docker")
    epoch = source_date_epoch()
    return partial(
        api.build,
        **_packing(trees, old, flags, base, terminal),
        config=config,
        platform=image.target,
        format=kind,
        compression=layers.codec(kind),
        created=image.created_at(epoch),
        author=image.author or "",
        comment=image.comment or "",
        check_contents=layers.check_contents,
        clock=now_ns,
    )


def _packing(
    trees: Sequence[Source],
    old: Sequence[Source],
    flags: BuildFlags,
    base: Base | None,
    terminal: Terminal,
) -> dict[str, Any]:
    """What ``api.build`` and ``api.planned`` both take: what is packed, and over what."""
    trees = read_lists(trees, base, terminal)
    written = flags.rules.arguments(trees, flags.layers, terminal, base)
    placement = api.Placement(
        base,
        keep_identical=flags.base.keep_identical,
        base_labels=flags.unset.base_labels,
        squash=flags.shape.squash,
        lower=flags.shape.lower(trees, old),
    )
    layers = flags.shape.layers(trees, old, base, written, terminal.remark)
    return written | {"layers": layers, "placement": placement, "reporter": terminal}


def _target(output: str | None, trees: Sequence[Source]) -> str:
    if output is not None:
        return output
    if not trees:
        raise click.UsageError(
            "there is no SRC to name the archive after; say where it goes: -o FILE"
        )
    return default_output(trees[0])


def _names(tags: tuple[str, ...], trees: tuple[Source, ...]) -> tuple[Reference, ...]:
    if tags or not trees:
        return tuple(dict.fromkeys(api.parse_name(tag) for tag in tags))
    try:
        return (api.parse_name(name_of(trees[0])),)
    except InvalidReferenceError as error:
        raise InvalidReferenceError(
            f"the source's name {name_of(trees[0])!r} is no image name", "give one with -t NAME"
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
