"""What the commands that move images have in common: names, jobs, credentials, the journal."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imgpack.cli.options.cache import default_directory
from imgpack.cli.options.clock import now_ns
from imgpack.cli.options.group import gathered
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


def foreign_option(command: _F) -> _F:
    """``--allow-nondistributable``."""
    result: _F = click.option(
        "--allow-nondistributable",
        is_flag=True,
        help="Send foreign layers that the source holds, too; their licence may forbid it.",
    )(command)
    return result


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


@dataclass(frozen=True, slots=True)
class MountFlags:
    """Where layers are mounted from."""

    mount_from: tuple[str, ...]
    no_mount: bool

    def check(self) -> None:
        """Raise ``click.UsageError`` for a contradiction."""
        if self.mount_from and self.no_mount:
            raise click.UsageError("--mount-from and --no-mount contradict each other")


def mount_options(command: _F) -> _F:
    """``--mount-from`` and ``--no-mount``, as one ``MountFlags`` named ``mount``."""
    options = (
        click.option(
            "--mount-from",
            multiple=True,
            metavar="REPO",
            help="Mount layers from this repository of the same registry where it has them"
            " (repeatable).",
        ),
        click.option("--no-mount", is_flag=True, help="Mount nothing from anywhere."),
    )
    return gathered("mount", MountFlags, options, command)
