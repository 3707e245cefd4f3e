"""Where a tree lands in an image: its destination, seen through the layers below.

A directory entry replaces whatever a lower layer has under its name: the owner
and mode of ``/tmp``, or the symlink ``/lib``, and then nothing runs. So a
destination is resolved through the symlinks of the trees below, and a parent
that one of them has is not written again.
"""

import os
import stat
from collections.abc import Iterator, Sequence

from imgpack.errors import TreeError
from imgpack.tree.walk import WHITEOUT_PREFIX, Tree, printable

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
    at: tuple[bytes, ...] = ()
    missing: list[bytes] = []
    followed = 0
    while pending:
        part = pending.pop()
        if part == b"..":
            at = at[:-1]
            continue
        path = b"/".join((*at, part))
        found = None if missing else _find(path, below)
        if isinstance(found, bytes):
            followed += 1
            if followed > _MAX_LINKS:
                raise TreeError(f"{printable(dest)} leads through too many symlinks")
            at = () if found.startswith(b"/") else at
            pending += [name for name in reversed(found.split(b"/")) if name not in (b"", b".")]
            continue
        if found is False:
            raise TreeError(
                f"the destination {printable(dest)} goes through /{printable(path)}, "
                "which is not a directory in a lower layer",
                "choose another destination",
            )
        if found is None:
            missing.append(path)
        at = (*at, part)
    return Tree(root, b"/".join(at), tuple(missing))


def replaced_links(tree: Tree, below: Sequence[Tree]) -> Iterator[tuple[bytes, bytes]]:
    """Paths at which ``tree`` has a directory and the trees below a symlink; and its target.

    The directory would replace the link, and what other files expect behind it is
    gone: ``/lib`` on a merged ``/usr``. Only directories that both sides have are listed.
    """
    pending = [(tree.root, tree.dest)]
    while pending:
        where, path = pending.pop()
        try:
            with os.scandir(where) as found:
                names = sorted(item.name for item in found if item.is_dir(follow_symlinks=False))
        except OSError:
            continue  # the walk tells
        for name in names:
            inside = path + b"/" + name if path else name
            there = _find(inside, below)
            if isinstance(there, bytes):
                yield inside, there
            elif there:
                pending.append((where + b"/" + name, inside))


def _find(path: bytes, below: Sequence[Tree]) -> bytes | bool | None:
    """What ``path`` is in the topmost tree that has it.

    A symlink's target, ``True`` for a directory, ``False`` for anything else, and
    ``None`` if no tree has it.
    """
    for tree in reversed(below):
        if path == tree.dest or tree.dest.startswith(path + b"/"):
            return True
        prefix = tree.dest + b"/" if tree.dest else b""
        if not path.startswith(prefix):
            continue
        found = _inside(tree.root, path[len(prefix) :])
        if found is not None:
            return found
    return None


def _inside(root: bytes, path: bytes) -> bytes | bool | None:
    """As ``_find``, in one directory: a symlink on the way hides what is behind it.

    A tree above made it a directory, or the caller would have followed it; its
    target is a path of the image, and not one of the building host.
    """
    *parents, _ = path.split(b"/")
    where = root
    try:
        for parent in parents:
            where += b"/" + parent
            if not stat.S_ISDIR(os.lstat(where).st_mode):
                return None
        where = root + b"/" + path
        mode = os.lstat(where).st_mode
        return os.readlink(where) if stat.S_ISLNK(mode) else stat.S_ISDIR(mode)
    except OSError:
        return None
