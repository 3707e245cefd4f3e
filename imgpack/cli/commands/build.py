"""``imgpack build``: directories, tar archives and files into an image archive or layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.build.exclusion import show_each
from imgpack.cli.options.build.flags import BuildFlags, build_options
from imgpack.cli.options.build.sources import (
    check_outside,
    default_output,
    name_of,
    written_to,
)
from imgpack.cli.options.cache import CacheFlags, cache_options, usable_cpus
from imgpack.cli.options.clock import source_date_epoch
from imgpack.cli.options.engine import find_engine
from imgpack.cli.options.index.parts import (
    PlatformBuild,
    all_trees,
    packing,
    platforms_of,
    prepared,
    read_parts,
)
from imgpack.cli.options.location import scratch_directory
from imgpack.cli.options.metadata import Record, check_apart, record_options
from imgpack.cli.options.output import (
    NamePrinter,
    check_prune,
    create,
    prune_option,
    to_standard_output,
)
from imgpack.cli.options.parameters import FILE, OUTPUT, once
from imgpack.cli.options.push import BuildPush, build_push_options
from imgpack.cli.options.registry import RegistryOptions, registry_options
from imgpack.cli.output.explanation import Explainer
from imgpack.cli.project.command import BuildProject, file_options
from imgpack.errors import InvalidReferenceError
from imgpack.files.streams import STDOUT
from imgpack.spec.annotations import AnnotationPlace

if TYPE_CHECKING:
    from imgpack.api import (
        Annotations,
        Base,
        Image,
        ImageIndex,
        LayerSink,
        ReadableSink,
        Reference,
        Registries,
        SegmentCache,
    )
    from imgpack.cli.options.build.base import BaseFlags
    from imgpack.cli.options.build.kinds import Source
    from imgpack.cli.output.terminal import Terminal


@click.command("build", cls=BuildProject)
@click.argument("sources", type=FILE, metavar="[SRC[:/DEST]|IMAGE]...", nargs=-1)
@file_options
@click.option(
    "-t", "--tag", "tags", multiple=True, metavar="NAME[:TAG]", help="A name (repeatable)."
)
@click.option(
    "-o",
    "--output",
    type=OUTPUT,
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

    The first is at the bottom. SRC:/dest puts a tree under a path of the image, - is an archive
    from standard input; --from BASE puts them on top of another image. Several --platform
    OS/ARCH=SRC make an image each, on what all share, and one index. The result is one tar that
    docker, podman, containerd, skopeo and crane load; --push sends it to a registry, --load into
    an engine, instead or as well. Without SRC the images of imgpack.toml are built.
    """
    pushed.check(tags)
    parts = read_parts(sources, flags, terminal, explain=explain)
    if flags.dry_run.check():
        _show(parts, flags, cache, registry, terminal)
        return
    trees, shared = all_trees(parts), _shared(parts, sources)
    target, names = _target(output, shared, pushed), _names(tags, shared, pushed)
    place = _Place(target, names, record, prune, pushed, flags)
    threads, times_given = jobs or usable_cpus(), bool(flags.layers.mtime)
    place.check(trees)
    explainer = Explainer(terminal, times_given=times_given) if explain else None
    wanted = platforms_of(parts)
    printer, annotations = place.printer(terminal), _annotations(flags, parts, target, terminal)
    with (
        cache.opened(trees, terminal) as segments,
        place.connect(registry, terminal, jobs) as registries,
        flags.base.open(wanted, terminal, registry, segments, threads, registries) as bases,
    ):
        images = prepared(
            zip(parts, bases, strict=True), flags, place, annotations, terminal, explainer,
            outputs=place.written_to(segments), jobs=threads, cache=segments,
        )  # fmt: skip
        with place.open(terminal, registries, printer, jobs) as sink:
            built = api.build_prepared(images, into=sink, names=names, annotations=annotations)
    place.tell(terminal, built, printer, bases[0], given=output is not None)


def _shared(parts: Sequence[PlatformBuild], sources: Sequence[str]) -> tuple[Source, ...]:
    """What the image is called after: of several platforms what they share."""
    return parts[0].trees if len(parts) == 1 else parts[0].trees[: len(sources)]


def _annotations(
    flags: BuildFlags, parts: Sequence[PlatformBuild], target: str | None, terminal: Terminal
) -> Annotations:
    created = flags.image.created_at(source_date_epoch())
    several = len(parts) > 1
    found = flags.annotated.annotations(terminal, created, several=several)
    outside = AnnotationPlace.INDEX_DESCRIPTOR if several else AnnotationPlace.MANIFEST_DESCRIPTOR
    if target is None and outside in found.places():
        raise click.UsageError(
            f"--annotation {outside.value} is said in an archive or a layout; add -o"
        )
    return found


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the image goes: an archive, a layout or a stream (``target``), registries, or both."""

    target: str | None
    names: tuple[Reference, ...]
    record: Record
    prune: bool
    pushed: BuildPush
    flags: BuildFlags

    @property
    def base(self) -> BaseFlags:
        """What it is built on."""
        return self.flags.base

    @property
    def only_loaded(self) -> bool:
        """Whether an engine alone gets it, which would only unpack what is compressed."""
        return self.target is None and not self.pushed.push

    def check(self, trees: Sequence[Source]) -> None:
        """Refuse to write over what is read. Raises ``OutputError`` and ``UsageError``."""
        target, files = self.target, (*self.flags.files, self.pushed.how.schema1.signing_key)
        check_prune(target, prune=self.prune)
        if target is not None and not to_standard_output(target):
            check_outside(trees, target, "the output", "-o")
            self.base.check_output(target)
            check_apart(target, "the output", files)
        self.record.check((target, *self.base.files, *files), trees)

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

    def tell(
        self,
        terminal: Terminal,
        built: Image | ImageIndex,
        printer: NamePrinter,
        base: Base | None,
        *,
        given: bool,
    ) -> None:
        """Say what was written, on which ``base``, and where, if that was not ``given``."""
        document, target = built.document.descriptor, self.target
        where = "standard output" if target == STDOUT else target or self.pushed.where
        for image in api.images_in(built):
            own = f"image {image.config.digest}, manifest {image.manifest.descriptor.digest}"
            which = f", {image.config.platform}" if image is not built else ""
            terminal.detail(f"{own}{which}: to {where}")
        pushed = self.pushed.push
        named = [api.Published(name, document) for name in self.names]
        published = printer.published if pushed else named
        inputs = self.record.inputs
        more = {} if inputs is None else {"inputs": inputs.as_json(document.digest, base)}
        self.record.write(published, [api.Named(built, self.names)], printer.loaded, more)
        for one in () if pushed or target is None else named:
            printer(one)
        printer.end()
        if not (given or pushed or target is None):
            terminal.note(f"imgpack: written to {where}")


def _show(
    parts: Sequence[PlatformBuild],
    flags: BuildFlags,
    cache: CacheFlags,
    registry: RegistryOptions,
    terminal: Terminal,
) -> None:
    """List what would be packed. The cache is for what the base is."""
    known = cache.open(all_trees(parts), terminal) if flags.base.given else None
    wanted = platforms_of(parts)
    with flags.base.open(wanted, terminal, registry, known, usable_cpus()) as bases:
        planned = {
            str(part.target): api.planned(**packing(part, flags, base, terminal))
            for part, base in zip(parts, bases, strict=True)
        }
        show_each(planned, as_json=flags.dry_run.as_json)


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
