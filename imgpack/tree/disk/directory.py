"""A directory on disk as a tree: every entry once, parents first, in one order everywhere.

Order: the bytewise order of path components, which is what a depth-first walk
over sorted names gives; no locale has a say in it. Nothing that cannot be read
stops the walk: problems are collected, so that all of them can be told at once.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from imgpack.errors import SourceError, printable
from imgpack.tree.disk.selection import keeps
from imgpack.tree.disk.walk import scan
from imgpack.tree.entry import Entry, OpenDirectory
from imgpack.tree.exclusion import Exclusion
from imgpack.tree.problems import Problems
from imgpack.tree.tree import Stamps

_new = tuple.__new__
_NO_NAMES: Final = (b"", b".", b"..")


@dataclass(frozen=True, slots=True)
class Directory:
    """The tree of a directory, ``root``, which is absolute.

    ``caller`` are the ids of an invoking user who is not root: they are read as 0:0, for
    that user meant root and could not chown. What ``excluded`` leaves out is not in the tree.
    """

    root: bytes
    caller: tuple[int, int] | None = None
    excluded: Exclusion | None = None

    def __str__(self) -> str:
        return printable(os.path.basename(self.root) or self.root)

    @property
    def stamps(self) -> Stamps:
        """The directory itself: a kernel's word is enough."""
        return Stamps(self.root, self.caller, excluded=self.excluded)

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """As ``Tree.entries``; sockets too, which the encoder skips."""
        met = Problems() if problems is None else problems
        caller = self.caller
        stamps = Stamps(self.root, caller, under, excluded=self.excluded)
        for path, where, found, within in scan(stamps, met):
            yield entry_of(path, where, found, caller, b"", within)
        if problems is None:
            met.check()

    def find(self, path: bytes) -> Entry | None:
        """As ``Tree.find``: a path that cannot be looked at is nothing."""
        where = self.root
        try:
            found = os.lstat(where)
            for name in path.split(b"/") if path else ():
                if not stat.S_ISDIR(found.st_mode) or name in _NO_NAMES:
                    return None
                where += b"/" + name
                found = os.lstat(where)
            if self.excluded is not None and not keeps(self.excluded, self.root, path):
                return None
        except OSError:
            return None
        return entry_of(path, where, found, self.caller)


def directory(
    path: bytes, caller: tuple[int, int] | None = None, excluded: Exclusion | None = None
) -> Directory:
    """The tree of the directory ``path``, with its symbolic links resolved.

    Raises ``SourceError`` unless it is a directory that can be listed.
    """
    shown = printable(path)
    try:
        with os.scandir(path):
            pass
    except (FileNotFoundError, ValueError):  # a ValueError: it has a NUL in it
        raise SourceError(f"{shown} does not exist", "name a directory") from None
    except NotADirectoryError:
        raise SourceError(f"{shown} is not a directory", "name a directory") from None
    except OSError as error:
        raise SourceError(f"cannot read {shown}: {error.strerror}") from error
    return Directory(os.path.realpath(path), caller, excluded)


def entry_of(
    path: bytes,
    source: bytes,
    found: os.stat_result,
    caller: tuple[int, int] | None = None,
    stamp: bytes = b"",
    within: OpenDirectory | None = None,
) -> Entry:
    """The entry of what ``lstat`` ``found`` at ``source``; the ids ``caller`` become 0."""
    # Taken apart at once, as a plain tuple: attribute by attribute it takes three times
    # as long, and this runs for every file.
    mode, inode, device, links, uid, gid, size, _, _, _ = found
    if caller is not None:
        uid, gid = mapped(uid, gid, caller)
    return _new(
        Entry,
        (
            path, source, mode, inode, device, links, uid, gid, size,
            found.st_mtime_ns, found.st_ctime_ns, found.st_rdev, stamp, within, (),
        ),
    )  # fmt: skip


def mapped(uid: int, gid: int, caller: tuple[int, int]) -> tuple[int, int]:
    """The ids of an entry that ``uid:gid`` owns on disk, to the user ``caller``."""
    return (0 if uid == caller[0] else uid), (0 if gid == caller[1] else gid)
