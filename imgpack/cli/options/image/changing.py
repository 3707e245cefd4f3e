"""Where an image goes that is changed: elsewhere (``-o``), or where it is (``--in-place``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.destination import Destination, shallow_option, tags_option
from imgpack.cli.options.location import (
    Choice,
    choice_options,
    scratch_directory,
)
from imgpack.cli.options.metadata import Record, record_options
from imgpack.cli.options.output import print_names, prune_option
from imgpack.cli.options.parameters import OUTPUT, gathered
from imgpack.cli.options.registry import RegistryOptions, registry_options
from imgpack.cli.options.transfer import foreign_option, jobs_option
from imgpack.files.streams import STDIN_PATH, is_stream

if TYPE_CHECKING:
    from imgpack.api import Named, Opened, Platform, Registries, Root
    from imgpack.cli.options.build.kinds import Source
    from imgpack.cli.output.terminal import Terminal


@dataclass(frozen=True, slots=True)
class Target:
    """Where it goes, as it was written."""

    output: str | None
    in_place: bool
    tags: tuple[str, ...]
    prune: bool
    shallow: bool
    allow_nondistributable: bool

    def destination(self, source: str) -> Destination:
        """Where what is at ``source`` goes. Raises ``click.UsageError``."""
        if self.output is not None and self.in_place:
            raise click.UsageError("-o and --in-place are two places; give one of them")
        if self.output is None and not self.in_place:
            raise click.UsageError(
                "say where the changed image goes: -o FILE|DIR/|-|REF, or --in-place"
            )
        place = self.output
        if place is None:
            check_place(source)
            place = source
            if self.tags or self.shallow:
                given = "-t" if self.tags else "--shallow"
                raise click.UsageError(f"{given} is for -o; in place the image stays what it is")
        return Destination(place, self.tags, self.prune, self.shallow, self.allow_nondistributable)


def check_place(source: str) -> None:
    """Refuse to change what cannot be: a stream, a lock, a digest."""
    if not api.is_path(source):
        if api.parse_reference(source).digest is not None:
            raise click.UsageError(
                f"{source} has a digest, which is of this very image; name its tag, or give -o"
            )
    elif is_stream(source) or api.is_lock(source):
        shown = "standard input" if source == STDIN_PATH else source
        raise click.UsageError(f"{shown} is no archive or layout that can be changed")


@dataclass(frozen=True, slots=True)
class ImageChange:
    """An image that is to be changed; with a ``platform`` only that one of it is."""

    named: Named
    where: str
    platform: Platform | None
    _opened: Opened
    _root: Root
    _options: Changing
    _destination: Destination
    _terminal: Terminal
    _registries: Registries
    _asked: str | None

    def write(self, made: Named) -> None:
        """Put ``made`` where it is wanted, and print its names."""
        made, options, terminal = replace(made, fields=()), self._options, self._terminal
        if self._destination.is_path and options.target.in_place:
            options.record.expect([made])
            published = api.replace_image(
                self._opened,
                self._root,
                made,
                asked=self._asked,
                prune=options.target.prune,
                scratch=scratch_directory,
                jobs=options.jobs,
                reporter=terminal,
            )
            options.record.write(published, [made])
            err = options.record.takes_standard_output
            print_names(terminal, published, err=err)
            if all(one.name is None for one in published):
                terminal.result(str(made.image.document.descriptor.digest), err=err)
            return
        self._destination.write(
            made, terminal, self._registries, (self.where,), options.jobs, options.record,
            replacing=self._opened.served if options.target.in_place else None,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Changing:
    """The values of the options that all commands have which change an image."""

    target: Target
    record: Record
    jobs: int
    choice: Choice
    registry: RegistryOptions

    @contextmanager
    def open(
        self, text: str, terminal: Terminal, trees: Sequence[Source] = ()
    ) -> Iterator[ImageChange]:
        """What is at ``text``, to be changed with ``trees`` and written inside the ``with``."""
        source, choice = self.choice.at(text)
        destination = self.target.destination(source)
        destination.check((source,), self.record, trees)
        with (
            destination.connect(self.registry, terminal, (source,), self.jobs) as registries,
            api.open(source, registries=registries, scratch=scratch_directory) as opened,
        ):
            root = opened.select(choice.image)
            chosen, platform = choice.one(opened), None
            if self.target.in_place:  # the others of an index stay beside it
                chosen, platform = opened.image(root), choice.only_platform
            yield ImageChange(
                chosen, source, platform, opened, root,
                self, destination, terminal, registries, choice.image,
            )  # fmt: skip


changing_options = gathered(
    "changing",
    Changing,
    gathered(
        "target",
        Target,
        click.option(
            "-o",
            "--output",
            type=OUTPUT,
            metavar="FILE|DIR/|-|REF",
            help="Write an archive, an OCI layout directory, - for a stream, or push to a name.",
        ),
        click.option(
            "--in-place",
            is_flag=True,
            help="Change the archive or layout itself, or move the tag in the registry; of one "
            "--platform, the others stay.",
        ),
        tags_option,
        prune_option,
        shallow_option,
        foreign_option,
    ),
    record_options,
    jobs_option,
    choice_options,
    registry_options,
)
