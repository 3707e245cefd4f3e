"""Attributes that keep what only root can set: what ``imgpack.tree.xattrs`` reads."""

import os
import stat
from typing import Final

from imgpack.tree.tables.rows import TableRow

_UNCHANGED: Final = 0xFFFFFFFF
"""An id of umoci's that stands for the one on disk, which it writes for 0."""
_KINDS: Final = {
    stat.S_IFREG: b"file", stat.S_IFDIR: b"dir", stat.S_IFIFO: b"pipe", stat.S_IFSOCK: b"socket",
    stat.S_IFBLK: b"block", stat.S_IFCHR: b"char",
}  # fmt: skip


def rootless_record(uid: int, gid: int) -> bytes:
    """umoci's protobuf message with ``uid`` as field 1 and ``gid`` as field 2."""
    return b"\x08" + _varint(uid or _UNCHANGED) + b"\x10" + _varint(gid or _UNCHANGED)


def override_record(row: TableRow) -> bytes:
    """containers/storage's ``uid:gid:mode:type``, the mode in octal."""
    kind = stat.S_IFMT(row.mode)
    said = _KINDS[kind]
    if kind in (stat.S_IFBLK, stat.S_IFCHR):
        said += b"-%d-%d" % (os.major(row.rdev), os.minor(row.rdev))
    return b"%d:%d:%04o:%b" % (row.uid, row.gid, stat.S_IMODE(row.mode), said)


def _varint(number: int) -> bytes:
    data = b""
    while number >= 0x80:
        data += bytes([number & 0x7F | 0x80])
        number >>= 7
    return data + bytes([number])
