"""Which files of a tree were met under another name: these become hard links in its layer.

Names that are written with another mode, owner, time or attributes than the first are files
of their own, each way of writing it once: one inode has only one of each.

Memory: a file whose other names lie outside the tree is waited for to the end, so what
is more than some thousands goes to a temporary database on disk.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from imgpack.errors import LimitError, OutputError, brief
from imgpack.tree.entry import Entry, Xattrs

if TYPE_CHECKING:
    import sqlite3

MAX_NAMES: Final = 65_000
"""Names of one file that ext4 can hold, where most engines keep their layers."""
_IN_MEMORY: Final = 1 << 15
"""Files that are kept in memory: with their paths, about ten megabytes."""
_CREATE: Final = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8192;
CREATE TABLE links (file BLOB PRIMARY KEY, path BLOB, left INTEGER) WITHOUT ROWID; BEGIN;
"""

_Known = tuple[bytes, int]  # the first path, and how many names are still to come
_File = tuple[int, int, int, int, int, int, Xattrs]
"""Device and inode, and what all names of one file have in common, as they are written."""


class Links:
    """The files with several names that were met."""

    def __init__(self, in_memory: int = _IN_MEMORY) -> None:
        self._known: dict[_File, _Known] = {}
        self._in_memory = in_memory
        self._disk: sqlite3.Connection | None = None

    def __contains__(self, entry: Entry) -> bool:
        return self._find(_file(entry)) is not None

    def first(self, entry: Entry) -> bytes | None:
        """The path under which this file was met first; ``None`` if that is now.

        Raises ``LimitError`` for more names than can be unpacked.
        """
        key = _file(entry)
        path, left = self._find(key) or (None, entry.links)
        if entry.links - left >= MAX_NAMES:
            raise LimitError(
                f"{brief(entry.shown)} is one of more than {MAX_NAMES:,} hard links to one file, "
                "and no engine unpacks them on ext4",
                "leave some out, or make them files of their own",
            )
        if path is not None and left <= 1:
            self._forget(key)  # all its names were met
        else:
            self._known[key] = (entry.path if path is None else path, left - 1)
            if len(self._known) > self._in_memory:
                self._spill()
        return path

    def _find(self, key: _File) -> _Known | None:
        known = self._known.get(key)
        if known is None and self._disk is not None:
            with _disk_errors():
                found = self._disk.execute(
                    "SELECT path, left FROM links WHERE file = ?", (_packed(key),)
                )
                row: _Known | None = found.fetchone()
                return row
        return known

    def _forget(self, key: _File) -> None:
        self._known.pop(key, None)
        if self._disk is not None:
            with _disk_errors():
                self._disk.execute("DELETE FROM links WHERE file = ?", (_packed(key),))

    def _spill(self) -> None:
        with _disk_errors():
            if self._disk is None:
                import sqlite3

                self._disk = sqlite3.connect("")  # a file without a name
                self._disk.executescript(_CREATE)
            rows = sorted((_packed(key), *known) for key, known in self._known.items())
            self._disk.executemany("INSERT OR REPLACE INTO links VALUES (?, ?, ?)", rows)
        self._known.clear()


def _file(entry: Entry) -> _File:
    return (
        entry.device, entry.inode,
        entry.mode, entry.uid, entry.gid, entry.mtime_ns, entry.xattrs,
    )  # fmt: skip


def _packed(key: _File) -> bytes:
    device, inode, *common = key
    digest = hashlib.blake2b(repr(common).encode(), digest_size=16).digest()
    return device.to_bytes(8) + inode.to_bytes(8) + digest


@contextmanager
def _disk_errors() -> Iterator[None]:
    import sqlite3

    try:
        yield
    except sqlite3.Error as error:
        raise OutputError(
            f"cannot keep the names of hard links in a temporary file: {error}",
            "let TMPDIR name a directory that has room for it",
        ) from error
