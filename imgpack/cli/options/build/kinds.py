"""What a source is: a directory, else a tar archive by its name, else one file."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from imgpack import api
from imgpack.cli.options.location import from_standard_input, scratch_directory
from imgpack.errors import printable
from imgpack.files.streams import STDIN, STDIN_PATH, named_descriptor

if TYPE_CHECKING:
    from typing import TypeAlias

    from imgpack.api import (
        Base,
        Directory,
        Exclusion,
        Filtered,
        MtreeTree,
        Placed,
        RawLayer,
        Reporter,
        SingleFile,
        Tarball,
        Tree,
        UpperDirectory,
    )

    Source: TypeAlias = Placed[
        Directory | SingleFile | Tarball | UpperDirectory | RawLayer | MtreeTree | Filtered
    ]
    """A source at its place in the image."""

_ARCHIVES: Final = (
    b".tar", b".tar.gz", b".tgz", b".tar.zst", b".tzst", b".tar.xz", b".txz", b".tar.bz2", b".tbz2",
)  # fmt: skip
"""Ends of names, as the tools that make archives give them."""
_LIST: Final = b".mtree"


def read_source(
    path: bytes,
    dest: bytes,
    caller: tuple[int, int] | None,
    reporter: Reporter,
    excluded: Exclusion | None = None,
) -> Source:
    """What is at ``path``, or comes from standard input (``-``), at ``dest`` of the image.

    Anything but a directory is a tar archive if it is called like one, or comes through a
    pipe, and an mtree(5) file if it ends in ``.mtree``, which ``read_lists`` reads: its content
    does not decide, so that a file means the same whatever is in it. What ``excluded`` leaves
    out of it is not there.
    """
    if os.path.isdir(path):
        return api.directory(path, dest=dest, caller=caller, excluded=excluded)
    read = _read_file(path, dest, caller, reporter)
    if excluded is None:
        return read
    return api.Placed(api.Filtered(read.tree, excluded), read.dest)


def _read_file(
    path: bytes,
    dest: bytes,
    caller: tuple[int, int] | None,
    reporter: Reporter,
) -> Placed[SingleFile | Tarball | MtreeTree]:
    if path == STDIN.encode() or archive_stem(path) or _is_stream(path):
        where = from_standard_input(os.fsdecode(path))
        name = "standard input" if path == STDIN.encode() else printable(path)
        return api.tarball(
            where, dest=dest, name=name, scratch=scratch_directory, reporter=reporter
        )
    if path.endswith(_LIST):
        return api.Placed(api.MtreeTree(path), api.entries((), dest=dest).dest)
    return api.single_file(path, dest=dest, caller=caller)


def read_lists(
    trees: Sequence[Source], base: Base | None, reporter: Reporter
) -> tuple[Source, ...]:
    """``trees`` with each list as it lies over the base and those before it.

    Raises what ``api.mtree`` does.
    """
    read: list[Source] = []
    for placed in trees:
        tree = placed.tree
        listed = unfiltered(placed)
        if is_read_each_time(listed) and isinstance(listed, api.MtreeTree):
            there = api.mtree(
                listed.root,
                dest=b"/" + placed.dest,
                layers=read,
                base=None if base is None else base.tree,
                reporter=reporter,
            )
            kept = replace(tree, tree=there.tree) if isinstance(tree, api.Filtered) else there.tree
            placed = replace(placed, tree=kept, named=there.named)
        read.append(placed)
    return tuple(read)


def unfiltered(source: Source) -> Tree:
    """What a source is, with what is left out of it."""
    tree = source.tree
    return tree.tree if is_read_each_time(tree) and isinstance(tree, api.Filtered) else tree


def is_read_each_time(tree: Tree) -> bool:
    """Whether it is no directory on disk: asked before its kind is, which takes loading that."""
    return tree.stamps is None


def archive_stem(path: bytes) -> bytes:
    """The name of an archive without what says that it is one; empty for anything else."""
    name = os.path.basename(path)
    lower = name.lower()
    end = next((end for end in _ARCHIVES if lower.endswith(end)), b"")
    return name[: -len(end)] if end else b""


def _is_stream(path: bytes) -> bool:
    with suppress(OSError, ValueError):
        return named_descriptor(os.fsdecode(path)) is not None or stat.S_ISFIFO(
            os.stat(path).st_mode
        )
    return False


class SourcesCommand(click.Command):
    """A command of which ``-:/dest`` is an argument: standard input, and where it goes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, to which whatever begins with a dash is an option."""
        front = f"{STDIN}:/"
        args = [STDIN_PATH + arg[1:] if arg.startswith(front) else arg for arg in args]
        return super().parse_args(ctx, args)
