"""What the commands say at the end, and where: one line a name, unless an archive goes there."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from imgpack.cli.options.clock import now_ns
from imgpack.cli.output.metadata import takes_standard_output
from imgpack.errors import CacheError
from imgpack.files.streams import named_descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.reference import Reference
from imgpack.store.archive.write import STDOUT

if TYPE_CHECKING:
    from imgpack.registry.push.journal import UploadJournal
    from imgpack.registry.push.push import Pushed


def pinned(name: Reference, digest: Digest) -> str:
    """``NAME@sha256:…``, with the tag if the name has one."""
    return replace(name, digest=digest).shown()


@contextmanager
def printing_pushed(metadata_file: str | None = None) -> Iterator[Callable[["Pushed"], None]]:
    """What prints each name when it is pushed: one line on standard output.

    On standard error, if the metadata goes to standard output. If nobody reads it,
    the push goes on, and its end is the failure.
    """
    lost: list[OSError] = []

    def landed(one: "Pushed") -> None:
        try:
            if not lost:
                click.echo(pinned(one.name, one.digest), err=takes_standard_output(metadata_file))
        except OSError as error:
            lost.append(error)

    yield landed
    if lost:
        raise lost[0]


def to_standard_output(output: str, what: str = "an archive") -> bool:
    """Whether ``what`` goes to standard output, by any name; a terminal is refused."""
    if output != STDOUT and named_descriptor(output) != 1:
        return False
    if sys.stdout.isatty():
        raise click.UsageError(f"{what} is no text for a terminal; pipe it, or give -o FILE")
    return True


def one_registry(creds: str | None, names: Iterable[Reference]) -> str | None:
    """The registry that ``--creds`` is for: there must be one, or one password goes to several."""
    registries = list(dict.fromkeys(name.registry for name in names))
    if creds is not None and len(registries) > 1:
        raise click.UsageError(
            f"--creds is for one registry, and there are {', '.join(registries)}: use imgpack login"
        )
    return registries[0] if len(registries) == 1 else None


def creds_option(registry: str | None) -> str:
    """Where ``registry``, the only one, can be given credentials; several cannot."""
    return "" if registry is None else "--creds"


def upload_journal() -> "UploadJournal | None":
    """Where half-done uploads are remembered; nowhere, for a user without a home."""
    from imgpack.cli.options.cache import default_directory
    from imgpack.registry.push.journal import UploadJournal

    try:
        directory = os.path.join(default_directory(), "uploads")
    except CacheError:
        return None
    return UploadJournal(directory, now_ns() / 1e9)
