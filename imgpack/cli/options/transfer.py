"""What the commands that move images have in common: jobs, mounts, the journal."""

from __future__ import annotations

import os
from dataclasses import dataclass

import click

from imgpack import api
from imgpack.cli.options.cache import default_directory
from imgpack.cli.options.clock import now_ns
from imgpack.cli.options.parameters import gathered
from imgpack.errors import CacheError

jobs_option = click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    metavar="N",
    help="Blobs moved at once.",
)


foreign_option = click.option(
    "--allow-nondistributable",
    is_flag=True,
    help="Send foreign layers that the source holds, too; their licence may forbid it.",
)


def upload_journal() -> api.UploadJournal | None:
    """Where half-done uploads are remembered; nowhere, for a user without a home."""
    try:
        directory = os.path.join(default_directory(), "uploads")
    except CacheError:
        return None
    return api.UploadJournal(directory, now_ns() / 1e9)


@dataclass(frozen=True, slots=True)
class MountFlags:
    """Where layers are mounted from."""

    mount_from: tuple[str, ...]
    no_mount: bool

    def check(self) -> None:
        """Raise ``click.UsageError`` for a contradiction."""
        if self.mount_from and self.no_mount:
            raise click.UsageError("--mount-from and --no-mount contradict each other")


mount_options = gathered(
    "mount",
    MountFlags,
    click.option(
        "--mount-from",
        multiple=True,
        metavar="REPO",
        help="Mount layers from this repository of the same registry where it has them"
        " (repeatable).",
    ),
    click.option("--no-mount", is_flag=True, help="Mount nothing from anywhere."),
)
