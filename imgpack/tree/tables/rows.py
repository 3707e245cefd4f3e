"""What one layer has at one path, packed: so that a table of millions fits into a file.

A *row* is an entry of a layer as it stands in the archive, or the deletion of what lies below.
The packing is that of a cache, not of an exchange: it says nothing of what wrote it.
"""

import stat
import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from imgpack.errors import ArchiveError
from imgpack.files.scratch import ScratchFile
from imgpack.tar.stream import StreamMember
from imgpack.tree.entry import OPAQUE, WHITEOUT

TYPE: Final = 0o170000
"""The bits of a mode that say what it is of."""
MADE_UP: Final = -1
"""The offset of a directory that the layer does not say: it is on the way to what it has."""
_FIXED: Final = struct.Struct("<IIIIIIQqIQqIIIB")
FIXED_SIZE: Final = _FIXED.size
unpack_fixed: Final = _FIXED.unpack_from
"""What a row begins with: the sizes of its path, link and attributes, then numbers, and the size of
its digest; the path is next."""
_NAME: Final = struct.Struct("<II")
_ROW: Final = 512
"""Bytes that most rows take."""
_WINDOW: Final = 1 << 14
"""Bytes that are read for one row of several that may lie near to each other."""
_NS: Final = 1_000_000_000
_DELETIONS: Final = frozenset({WHITEOUT, OPAQUE})
_new = tuple.__new__

Xattrs = tuple[tuple[bytes, bytes], ...]


class TableRow(NamedTuple):
    """One path of one layer.

    ``mode`` has the bits of a type: one of a file, or ``WHITEOUT`` and ``OPAQUE``; or none, for a
    hard link to what a lower layer has at ``link``. Of a hard link in the layer it has what the
    link names. ``offset`` is where the bytes lie in the layer's tar stream; ``inode`` is a number
    that ``links`` paths of the layer share, and 0 for one with a single path. ``place`` counts
    the layer's members. ``sha256`` is of a regular file's bytes. Times are nanoseconds.
    """

    path: bytes
    mode: int
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    size: int = 0
    rdev: int = 0
    link: bytes = b""
    xattrs: Xattrs = ()
    sha256: bytes | None = None
    offset: int = MADE_UP
    place: int = 0
    inode: int = 0
    links: int = 1

    @property
    def deletes(self) -> bool:
        """Whether it is the deletion of what lower layers have, and no entry."""
        return self.mode in _DELETIONS

    @property
    def made_up(self) -> bool:
        """Whether it is a directory that the layer does not say."""
        return self.offset == MADE_UP and stat.S_ISDIR(self.mode)

    @property
    def is_directory(self) -> bool:
        """Whether it is one."""
        return stat.S_ISDIR(self.mode)


def member_row(member: StreamMember, digest: bytes | None, place: int) -> TableRow:
    """The row of a ``member`` that deletes nothing, the ``place``th of its layer."""
    path, kind, mode, uid, gid, mtime_ns, size, link, rdev, xattrs, offset, _, _ = member
    size = len(link) if kind == stat.S_IFLNK else size
    return _new(
        TableRow,
        (
            path, kind | mode, uid, gid, mtime_ns, size, rdev, link,
            tuple(xattrs.items()) if xattrs else (), digest, offset, place, 0, 1,
        ),
    )  # fmt: skip


def made_up_row(path: bytes, place: int) -> TableRow:
    """A directory that every engine makes for what the layer has in it: ``0755 0:0``."""
    return TableRow(path, stat.S_IFDIR | 0o755, place=place)


def pack(row: TableRow) -> bytes:
    """The bytes of ``row``. Raises ``ArchiveError`` for a number that no file has."""
    (
        path, mode, uid, gid, mtime_ns, size, rdev, link, pairs, sha256,
        offset, place, inode, links,
    ) = row  # fmt: skip
    xattrs = b""
    for name, value in pairs:
        xattrs += _NAME.pack(len(name), len(value)) + name + value
    digest = sha256 or b""
    try:
        fixed = _FIXED.pack(
            len(path), len(link), len(xattrs), mode, uid, gid, rdev,
            mtime_ns // _NS, mtime_ns % _NS, size, offset, place, inode, links, len(digest),
        )  # fmt: skip
    except struct.error:
        raise ArchiveError("it has a time or a size that no file can have") from None
    return b"".join((fixed, path, link, xattrs, digest))


def unpack_row(data: bytes, start: int) -> tuple[TableRow, int] | None:
    """The row at ``start``, and where it ends; ``None`` if not all of it is in ``data``."""
    at = start + _FIXED.size
    if at > len(data):
        return None
    (
        path_size, link_size, xattrs_size, mode, uid, gid, rdev,
        seconds, ns, size, offset, place, inode, links, digest_size,
    ) = _FIXED.unpack_from(data, start)  # fmt: skip
    link_at = at + path_size
    xattrs_at = link_at + link_size
    digest_at = xattrs_at + xattrs_size
    end = digest_at + digest_size
    if end > len(data):
        return None
    row = _new(
        TableRow,
        (
            data[at:link_at], mode, uid, gid, seconds * _NS + ns, size, rdev,
            data[link_at:xattrs_at] if link_size else b"",
            _xattrs(data[xattrs_at:digest_at]) if xattrs_size else (),
            data[digest_at:end] if digest_size else None,
            offset, place, inode, links,
        ),
    )  # fmt: skip
    return row, end


def unpack_path(data: bytes, start: int) -> bytes | None:
    """The path of the row at ``start``; ``None`` if not all of it is in ``data``."""
    at = start + _FIXED.size
    if at > len(data):
        return None
    end = at + int.from_bytes(data[start : start + 4], "little")
    return data[at:end] if end <= len(data) else None


class PlacedRow(NamedTuple):
    """A row of a file: the byte where it begins, and the one behind its end."""

    at: int
    row: TableRow
    end: int


def read_rows(file: ScratchFile, start: int, end: int) -> Iterator[TableRow]:
    """The rows from one byte of ``file`` to another."""
    rest = b""
    for piece in file.read(start, end):  # as placed_rows, in half the time
        data, at = rest + piece, 0
        while (found := unpack_row(data, at)) is not None:
            row, at = found
            yield row
        rest = data[at:]


def placed_rows(file: ScratchFile, start: int, end: int) -> Iterator[PlacedRow]:
    """As ``read_rows``, and where each lies."""
    rest = b""
    for piece in file.read(start, end):
        data, at = rest + piece, 0
        while (found := unpack_row(data, at)) is not None:
            row, after = found
            yield _new(PlacedRow, (start + at, row, start + after))
            at = after
        rest = data[at:]
        start += at


def rows_from(file: ScratchFile, places: Iterable[int]) -> Iterator[PlacedRow]:
    """The rows that begin at the bytes ``places`` of ``file``, which are ascending."""
    data, start = b"", 0
    for at in places:
        size = _WINDOW
        while (found := unpack_row(data, at - start)) is None:
            data, start = b"".join(file.read(at, at + size)), at
            size *= 16
        row, after = found
        yield PlacedRow(at, row, start + after)


def row_from(file: ScratchFile, start: int) -> TableRow:
    """The row that begins at a byte of ``file``."""
    size = _ROW
    while True:
        found = unpack_row(b"".join(file.read(start, start + size)), 0)
        if found is not None:
            return found[0]
        size *= 16


def rows_at(block: bytes, path: bytes) -> list[TableRow]:
    """Those of ``path`` in ``block``, which begins with a row."""
    at = 0
    found: list[TableRow] = []
    while (unpacked := unpack_row(block, at)) is not None:
        row, at = unpacked
        if row.path == path:
            found.append(row)
        elif found:
            break
    return found


def _xattrs(data: bytes) -> Xattrs:
    found = []
    at = 0
    while at < len(data):
        name_size, value_size = _NAME.unpack_from(data, at)
        at += _NAME.size
        value_at = at + name_size
        found.append((data[at:value_at], data[value_at : value_at + value_size]))
        at = value_at + value_size
    return tuple(found)
