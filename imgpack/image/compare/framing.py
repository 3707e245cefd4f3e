"""Two tar streams byte by byte: the first place at which they differ, and what stands there.

POSIX.1-2017 ``pax``, "ustar Interchange Format"; GNU tar's manual, "Basic Tar Format". Both are
read side by side up to there, in memory is one header of each. They are untrusted: what is no
tar is told as bytes.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from imgpack.errors import ArchiveError, printable, quoted
from imgpack.tar.extension import (
    EXTENSIONS,
    MAX_EXTENSION,
    checksum_fits,
    name_of,
    padded,
    records,
    size_of,
    text,
)
from imgpack.tar.forward import ForwardChunks
from imgpack.tar.header import BLOCK

_PIECE: Final = 1 << 18
_ZERO: Final = bytes(BLOCK)
_LINKS: Final = b"123456"
"""Types whose members have no content, whatever size they say."""
_FIELDS: Final = (
    ("type", 156, 157), ("magic", 257, 265), ("name", 0, 100), ("prefix", 345, 500),
    ("mode", 100, 108), ("uid", 108, 116), ("gid", 116, 124), ("size", 124, 136),
    ("mtime", 136, 148), ("linkname", 157, 257), ("uname", 265, 297), ("gname", 297, 329),
    ("devmajor", 329, 337), ("devminor", 337, 345), ("padding", 500, 512), ("checksum", 148, 156),
)  # fmt: skip
"""All of a header, in the order in which a difference is told."""
_TYPES: Final = {
    ord("x"): "a pax header", ord("g"): "a global pax header", ord("L"): "a GNU long name",
    ord("K"): "a GNU long link", ord("0"): "a file", 0: "a file of the v7 format",
    ord("1"): "a hard link", ord("2"): "a symbolic link", ord("5"): "a directory",
    ord("S"): "a sparse file of GNU's",
}  # fmt: skip


class StreamDifference(NamedTuple):
    """Where two streams part: ``what`` of the member ``path`` is ``a`` and ``b``, at a byte."""

    what: str
    a: str
    b: str
    path: bytes | None
    offset: int


def first_byte(a: Iterable[bytes], b: Iterable[bytes]) -> StreamDifference | None:
    """The first place at which two tar streams differ. Raises what reading them raises."""
    return _Walk(ForwardChunks(a), ForwardChunks(b)).first()


class _Walk:
    """Two streams that are the same so far."""

    def __init__(self, a: ForwardChunks, b: ForwardChunks) -> None:
        self._a = a
        self._b = b
        self._said_size: int | None = None
        self._path: bytes | None = None

    def first(self) -> StreamDifference | None:
        """Where they part."""
        while True:
            a, b = self._a.peek(BLOCK), self._b.peek(BLOCK)
            if a != b:
                return self._headers(a, b)
            if len(a) < BLOCK or a == _ZERO or not checksum_fits(a):
                return self._rest(1 << 62, "after the last member")
            found = self._member(a)
            if found is not None:
                return found

    def _member(self, block: bytes) -> StreamDifference | None:
        """Pass over a header, which both have, and what follows it."""
        extension = block[156] in EXTENSIONS
        size = size_of(block)
        if extension and size <= MAX_EXTENSION:
            data, other = (one.peek(BLOCK + size)[BLOCK:] for one in (self._a, self._b))
            if data != other:
                return self._records(block[156], data, other)
            self._learn(block[156], data)
        elif not extension:
            self._path = self._path or name_of(block)
            size = size if self._said_size is None else self._said_size
            size = 0 if block[156] in _LINKS else size
        found = self._rest(BLOCK + padded(size), "the content")
        if not extension:
            self._path = self._said_size = None
        return found

    def _learn(self, flag: int, data: bytes) -> None:
        """What a header in front of a member says of it."""
        if flag == ord("L"):
            self._path = text(data)
        elif flag == ord("x"):
            for key, value in records(data):
                if key == b"path":
                    self._path = value
                elif key == b"size" and value.isdigit() and len(value) < 20:
                    self._said_size = int(value)

    def _headers(self, a: bytes, b: bytes) -> StreamDifference:
        offset = self._a.offset
        if not all(len(one) == BLOCK and checksum_fits(one) for one in (a, b)):
            return StreamDifference("the end", self._end(a), self._end(b), self._path, offset)
        path = self._path or next((name_of(one) for one in (a, b) if not _extends(one)), None)
        if a[156] != b[156] and (_extends(a) or _extends(b)):
            return StreamDifference("header", _type(a), _type(b), path, offset)
        name, start, end = next(
            (name, start, end) for name, start, end in _FIELDS if a[start:end] != b[start:end]
        )
        said = _shown(a[start:end]), _shown(b[start:end])
        return StreamDifference(f"header field {name}", *said, path, offset + start)

    def _end(self, block: bytes) -> str:
        if not block:
            return f"nothing after byte {self._a.offset}"
        return "a block of zeros" if not any(block) else "another member"

    def _records(self, flag: int, a: bytes, b: bytes) -> StreamDifference:
        offset = self._a.offset + BLOCK
        what = _TYPES.get(flag, "a header").partition(" ")[2]
        try:
            if flag in b"xg":
                (first, *_) = [one for one in _zipped(a, b) if one[1] != one[2]] or [("", "", "")]
                return StreamDifference(f"{what} {first[0]}".rstrip(), *first[1:], None, offset)
        except ArchiveError:
            pass
        return StreamDifference(what, _shown(a), _shown(b), None, offset)

    def _rest(self, size: int, what: str) -> StreamDifference | None:
        """Compare the next ``size`` bytes."""
        while size > 0:
            step = min(size, _PIECE)
            a, b = self._a.peek(step), self._b.peek(step)
            if a != b:
                pairs = enumerate(zip(a, b, strict=False))
                at = next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))
                offset = self._a.offset + at
                return StreamDifference(what, _byte(a, at), _byte(b, at), self._path, offset)
            if not a:
                return None
            self._a.skip(len(a))
            self._b.skip(len(b))
            size -= len(a)
        return None


def _zipped(a: bytes, b: bytes) -> list[tuple[str, str, str]]:
    """The records of two pax headers by their keys."""
    first, second = dict(records(a)), dict(records(b))
    return [
        (_shown(key), _record(first.get(key)), _record(second.get(key)))
        for key in {**first, **second}
    ]


def _record(value: bytes | None) -> str:
    return "nothing" if value is None else _shown(value)


def _extends(block: bytes) -> bool:
    return block[156] in EXTENSIONS


def _type(block: bytes) -> str:
    return _TYPES.get(block[156], f"a member of type {quoted(block[156:157])}")


def _shown(octets: bytes) -> str:
    return printable(octets.rstrip(b"\0")[:200])


def _byte(data: bytes, at: int) -> str:
    return f"byte {data[at]:#04x}" if at < len(data) else "nothing"
