"""The positional arguments of ``build``: directories, each with its place in the image."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.errors import LimitError, OutputError, TreeError, printable
from imgpack.files.streams import STDOUT, named_descriptor
from imgpack.files.writing import real_path
from imgpack.spec.manifest import MAX_LAYERS

if TYPE_CHECKING:
    from imgpack.api import Directory, Exclusion, Placed


def parse_sources(
    texts: Sequence[str],
    excluded: Callable[[bytes], Exclusion | None] = lambda source: None,
    *,
    as_root: bool = True,
) -> tuple[Placed[Directory], ...]:
    """``SRC`` or ``SRC:/dest`` each, bottom layer first; every source is a directory.

    ``excluded`` says what is left out of one. With ``as_root`` what belongs to a user who is
    not root is read as root's.
    """
    if len(texts) > MAX_LAYERS:
        raise LimitError(
            f"{len(texts)} layers are too many",
            f"Docker takes {MAX_LAYERS}; put several trees into one",
        )
    caller = (os.geteuid(), os.getegid()) if as_root and os.geteuid() else None
    trees: list[Placed[Directory]] = []
    for text in texts:
        source, dest = _split(os.fsencode(text))
        tree = api.directory(source, dest=dest, caller=caller, excluded=excluded(source))
        if any((one.tree.root, one.dest) == (tree.tree.root, tree.dest) for one in trees):
            raise TreeError(
                f"{printable(source)} is given twice for the same place", "leave one out"
            )
        trees.append(tree)
    return tuple(trees)


def _split(text: bytes) -> tuple[bytes, bytes]:
    if not text:
        raise click.UsageError("a source has an empty name; write SRC or SRC:/dest")
    source, colon, dest = text.rpartition(b":")
    if not colon or os.path.isdir(text):  # a directory may have a colon in its name
        return text, b"/"
    if not source or not dest:
        raise click.UsageError(
            f"{printable(text)!r} names no {'destination' if source else 'source'}; write SRC:/dest"
        )
    return source, dest


def name_of(tree: Placed[Directory]) -> str:
    """What an image is called by default: its first source's last component."""
    return printable(os.path.basename(tree.tree.root)) or "rootfs"


def default_output(tree: Placed[Directory]) -> str:
    """The archive that is written when nobody says where: the first source's name and ``.tar``."""
    return f"{os.fsdecode(os.path.basename(tree.tree.root)) or 'rootfs'}.tar"


def check_outside(trees: Sequence[Placed[Directory]], path: str, what: str) -> None:
    """Raise ``OutputError`` if ``path`` lies in a tree, which would change while it is read."""
    tree = containing(trees, path)
    if tree is not None:
        raise OutputError(
            f"{what} {path} lies inside the source {printable(tree.tree.root)}",
            "choose a place outside",
        )


def containing(trees: Sequence[Placed[Directory]], path: str) -> Placed[Directory] | None:
    """The tree that ``path``, an output that need not exist, lies in."""
    real = os.fsencode(real_path(path)) + b"/"
    for tree in trees:
        if real.startswith(tree.tree.root.rstrip(b"/") + b"/"):
            return tree
    return None


def written_to(*paths: str | None) -> frozenset[tuple[int, int]]:
    """Device and inode of the files that ``paths`` name, and of the directories they lie in.

    By any name, through a bind mount or an open descriptor, a walk knows them by that.
    Standard output and error are among them, whatever goes there.
    """
    places: list[str | int] = [1, 2]
    for path in filter(None, paths):
        descriptor = 1 if path == STDOUT else named_descriptor(path)
        places += [path, os.path.dirname(real_path(path))] if descriptor is None else [descriptor]
    found = set()
    for place in places:
        with suppress(OSError):
            status = os.stat(place)
            if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
                found.add((status.st_dev, status.st_ino))
    return frozenset(found)
