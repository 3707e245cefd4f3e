"""A bounded reader of tar archives: an index of where each member's bytes lie, nothing extracted.

POSIX ustar and pax (``path``, ``linkpath``, ``size``), GNU long names, base-256
sizes, and the v7 format of old. Everything is untrusted: the number of members,
their names and every header extension are bounded, each size is checked against
the file, each header against its checksum, and an archive must end in two zero
blocks, so that one cut off anywhere is refused.

A member name that is there twice is read by some loaders as the first and by
others as the last. Such a name cannot be looked up, unless it is that of a blob,
whose digest says what it must be.
"""

import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from imgpack.errors import ArchiveError, LimitError
from imgpack.files.reading import read_range

BLOCK: Final = 512
MAX_MEMBERS: Final = 100_000
"""Headers of an archive: a hundred times what 125 layers in Docker's oldest format need."""
MAX_EXTENSION: Final = 1 << 20
"""Bytes of one pax header or GNU long name."""
MAX_NAME: Final = 1 << 16
"""Bytes of a member's name or of a link's target: sixteen times what a system call takes."""
MAX_LINKS: Final = 16

_ZERO: Final = bytes(BLOCK)
_REGULAR: Final = frozenset(b"0\x007")
_HEADER_ONLY: Final = frozenset(b"123456")
_WINDOW: Final = 1 << 16
_HERE: Final = re.compile(r"\A(?:\./)++")
_COMPRESSED: Final = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"\x28\xb5\x2f\xfd": ("zstd", "zstd -d"),
    b"\xfd7zXZ\0": ("xz", "unxz"),
    b"BZh": ("bzip2", "bunzip2"),
}


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its type flag, where its bytes lie, and where a link points."""

    flag: int
    start: int
    size: int
    link: str = ""


@dataclass(slots=True)
class _Extension:
    """What the headers before a member say about it."""

    path: str | None = None
    link: str | None = None
    size: int | None = None
    sparse: bool = False


@dataclass(slots=True)
class _Scan:
    members: dict[str, Member] = field(default_factory=dict)
    twice: set[str] = field(default_factory=set)


class TarFile:
    """The members of an open tar archive. Reading is by ``pread``: safe in threads."""

    def __init__(self, fd: int, path: str) -> None:
        self._fd = fd
        self._path = path
        self._size = os.fstat(fd).st_size
        self._window = (0, b"")
        self._check_kind()
        scan = _Scan()
        for name, member in self._walk():
            if name in scan.members:
                scan.twice.add(name)
            else:
                scan.members[name] = member
        self._window = (0, b"")
        self._members: Mapping[str, Member] = scan.members
        self._twice = scan.twice

    def size(self, name: str) -> int | None:
        """The size in bytes of the regular file ``name``, or ``None``; links are followed."""
        member = self.find(name)
        return member.size if member else None

    def chunks(self, name: str, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a regular file from ``offset``. Raises ``ArchiveError``."""
        member = self.find(name)
        if member is None:
            raise ArchiveError(f"{self._path} has no member {name!r}")
        yield from read_range(self._fd, member.start + offset, member.size - offset)

    def close(self) -> None:
        """Close the file; harmless a second time."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def find(self, name: str) -> Member | None:
        """The regular file ``name``, or ``None``; links are followed. Raises ``ArchiveError``."""
        start = name
        for _ in range(MAX_LINKS):
            member = self._members.get(name)
            if member is None:
                return None
            if name in self._twice and not name.startswith("blobs/"):
                raise ArchiveError(
                    f"{self._path} is ambiguous: it has the member {name!r} twice",
                    "loaders disagree which of them counts; make the archive again",
                )
            if member.flag in _REGULAR:
                return member
            if member.flag != ord("2"):
                raise ArchiveError(f"{self._path}: the member {name!r} is not a regular file")
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.link))
            if posixpath.isabs(target) or target.startswith("../"):
                raise ArchiveError(f"{self._path}: the link {name!r} points out of the archive")
            name = target
        raise ArchiveError(f"{self._path}: the links of {start!r} do not end")

    def _check_kind(self) -> None:
        if self._size == 0:
            raise ArchiveError(f"{self._path} is empty", "it is not an image archive")
        head = os.pread(self._fd, BLOCK, 0)
        for magic, (kind, command) in _COMPRESSED.items():
            if head.startswith(magic):
                raise ArchiveError(
                    f"{self._path} is compressed as a whole, with {kind}",
                    f"decompress it first ({command}): its layers are compressed already",
                )
        if len(head) == BLOCK and head != _ZERO and not _checksum_fits(head):
            raise ArchiveError(f"{self._path} is not a tar archive")

    def _walk(self) -> Iterator[tuple[str, Member]]:
        offset = 0
        count = 0
        extension = _Extension()
        while (block := self._block(offset)) != _ZERO:
            if not _checksum_fits(block):
                raise ArchiveError(
                    f"{self._path} is damaged: there is no tar header at byte {offset}"
                )
            count += 1
            if count > MAX_MEMBERS:
                raise LimitError(f"{self._path} has more than {MAX_MEMBERS} members")
            flag = block[156]
            size = self._number(block[124:136], offset)
            offset += BLOCK
            if flag in b"xgLK":
                self._extend(extension, flag, self._extension(offset, size))
                offset += _padded(size)
                continue
            name = extension.path if extension.path is not None else _name(block)
            if extension.size is not None:
                size = extension.size
            if flag == 0 and name.endswith("/"):
                flag = ord("5")
            if flag in _HEADER_ONLY:
                size = 0
            self._need(offset + size, name)
            link = extension.link if extension.link is not None else _text(block[157:257])
            kind = ord("S") if extension.sparse else flag
            yield _normal(name), Member(kind, offset, size, link)
            offset += _padded(size)
            extension = _Extension()
        if self._block(offset + BLOCK) != _ZERO:
            raise ArchiveError(
                f"{self._path} is damaged: a lone zero block at byte {offset} ends it"
            )

    def _need(self, end: int, name: str) -> None:
        if end > self._size:
            raise ArchiveError(
                f"{self._path} is truncated: the member {name[:200]!r} needs bytes up to {end}, "
                f"and the file ends at byte {self._size}",
                "copy or make it again",
            )

    def _block(self, offset: int) -> bytes:
        start, window = self._window
        if not start <= offset <= offset + BLOCK <= start + len(window):
            # Small at first: most headers are followed by content that is not read now.
            length = _WINDOW if offset == start + len(window) and window else 4 * BLOCK
            start, window = offset, os.pread(self._fd, length, offset)
            self._window = (start, window)
        block = window[offset - start : offset - start + BLOCK]
        if len(block) < BLOCK:
            raise ArchiveError(
                f"{self._path} is truncated at byte {self._size}: its end is missing",
                "copy or make it again",
            )
        return block

    def _number(self, octets: bytes, offset: int) -> int:
        if octets[0] == 0x80:
            return int.from_bytes(octets[1:], "big")
        text = octets.strip(b" \0")
        if octets[0] & 0x80 or text.strip(b"01234567"):
            raise ArchiveError(f"{self._path} is damaged: the size at byte {offset + 124} is none")
        return int(text, 8) if text else 0

    def _extension(self, offset: int, size: int) -> bytes:
        if size > MAX_EXTENSION:
            raise LimitError(f"{self._path}: the tar header at byte {offset - BLOCK} is too large")
        self._need(offset + _padded(size), "of a pax header")
        return os.pread(self._fd, size, offset)

    def _extend(self, extension: _Extension, flag: int, data: bytes) -> None:
        if flag == ord("L"):
            extension.path = self._long_name(data.partition(b"\0")[0])
        elif flag == ord("K"):
            extension.link = self._long_name(data.partition(b"\0")[0])
        else:
            for key, value in self._records(data):
                known = key in (b"path", b"linkpath", b"size") or key.startswith(b"GNU.sparse.")
                if known and flag == ord("g"):
                    raise ArchiveError(f"{self._path} gives one {key.decode()} to all members")
                if known:
                    self._apply(extension, key, value)

    def _apply(self, extension: _Extension, key: bytes, value: bytes) -> None:
        if key == b"size":
            if not value.isdigit() or len(value) > 19:
                raise ArchiveError(f"{self._path} is damaged: {value[:40]!r} is no size")
            extension.size = int(value)
        elif b"\0" in value:
            raise ArchiveError(f"{self._path} is damaged: a name has a zero byte")
        elif key == b"path":
            extension.path = self._long_name(value)
        elif key == b"linkpath":
            extension.link = self._long_name(value)
        else:
            extension.sparse = True

    def _long_name(self, octets: bytes) -> str:
        if len(octets) > MAX_NAME:
            raise LimitError(
                f"{self._path}: a member has a name of {len(octets)} bytes",
                f"at most {MAX_NAME} are accepted",
            )
        return _text(octets)

    def _records(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        at = 0
        while at < len(data):
            space = data.find(b" ", at, at + 20)
            digits = data[at:space] if space > 0 else b""
            length = int(digits) if digits.isdigit() else 0
            record = data[space + 1 : at + length]
            key, equals, value = record[:-1].partition(b"=")
            if not equals or at + length > len(data) or record[-1:] != b"\n":
                raise ArchiveError(f"{self._path} is damaged: a pax header has a malformed record")
            yield key, value
            at += length


def _checksum_fits(block: bytes) -> bool:
    text = block[148:156].strip(b" \0")
    if not text or text.strip(b"01234567"):
        return False
    return sum(block) - sum(block[148:156]) + 8 * 0x20 == int(text, 8)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _text(octets: bytes) -> str:
    return octets.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _name(block: bytes) -> str:
    name = _text(block[:100])
    # GNU's own format says "ustar  " and uses these bytes for other things.
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _normal(name: str) -> str:
    # In one step: one cut for each ./ would be quadratic in the length.
    return _HERE.sub("", name).rstrip("/")
