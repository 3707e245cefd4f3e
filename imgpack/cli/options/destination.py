"""Where an image goes that is made of another one: an archive, a layout or a registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from imgpack import api
from imgpack.api.bases import split
from imgpack.cli.options.build.sources import check_outside
from imgpack.cli.options.metadata import Record
from imgpack.cli.options.output import (
    check_prune,
    prune_option,
    push_printing,
    to_standard_output,
    write_archive,
)
from imgpack.cli.options.parameters import OUTPUT, gathered
from imgpack.cli.options.registry import RegistryOptions, connect
from imgpack.cli.options.transfer import foreign_option, upload_journal
from imgpack.errors import InvalidReferenceError

if TYPE_CHECKING:
    from imgpack.api import Digest, Named, Reference, Registries
    from imgpack.cli.options.build.kinds import Source
    from imgpack.cli.output.terminal import Terminal


@dataclass(frozen=True, slots=True)
class Destination:
    """Where it goes and what it is called there, as it was written."""

    output: str
    tags: tuple[str, ...]
    prune: bool
    shallow: bool
    allow_nondistributable: bool

    @property
    def is_path(self) -> bool:
        """Whether it is an archive, a layout or a stream."""
        return self.output == "-" or api.is_path(self.output)

    def check(
        self, sources: Iterable[str | None], record: Record, trees: Sequence[Source] = ()
    ) -> None:
        """Refuse what cannot be written, before anything is read.

        ``sources`` and ``trees`` are what is read. Raises ``click.UsageError``,
        ``InvalidReferenceError``, ``OutputError``.
        """
        check_prune(self.output if self.is_path else None, prune=self.prune)
        if self.shallow and not self.is_path:
            raise click.UsageError("--shallow is for an archive or a layout")
        if self.allow_nondistributable and self.is_path:
            raise click.UsageError("--allow-nondistributable is for a registry")
        self.names(())
        if self.is_path and not to_standard_output(self.output):
            check_outside(trees, self.output, "the output", "-o")
        paths = [str(place) for place in _places(sources) if _is_path(place)]
        record.check((*paths, self.output if self.is_path else None), trees)

    def names(self, own: Iterable[Reference]) -> tuple[Reference, ...]:
        """What the image is to be called, which is called ``own`` where it comes from."""
        if self.is_path:
            given = tuple(dict.fromkeys(api.parse_name(tag) for tag in self.tags))
            return given or tuple(own)
        if self.tags:
            raise click.UsageError(f"-t is for archives and layouts; {self.output} is a name")
        try:
            return (api.target_name(self.output),)
        except InvalidReferenceError as error:
            path = f"./{self.output} is an archive, ./{self.output}/ a layout"
            hint = f"{error.hint}; {path}".removeprefix("; ")
            raise error.reworded(error.message, hint) from error

    @contextmanager
    def connect(
        self,
        registry: RegistryOptions,
        terminal: Terminal,
        sources: Iterable[str | None],
        jobs: int,
    ) -> Iterator[Registries]:
        """As ``connect``, for ``sources`` and the destination."""
        whom = [one.registry for one in _references(sources)]
        whom += () if self.is_path else [self.names(())[0].registry]
        with connect(registry, terminal, whom, jobs=jobs) as registries:
            yield registries

    def write(
        self,
        named: Named,
        terminal: Terminal,
        registries: Registries,
        sources: Iterable[str | None],
        jobs: int,
        record: Record,
        more: Mapping[str, Any] = MappingProxyType({}),
        replacing: Digest | None = None,
    ) -> None:
        """Write or push ``named``, and print its names. Layers are mounted from ``sources``.

        ``more`` is for the record, ``replacing`` as in ``PushOptions``.
        """
        names = self.names(named.names)
        labels = () if self.tags or not self.is_path else named.labels
        named = replace(named, names=names, labels=labels)
        if not self.is_path:
            options = api.PushOptions(
                mount_from=tuple(_references(sources)),
                journal=upload_journal(),
                foreign=self.allow_nondistributable,
                replacing=replacing,
            )
            push_printing(terminal, registries, [named], options, jobs, record, more)
            return
        write_archive(
            terminal,
            [named],
            self.output,
            jobs,
            record,
            prune=self.prune,
            shallow=self.shallow,
            replaced=terminal.warn,
            more=more,
        )


def _places(sources: Iterable[str | None]) -> Iterator[str | Reference]:
    """Where ``sources`` are, of ``PATH:NAME`` the path."""
    return (split(one)[0] for one in sources if one is not None)


def _is_path(place: str | Reference) -> bool:
    return isinstance(place, str) and api.is_path(place)


def _references(sources: Iterable[str | None]) -> Iterator[Reference]:
    return (api.parse_reference(str(one)) for one in _places(sources) if not _is_path(one))


tags_option = click.option(
    "-t",
    "--tag",
    "tags",
    multiple=True,
    metavar="NAME[:TAG]",
    help="A name in the archive or layout (repeatable). [default: the image's own]",
)
shallow_option = click.option(
    "--shallow", is_flag=True, help="Write it without base layers that are not at hand."
)
destination_options = gathered(
    "destination",
    Destination,
    click.option(
        "-o",
        "--output",
        type=OUTPUT,
        required=True,
        metavar="FILE|DIR/|-|REF",
        help="An archive, an OCI layout directory, - for a stream, or a name to push to.",
    ),
    tags_option,
    prune_option,
    shallow_option,
    foreign_option,
)
