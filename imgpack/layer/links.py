"""Which files of a tree were met under another name: these become hard links in its layer.

Memory: a file whose other names lie outside the tree is waited for to the end, so what
is more than some thousands goes to a temporary database on disk.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from imgpack.errors import LimitError, OutputError, brief
from imgpack.tree.entry import Entry

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


class Links:
    """The files with several names that were met, by device and inode."""

    def __init__(self, in_memory: int = _IN_MEMORY) -> None:
        self._known: dict[tuple[int, int], _Known] = {}
        self._in_memory = in_memory
        self._disk: sqlite3.Connection | None = None

    def __contains__(self, entry: Entry) -> bool:
        return self._find((entry.device, entry.inode)) is not None

    def first(self, entry: Entry) -> bytes | None:
        """The path under which this file was met first; ``None`` if that is now.

        Raises ``LimitError`` for more names than can be unpacked.
        """
        key = (entry.device, entry.inode)
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

    def _find(self, key: tuple[int, int]) -> _Known | None:
        known = self._known.get(key)
        if known is None and self._disk is not None:
            with _disk_errors():
                found = self._disk.execute(
                    "SELECT path, left FROM links WHERE file = ?", (_packed(key),)
                )
                row: _Known | None = found.fetchone()
                return row
        return known

    def _forget(self, key: tuple[int, int]) -> None:
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


def _packed(key: tuple[int, int]) -> bytes:
    device, inode = key
    return device.to_bytes(8) + inode.to_bytes(8)


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
