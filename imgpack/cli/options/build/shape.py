"""What shape the layers have: differences, upper directories, deletions, parts, one of all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from imgpack import api
from imgpack.cli.options.build.kinds import is_read_each_time
from imgpack.cli.options.parameters import DIRECTORY, gathered, once
from imgpack.errors import LimitError, TreeError, about
from imgpack.files.streams import STDOUT

if TYPE_CHECKING:
    from imgpack.api import Base, Counts, Placed, Tree, UpperDirectory
    from imgpack.cli.options.build.kinds import Source

    Parse = Callable[..., tuple[Source, ...]]
    """What reads sources as they are written, and ``raw_layers``."""

_LONGEST_LIST = 64 << 20
"""Bytes of a list of paths: more than a million of them."""


@dataclass(frozen=True, slots=True)
class ShapeFlags:
    """The shape of layers, as it was written."""

    diff: str | None
    diff_from: str | None
    diff_mtime: bool
    overlay_uppers: tuple[str, ...]
    whiteouts: tuple[str, ...]
    splits: tuple[str, ...]
    squash: bool

    def read(
        self,
        sources: Sequence[str],
        raw_layers: Sequence[str],
        parse: Parse,
        warn: Callable[[str], None],
    ) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
        """The sources, raw layers and upper directories, bottom first, and what ``--diff`` names.

        Raises ``UsageError`` for options that contradict each other, and what reading raises.
        """
        self._check(len(sources))
        old = () if self.diff is None else parse((self.diff,), option="--diff-from")
        return (*parse(sources, raw_layers=raw_layers), *self._uppers(warn)), old

    def layers(
        self,
        trees: Sequence[Placed[Tree]],
        old: Sequence[Placed[Tree]],
        base: Base | None,
        written: Mapping[str, Any],
        say: Callable[[str], None],
    ) -> tuple[Placed[Tree], ...]:
        """The layers to build, bottom first, of what was read.

        ``written`` are the arguments of ``api.build`` that say how entries are; ``say`` hears of
        a difference. Deletions come first: what they name is in the base.
        Raises source, tree and config errors.
        """
        layers = [tree for tree in trees if not _is_kept(tree.tree)]
        if self.diff_from is not None and base is not None:
            layers = [self._difference(base.tree, layers[0], written, say, image=True)]
        elif old:
            layers = [self._difference(old[0].tree, layers[0], written, say, image=False)]
        if self.splits:
            with about("--split"):
                groups = [api.Group.parse(text) for text in self.splits]
                layers = list(api.split(layers, groups))
        if self.whiteouts:
            if base is None and not old:
                raise click.UsageError(
                    "--whiteout deletes what a base has, and there is none; add --from BASE"
                )
            with about("--whiteout"):
                layers.insert(0, api.whiteouts(_paths(self.whiteouts)))
        return (*layers, *(tree for tree in trees if _is_kept(tree.tree)))

    def lower(self, trees: Sequence[Placed[Tree]], old: Sequence[Placed[Tree]]) -> Tree | None:
        """What lies below the layers and in none of them."""
        return replace(old[0], dest=trees[0].dest) if old else None

    def _check(self, sources: int) -> None:
        if self.diff is not None and self.diff_from is not None:
            raise click.UsageError("--diff and --diff-from exclude each other")
        differing = self.diff is not None or self.diff_from is not None
        if differing and sources != 1:
            raise click.UsageError(
                f"a difference is to one SRC, and there are {sources}: write --diff OLD NEW"
            )
        if self.diff_mtime and not differing:
            raise click.UsageError("--diff-mtime is for --diff and --diff-from")
        if self.splits and (self.squash or differing):
            raise click.UsageError("--split does not go with --squash, --diff and --diff-from")

    def _uppers(self, warn: Callable[[str], None]) -> Iterator[Placed[UpperDirectory]]:
        ids = os.geteuid(), os.getegid()
        for path in self.overlay_uppers:
            if ids[0]:
                warn(
                    f"{path}: only root can read the attributes trusted.overlay.*, which say what "
                    "was replaced as a whole; as another user, mount the overlay with userxattr"
                )
            yield api.upper_directory(os.fsencode(path), ids if ids[0] else None)

    def _difference(
        self,
        old: Tree,
        new: Placed[Tree],
        written: Mapping[str, Any],
        say: Callable[[str], None],
        *,
        image: bool,
    ) -> Placed[Tree]:
        def told(counts: Counts) -> None:
            say(
                f"{new}: {counts.added:,} added, {counts.changed:,} changed, "
                f"{counts.deleted:,} deleted"
            )

        return api.difference(
            old,
            new if image else new.tree,
            dest=b"/" if image else b"/" + new.dest,
            mtime=self.diff_mtime,
            image=image,
            told=told,
            **written,
        )


def _paths(texts: Sequence[str]) -> Iterator[bytes]:
    """Each text, and instead of ``-`` those of a list on standard input.

    Paths in the list end with a NUL if there is one, else with a newline.
    """
    for text in texts:
        if text != STDOUT:
            yield os.fsencode(text)
            continue
        listed = sys.stdin.buffer.read(_LONGEST_LIST + 1)
        if len(listed) > _LONGEST_LIST:
            raise LimitError(f"the list on standard input is longer than {_LONGEST_LIST} bytes")
        paths = [*filter(None, listed.split(b"\0" if b"\0" in listed else b"\n"))]
        if not paths:
            raise TreeError("the list on standard input is empty", "give it a path a line")
        yield from paths


def _is_kept(tree: Tree) -> bool:
    """Whether it is a layer on top of all sources."""
    return is_read_each_time(tree) and isinstance(tree, api.RawLayer | api.UpperDirectory)


shape_options = gathered(
    "shape",
    ShapeFlags,
    click.option("--diff", type=DIRECTORY, metavar="OLD",
                 help="Pack only what SRC changes in OLD, which is no layer of the image."),
    click.option("--diff-from", multiple=True, metavar="BASE",
                 callback=once("an image has one base"),
                 help="Build on BASE, and pack only what SRC changes in it."),
    click.option("--diff-mtime", is_flag=True, help="A time alone is a change, too."),
    click.option("--overlay-upper", "overlay_uppers", multiple=True, type=DIRECTORY, metavar="DIR",
                 help="An upper directory of overlayfs, as a layer on top (repeatable)."),
    click.option("--whiteout", "whiteouts", multiple=True, metavar="PATH|-",
                 help="Delete a path of the base, or a list of them (repeatable)."),
    click.option("--split", "splits", multiple=True, metavar="NAME=PATTERN,...",
                 help="Put what matches, paths in SRC, into a layer of its own (repeatable)."),
    click.option("--squash", is_flag=True, help="Make one layer of all that is on the base."),
)  # fmt: skip
