"""What the commands that move images have in common: names, jobs, credentials, the journal."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imgpack.cli.options.cache import default_directory
from imgpack.cli.options.clock import now_ns
from imgpack.cli.options.location import remote_name
from imgpack.errors import CacheError
from imgpack.spec.reference import Reference

if TYPE_CHECKING:
    from imgpack.registry.push.journal import UploadJournal

_F = TypeVar("_F", bound=Any)


def jobs_option(command: _F) -> _F:
    """``--jobs N``."""
    result: _F = click.option(
        "-j",
        "--jobs",
        type=click.IntRange(1, 64),
        default=4,
        show_default=True,
        metavar="N",
        help="Blobs moved at once.",
    )(command)
    return result


def target(text: str) -> Reference:
    """A name to push to: a tag (``latest`` if none), or the digest that the image has."""
    name = remote_name(text)
    return (
        Reference(name.registry, name.repository, None, name.digest)
        if (name.digest is not None and name.tag is None)
        else name.tagged()
    )


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
    from imgpack.registry.push.journal import UploadJournal

    try:
        directory = os.path.join(default_directory(), "uploads")
    except CacheError:
        return None
    return UploadJournal(directory, now_ns() / 1e9)
