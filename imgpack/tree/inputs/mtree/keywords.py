"""The values of mtree(5) keywords.

Sources as in ``lines``. Two that are easily misread: the fraction of a time is a number of
nanoseconds, so that ``1.5`` is five of them after a second; and a mode may be symbolic, as
setmode(3) reads it, from nothing.
"""

import base64
import binascii
import os
import re
import stat
from dataclasses import dataclass
from typing import Final

from imgpack.errors import ConfigError, TreeError, about, quoted
from imgpack.tar.header import MAX_ID
from imgpack.tree.entry import Xattrs
from imgpack.tree.inputs.mtree.lines import unescaped
from imgpack.tree.inputs.mtree.reader import Line
from imgpack.tree.rules.modes import ModeChange
from imgpack.tree.rules.parse import ReadFile, owner
from imgpack.tree.transform import MAX_OWNER
from imgpack.tree.xattrs import stays_behind

KINDS: Final = {
    b"file": stat.S_IFREG, b"dir": stat.S_IFDIR, b"link": stat.S_IFLNK, b"char": stat.S_IFCHR,
    b"block": stat.S_IFBLK, b"fifo": stat.S_IFIFO, b"socket": stat.S_IFSOCK,
}  # fmt: skip
_TIME: Final = re.compile(rb"(-?\d{1,15})(?:\.(\d{0,9}))?")
_NUMBER: Final = re.compile(rb"\d{1,19}")
_DEVICE: Final = re.compile(rb"[a-z0-9]+,(0x[0-9a-f]{1,8}|\d{1,9}),(0x[0-9a-f]{1,8}|\d{1,9})")
_OPAQUE_DEVICE: Final = re.compile(rb"0x[0-9a-fA-F]{1,16}|\d{1,19}")
_PAX_NAME: Final = "SCHILY.xattr."
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Said:
    """What a line says, ``None`` for what it does not; times in nanoseconds, sizes in bytes.

    ``kind`` are type bits, ``mode`` the twelve of permissions. ``contents`` is the path of the
    body. ``links`` is ``nlink``, and lines with one ``inode`` are one file if it is above one.
    """

    line: Line
    kind: int | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    mtime_ns: int | None = None
    size: int | None = None
    target: bytes | None = None
    rdev: int | None = None
    contents: bytes | None = None
    inode: int | None = None
    links: int = 1
    xattrs: Xattrs = ()

    @property
    def optional(self) -> bool:
        """Whether it may be missing."""
        return "optional" in self.line.keywords

    @property
    def as_found(self) -> bool:
        """Whether everything but its being there is as it is on disk."""
        return "nochange" in self.line.keywords

    @property
    def whole(self) -> bool:
        """Whether all that is below it belongs to it, said or not."""
        return "ignore" in self.line.keywords


def said(line: Line, read: ReadFile) -> Said:
    """The values of a line; names of users and groups are those of the files that are read.

    Raises ``TreeError`` and ``ConfigError``, which name the keyword.
    """
    words = line.keywords
    kind = None
    if "type" in words:
        kind = KINDS.get(words["type"])
        if kind is None:
            raise _wrong("type", words["type"], "one of file, dir, link, char, block, fifo, socket")
    uid, gid = _owner(words, read)
    target = words.get("link")
    device = words.get("device")
    contents = words.get("contents", words.get("content"))
    return Said(
        line,
        kind,
        None if kind == stat.S_IFLNK else _mode(words.get("mode"), kind),
        uid,
        gid,
        _time(words),
        _number(words, "size"),
        None if target is None else unescaped(target),
        None if device is None else _device(device),
        None if contents is None else unescaped(contents),
        _number(words, "inode"),
        _number(words, "nlink") or 1,
        tuple(_xattrs(words)),
    )


def _wrong(key: str, value: bytes, right: str) -> TreeError:
    return TreeError(f"the value {quoted(value)} of {key} is not one", f"write {right}")


def _number(words: dict[str, bytes], key: str, largest: int = 1 << 62) -> int | None:
    value = words.get(key)
    if value is None:
        return None
    if not _NUMBER.fullmatch(value) or int(value) > largest:
        raise _wrong(key, value, f"a decimal number up to {largest}")
    return int(value)


def _owner(words: dict[str, bytes], read: ReadFile) -> tuple[int | None, int | None]:
    """The ids: by their numbers, or else by the names."""
    uid, gid = _number(words, "uid", MAX_OWNER), _number(words, "gid", MAX_OWNER)
    if uid is None and "uname" in words:
        with about("uname"):
            uid = owner(_text(words["uname"]), read).uid
    if gid is None and "gname" in words:
        with about("gname"):
            gid = owner(":" + _text(words["gname"]), read).gid
    return uid, gid


def _text(word: bytes) -> str:
    return unescaped(word).decode("utf-8", "surrogateescape")


def _mode(value: bytes | None, kind: int | None) -> int | None:
    if value is None:
        return None
    try:
        change = ModeChange.parse(value.decode("latin-1"))
    except ConfigError:
        raise _wrong("mode", value, "octal, as 0755, or what chmod takes") from None
    return change(0, directory=kind == stat.S_IFDIR)


def _time(words: dict[str, bytes]) -> int | None:
    key = "time" if "time" in words else "tar_time"
    value = words.get(key)
    if value is None:
        return None
    match = _TIME.fullmatch(value)
    if match is None:
        raise _wrong(key, value, "SECONDS.NANOSECONDS")
    return int(match[1]) * _NS + int(match[2] or b"0")


def _device(value: bytes) -> int:
    """A device number: of any system, given in two halves; one number is Linux's."""
    major = minor = MAX_ID + 1
    if match := _DEVICE.fullmatch(value.lower()):
        major, minor = _integer(match[1]), _integer(match[2])
    elif _OPAQUE_DEVICE.fullmatch(value):
        number = _integer(value.lower())
        major = (number >> 8 & 0xFFF) | (number >> 32 & 0xFFFFF000)
        minor = (number & 0xFF) | (number >> 12 & 0xFFFFFF00)
    if max(major, minor) <= MAX_ID:
        return os.makedev(major, minor)
    raise _wrong("device", value, "linux,MAJOR,MINOR")


def _integer(text: bytes) -> int:
    return int(text, 16 if text.startswith(b"0x") else 10)


def _xattrs(words: dict[str, bytes]) -> Xattrs:
    found: list[tuple[bytes, bytes | None]] = []
    for key, value in words.items():
        if not key.startswith("xattr."):
            continue
        text = key.removeprefix("xattr.").removeprefix(_PAX_NAME)
        name = unescaped(text.encode("latin-1"))
        try:
            decoded = base64.b64decode(value, validate=True)
        except binascii.Error:
            raise _wrong(key, value, "base64") from None
        if not stays_behind(name):
            found.append((name, decoded or None))
    return tuple(sorted(found))
