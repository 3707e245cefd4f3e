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
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from imgpack.errors import TreeError, printable
from imgpack.tree.entry import Entry, made_up_directory
from imgpack.tree.problems import Problems
from imgpack.tree.tree import WHITEOUT_PREFIX, Parent, Stamps, Tree, check_length, join

_T = TypeVar("_T", bound=Tree)
_T_co = TypeVar("_T_co", bound=Tree, covariant=True)

_MAX_LINKS = 40  # what Linux follows in one path


def parse_dest(text: bytes) -> tuple[bytes, ...]:
    """The components of an absolute path; raises ``TreeError`` and ``LimitError``."""
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
        check_length(part, text)
    return parts


@dataclass(frozen=True, slots=True)
class Placed(Generic[_T_co]):
    """A tree at a directory of the image.

    ``dest`` has no slash at either end and is empty for the image's root. ``parents``
    are the directories from that root, which has no entry, down to ``dest`` itself.
    ``exact``: a directory is meant to have the mode, owner, time and attributes that the tree
    has for it; those of other trees are left as they are below, if they are there.
    """

    tree: _T_co
    dest: bytes = b""
    parents: tuple[Parent, ...] = ()
    exact: bool = False

    def __str__(self) -> str:
        return str(self.tree)

    @property
    def stamps(self) -> Stamps | None:
        """The tree's own, with its parents; none if those are of another kind."""
        own = self.tree.stamps
        if own is None or not self.parents:
            return own
        for parent in self.parents:
            theirs = parent.like.stamps
            if theirs is None or theirs.dest or theirs.caller != own.caller:
                return None
        return None if own.dest else Stamps(own.root, own.caller, self.dest, self.parents)

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """As ``Tree.entries``. Raises ``SourceChangedError`` for a parent that is gone."""
        for parent in self.parents:
            yield parent.entry()._replace(path=join(under, parent.path))
        yield from self.tree.entries(problems, join(under, self.dest))

    def find(self, path: bytes) -> Entry | None:
        """As ``Tree.find``, for a path of the image."""
        for parent in self.parents:
            if parent.path == path:
                return parent.entry()
        inside = _inside(self.dest, path)
        if inside is None and path:
            return None
        found = self.tree.find(inside or b"")
        if found is None:
            return None
        return (
            made_up_directory(b"", found.mtime_ns) if inside is None else found._replace(path=path)
        )


def place(tree: _T, dest: bytes, below: Sequence[Tree]) -> Placed[_T]:
    """``tree`` at ``dest`` above the trees ``below``, bottom first."""
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
        path = join(way[-1].path, part) if way else part
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
        way.append(found or Parent(path, tree, made_up=True))
    if missing:
        way[-1] = Parent(way[-1].path, tree)
    return Placed(tree, way[-1].path if way else b"", tuple(way))


@dataclass(frozen=True, slots=True)
class Replaced:
    """A path at which a tree's entry replaces another kind of thing below.

    ``target`` is that of a symlink below, which a directory replaces; ``None`` for a
    directory below, which something else replaces, with all that is in it.
    """

    path: bytes
    target: bytes | None


def replaced(tree: Placed[Tree], below: Sequence[Tree]) -> Iterator[Replaced]:
    """What ``tree`` replaces in the trees below, and whoever builds may not have meant.

    A directory over ``/lib``, the link of a merged ``/usr``, or a link over ``/lib``, a
    directory: what other files expect there is gone. Only directories that both sides
    have are listed.
    """
    listed = _listing(tree.tree)
    pending = [b""]
    while pending:
        where = pending.pop()
        for name, is_directory in listed(where):
            inner = join(where, name)
            path = join(tree.dest, inner)
            there = _find(path, below)
            if isinstance(there, Parent):
                if is_directory:
                    pending.append(inner)
                else:
                    yield Replaced(path, None)
            elif isinstance(there, bytes) and is_directory:
                yield Replaced(path, there)


def _listing(tree: Tree) -> Callable[[bytes], list[tuple[bytes, bool]]]:
    """What lists a directory of ``tree``: each name, and whether it is a directory."""
    stamps = tree.stamps
    names: dict[bytes, list[tuple[bytes, bool]]] = defaultdict(list)
    if stamps is None:
        for entry in tree.entries(Problems()):
            above, _, name = entry.path.rpartition(b"/")
            names[above].append((name, stat.S_ISDIR(entry.mode)))

    def listed(where: bytes) -> list[tuple[bytes, bool]]:
        if stamps is None:
            return names[where]
        try:  # a walk of all that nothing below has would be dear
            with os.scandir(join(stamps.root, where)) as found:
                return sorted((item.name, item.is_dir(follow_symlinks=False)) for item in found)
        except OSError:
            return []  # the walk tells

    return listed


def _find(path: bytes, below: Sequence[Tree]) -> bytes | Parent | Literal[False] | None:
    """What ``path`` is in the image that the trees make.

    A symlink's target, a ``Parent`` for a directory, ``False`` for anything else, and
    ``None`` if it is nothing. No symlink is followed: a tree above made it a directory,
    or the caller would have followed it, as a path of the image and not of the host.
    """
    for tree in reversed(below):
        entry = tree.find(path)
        if entry is None:
            if _hides(tree, path):
                return None
        elif stat.S_ISDIR(entry.mode):
            return _parent(path, tree)
        else:
            return entry.target() if stat.S_ISLNK(entry.mode) else False
    return None


def _hides(tree: Tree, path: bytes) -> bool:
    """Whether ``tree`` has something on the way to ``path`` that has nothing behind it."""
    while above := path.rpartition(b"/")[0]:
        entry = tree.find(above)
        if entry is not None:
            return not stat.S_ISDIR(entry.mode)
        path = above
    return False


def _parent(path: bytes, tree: Tree) -> Parent:
    """The directory ``path`` of ``tree``, as a parent of what lies above."""
    if isinstance(tree, Placed):
        for parent in tree.parents:
            if parent.path == path:
                return parent
        return Parent(path, tree.tree, _inside(tree.dest, path) or b"")
    return Parent(path, tree, path)


def _inside(dest: bytes, path: bytes) -> bytes | None:
    """``path`` as seen from the directory ``dest``, ``None`` if it is not in there."""
    if not dest or path == dest:
        return path[len(dest) :]
    return path[len(dest) + 1 :] if path.startswith(dest + b"/") else None
