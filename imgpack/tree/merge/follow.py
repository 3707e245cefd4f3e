"""Where a path leads in a tree, through its symbolic links, as a process in it would see it."""

import stat
from typing import Final

from imgpack.tree.entry import Entry
from imgpack.tree.tree import Tree

_MAX_LINKS: Final = 255
"""What the loaders follow in one path; Linux follows 40."""


def follow(tree: Tree, path: bytes) -> Entry | None:
    """What is at ``path`` once every link is followed, none of which leads out of the tree.

    ``None`` if it is not there, or if links lead round in circles.
    """
    pending = path.split(b"/")[::-1]
    way: list[bytes] = []
    links = 0
    while pending:
        part = pending.pop()
        if part in (b"", b".", b".."):
            del way[len(way) - (part == b"..") :]
            continue
        found = tree.find(b"/".join([*way, part]))
        if found is None:
            return None
        if stat.S_ISLNK(found.mode):
            links += 1
            if links > _MAX_LINKS:
                return None
            target = found.target()
            way = [] if target.startswith(b"/") else way
            pending += reversed(target.split(b"/"))
        elif pending and not found.is_directory:
            return None
        else:
            way.append(part)
    return tree.find(b"/".join(way))
