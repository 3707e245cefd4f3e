"""The positional arguments of ``build``: what layers are made of, each with its place."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.build.images import perhaps_a_reference, warn_of_image
from imgpack.cli.options.build.kinds import (
    archive_stem,
    is_read_each_time,
    read_source,
    unfiltered,
)
from imgpack.cli.options.location import scratch_directory
from imgpack.errors import LimitError, OutputError, TreeError, printable, quoted
from imgpack.files.streams import STDOUT, named_descriptor
from imgpack.files.writing import real_path
from imgpack.spec.manifest import MAX_LAYERS

if TYPE_CHECKING:
    from imgpack.api import Reporter
    from imgpack.cli.options.build.exclusion import Excluding
    from imgpack.cli.options.build.kinds import Source


def parse_sources(
    texts: Sequence[str],
    reporter: Reporter,
    raw_layers: Sequence[str] = (),
    excluded: Excluding = lambda source, text: None,
    *,
    option: str = "--from",
    as_root: bool = True,
) -> tuple[Source, ...]:
    """``SRC`` or ``SRC:/dest`` each, bottom layer first: directories, archives and files.

    On top of them lie the ``raw_layers``. ``excluded`` says what is left out of a source.
    With ``option`` one that is an image would be a base (empty: there is none). With ``as_root``
    what belongs to a user who is not root is read as root's.
    """
    count = len(texts) + len(raw_layers)
    if count > MAX_LAYERS:
        raise LimitError(
            f"{count} layers are too many",
            f"Docker takes {MAX_LAYERS}; put several trees into one",
        )
    caller = (os.geteuid(), os.getegid()) if as_root and os.geteuid() else None
    trees: list[Source] = []
    for text in texts:
        source, dest = _split(os.fsencode(text))
        with perhaps_a_reference(text) if option else nullcontext():
            tree = read_source(source, dest, caller, reporter, excluded(source, text))
        warn_of_image(tree, printable(source), option, reporter)
        if any(_place(one) == _place(tree) for one in trees):
            raise TreeError(
                f"{printable(source)} is given twice for the same place", "leave one out"
            )
        trees.append(tree)
    for path in raw_layers:
        trees.append(api.raw_layer(path, scratch=scratch_directory))
        warn_of_image(trees[-1], printable(path), option, reporter)
    return tuple(trees)


def _place(tree: Source) -> tuple[bytes, bytes, str]:
    name = getattr(unfiltered(tree), "name", b"")
    return tree.tree.root, tree.dest, printable(name)


def _split(text: bytes) -> tuple[bytes, bytes]:
    if not text:
        raise click.UsageError("a source has an empty name; write SRC or SRC:/dest")
    source, colon, dest = text.rpartition(b":")
    if not colon or os.path.exists(text):  # a name may have a colon in it
        return text, b"/"
    if source in (b"http", b"https") and dest.startswith(b"//"):
        raise click.UsageError(
            f"{printable(text)} is a URL, and none is fetched; "
            "pipe it: curl -L URL | imgpack build -"
        )
    if not source or not dest:
        raise click.UsageError(
            f"{quoted(text)} names no {'destination' if source else 'source'}; write SRC:/dest"
        )
    return source, dest


def name_of(tree: Source) -> str:
    """What an image is called by default: its first source's last component."""
    return printable(_stem(tree.tree.root))


def default_output(tree: Source) -> str:
    """The archive that is written when nobody says where: the first source's name and ``.tar``.

    An archive that is a source gets no namesake without the files of an image.
    """
    root = tree.tree.root
    kind = unfiltered(tree)
    is_archive = is_read_each_time(kind) and isinstance(kind, api.Tarball | api.RawLayer)
    return f"{os.fsdecode(_stem(root))}{'-image' if is_archive and root else ''}.tar"


def _stem(root: bytes) -> bytes:
    return (os.path.isfile(root) and archive_stem(root)) or os.path.basename(root) or b"rootfs"


def check_outside(trees: Sequence[Source], path: str, what: str, option: str) -> None:
    """Raise ``OutputError`` if ``path`` lies in a tree, which would change while it is read.

    ``option`` is what names another place.
    """
    tree = containing(trees, path)
    if tree is None:
        return
    root = tree.tree.root
    if not os.path.isdir(root):
        message = f"{what} {path} is the source {printable(root)}"
        raise OutputError(message, "choose another place")
    above = os.fsdecode(os.path.dirname(root))
    beside = os.path.relpath(os.path.join(above, os.path.basename(path.rstrip("/"))))
    hint = f"write it elsewhere, as {option} {printable(beside)}"
    raise OutputError(
        f"{what} {path} lies inside the source {printable(root)}",
        "choose another place" if containing(trees, beside) else hint,
    )


def containing(trees: Sequence[Source], path: str) -> Source | None:
    """The tree that ``path``, an output that need not exist, lies in."""
    real = os.fsencode(real_path(path)) + b"/"
    for tree in trees:
        if tree.tree.root and real.startswith(tree.tree.root.rstrip(b"/") + b"/"):
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
