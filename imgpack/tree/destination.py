"""Where a tree lands in an image: its destination, seen through the layers below.

Docker and podman unpack a layer into a directory of its own: a directory that the
layer does not have, on the way to one that it has, becomes ``0755 0:0`` there and
hides the mode, owner and attributes of the same directory below. So each layer
repeats the directories on its way as the trees below have them. And a directory
entry replaces a symlink below, ``/lib`` for one, and then nothing runs: so a
destination is resolved through the symlinks of the trees below.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from imgpack.errors import TreeError, printable
from imgpack.tree.directory import WHITEOUT_PREFIX, Parent, Tree

_MAX_LINKS = 40  # what Linux follows in one path


def parse_dest(text: bytes) -> tuple[bytes, ...]:
    """The components of an absolute destination path; raises ``TreeError``."""
    shown = printable(text)
    if not text.startswith(b"/"):
        raise TreeError(f"the destination {shown} is not absolute", "begin it with /")
    parts = tuple(part for part in text.split(b"/") if part)
    for part in parts:
        if part in (b".", b"..") or part.startswith(WHITEOUT_PREFIX) or b"\0" in part:
            raise TreeError(
                f"the destination {shown} holds {printable(part)!r}",
                "write the plain path that the files get in the image",
            )
    return parts


def place(root: bytes, dest: bytes, below: Sequence[Tree]) -> Tree:
    """The tree of ``root`` at ``dest`` above the trees ``below``, bottom first."""
    pending = list(reversed(parse_dest(dest)))
    way: list[Parent] = []
    missing = False  # the last of the way, which no tree below has
    followed = 0
    while pending:
        part = pending.pop()
        if part == b"..":
            if missing:
                raise TreeError(
                    f"the destination {printable(dest)} leads through a symlink into "
                    f"/{printable(way[-1].path)}/.., and no lower layer has that directory",
                    "choose another destination",
                )
            del way[-1:]
            continue
        path = b"/".join((way[-1].path, part)) if way else part
        found = _find(path, below)
        if isinstance(found, bytes):
            followed += 1
            if followed > _MAX_LINKS:
                raise TreeError(f"{printable(dest)} leads through too many symlinks")
            if found.startswith(b"/"):
                way.clear()
            pending += [name for name in reversed(found.split(b"/")) if name not in (b"", b".")]
            continue
        if found is False:
            raise TreeError(
                f"the destination {printable(dest)} goes through /{printable(path)}, "
                "which is not a directory in a lower layer",
                "choose another destination",
            )
        missing = found is None
        way.append(found or Parent(path, root, made_up=True))
    if missing:
        way[-1] = Parent(way[-1].path, root)
    return Tree(root, way[-1].path if way else b"", tuple(way))


@dataclass(frozen=True, slots=True)
class Replaced:
    """A path at which a tree's entry replaces another kind of thing below.

    ``target`` is that of a symlink below, which a directory replaces; ``None`` for a
    directory below, which something else replaces, with all that is in it.
    """

    path: bytes
    target: bytes | None


def replaced(tree: Tree, below: Sequence[Tree]) -> Iterator[Replaced]:
    """What ``tree`` replaces in the trees below, and whoever builds may not have meant.

    A directory over ``/lib``, the link of a merged ``/usr``, or a link over ``/lib``, a
    directory: what other files expect there is gone. Only directories that both sides
    have are listed.
    """
    pending = [(tree.root, tree.dest)]
    while pending:
        where, path = pending.pop()
        try:
            with os.scandir(where) as found:
                names = sorted((item.name, item.is_dir(follow_symlinks=False)) for item in found)
        except OSError:
            continue  # the walk tells
        for name, is_directory in names:
            inside = path + b"/" + name if path else name
            there = _find(inside, below)
            if isinstance(there, Parent):
                if is_directory:
                    pending.append((where + b"/" + name, inside))
                else:
                    yield Replaced(inside, None)
            elif isinstance(there, bytes) and is_directory:
                yield Replaced(inside, there)


def _find(path: bytes, below: Sequence[Tree]) -> bytes | Parent | Literal[False] | None:
    """What ``path`` is in the image that the trees make.

    A symlink's target, a ``Parent`` for a directory, ``False`` for anything else, and
    ``None`` if it is nothing. No symlink is followed: a tree above made it a directory,
    or the caller would have followed it, as a path of the image and not of the host.
    """
    for tree in reversed(below):
        for parent in tree.parents:
            if parent.path == path:
                return parent
        prefix = tree.dest + b"/" if tree.dest else b""
        if not path.startswith(prefix):
            continue
        where, mode = tree.root, stat.S_IFDIR
        for name in path[len(prefix) :].split(b"/"):
            if not stat.S_ISDIR(mode):
                return None  # what it is hides all that lower trees have behind it
            where += b"/" + name
            mode = _mode(where)
            if not mode:
                break
        if stat.S_ISDIR(mode):
            return Parent(path, where)
        if mode:
            return os.readlink(where) if stat.S_ISLNK(mode) else False
    return None


def _mode(path: bytes) -> int:
    """Type and permissions of what is on disk; 0 if nothing is."""
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0
