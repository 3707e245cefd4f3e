"""A look at the directories that a tree shares with the layers below, before it is written.

A directory over ``/lib``, the link of a merged ``/usr``, or a link over ``/lib``, a
directory: what other files expect there would be gone. The first goes through the link;
the second, and its like, is told.
"""

import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from imgpack.errors import TreeError, printable
from imgpack.tree.below import Below
from imgpack.tree.destination import Placed
from imgpack.tree.entry import OPAQUE, OPAQUE_NAME, WHITEOUT, Entry
from imgpack.tree.problems import Problems
from imgpack.tree.tree import Tree, join

_DELETIONS: Final = (WHITEOUT, OPAQUE)


@dataclass(frozen=True, slots=True)
class Survey:
    """``redirects``: directories of the tree that lie elsewhere, through links below.

    ``warnings``: what the tree replaces, and whoever builds may not have meant.
    """

    redirects: Mapping[bytes, bytes] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def survey(placed: Placed[Tree], below: Below) -> Survey:
    """How ``placed`` lies over ``below``. Raises ``TreeError`` for links that lead nowhere."""
    redirects: dict[bytes, bytes] = {}
    warnings: list[str] = []
    listed = _listing(placed.tree)
    pending = [(b"", placed.dest)]
    while pending:
        where, image = pending.pop()
        if _is_emptied(placed, where):
            continue
        for name, mode in listed(where):
            inner, path = join(where, name), join(image, name)
            there = None if stat.S_IFMT(mode) in _DELETIONS else below.find(path)
            if there is None:
                continue
            own = join(placed.dest, inner)
            is_directory = stat.S_ISDIR(mode)
            if is_directory and there.is_directory:
                pending.append((inner, path))
            elif placed.exact or (is_directory and _is_emptied(placed, inner)):
                continue
            elif is_directory and stat.S_ISLNK(there.mode):
                target = below.resolve(path, own)
                redirects[own] = target
                pending.append((inner, target))
            elif is_directory:
                warnings.append(
                    f"the directory {printable(own)} of {placed} replaces a file of a lower layer"
                )
            elif _is_lost(placed, own, there, below):
                warnings.append(
                    f"{printable(own)} of {placed} replaces a directory of a lower layer, and "
                    "with it all that is in there; make it a directory as well, or leave it out"
                )
    return Survey(redirects, tuple(warnings))


def _is_emptied(placed: Placed[Tree], where: bytes) -> bool:
    """Whether nothing that is below shows in a directory of the tree."""
    return placed.tree.find(join(where, OPAQUE_NAME)) is not None


def _is_lost(placed: Placed[Tree], own: bytes, there: Entry, below: Below) -> bool:
    """Whether a directory is ``there``, or through a link, that ``own`` is not the same as."""
    if not stat.S_ISLNK(there.mode):
        return there.is_directory
    entry = placed.find(own)
    try:
        if entry and stat.S_ISLNK(entry.mode) and entry.target() == there.target():
            return False
        return below.find(below.resolve(there.path, there.path)) is not None
    except (OSError, TreeError):  # through something that is no directory
        return False


def _listing(tree: Tree) -> Callable[[bytes], list[tuple[bytes, int]]]:
    """What lists a directory of ``tree``: each name, and its mode."""
    stamps = tree.stamps
    names: dict[bytes, list[tuple[bytes, int]]] = defaultdict(list)
    if stamps is None:
        for entry in tree.entries(Problems()):
            if not entry.is_deletion:
                above, _, name = entry.path.rpartition(b"/")
                names[above].append((name, entry.mode))

    def listed(where: bytes) -> list[tuple[bytes, int]]:
        if stamps is None:
            return names[where]
        return sorted(_scanned(tree, join(stamps.root, where), where))

    return listed


def _scanned(tree: Tree, on_disk: bytes, where: bytes) -> Iterator[tuple[bytes, int]]:
    """As on disk, for a walk of all that nothing below has would be dear."""
    try:
        names = os.listdir(on_disk)
    except OSError:
        return  # the walk tells
    for name in names:
        found = tree.find(join(where, name))
        if found is not None:
            yield name, found.mode
