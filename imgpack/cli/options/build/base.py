"""The image that another is built on: where it is, and what becomes of what it has as well."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from imgpack import api
from imgpack.cli.options.location import (
    base_place,
    connect_for,
    from_standard_input,
    scratch_directory,
)
from imgpack.cli.options.parameters import FILE, gathered, once
from imgpack.errors import OutputError
from imgpack.files.streams import STDIN
from imgpack.files.writing import real_path

if TYPE_CHECKING:
    from imgpack.api import Base, Platform, Reference, Registries, SegmentCache
    from imgpack.cli.options.registry import RegistryOptions
    from imgpack.cli.output.terminal import Terminal

SCRATCH: Final = "scratch"
"""What a Dockerfile calls no base at all."""


@dataclass(frozen=True, slots=True)
class BaseFlags:
    """The base, as it was written."""

    base: str | None
    base_layers: tuple[str, ...]
    keep_identical: bool
    shallow: bool

    @property
    def given(self) -> bool:
        """Whether there is one."""
        return self.base not in (None, SCRATCH)

    def check_base(self) -> None:
        """Refuse what is about a base, where there is none. Raises ``UsageError``."""
        for option, given in ("--base-layers", self.base_layers), ("--shallow", self.shallow):
            if given:
                raise click.UsageError(f"{option} is about a base image; add --from BASE")

    @property
    def files(self) -> tuple[str, ...]:
        """What the base and its layers are read from: a path or a reference, and archives."""
        if self.base is None or not self.given:
            return ()
        return (base_place(self.base), *filter(os.path.isfile, self.base_layers))

    def check_output(self, target: str) -> None:
        """Refuse to replace what the base is read from. Raises ``OutputError``.

        An image may be added to the layout that its base is in.
        """
        for path in self.files:
            real, place = real_path(target), real_path(path)
            added = real == place and os.path.isdir(path)
            if not added and f"{real}/".startswith(f"{place}/"):
                what = "is the base" if path == self.files[0] else "holds layers of the base"
                raise OutputError(f"the output {target} {what}: {path}", "choose another place")

    @contextmanager
    def open(
        self,
        platforms: Sequence[Platform | None],
        terminal: Terminal,
        registry: RegistryOptions,
        cache: SegmentCache | None,
        jobs: int,
        registries: Registries | None = None,
    ) -> Iterator[Sequence[Base | None]]:
        """The base for each platform, to be read inside the ``with``; ``None`` if there is none.

        They are asked for through ``registries``, or through some of its own.
        """
        if self.base is None or not self.given:
            yield [None] * len(platforms)
            return
        where = from_standard_input(self.base)
        with ExitStack() as stack:
            if registries is None:
                connecting = connect_for(base_place(where), terminal, registry)
                registries = stack.enter_context(connecting)
            opening = api.open_bases(
                where,
                platforms,
                layers=self.base_layers,
                registries=registries,
                scratch=scratch_directory,
                cache=cache,
                jobs=jobs,
                reporter=terminal,
            )
            yield stack.enter_context(opening)

    @property
    def references(self) -> tuple[Reference, ...]:
        """The name that the base is fetched by, if it is in a registry."""
        if self.base is None or not self.given or self.base == STDIN:
            return ()
        place = base_place(self.base)
        return () if api.is_path(place) else (api.parse_reference(place),)


base_options = gathered(
    "base",
    BaseFlags,
    click.option("--from", "base", multiple=True, type=FILE, metavar="BASE",
                 callback=once("an image has one base"),
                 help="The image to build on: an archive, a layout, a reference, a lock, "
                      "or scratch; PATH:NAME is one of several in an archive or layout."),
    click.option("--base-layers", multiple=True, type=FILE, metavar="ARCHIVE|DIR",
                 help="Where the layers of a locked base are: an archive, a layout, or files named "
                      "by their digests (repeatable)."),
    click.option("--shallow", is_flag=True,
                 help="Write the image without base layers that are not at hand."),
    click.option("--keep-identical", is_flag=True,
                 help="Pack what the base has just so as well."),
)  # fmt: skip
