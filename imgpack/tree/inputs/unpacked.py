"""What unpacking an archive would leave: its members, one after another, as one tree.

As GNU tar unpacks: of a path that is there twice the last counts, whatever links to the
first keeps that; a directory twice is one with the last attributes; a directory that has
something in it is not replaced; directories that nobody gave are made up. What would reach
through a symbolic link of the archive is refused, and a link to nothing. Deletions stay
what they are (image-spec ``layer.md``, "Whiteouts"), wherever they stand.
"""

import itertools
import stat
from typing import Final

from imgpack.errors import TreeError, brief
from imgpack.tree.entry import (
    OPAQUE,
    OPAQUE_NAME,
    WHITEOUT,
    Entry,
    made_up_directory,
    opaque,
    order,
)
from imgpack.tree.tree import join

_DEVICES: Final = itertools.count(1 << 40)
"""A device for each archive's inodes, such as no disk has: trees may be joined."""


class Unpacked:
    """The tree so far, by path. ``twice``: how often something was replaced; the first."""

    def __init__(self) -> None:
        self.twice = 0
        self.first_twice = b""
        self._found: dict[bytes, Entry] = {}
        self._deleted: dict[bytes, Entry] = {}
        self._opaque: set[bytes] = set()
        # Directories in which something is, and so all those above them.
        self._filled: set[bytes] = set()
        self._device = next(_DEVICES)
        self._links: dict[int, int] = {}

    def add(self, entry: Entry, link: bytes = b"") -> None:
        """Unpack ``entry``, or another name of what is at ``link``. Raises ``TreeError``."""
        path = entry.path
        kind = stat.S_IFMT(entry.mode)
        if kind == OPAQUE:
            self._fill(path, path)
            self._opaque.add(path)
            return
        above = path.rpartition(b"/")[0]
        if above not in self._filled:
            self._fill(above, path)
        if kind == WHITEOUT:
            self._deleted[path] = entry
            return
        before = self._found.get(path)
        if link:
            if link == path and before is not None:
                return
            entry = self._linked(path, link)
        if before is not None or not path:
            self._replace(before, entry)
        self._found[path] = entry

    def _fill(self, above: bytes, path: bytes) -> None:
        """Make sure that ``above`` is a directory, in which ``path`` is to be."""
        pending = above
        while pending not in self._filled:
            there = self._found.get(pending)
            if there is None:
                if pending:
                    self._found[pending] = made_up_directory(pending, 0)
            elif not there.is_directory:
                symlink = "the symbolic link" if stat.S_ISLNK(there.mode) else "a file"
                raise TreeError(
                    f"{brief(path)} is below {brief(pending)}, which is {symlink} in the archive",
                    "make the archive from a tree in which it is a directory",
                )
            self._filled.add(pending)
            pending = pending.rpartition(b"/")[0]

    def _linked(self, path: bytes, link: bytes) -> Entry:
        there = self._found.get(link)
        if there is None or there.is_directory:
            what = "a directory" if there else "not there, or behind it"
            raise TreeError(
                f"{brief(path)} is a hard link to {brief(link)}, which is {what} in the archive",
                "make the archive again, from the whole tree",
            )
        if not there.inode:
            inode = len(self._links) + 1
            self._links[inode] = 0
            there = there._replace(inode=inode, device=self._device)
            self._found[link] = there
        return there._replace(path=path)

    def _replace(self, before: Entry | None, entry: Entry) -> None:
        path = entry.path
        if not entry.is_directory:
            if not path:
                raise TreeError("the root of the archive is not a directory")
            if path in self._filled:
                raise TreeError(
                    f"{brief(path)} is a directory with something in it, and then something else",
                    "make the archive again, with one of them",
                )
        # The same directory again, as many tools write it, is no surprise.
        if before is not None and not (entry.is_directory and before[2:] == entry[2:]):
            self.twice += 1
            self.first_twice = self.first_twice or path

    def entries(self) -> dict[bytes, Entry]:
        """All that there is, in the order of a tree; the root, if it has an entry, is first.

        The mark of an opaque directory is in it, by the name that a layer gives it.
        """
        found = self._found
        for path, entry in self._deleted.items():
            if path not in found:
                found[path] = entry
            elif found[path].is_directory:
                # Only lower layers lose it: what this one has there is all there is.
                self._opaque.add(path)
        for path in self._opaque:
            found[join(path, OPAQUE_NAME)] = opaque(path)
        self._count_links()
        return dict(sorted(found.items(), key=lambda item: order(item[1])))

    def _count_links(self) -> None:
        if not self._links:
            return
        linked = [(path, entry.inode) for path, entry in self._found.items() if entry.inode]
        for _, inode in linked:
            self._links[inode] += 1
        for path, inode in linked:
            self._found[path] = self._found[path]._replace(links=self._links[inode])
