"""Which image a command looks into, and how its files are opened: ``ARCHIVE|REF|LOCK``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgpack import api
from imgpack.cli.options.cache import CacheFlags, tables_cache_options, trim, usable_cpus
from imgpack.cli.options.location import (
    Choice,
    choice_options,
    connect_for,
    from_standard_input,
    scratch_directory,
)
from imgpack.cli.options.parameters import gathered
from imgpack.cli.options.registry import RegistryOptions, registry_options

if TYPE_CHECKING:
    from imgpack.api import ImageFiles
    from imgpack.cli.output.terminal import Terminal


@dataclass(frozen=True, slots=True)
class Looking:
    """How an image is found and looked into: the values of the options that all of them have."""

    choice: Choice
    cache: CacheFlags
    registry: RegistryOptions

    def place(self, text: str) -> str:
        """Where ``text`` is: of ``PATH:NAME`` the path, as is that of standard input."""
        return self.choice.within(from_standard_input(text))[0]

    @contextmanager
    def open(self, text: str, terminal: Terminal) -> Iterator[ImageFiles]:
        """The files of the image at ``text``, to be looked at and read inside the ``with``."""
        place, choice = self.choice.at(text)
        limit = self.cache.limit
        cache = self.cache.open((), terminal)
        with (
            connect_for(place, terminal, self.registry) as registries,
            api.open_files(
                place,
                image=choice.image,
                platform=choice.only_platform,
                registries=registries,
                scratch=scratch_directory,
                cache=cache,
                jobs=usable_cpus(),
                reporter=terminal,
            ) as files,
        ):
            yield files
        if cache is not None:
            trim(cache, limit)


looking_options = gathered(
    "looking", Looking, choice_options, tables_cache_options, registry_options
)
