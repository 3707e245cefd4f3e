"""``imgpack du``: what takes the space in an image, and what is wasted."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from imgpack import api
from imgpack.cli.options.image.files import Looking, looking_options
from imgpack.cli.options.parameters import FILE
from imgpack.cli.output.colour import bold
from imgpack.cli.output.display import available, counted, one_line, table
from imgpack.errors import printable
from imgpack.events import human_size

if TYPE_CHECKING:
    from imgpack.api import (
        DeletedDirectory,
        DuplicateFiles,
        HiddenFile,
        ImageFiles,
        ImageUsage,
        LayerRow,
    )
    from imgpack.cli.output.terminal import Terminal


@click.command("du")
@click.argument("location", type=FILE, metavar="ARCHIVE|REF|LOCK")
@click.option(
    "-d", "--depth", type=click.IntRange(min=0), default=1, show_default=True, metavar="N",
    help="Directories to that depth; 0 is the root alone.",
)  # fmt: skip
@click.option(
    "--top", type=click.IntRange(min=1, max=100_000), default=10, show_default=True, metavar="N",
    help="How many are shown of each kind, the largest first.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document; sizes in bytes.")
@looking_options
@click.pass_obj
def du(
    terminal: Terminal, *, location: str, depth: int, top: int, as_json: bool, looking: Looking
) -> None:
    """Show what takes the space: layers, directories and files, and what could be smaller.

    Sizes are those of files as they are unpacked; hard links count once. HIDDEN are bytes in
    a layer that a higher one deletes or replaces. Files with the same bytes are compared by their
    digests. The totals are of all there is, not only of what is shown.
    """
    with looking.open(location, terminal) as files:
        usage = api.image_usage(files, depth=depth, top=top)
        if as_json:
            click.echo(json.dumps(_document(location, files, usage)))
            return
        sys.stdout.writelines(f"{line}\n" for line in _lines(files, usage))


def _lines(files: ImageFiles, usage: ImageUsage) -> Iterator[str]:
    yield from _table(_layers(files, usage), right=(0, 1, 2, 3, 4), flexible=5)
    directories = [
        (human_size(one.size), f"{one.files:,}", _path(one.path)) for one in usage.directories
    ]
    yield from _section("Directories", ("SIZE", "FILES", "PATH"), directories)
    largest = [
        (human_size(one.row.size), str(one.layer + 1), _path(one.row.path)) for one in usage.files
    ]
    yield from _section("Files", ("SIZE", "LAYER", "PATH"), largest)
    deleted = [
        (
            human_size(one.size),
            f"{one.files:,}",
            str(one.layer + 1),
            str(one.by + 1),
            _path(one.path),
        )
        for one in usage.deleted
    ]
    yield from _section("Deleted directories", ("SIZE", "FILES", "LAYER", "BY", "PATH"), deleted)
    hidden = [
        (
            human_size(one.file.row.size),
            str(one.file.layer + 1),
            _fate(one),
            _path(one.file.row.path),
        )
        for one in usage.hidden
    ]
    yield from _section("Hidden", ("SIZE", "LAYER", "BY", "PATH"), hidden, left=2)
    double = [
        (human_size(one.wasted), str(one.copies), human_size(one.size), _places(one))
        for one in usage.duplicates
    ]
    yield from _section("Duplicates", ("WASTED", "COPIES", "SIZE", "PATHS"), double)
    yield from ("", bold("Would shrink", sys.stdout))
    wasted = usage.hidden_size + usage.duplicate_size
    share = f"{100 * wasted / usage.size:.1f} %" if usage.size else "nothing"
    yield from _table(
        [
            (human_size(usage.hidden_size), f"hidden, in {counted(usage.hidden_files, 'file')}"),
            (human_size(usage.duplicate_size), f"duplicates, {_copies(usage.duplicate_files)}"),
            (human_size(wasted), f"in all, {share} of {human_size(usage.size)}"),
        ],
        right=(0,),
        flexible=1,
    )  # fmt: skip


def _copies(count: int) -> str:
    return f"{count:,} {'copy' if count == 1 else 'copies'}"


def _layers(files: ImageFiles, usage: ImageUsage) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("LAYER", "STORED", "FILES", "HIDDEN", "ENTRIES", "CREATED BY")]
    for number, (layer, (stored, _, said)) in enumerate(
        zip(usage.layers, _stored(files), strict=True), 1
    ):
        rows.append(
            (
                str(number),
                "-" if stored is None else human_size(stored),
                human_size(layer.size),
                human_size(layer.hidden),
                f"{layer.entries:,}",
                one_line(said),
            )
        )
    return rows


def _stored(files: ImageFiles) -> list[tuple[int | None, str | None, str]]:
    """Of each layer that was read: the bytes it is stored in, its digest, and what made it."""
    steps = [step for step in api.image_steps(files.image) if step.layer is not None]
    if len(steps) != len(files.tables):  # a lock has one that nobody can read
        return [(None, None, "")] * len(files.tables)
    found: list[tuple[int | None, str | None, str]] = []
    for step in steps:
        assert step.layer is not None
        descriptor = step.layer.descriptor
        found.append((descriptor.size, str(descriptor.digest), step.said.created_by))
    return found


def _section(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int | None = None
) -> Iterator[str]:
    if rows:
        yield from ("", bold(title, sys.stdout))
        right = tuple(number for number in range(len(head) - 1) if number != left)
        yield from _table([head, *rows], right=right, flexible=len(head) - 1)


def _table(rows: Sequence[Sequence[str]], right: Sequence[int], flexible: int) -> list[str]:
    return table(rows, right=right, flexible=flexible, width=available())


def _path(path: bytes) -> str:
    return f"/{printable(path)}"


def _fate(one: HiddenFile) -> str:
    by = one.file.by + 1
    if one.file.deleted:
        return f"{by}, deleted"
    return f"{by}, same bytes" if one.same else f"{by}, replaced"


def _places(one: DuplicateFiles) -> str:
    first, *others = (_path(file.row.path) for file in one.files)
    more = one.copies - 2
    return f"{first}, {others[0]}" + (f" and {more} more" if more else "") if others else first


def _document(location: str, files: ImageFiles, usage: ImageUsage) -> dict[str, Any]:
    return {
        "location": location,
        "manifest": str(files.image.manifest.descriptor.digest),
        "size": usage.size,
        "layers": [
            {
                "stored": stored,
                "digest": digest,
                "created_by": said,
                "entries": layer.entries,
                "size": layer.size,
                "hidden": layer.hidden,
            }
            for layer, (stored, digest, said) in zip(usage.layers, _stored(files), strict=True)
        ],
        "directories": [
            {"path": _raw(one.path), "size": one.size, "files": one.files}
            for one in usage.directories
        ],
        "files": [_file(one) | {"size": one.row.size} for one in usage.files],
        "hidden": {
            "size": usage.hidden_size,
            "count": usage.hidden_files,
            "directories": [_deleted(one) for one in usage.deleted],
            "files": [_hidden(one) for one in usage.hidden],
        },
        "duplicates": {
            "size": usage.duplicate_size,
            "count": usage.duplicate_files,
            "contents": [_duplicate(one) for one in usage.duplicates],
        },
        "shrink": usage.hidden_size + usage.duplicate_size,
    }


def _raw(path: bytes) -> str:
    return "/" + os.fsdecode(path)


def _file(one: LayerRow) -> dict[str, Any]:
    return {"path": _raw(one.row.path), "layer": one.layer + 1}


def _hidden(one: HiddenFile) -> dict[str, Any]:
    how = "deleted" if one.file.deleted else "same" if one.same else "replaced"
    return _file(one.file) | {"size": one.file.row.size, "by": one.file.by + 1, "how": how}


def _deleted(one: DeletedDirectory) -> dict[str, Any]:
    return {
        "path": _raw(one.path),
        "layer": one.layer + 1,
        "size": one.size,
        "files": one.files,
        "by": one.by + 1,
    }


def _duplicate(one: DuplicateFiles) -> dict[str, Any]:
    return {
        "sha256": one.sha256.hex(),
        "size": one.size,
        "copies": one.copies,
        "wasted": one.wasted,
        "files": [_file(file) for file in one.files],
    }
