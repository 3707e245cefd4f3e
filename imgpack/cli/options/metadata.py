"""``--metadata-file`` (digests, sizes, media types, diff_ids, names as JSON) and ``--iidfile``.

Invariant: whether they can be written, and harm nothing else that the command reads
or writes, is known before the command does anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import click

from imgpack import LAYER_FORMAT_VERSION, __version__, api
from imgpack.cli.options.build.sources import check_outside
from imgpack.cli.options.clock import source_date_epoch
from imgpack.cli.options.location import base_place
from imgpack.cli.options.parameters import FILE, gathered
from imgpack.cli.output.display import json_text
from imgpack.errors import OutputError
from imgpack.files.atomic import AtomicFile
from imgpack.files.streams import (
    STDIN,
    STDIN_PATH,
    STDOUT,
    StreamFile,
    is_stream,
    named_descriptor,
    open_output,
)
from imgpack.files.writing import real_path

if TYPE_CHECKING:
    from imgpack.api import Base, Digest, Loaded, Named, Published
    from imgpack.cli.options.build.kinds import Source


_BASES: Final = frozenset({"from", "diff-from"})
"""Keys of imgpack.toml that name a base."""


@dataclass(frozen=True, slots=True)
class BuildInputs:
    """What decides the bytes of an image, as it was asked for; docs/look.md, "Built again".

    ``images`` has the table of ``name``, as of imgpack.toml, and of those that it is built on.
    Their paths begin at ``directory``, and it and ``checkout`` where the metadata file is.
    """

    name: str
    images: Mapping[str, Mapping[str, Any]]
    directory: str
    checkout: str

    def as_json(self, digest: Digest, base: Base | None) -> dict[str, Any]:
        """What is recorded of a build on ``base`` that made the image with ``digest``."""
        table = dict(self.images[self.name])
        built: dict[str, Any] = {"digest": str(digest)}
        if base is not None and base.name is not None:
            built["base"] = {"digest": str(base.name.digest)}
            for key in table.keys() & _BASES:
                table[key] = _pinned(table[key], base.name.digest)
        epoch = source_date_epoch()
        return {
            "imgpack": __version__,
            "layerFormat": LAYER_FORMAT_VERSION,
            **({} if epoch is None else {"sourceDateEpoch": epoch}),
            "directory": self.directory,
            "checkout": self.checkout,
            "image": {**self.images, self.name: table},
            "built": {self.name: built},
        }


@dataclass(frozen=True, slots=True)
class Record:
    """Where it is written what was made or moved: a JSON document, an image's identifier.

    ``inputs`` are what a build is made of, if it writes the document.
    """

    metadata_file: str | None = None
    iidfile: str | None = None
    inputs: BuildInputs | None = None

    def check(
        self,
        others: Sequence[str | None] = (),
        trees: Sequence[Source] = (),
        *,
        dry_run: bool = False,
    ) -> None:
        """Refuse a file that cannot be written, or is one of ``others`` or inside ``trees``.

        ``others`` are the paths that the command reads and writes. Raises ``OutputError``
        and ``click.UsageError``.
        """
        for option, path, what in (
            ("--metadata-file", self.metadata_file, "the metadata file"),
            ("--iidfile", self.iidfile, "the file of the identifier"),
        ):
            if path is not None and dry_run:
                raise click.UsageError(f"--dry-run moves nothing to write a {option} about")
            if path is not None:
                _check(path, option, what, others, trees)
        if self.metadata_file and self.iidfile and _harms(self.iidfile, self.metadata_file):
            raise click.UsageError("--iidfile and --metadata-file name the same file")

    def expect(self, images: Sequence[Named]) -> None:
        """Refuse several images where one identifier is wanted, before any is written."""
        if self.iidfile is not None and len(_documents(images)) != 1:
            raise click.UsageError(
                f"--iidfile is for one image, and there are {len(_documents(images))}; "
                "--metadata-file says all of them"
            )

    @property
    def files(self) -> tuple[str | None, ...]:
        """What is written."""
        return self.metadata_file, self.iidfile

    @property
    def takes_standard_output(self) -> bool:
        """Whether a document goes there, where nothing else may."""
        return any(path is not None and named_descriptor(path) == 1 for path in self.files)

    def write(
        self,
        published: Iterable[Published],
        images: Sequence[Named],
        loaded: Iterable[Loaded] = (),
        more: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Write what each name stands for, the images, and what ``more`` there is to say.

        Raises ``OutputError``.
        """
        if self.metadata_file is not None:
            document = api.recorded(published, images) | _told(loaded) | dict(more)
            _write(self.metadata_file, f"{json_text(document)}\n".encode())
        if self.iidfile is not None:
            _write(self.iidfile, str(api.image_id(images[0].image)).encode())


record_options = gathered(
    "record",
    Record,
    click.option(
        "--metadata-file",
        type=FILE,
        metavar="FILE",
        help="Write digests, sizes and names to a JSON file.",
    ),
    click.option(
        "--iidfile",
        type=FILE,
        metavar="FILE",
        help="Write the image's ID to a file: the digest of its configuration, or of an index.",
    ),
)


def _pinned(base: str, digest: Digest) -> str:
    """A reference with the ``digest`` that it stands for, since a tag may move; a path as it is."""
    if base == STDIN or api.is_path(base_place(base)):
        return base
    return replace(api.parse_reference(base).tagged(), digest=digest).shown()


def _told(loaded: Iterable[Loaded]) -> dict[str, Any]:
    told = [
        {
            "name": None if one.name is None else str(one.name),
            "id": str(one.id),
            "engine": one.engine,
        }
        for one in loaded
    ]
    return {"loaded": told} if told else {}


def _documents(images: Sequence[Named]) -> set[api.Digest]:
    return {one.image.document.descriptor.digest for one in images}


def _write(path: str, data: bytes) -> None:
    with open_output(path) as write:
        write(data)


def _check(
    path: str, option: str, what: str, others: Sequence[str | None], trees: Sequence[Source]
) -> None:
    if path in ("", STDOUT):
        raise click.UsageError(f"{option} {path!r} is no file; /dev/stdout is standard output")
    check_apart(path, what, others)
    check_outside(trees, path, what, option)
    if path.endswith("/") or os.path.isdir(path):
        raise OutputError(f"{what} {path} is a directory", "name a file in it")
    _try(path)


def check_apart(path: str, what: str, others: Iterable[str | None]) -> None:
    """Raise ``OutputError`` if ``path``, which is ``what``, is one of ``others`` or lies in it."""
    for other in others:
        if other and _harms(path, other):
            named = what if path == other else f"{what} {path}"
            raise OutputError(f"{named} is {_shown(other)}, or lies in it", "choose another place")


def _shown(other: str) -> str:
    names = {STDOUT: "standard output", STDIN_PATH: "standard input"}
    return names.get(other, other)


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
