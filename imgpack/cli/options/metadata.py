"""``--metadata-file``: digests, sizes, media types, diff_ids and names as a JSON document.

Invariant: whether it can be written, and harms nothing else that the command reads
or writes, is known before the command does anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from imgpack import api
from imgpack.cli.options.build.sources import check_outside
from imgpack.cli.options.parameters import FILE
from imgpack.cli.output.display import json_text
from imgpack.errors import OutputError
from imgpack.files.atomic import AtomicFile
from imgpack.files.streams import STDOUT, StreamFile, is_stream, named_descriptor, open_output
from imgpack.files.writing import real_path

if TYPE_CHECKING:
    from imgpack.api import Named, Published
    from imgpack.cli.options.build.kinds import Source

metadata_option = click.option(
    "--metadata-file",
    type=FILE,
    metavar="FILE",
    help="Write digests, sizes and names to a JSON file.",
)


def check_metadata_file(
    path: str | None,
    others: Sequence[str | None] = (),
    trees: Sequence[Source] = (),
    *,
    dry_run: bool = False,
) -> None:
    """Refuse a metadata file that cannot be written, or is one of ``others`` or inside ``trees``.

    ``others`` are the paths that the command reads and writes. Raises ``OutputError``
    and ``click.UsageError``.
    """
    if path is None:
        return
    if dry_run:
        raise click.UsageError("--dry-run pushes nothing to write a --metadata-file about")
    if path in ("", STDOUT):
        raise click.UsageError(
            f"--metadata-file {path!r} is no file; /dev/stdout is standard output"
        )
    for other in others:
        if other and _harms(path, other):
            raise OutputError(
                f"the metadata file {path} is {_shown(other)}, or lies in it",
                "choose another place",
            )
    check_outside(trees, path, "the metadata file")
    if path.endswith("/") or os.path.isdir(path):
        raise OutputError(f"the metadata file {path} is a directory", "name a file in it")
    _try(path)


def _shown(other: str) -> str:
    return "standard output" if other == STDOUT else other


def _harms(path: str, other: str) -> bool:
    """Whether ``other``, a file, a layout or a stream, is what ``path`` would be written to."""
    place = "/dev/stdout" if other == STDOUT else other
    with suppress(OSError):
        if os.path.samefile(path, os.devnull):
            return False  # where everything may go
        if os.path.samefile(path, place):
            return True
    return f"{real_path(path)}/".startswith(f"{real_path(place)}/")


def _try(path: str) -> None:
    """Find out now what would fail when the work is done."""
    if named_descriptor(path) is not None:
        with StreamFile(path):
            return
    if not is_stream(path):  # opening a pipe would wait for its reader
        with AtomicFile(path):
            return


def takes_standard_output(path: str | None) -> bool:
    """Whether the document goes there, where nothing else may."""
    return path is not None and named_descriptor(path) == 1


def write_metadata(
    path: str,
    published: Iterable[Published],
    images: Iterable[Named],
    more: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write what each name stands for, the images, and what ``more`` there is to say, to ``path``.

    Raises ``OutputError``.
    """
    document = {
        "published": api.published_names(tuple(published)),
        "images": [api.described(image) for image in images],
    } | dict(more)
    with open_output(path) as write:
        write(f"{json_text(document)}\n".encode())
