"""Where a tree lands in an image: its destination, seen through the layers below.

A directory entry replaces whatever a lower layer has under its name: the owner
and mode of ``/tmp``, or the symlink ``/lib``, and then nothing runs. So a
destination is resolved through the symlinks of the trees below, and a parent
that one of them has is not written again.
"""

import os
import stat
from collections.abc import Sequence

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
                "which is not a directory in a lower layer"
            )
        if found is None:
            missing.append(path)
        at = (*at, part)
    return Tree(root, b"/".join(at), tuple(missing))


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
        where = tree.root + b"/" + path[len(prefix) :]
        try:
            mode = os.lstat(where).st_mode
            return os.readlink(where) if stat.S_ISLNK(mode) else stat.S_ISDIR(mode)
        except OSError:
            continue
    return None
