"""What readers of archives share: the fields of a header, and the headers in front of one.

POSIX.1-2017 ``pax``, "pax Header Block" and "ustar Interchange Format"; GNU tar's manual,
"Basic Tar Format" (types ``L`` and ``K``, numbers in base 256). Everything is untrusted and
bounded. Errors do not name the archive: whoever reads one says ``about`` which it is.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from imgpack.errors import ArchiveError, LimitError
from imgpack.tar.header import BLOCK
from imgpack.tar.sparse import PREFIX, SparseRecords

MAX_EXTENSION: Final = 1 << 20
"""Bytes of one pax header or GNU long name."""
MAX_NAME: Final = 1 << 16
"""Bytes of a member's name or of a link's target: sixteen times what a system call takes."""
EXTENSIONS: Final = b"xgLK"
"""Types of headers that only say something about the next member, or about all."""

_MAX_EXTENSIONS: Final = 4 * MAX_EXTENSION
"""Bytes of all headers in front of one member."""
_SPARSE_NAME: Final = PREFIX + b"name"
_LENGTH: Final = re.compile(rb"([0-9]{1,19}) ")
_HALF: Final = BLOCK // 2
_CHECKSUM: Final = slice(148, 156)


@dataclass(slots=True)
class Extension:
    """What the headers in front of a member say about it.

    ``others`` are its other pax records, ``taken`` the bytes of all headers so far.
    """

    path: bytes | None = None
    link: bytes | None = None
    size: int | None = None
    sparse: SparseRecords = field(default_factory=SparseRecords)
    others: dict[bytes, bytes] = field(default_factory=dict)
    taken: int = 0

    def extend(self, flag: int, data: bytes) -> None:
        """Take the content of a header of type ``flag``. Raises ``ArchiveError``, ``LimitError``.

        What a global header says of all members is not taken, and refused where it would
        give them one name or size.
        """
        self.taken += len(data)
        if self.taken > _MAX_EXTENSIONS:
            raise LimitError("the headers in front of one member are too large together")
        if flag == ord("L"):
            self.path = _bounded(text(data))
        elif flag == ord("K"):
            self.link = _bounded(text(data))
        else:
            for key, value in records(data):
                if flag == ord("x"):
                    self._take(key, value)
                elif key in (b"path", b"linkpath", b"size") or key.startswith(PREFIX):
                    raise one_for_all(key)

    def _take(self, key: bytes, value: bytes) -> None:
        if key == b"size":
            if not value.isdigit() or len(value) > 19:
                raise ArchiveError(f"it is damaged: {value[:40]!r} is no size")
            self.size = int(value)
        elif key == b"path":
            self.path = _bounded(value)
        elif key == b"linkpath":
            self.link = _bounded(value)
        elif key.startswith(PREFIX):
            self.sparse.add(key, _bounded(value) if key == _SPARSE_NAME else value)
        else:
            self.others[key] = value


def one_for_all(key: bytes) -> ArchiveError:
    """The error for a global pax header that says ``key`` of every member."""
    return ArchiveError(
        f"it gives one {key[:100].decode(errors='replace')} to all members",
        "make it again without a global pax header",
    )


def records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a pax header. Raises ``ArchiveError``."""
    at = 0
    while at < len(data):
        match = _LENGTH.match(data, at)
        end = at + int(match[1]) if match else at
        record = data[match.end() : end] if match else b""
        key, equals, value = record[:-1].partition(b"=")
        # A record that is not empty ends behind its length, so the loop moves on.
        if not equals or end > len(data) or record[-1:] != b"\n":
            raise ArchiveError("it is damaged: a pax header has a malformed record")
        yield key, value
        at = end


def number(octets: bytes, what: str) -> int:
    """The value of the field ``what``, in octal or, where it may be negative, in base 256."""
    digits = octets.strip(b" \0")
    if not digits.strip(b"01234567"):
        return int(digits, 8) if digits else 0
    if octets[0] == 0x80:
        return int.from_bytes(octets[1:])
    if octets[0] == 0xFF:
        return int.from_bytes(octets, signed=True)
    raise ArchiveError(f"it is damaged: {what} {octets!r} is no number")


def natural(octets: bytes, what: str) -> int:
    """As ``number``, and not below zero."""
    value = number(octets, what)
    if value < 0:
        raise ArchiveError(f"it is damaged: {what} is negative")
    return value


def size_of(block: bytes) -> int:
    """The size that a header says, in bytes. Raises ``ArchiveError``."""
    return natural(block[124:136], "the size")


def name_of(block: bytes) -> bytes:
    """The name that a header says, with the prefix of ustar or of star."""
    name = text(block[:100])
    # GNU's own format says "ustar  " and uses these bytes for other things.
    if block[257:263] != b"ustar\0":
        return name
    prefix = text(block[345:476] if block[508:] == b"tar\0" else block[345:500])
    return prefix + b"/" + name if prefix else name


def text(octets: bytes) -> bytes:
    """A field up to its first zero byte."""
    return octets.partition(b"\0")[0]


def checksum_fits(block: bytes) -> bool:
    """Whether the 512 bytes are a header, by their checksum."""
    said = block[_CHECKSUM].strip(b" \0")
    if not said or said.strip(b"01234567"):
        return False
    # Adler-32 holds the sum of half a block, and is computed in C.
    halves = zlib.adler32(block[:_HALF]) & 0xFFFF, zlib.adler32(block[_HALF:]) & 0xFFFF
    return sum(halves) - 2 - sum(block[_CHECKSUM]) + 8 * 0x20 == int(said, 8)


def padded(size: int) -> int:
    """``size`` up to a whole block."""
    return -(-size // BLOCK) * BLOCK


def _bounded(name: bytes) -> bytes:
    if b"\0" in name:
        raise ArchiveError("it is damaged: a name has a zero byte")
    if len(name) > MAX_NAME:
        raise LimitError(
            f"a member has a name of {len(name)} bytes", f"at most {MAX_NAME} are accepted"
        )
    return name
