"""A table that was kept in a cache: each of its rows is looked at before one of them is believed.

Invariants, as ``imgpack.tree.tables.table`` has them: rows are sorted, parents come first, and all
of those of an entry have one; no name is ``..`` or has a slash or a NUL; what a type cannot have it
has not; and rows fill the file to its last byte. What a layer holds a cache may still make up.
"""

import contextlib
import re
import stat
import struct
from array import array
from typing import Final

from imgpack.errors import ArchiveError
from imgpack.files.scratch import ScratchFile
from imgpack.tar.extension import MAX_EXTENSION
from imgpack.tar.stream import MAX_MEMBERS
from imgpack.tree.entry import OPAQUE, WHITEOUT, path_order
from imgpack.tree.tables.rows import (
    FIXED_SIZE,
    MADE_UP,
    TYPE,
    TableRow,
    pack,
    unpack_fixed,
    unpack_row,
)
from imgpack.tree.tables.table import EVERY, LayerTable, Remark

_NAME: Final = re.compile(rb"(?!\.\.?\Z|\.wh\.)[^/\0]{1,255}")
_LINK: Final = re.compile(rb"[^\0]+")
_SPECIAL: Final = frozenset({stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO})
_MAX_MODE: Final = 0o177777
_MAX_OWNER: Final = 2**32 - 2
_ORDER: Final = {WHITEOUT: 0, OPAQUE: 1}
_AN_ENTRY: Final = 2
"""Of one path: what it deletes comes before what it is."""
_LONGEST: Final = 16 * MAX_EXTENSION
"""Bytes of a row: more than the headers in front of two members are."""


def kept_table(name: str, file: ScratchFile, remarks: tuple[Remark, ...]) -> LayerTable:
    """The table of the layer that messages call ``name``, whose rows fill ``file``.

    Raises ``ArchiveError`` if they are none that a layer's table can have.
    """
    checks = _Checks()
    rest, start = b"", 0
    for piece in file.read(0, file.size):
        data = rest + piece
        at = checks.rows(data, start)
        rest = data[at:]
        start += at
        if len(rest) > _LONGEST:
            raise _damaged()
    if rest or checks.last_inode > checks.linked:
        raise _damaged()
    return LayerTable(
        name, file, file.size, checks.count, checks.starts, checks.linked, checks.borrowed, remarks
    )


class _Checks:
    """What is known of the rows that came; numbers are those of a ``LayerTable``."""

    def __init__(self) -> None:
        self.starts = array("Q")
        self.count = self.linked = self.borrowed = self.last_inode = 0
        self._last = b""
        self._looked: tuple[bytes, int] = b"", -1
        """The key of the row that was looked at last, and what it was of its path."""
        self._ways = [b""]

    def rows(self, data: bytes, start: int) -> int:
        """Look at the rows that ``data`` begins with; where the last that is whole ends there.

        ``start`` is where ``data`` lies in the file. Raises ``ArchiveError`` for a row that cannot
        be.
        """
        at, end_of_data, ways, last = 0, len(data), self._ways, self._last
        while at + FIXED_SIZE <= end_of_data:
            (
                path_size, link_size, xattrs_size, mode, uid, gid, _, _, _,
                _, offset, place, inode, links, digest_size,
            ) = unpack_fixed(data, at)  # fmt: skip
            path_at = at + FIXED_SIZE
            path_end = path_at + path_size
            end = path_end + link_size + xattrs_size + digest_size
            if end > end_of_data:
                break
            path = data[path_at:path_end]
            while not path.startswith(ways[-1]):
                ways.pop()
            key = path_order(path)
            if self.count % EVERY == 0:
                self.starts.append(start + at)
            self.count += 1
            # Most are plain files, for which nothing is called that need not be.
            if (
                mode & TYPE != stat.S_IFREG or link_size or xattrs_size or inode or links != 1
                or key <= last or _NAME.fullmatch(path, len(ways[-1])) is None or digest_size != 32
                or mode > _MAX_MODE or uid > _MAX_OWNER or gid > _MAX_OWNER
                or offset < 0 or place > MAX_MEMBERS
            ):  # fmt: skip
                self._look(data[at:end], key, last)
            last, at = key, end
        self._last = last
        return at

    def _look(self, packed: bytes, key: bytes, last: bytes) -> None:
        """Look at any row, in the last of the ways, whose path has ``key``; ``last`` came before.

        Raises ``ArchiveError``.
        """
        row = _unpacked(packed)
        path, mode = row.path, row.mode
        order = _ORDER.get(mode, _AN_ENTRY)
        inside = len(self._ways[-1])
        if order == _AN_ENTRY:
            named = _NAME.fullmatch(path, inside) or (not path and row.is_directory)
        else:  # the directories on its way need not have rows
            named = all(map(_NAME.fullmatch, path[inside:].split(b"/"))) if path else mode == OPAQUE
        if key == last and not (self._looked[0] == key and self._looked[1] < order):
            raise _damaged()
        if not named or key < last or not _is_possible(row):
            raise _damaged()
        self._looked = key, order
        if order == _AN_ENTRY and row.is_directory and path:
            self._ways.append(path + b"/")
        if row.inode:
            self.linked += 1
            self.last_inode = max(self.last_inode, row.inode)
        self.borrowed += not mode & TYPE


def _unpacked(packed: bytes) -> TableRow:
    with contextlib.suppress(struct.error):  # of attributes
        found = unpack_row(packed, 0)
        if found is not None and pack(found[0]) == packed:
            return found[0]
    raise _damaged()


def _is_possible(row: TableRow) -> bool:
    """Whether what ``row`` has is what something of its type can have."""
    _, mode, uid, gid, _, size, _, link, _, sha256, offset, place, inode, links = row
    if mode > _MAX_MODE or uid > _MAX_OWNER or gid > _MAX_OWNER:
        return False
    if offset < MADE_UP or place > MAX_MEMBERS or not links:
        return False
    kind = mode & TYPE
    if kind == stat.S_IFREG:
        return not link and offset >= 0 and (sha256 is None or len(sha256) == 32)
    if sha256 is not None:
        return False
    if kind == stat.S_IFDIR:
        return not link and not inode
    if kind == stat.S_IFLNK:
        return size == len(link) and _LINK.fullmatch(link) is not None
    return not link if kind in _SPECIAL else (not kind or mode in _ORDER) and not inode


def _damaged() -> ArchiveError:
    return ArchiveError("what is kept of its files is damaged")
