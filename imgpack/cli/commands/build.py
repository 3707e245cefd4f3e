"""``imgpack build``: directories, tar archives and files into an image archive or layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from imgpack import api
from imgpack.cli.options.build.exclusion import show_planned
from imgpack.cli.options.build.flags import BuildFlags, build_options
from imgpack.cli.options.build.headings import BuildCommand
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
from imgpack.cli.options.engine import find_engine
from imgpack.cli.options.location import scratch_directory
from imgpack.cli.options.metadata import Record, record_options
from imgpack.cli.options.output import (
    NamePrinter,
    check_prune,
    create,
    prune_option,
    to_standard_output,
)
from imgpack.cli.options.parameters import FILE, once
from imgpack.cli.options.push import BuildPush, build_push_options
from imgpack.cli.options.registry import RegistryOptions, registry_options
from imgpack.cli.output.explanation import Explainer
from imgpack.errors import InvalidReferenceError
from imgpack.files.streams import STDOUT

if TYPE_CHECKING:
    from imgpack.api import (
        Base,
        Image,
        LayerSink,
        ReadableSink,
        Reference,
        Registries,
        Runtime,
        RuntimeChanges,
        SegmentCache,
    )
    from imgpack.cli.options.build.base import BaseFlags
    from imgpack.cli.options.build.kinds import Source
    from imgpack.cli.output.terminal import Terminal


@click.command("build", cls=BuildCommand)
@click.argument("sources", type=FILE, metavar="[SRC[:/DEST]]...", nargs=-1)
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
    "or SRC-image.tar for an archive; none with --push or --load]",
)
@prune_option
@build_options
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Threads, and blobs sent at once. [default: the CPUs, and 4]",
)
@cache_options
@click.option("--explain", is_flag=True, help="Say which layers were reused, or what changed.")
@record_options
@build_push_options
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
    record: Record,
    pushed: BuildPush,
    registry: RegistryOptions,
) -> None:
    """Build an image from directories, tar archives and files: each SRC is a layer.

    The first is at the bottom. SRC:/dest puts a tree under a path of the image, - is an
    archive from standard input; --from BASE puts them on top of another image. The result
    is one tar that docker, podman, containerd, skopeo and crane load; --push sends it to a
    registry, --load into an engine, instead or as well.
    """
    pushed.check(tags)
    trees, old = _read(sources, flags, terminal, explain=explain)
    if flags.dry_run.check():
        _show(trees, old, flags, cache, registry, terminal)
        return
    target, names = _target(output, trees, pushed), _names(tags, trees, pushed)
    place = _Place(target, names, record, prune, pushed, flags.base)
    limit, threads, times_given = cache.limit, jobs or usable_cpus(), bool(flags.layers.mtime)
    place.check(trees, old)
    segments = cache.open(trees, terminal)
    printer, platform = place.printer(terminal), flags.image.target
    with (
        place.connect(registry, terminal, jobs) as registries,
        flags.base.open(platform, terminal, registry, segments, threads, registries) as base,
    ):
        building = partial(
            _building(trees, old, flags, base, place, terminal),
            names=names,
            outputs=place.written_to(segments),
            jobs=threads,
            cache=segments,
            explain=Explainer(terminal, times_given=times_given) if explain else None,
        )
        with place.open(terminal, registries, printer, jobs) as sink:
            built = building(into=sink)
    if segments is not None and segments.stored:
        trim(segments, limit)
    place.tell(terminal, built, printer, given=output is not None)


def _read(
    sources: Sequence[str], flags: BuildFlags, terminal: Terminal, *, explain: bool
) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    """What goes in, as ``BuildFlags.read``."""
    excluded = flags.exclude.reader(terminal, explain=explain)
    parse = partial(
        parse_sources, reporter=terminal, excluded=excluded, as_root=not flags.rules.idmap
    )
    return flags.read(sources, parse, terminal.warn)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the image goes: an archive, a layout or a stream (``target``), registries, or both."""

    target: str | None
    names: tuple[Reference, ...]
    record: Record
    prune: bool
    pushed: BuildPush
    base: BaseFlags

    @property
    def only_loaded(self) -> bool:
        """Whether an engine alone gets it, which would only unpack what is compressed."""
        return self.target is None and not self.pushed.push

    def check(self, trees: Sequence[Source], old: Sequence[Source]) -> None:
        """Refuse to write over what is read. Raises ``OutputError`` and ``UsageError``."""
        target = self.target
        check_prune(target, prune=self.prune)
        if target is not None and not to_standard_output(target):
            check_outside((*trees, *old), target, "the output", "-o")
            self.base.check_output(target)
        read = (*self.base.files, self.pushed.how.schema1.signing_key)
        self.record.check((target, *read), trees)

    def written_to(self, cache: SegmentCache | None) -> frozenset[tuple[int, int]]:
        """What no tree may hold, as devices and inodes."""
        return written_to(self.target, *self.record.files, cache.directory if cache else None)

    def connect(
        self, registry: RegistryOptions, terminal: Terminal, jobs: int | None
    ) -> AbstractContextManager[Registries | None]:
        """Sessions for the names and the base; none without a push."""
        whom = [one.registry for one in (*self.base.references, *self.names)]
        return self.pushed.connect(registry, terminal, whom, jobs)

    def printer(self, terminal: Terminal) -> NamePrinter:
        """What prints the names, on standard error if something else goes to the other."""
        taken = to_standard_output(self.target) or self.record.takes_standard_output
        return NamePrinter(terminal, err=taken)

    @contextmanager
    def open(
        self,
        terminal: Terminal,
        registries: Registries | None,
        printer: NamePrinter,
        jobs: int | None,
    ) -> Iterator[LayerSink]:
        """The sink of all of it."""
        with ExitStack() as stack:
            also = None
            if self.target is not None:
                creating = create(
                    terminal, self.target, prune=self.prune, shallow=self.base.shallow
                )
                also = stack.enter_context(creating)
            if self.pushed.loading.load:
                also = stack.enter_context(self._loading(terminal, also, printer))
            if registries is not None:
                options = self.pushed.options(self.names, terminal, self.base.references)
                pushing = api.pushing(
                    also,
                    registries=registries,
                    options=options,
                    jobs=self.pushed.jobs(jobs),
                    scratch=scratch_directory,
                    on_published=printer,
                )
                yield stack.enter_context(pushing)
            elif also is not None:
                yield also

    def _loading(
        self, terminal: Terminal, also: ReadableSink | None, printer: NamePrinter
    ) -> AbstractContextManager[ReadableSink]:
        return api.loading(
            find_engine(self.pushed.loading.engine, terminal),
            also,
            scratch=scratch_directory,
            reporter=terminal,
            on_loaded=printer.tell_loaded,
        )

    def tell(self, terminal: Terminal, built: Image, printer: NamePrinter, *, given: bool) -> None:
        """Say what was written, and where, if that was not ``given``."""
        document, target = built.manifest.descriptor, self.target
        where = "standard output" if target == STDOUT else target or self.pushed.where
        terminal.detail(f"image {built.config.digest}, manifest {document.digest}: to {where}")
        pushed = self.pushed.push
        named = [api.Published(name, document) for name in self.names]
        published = printer.published if pushed else named
        self.record.write(published, [api.Named(built, self.names)], printer.loaded)
        for one in () if pushed or target is None else named:
            printer(one)
        printer.end()
        if not (given or pushed or target is None):
            terminal.note(f"imgpack: written to {where}")


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


def _building(
    trees: Sequence[Source],
    old: Sequence[Source],
    flags: BuildFlags,
    base: Base | None,
    place: _Place,
    terminal: Terminal,
) -> partial[Image]:
    """``api.build`` with all that decides the image's bytes, parsed and checked."""
    image, layers = flags.image, flags.layers
    kind = image.format(place.target, None if base is None else base.image.format)
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
        compression=layers.codec(kind, alone=place.only_loaded),
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


def _target(output: str | None, trees: Sequence[Source], pushed: BuildPush) -> str | None:
    if output is not None or pushed.instead:
        return output
    if not trees:
        raise click.UsageError(
            "there is no SRC to name the archive after; say where it goes: -o FILE"
        )
    return default_output(trees[0])


def _names(
    tags: tuple[str, ...], trees: tuple[Source, ...], pushed: BuildPush
) -> tuple[Reference, ...]:
    if tags or not trees:
        return pushed.names(tags)
    try:
        return (api.parse_name(name_of(trees[0])),)
    except InvalidReferenceError as error:
        raise InvalidReferenceError(
            f"the source's name {name_of(trees[0])!r} is no image name", "give one with -t NAME"
        ) from error
