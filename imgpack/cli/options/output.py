"""Where what is made goes (``-o``, a registry), and what is said at the end: one line a name."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from imgpack import api
from imgpack.cli.options.location import scratch_directory
from imgpack.cli.options.metadata import Record
from imgpack.files.streams import STDOUT, is_stream, named_descriptor

if TYPE_CHECKING:
    from imgpack.api import Loaded, Named, Published, ReadableSink
    from imgpack.cli.output.terminal import Terminal


def print_names(terminal: Terminal, published: Iterable[Published], *, err: bool) -> None:
    """``NAME@sha256:…`` for each name, with the tag if it has one: a line on standard output.

    On standard error (``err``), if something else goes to the other.
    """
    for one in published:
        if one.name is not None:
            terminal.result(replace(one.name, digest=one.descriptor.digest).shown(), err=err)


class NamePrinter:
    """Prints each name when it is there (``print_names``), and keeps them.

    If nobody reads them, what is at work goes on, and its end is the failure.
    """

    def __init__(self, terminal: Terminal, *, err: bool) -> None:
        self.published: list[Published] = []
        self.loaded: list[Loaded] = []
        self._terminal = terminal
        self._err = err
        self._lost: OSError | None = None

    def __call__(self, one: Published) -> None:
        self.published.append(one)
        self._keeping_on(lambda: print_names(self._terminal, [one], err=self._err))

    def tell_loaded(self, one: Loaded) -> None:
        """Print a name when an engine has it, with the ID that it has there; or that alone."""
        self.loaded.append(one)
        known = str(one.id) if one.name is None else replace(one.name, digest=one.id).shown()
        self._keeping_on(lambda: self._terminal.result(known, err=self._err))

    def _keeping_on(self, tell: Callable[[], None]) -> None:
        try:
            if self._lost is None:
                tell()
        except OSError as error:
            self._lost = error

    def end(self) -> None:
        """Raise what kept names from being read."""
        if self._lost is not None:
            raise self._lost


def push_printing(
    terminal: Terminal,
    registries: api.Registries,
    images: Sequence[Named],
    options: api.PushOptions,
    jobs: int,
    record: Record,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Push, printing each name when it is there; standard output may be the record's."""
    record.expect(images)
    printer = NamePrinter(terminal, err=record.takes_standard_output)
    published = api.push(
        images, registries=registries, options=options, jobs=jobs, on_published=printer
    )
    record.write(published, images, more=more)
    printer.end()


def to_standard_output(output: str | None, what: str = "an archive") -> bool:
    """Whether ``what`` goes to standard output, by any name; a terminal is refused."""
    if output is None or (output != STDOUT and named_descriptor(output) != 1):
        return False
    if sys.stdout.isatty():
        raise click.UsageError(f"{what} is no text for a terminal; pipe it, or give -o FILE")
    return True


prune_option = click.option(
    "--prune", is_flag=True, help="Remove from the layout the blobs that nothing in it names."
)


def check_prune(target: str | None, *, prune: bool) -> None:
    """Refuse ``--prune`` where there is no layout; ``None`` is a registry."""
    if prune and (target is None or not api.is_layout(target)):
        raise click.UsageError("--prune is for a layout: a directory, or a path ending in /")


@contextmanager
def create(
    terminal: Terminal,
    target: str,
    *,
    prune: bool = False,
    shallow: bool = False,
    replaced: Callable[[str], None] | None = None,
) -> Iterator[ReadableSink]:
    """An archive, a layout or a stream (``to_standard_output``), to be written.

    ``replaced`` is told of a file that was there, as a detail if it is not given.
    """
    there = os.path.isfile(target) and not is_stream(target)
    stdout = sys.stdout.buffer if to_standard_output(target) else None
    with api.create(
        target,
        stdout=stdout,
        scratch=scratch_directory,
        reporter=terminal,
        prune=prune,
        shallow=shallow,
    ) as sink:
        yield sink
    if there:
        (replaced or terminal.detail)(f"{target} was there, and is replaced")


def write_archive(
    terminal: Terminal,
    images: Sequence[Named],
    target: str,
    jobs: int,
    record: Record,
    *,
    prune: bool = False,
    shallow: bool = False,
    replaced: Callable[[str], None] | None = None,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write ``images`` to an archive, a layout or a stream, and print what was written.

    Of what has no name it is the digest. The rest is as for ``create`` and ``Record.write``.
    """
    record.expect(images)
    with create(terminal, target, prune=prune, shallow=shallow, replaced=replaced) as sink:
        published = api.copy(images, sink, jobs=jobs)
    record.write(published, images, more=more)
    err = to_standard_output(target) or record.takes_standard_output
    print_names(terminal, published, err=err)
    for one in published:
        if one.name is None:
            terminal.result(str(one.descriptor.digest), err=err)
