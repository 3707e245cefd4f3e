"""``imgpack ls``: what files an image has, or one of its layers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from imgpack import api
from imgpack.cli.options.image.files import Looking, looking_options
from imgpack.cli.options.parameters import FILE, gathered
from imgpack.cli.output.listing import (
    ListedRow,
    LongLines,
    described_row,
    document_lines,
    marked_name,
)
from imgpack.errors import NoSuchPathError, NotFoundError, Remedy, printable

if TYPE_CHECKING:
    from imgpack.api import ImageFiles, LayerTable
    from imgpack.cli.output.terminal import Terminal


@dataclass(frozen=True, slots=True)
class Shape:
    """How files are listed."""

    long: bool
    recursive: bool
    numeric: bool
    as_json: bool


_shape_options = gathered(
    "shape",
    Shape,
    click.option(
        "-l",
        "--long",
        is_flag=True,
        help="Type, mode, links, owner, size and time (UTC), as ls -l.",
    ),
    click.option("-R", "--recursive", is_flag=True, help="All that is below, with full paths."),
    click.option("-n", "--numeric", is_flag=True, help="Owners as numbers; implies -l."),
    click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document, an entry a line."
    ),
)


@click.command("ls")
@click.argument("location", type=FILE, metavar="ARCHIVE|REF|LOCK")
@click.argument("path", required=False, default="/", metavar="[PATH]")
@_shape_options
@click.option(
    "--layer",
    type=click.IntRange(min=1),
    metavar="N",
    help="What layer N has, from 1, and deletes.",
)
@looking_options
@click.pass_obj
def ls(
    terminal: Terminal,
    *,
    location: str,
    path: str,
    shape: Shape,
    layer: int | None,
    looking: Looking,
) -> None:
    """List what is in a directory of an image, one name a line.

    PATH begins at the root of the image, and links on it lead where they do in the image. One
    at its end is followed as well; with -l it is shown, but for a PATH that ends in /. Names are
    in the order of their bytes, with control characters escaped.

    With --layer no link is followed, and what the layer deletes is marked: (whiteout) is what is
    gone at its path, (opaque) a directory of which nothing of lower layers is left.
    """
    with looking.open(location, terminal) as files:
        found = _AskedFor.of(files, path, shape, layer)
        if shape.as_json:
            lines = found.document(location)
        elif shape.long or shape.numeric:
            names = None if shape.numeric else api.owner_names(files)
            lines = LongLines(names).lines(found.named())
        else:
            lines = found.names()
        sys.stdout.writelines(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class _AskedFor:
    """What is to be listed: all at ``path``, which was ``given`` so if it is no directory."""

    files: ImageFiles
    path: bytes
    given: str | None
    shape: Shape
    layer: int | None

    @classmethod
    def of(cls, files: ImageFiles, path: str, shape: Shape, layer: int | None) -> _AskedFor:
        """What is at ``path`` of the image, or of a layer. Raises ``NoSuchPathError``."""
        own = path.encode("utf-8", "surrogateescape")
        if layer is not None:
            own = own.strip(b"/")
            directory = _in_layer(files, layer, own)
        else:
            follow = not (shape.long or shape.numeric)
            found = api.find_path(files, own, follow=follow)
            own, directory = found.row.path, found.row.is_directory
        return cls(files, own, None if directory else path, shape, layer)

    def names(self) -> Iterator[str]:
        """The names, as people see them."""
        if self.layer is None and self.shape.recursive and self.given is None:
            for one in self.files.shown(self.path):  # nothing but this, for it may be all there is
                if one.row.path != self.path:
                    yield f"/{printable(one.row.path)}"
            return
        yield from (name for name, _ in self.named())

    def named(self) -> Iterator[tuple[str, ListedRow]]:
        """The names, and what each stands for."""
        inside = len(self.path) + 1 if self.path else 0
        for one in self._listed():
            row = one.row
            if self.given is not None:
                name = printable(self.given)
            elif row.path == self.path:  # that a directory of a layer is opaque
                name = "." if not self.shape.recursive else f"/{printable(row.path)}"
            elif self.shape.recursive:
                name = f"/{printable(row.path)}"
            else:
                name = printable(row.path[inside:])
            yield marked_name(name, row), one

    def document(self, location: str) -> Iterator[str]:
        """As one JSON document."""
        names = None if self.shape.numeric else api.owner_names(self.files)
        head: dict[str, Any] = {
            "location": location,
            "manifest": str(self.files.image.manifest.descriptor.digest),
            "path": "/" + self.path.decode("utf-8", "surrogateescape"),
        }
        return document_lines(head, (described_row(one, names) for one in self._listed()))

    def _listed(self) -> Iterator[ListedRow]:
        deep = self.shape.recursive
        whole = self.given is not None
        if self.layer is not None:
            for row in self.files.tables[self.layer - 1].rows(self.path, deep=deep, ways=True):
                if whole or row.path != self.path or row.deletes:
                    yield ListedRow(row, self.layer, row.links)
            return
        for one in self.files.shown(self.path, deep=deep):
            if whole or one.row.path != self.path:
                yield ListedRow(one.row, one.layer + 1, self.files.links(one))


def _in_layer(files: ImageFiles, layer: int, path: bytes) -> bool:
    """Whether ``path`` of a layer is a directory. Raises ``NoSuchPathError``.

    And ``NotFoundError`` for a lock, which has no layers.
    """
    if files.locked:
        raise NotFoundError(
            f"{files.where} says what its layers make together, and not what each of them has",
            Remedy.FETCH_LAYERS(),
        )
    count = len(files.tables)
    if layer > count:
        raise click.UsageError(f"there is no layer {layer}; {files.where} has {count}")
    table: LayerTable = files.tables[layer - 1]
    rows = table.at(path)
    if path and not table.has(path):
        raise NoSuchPathError(
            f"/{printable(path)} is not in layer {layer}", "without --layer it is looked for in all"
        )
    # A directory with nothing but deletions has no row of its own.
    return not path or not rows or any(row.is_directory for row in rows)
