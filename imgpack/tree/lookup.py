"""Paths looked up in the image that trees make, through its symbolic links.

Source: path_resolution(7), within a root: ``..`` of the root is the root.
"""

import stat
from collections.abc import Sequence
from typing import Final

from imgpack.errors import SourceError, brief
from imgpack.tree.entry import Entry
from imgpack.tree.tree import Tree, join

_MAX_LINKS: Final = 40  # what Linux follows in one path
_MAX_SIZE: Final = 16 << 20
"""Bytes of a file that is read as a whole: many times those of any list of users."""


def look_up(trees: Sequence[Tree], path: bytes) -> Entry | None:
    """What a path leads to, in the trees from the bottom to the top; no link, if it is one."""
    pending = _names(path)
    way: list[bytes] = []
    seen: list[Sequence[Tree]] = [tuple(reversed(trees))]
    found: Entry | None = None
    followed = 0
    while pending:
        name = pending.pop()
        if name == b"..":
            del way[-1:], seen[len(way) + 1 :]
            continue
        here = join(b"/".join(way), name)
        found, within = _topmost(seen[-1], here)
        if found is None:
            return None
        if stat.S_ISLNK(found.mode):
            followed += 1
            if followed > _MAX_LINKS:
                return None
            target = found.target()
            if target.startswith(b"/"):
                way, seen = [], seen[:1]
            pending += _names(target)
        elif found.is_directory:
            way.append(name)
            seen.append(within)
        elif pending:
            return None
    return found


def read_file(trees: Sequence[Tree], path: str) -> bytes | None:
    """The bytes of the file that a path leads to; ``None`` if there is none.

    Raises ``SourceError`` if it cannot be read, or is far larger than a list of users.
    """
    try:
        found = look_up(trees, path.encode("utf-8", "surrogateescape"))
        if found is None or not stat.S_ISREG(found.mode):
            return None
        with found.open() as file:
            data = file.read(_MAX_SIZE + 1)
    except OSError as error:
        raise SourceError(f"cannot read {path} of the image: {error.strerror}") from error
    if len(data) > _MAX_SIZE:
        raise SourceError(f"{brief(found.shown)} is larger than {_MAX_SIZE >> 20} MiB")
    return data


def _names(path: bytes) -> list[bytes]:
    """The components of a path, the first one last."""
    return [name for name in reversed(path.split(b"/")) if name not in (b"", b".")]


def _topmost(trees: Sequence[Tree], path: bytes) -> tuple[Entry | None, Sequence[Tree]]:
    """What is at a path, and the trees of which it is a directory that shows, top first."""
    found: Entry | None = None
    within: list[Tree] = []
    for tree in trees:
        entry = tree.find(path)
        if entry is None:
            continue
        found = found or entry
        if not entry.is_directory:
            break
        within.append(tree)
    return found, within
