"""A tree as text: what a base's layers make, to be kept beside an image or in a lock.

mtree(5), a full path a line, in the bytewise order of components, escaped so that
libarchive, NetBSD's mtree and go-mtree read the same names. Nothing has to be parsed to look
a path up: it is found by bisection in the bytes. Names with the same ``inode=`` are hard
links, which mtree has no keyword for; that one and ``xattr.NAME=`` NetBSD does not know.

Invariants: ``listing_text`` depends on nothing but the entries, and what ``Listing`` reads
from it are those entries. A text is not checked as a whole: a line is when it is read, the
order when all of them are.
"""

import base64
import hashlib
import io
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO, Final, NamedTuple

from imgpack.errors import DocumentError, NotFoundError, printable, quoted
from imgpack.tree.entry import Entry
from imgpack.tree.problems import Problems
from imgpack.tree.transform import MAX_OWNER
from imgpack.tree.tree import Stamps, Tree, join

_SIGNATURE: Final = b"#mtree\n"
_TYPES: Final = {
    stat.S_IFREG: b"file",
    stat.S_IFDIR: b"dir",
    stat.S_IFLNK: b"link",
    stat.S_IFCHR: b"char",
    stat.S_IFBLK: b"block",
    stat.S_IFIFO: b"fifo",
}
_KINDS: Final = {name: kind for kind, name in _TYPES.items()}
_DEVICES: Final = (stat.S_IFCHR, stat.S_IFBLK)
_NS: Final = 1_000_000_000
_LARGEST: Final = (1 << 63) - 1

_UNSAFE: Final = re.compile(rb"[^!-~]|[#*=?\[\\]")
"""Bytes that one of the readers takes for something else."""
_ESCAPE: Final = re.compile(rb"\\([0-3][0-7]{2})")
_TIME: Final = re.compile(rb"(-?[0-9]{1,19})\.([0-9]{9})")
_DEVICE: Final = re.compile(rb"linux,([0-9]{1,10}),([0-9]{1,10})")
_SHA256: Final = re.compile(rb"[0-9a-f]{64}")
_OCTAL: Final = re.compile(rb"[0-7]{4}")
_DECIMAL: Final = re.compile(rb"[0-9]{1,19}")


class Listed(NamedTuple):
    """What a listing has of an entry beyond its fields.

    ``sha256`` is that of a regular file's bytes, in hexadecimal; ``kept`` are the bytes, where
    they lie beside the listing.
    """

    path: bytes
    target: bytes
    xattrs: Mapping[bytes, bytes]
    sha256: str | None
    kept: bytes | None

    def open(self) -> BinaryIO:
        """The bytes, if they are kept. Raises ``NotFoundError``."""
        if self.kept is None:
            raise NotFoundError(
                f"the bytes of {printable(self.path)} are in a layer of the base, and not at hand",
                "use the base itself, with its layers",
            )
        return io.BytesIO(self.kept)


def listed_sha256(entry: Entry) -> str | None:
    """The SHA-256 of a file's bytes in hexadecimal, if its tree knows it."""
    found: str | None = getattr(entry.content, "sha256", None)
    return found


def is_listed(entry: Entry) -> bool:
    """Whether it is of a base, whose trees say what hashes they know."""
    return hasattr(entry.content, "sha256")


def listing_text(tree: Tree) -> bytes:
    """The text of a tree that is not on disk. Raises what its ``entries`` raise."""
    numbers: dict[tuple[int, int], int] = {}
    root = tree.find(b"")
    assert root is not None
    lines = [_line(root._replace(path=b""), numbers)]
    lines += [_line(entry, numbers) for entry in tree.entries()]
    return _SIGNATURE + b"".join(lines)


def _line(entry: Entry, numbers: dict[tuple[int, int], int]) -> bytes:
    """The line of ``entry``; ``numbers`` are those that inodes have in the text so far."""
    kind = stat.S_IFMT(entry.mode)
    seconds, ns = divmod(entry.mtime_ns, _NS)
    line = b"%b type=%b mode=%04o uid=%d gid=%d time=%d.%09d" % (
        b"./" + _escaped(entry.path) if entry.path else b".",
        _TYPES[kind], entry.mode & 0o7777, entry.uid, entry.gid, seconds, ns,
    )  # fmt: skip
    if kind == stat.S_IFREG:
        line += b" size=%d" % entry.size
        if sha256 := listed_sha256(entry):
            line += b" sha256digest=" + sha256.encode()
    elif kind == stat.S_IFLNK:
        line += b" link=" + _escaped(entry.target())
    elif kind in _DEVICES:
        line += b" device=linux,%d,%d" % (os.major(entry.rdev), os.minor(entry.rdev))
    if entry.links > 1 and kind != stat.S_IFDIR:
        number = numbers.setdefault((entry.device, entry.inode), len(numbers) + 1)
        line += b" nlink=%d inode=%d" % (entry.links, number)
    for name, value in _xattrs(entry):
        line += b" xattr.%b=%b" % (_escaped(name), base64.b64encode(value))
    return line + b"\n"


def _xattrs(entry: Entry) -> Iterable[tuple[bytes, bytes]]:
    own = {} if isinstance(entry.content, bytes) else entry.content.xattrs
    if not own and not entry.xattrs:
        return ()
    said = {**own, **dict(entry.xattrs)}
    return [(name, value) for name, value in sorted(said.items()) if value is not None]


def _escaped(name: bytes) -> bytes:
    return _UNSAFE.sub(lambda found: b"\\%03o" % found[0][0], name)


def _unescaped(text: bytes) -> bytes:
    if b"\\" not in text:
        return text
    if _ESCAPE.sub(b"", text).count(b"\\"):
        raise ValueError("an escape is none of three octal digits")
    return _ESCAPE.sub(lambda found: bytes((int(found[1], 8),)), text)


def _key(path: bytes) -> bytes:
    """What sorts as the components of ``path`` do."""
    return path.replace(b"/", b"\0")


class Listing:
    """The tree of a text that ``listing_text`` made.

    Raises ``DocumentError`` naming the line that is malformed.
    """

    def __init__(
        self, text: bytes, kept: Mapping[bytes, bytes] | None = None, name: str = "listing"
    ) -> None:
        """``kept`` are the bytes of files by their paths; ``name`` is what messages call it."""
        self.text = text
        self.kept: Mapping[bytes, bytes] = kept or {}
        self._name = name
        self._identity = ""
        if not text.startswith(_SIGNATURE + b". ") or not text.endswith(b"\n"):
            raise DocumentError(f"{name} is no list of files, or cut short")

    def __str__(self) -> str:
        return self._name

    @property
    def identity(self) -> str:
        """The SHA-256 of the text, in hexadecimal: what says all that the tree is."""
        self._identity = self._identity or hashlib.sha256(self.text).hexdigest()
        return self._identity

    @property
    def stamps(self) -> Stamps | None:
        """None: it is no tree on disk."""
        return None

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """As ``Tree.entries``. Raises ``DocumentError`` also if the lines are out of order."""
        if under:
            yield self._entry(len(_SIGNATURE))._replace(path=under)
        start, before = self._end(len(_SIGNATURE)), b""
        while start < len(self.text):
            entry = self._entry(start)
            key = _key(entry.path)
            if key <= before:
                raise self._malformed(start, "it is out of order")
            yield entry._replace(path=join(under, entry.path)) if under else entry
            start, before = self._end(start), key

    def find(self, path: bytes) -> Entry | None:
        """As ``Tree.find``."""
        start = self._from(_key(path), len(_SIGNATURE))
        if start == len(self.text) or self._path(start) != path:
            return None
        return self._entry(start)

    def names(self, path: bytes) -> list[bytes]:
        """The names in the directory at ``path``, sorted; none if it is no directory."""
        found, above = [], _key(path) + b"\0" if path else b""
        start = self._from(_key(path), len(_SIGNATURE))
        if start < len(self.text) and self._path(start) == path:
            start = self._end(start)
        while start < len(self.text):
            key = _key(self._path(start))
            if not key.startswith(above):
                break
            found.append(key[len(above) :])
            # What is in it sorts before any other name that begins alike.
            start = self._from(key + b"\1", self._end(start), near=True)
        return found

    def _from(self, key: bytes, low: int, *, near: bool = False) -> int:
        """Where the first line starts, from ``low`` on, whose path is not before ``key``.

        ``near``: it is probably the first.
        """
        text, high = self.text, len(self.text)
        if near and (low == high or _key(self._path(low)) >= key):
            return low
        while low < high:
            middle = max(text.rfind(b"\n", low, (low + high) // 2) + 1, low)
            if _key(self._path(middle)) < key:
                low = self._end(middle)
            else:
                high = middle
        return low

    def _end(self, start: int) -> int:
        return self.text.index(b"\n", start) + 1

    def _path(self, start: int) -> bytes:
        """The path of the line at ``start``."""
        name = self.text[start : self.text.find(b" ", start)]
        if name == b".":
            return b""
        if not name.startswith(b"./") or b"\n" in name:
            raise self._malformed(start, "it does not start with a path below .")
        if b"\\" not in name:
            return name[2:]
        try:
            return _unescaped(name[2:])
        except ValueError as error:
            raise self._malformed(start, str(error)) from None

    def _entry(self, start: int) -> Entry:
        """The entry of the line at ``start``."""
        path = self._path(start)
        words = self.text[start : self._end(start) - 1].split(b" ")
        try:
            return _entry(path, words[1:], self.kept.get(path))
        except KeyError as error:
            why = f"it has no {printable(error.args[0])}"
        except (ValueError, OverflowError) as error:  # binascii.Error is a ValueError
            why = str(error)
        raise self._malformed(start, why)

    def _malformed(self, start: int, why: str) -> DocumentError:
        number = self.text.count(b"\n", 0, start) + 1
        return DocumentError(f"{self._name}: line {number} is malformed: {why}")


def _entry(path: bytes, words: Iterable[bytes], kept: bytes | None) -> Entry:
    """The entry at ``path`` with these keywords. Raises ``ValueError`` and ``KeyError``."""
    _check_path(path)
    fields: dict[bytes, bytes] = {}
    xattrs: dict[bytes, bytes] = {}
    for word in words:
        key, equals, value = word.partition(b"=")
        if key in fields or not equals:
            raise ValueError(f"{quoted(key)} has no value, or two")
        if key.startswith(b"xattr."):
            xattrs[_unescaped(key[6:])] = base64.b64decode(value, validate=True)
        else:
            fields[key] = value
    kind = _KINDS.get(fields.pop(b"type"))
    if kind is None or (not path and kind != stat.S_IFDIR):
        raise ValueError("its type is none that can be there")
    mode = kind | int(_matching(_OCTAL, fields.pop(b"mode"))[0], 8)
    uid, gid = (_number(fields.pop(key), MAX_OWNER) for key in (b"uid", b"gid"))
    time = _matching(_TIME, fields.pop(b"time"))
    size, target, sha256, rdev, links, inode = 0, b"", None, 0, 1, 0
    if kind == stat.S_IFREG:
        size = _number(fields.pop(b"size"), _LARGEST)
        if b"sha256digest" in fields:
            sha256 = _matching(_SHA256, fields.pop(b"sha256digest"))[0].decode()
    elif kind == stat.S_IFLNK:
        target = _unescaped(fields.pop(b"link"))
        size = len(target)
    elif kind in _DEVICES:
        device = _matching(_DEVICE, fields.pop(b"device"))
        rdev = os.makedev(int(device[1]), int(device[2]))
    if b"inode" in fields and kind != stat.S_IFDIR:
        links = _number(fields.pop(b"nlink"), _LARGEST)
        inode = _number(fields.pop(b"inode"), _LARGEST)
    if fields:
        raise ValueError(f"{printable(next(iter(fields)))} is no keyword that it can have")
    content = Listed(path, target, xattrs, sha256, kept)
    mtime_ns = int(time[1]) * _NS + int(time[2])
    return Entry(path, content, mode, inode, 0, links, uid, gid, size, mtime_ns, 0, rdev)


def _check_path(path: bytes) -> None:
    parts = path.split(b"/") if path else []
    if b"" in parts or b"." in parts or b".." in parts or b"\0" in path:
        raise ValueError(f"{quoted(path)} is no path in a tree")


def _matching(pattern: re.Pattern[bytes], value: bytes) -> re.Match[bytes]:
    found = pattern.fullmatch(value)
    if found is None:
        raise ValueError(f"{quoted(value)} is no value that it can have")
    return found


def _number(value: bytes, largest: int) -> int:
    number = int(_matching(_DECIMAL, value)[0])
    if number > largest:
        raise ValueError(f"{number} is more than {largest}")
    return number
