"""A bounded reader of tar archives: an index of where each member's bytes lie, nothing extracted.

POSIX ustar and pax (``path``, ``linkpath``, ``size``), GNU long names, base-256
sizes, sparse members, and the v7 format of old. Everything is untrusted: the number of
members, their names (each, and all together) and every header extension are bounded,
each size is checked against the file, each header against its checksum, and each step
of a loop is forward. An archive ends in two zero blocks, or one, or none: Go's reader,
and so every loader, takes them all (``ended`` tells).

A member name that is there twice is read by some loaders as the first and by others as
the last. Such a name cannot be looked up unless both have the same bytes, or it is that
of a blob, whose digest says what it must be.
"""

import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from imgpack.errors import ArchiveError, LimitError, about
from imgpack.files.reading import CHUNK, read_range
from imgpack.tar.extension import (
    EXTENSIONS,
    MAX_EXTENSION,
    Extension,
    checksum_fits,
    name_of,
    natural,
    padded,
    size_of,
    text,
)
from imgpack.tar.header import BLOCK
from imgpack.tar.sparse import MAX_SPARSE, Sparse, old_gnu

MAX_MEMBERS: Final = 100_000
"""Headers of an archive: a hundred times what 125 layers in Docker's oldest format need."""
MAX_NAMES: Final = 1 << 24
"""Characters of all names and links' targets: a hundred for each of ``MAX_MEMBERS``, and more."""
MAX_LINKS: Final = 16

_ZERO: Final = bytes(BLOCK)
_HOLE: Final = bytes(CHUNK)
_REGULAR: Final = frozenset(b"0\x007S")
_HARD_LINK: Final = ord("1")
_SYMBOLIC_LINK: Final = ord("2")
_HEADER_ONLY: Final = frozenset(b"123456")
_WINDOW: Final = 1 << 16
_HERE: Final = re.compile(r"\A(?:\./++)++")


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its type flag, where its bytes lie, and where a link points."""

    flag: int
    start: int
    size: int
    link: str = ""
    sparse: Sparse | None = None


class TarFile:
    """The members of an open tar archive. Reading is by ``pread``: safe in threads.

    ``ended``: whether the two zero blocks are there that end an archive.
    """

    def __init__(self, fd: int, path: str) -> None:
        self._fd = fd
        self._path = path
        self._size = os.fstat(fd).st_size
        self._window = (0, b"")
        self._members: dict[str, Member] = {}
        self._twice: dict[str, list[Member]] = {}
        self.ended = False
        self._check_kind()
        names = sparse = 0
        for name, member in self._walk():
            names += len(name) + len(member.link)
            if names > MAX_NAMES:
                raise LimitError(
                    f"{path}: its members' names are too long together",
                    f"at most {MAX_NAMES} characters are accepted",
                )
            if member.sparse is not None:
                sparse += member.size
                if sparse > MAX_SPARSE:
                    raise LimitError(
                        f"{path}: its sparse members are too large",
                        f"at most {MAX_SPARSE} bytes are accepted",
                    )
            if self._members.setdefault(name, member) is not member:
                self._twice.setdefault(name, []).append(member)
        self._window = (0, b"")

    def size(self, name: str) -> int | None:
        """The size in bytes of the regular file ``name``, or ``None``; links are followed."""
        member = self.find(name)
        return member.size if member else None

    def chunks(self, name: str, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a regular file from ``offset``. Raises ``ArchiveError``."""
        member = self.find(name)
        if member is None:
            raise ArchiveError(f"{self._path} has no member {name!r}")
        yield from self._bytes(member, offset)

    def _bytes(self, member: Member, offset: int = 0) -> Iterator[bytes]:
        if member.sparse is None:
            yield from read_range(self._fd, member.start + offset, member.size - offset)
            return
        for start, length in member.sparse.pieces(offset):
            if start is not None:
                yield from read_range(self._fd, start, length)
                continue
            for at in range(0, length, CHUNK):
                yield _HOLE[: length - at]

    def close(self) -> None:
        """Close the file; harmless a second time."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def find(self, name: str) -> Member | None:
        """The regular file ``name``, or ``None``; links are followed. Raises ``ArchiveError``."""
        start = name = normal(name)
        for _ in range(MAX_LINKS):
            member = self._members.get(name)
            if member is None:
                return None
            if name in self._twice and not name.startswith("blobs/"):
                self._check_twice(name, member)
            if member.flag in _REGULAR:
                return member
            name = self._target(name, member)
        raise ArchiveError(
            f"{self._path}: the links of {start!r} do not end",
            "they lead in a circle: make the archive again",
        )

    def _target(self, name: str, link: Member) -> str:
        if link.flag == _HARD_LINK:
            target = normal(link.link)
            found = self._members.get(target)
            if found is None or found.start >= link.start:
                raise ArchiveError(
                    f"{self._path}: the hard link {name!r} names no member in front of it",
                    "make the archive again",
                )
        elif link.flag == _SYMBOLIC_LINK:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), link.link))
        else:
            raise ArchiveError(f"{self._path}: the member {name!r} is not a regular file")
        if posixpath.isabs(target) or target.startswith("../"):
            raise ArchiveError(f"{self._path}: the link {name!r} points out of the archive")
        return target

    def _check_twice(self, name: str, first: Member) -> None:
        """Refuse a name whose members differ; the same bytes are the same for every loader."""
        for other in self._twice.get(name, ()):
            same = (first.flag, first.size, first.link) == (other.flag, other.size, other.link)
            pairs = zip_longest(self._bytes(first), self._bytes(other)) if same else [("", None)]
            # Both are cut at the same places unless one is sparse, which nobody writes twice.
            if any(one != two for one, two in pairs):
                raise ArchiveError(
                    f"{self._path} is ambiguous: it has the member {name!r} twice",
                    "loaders disagree which of them counts; make the archive again",
                )
        # Compared once: each name is looked up several times.
        self._twice.pop(name, None)

    def _check_kind(self) -> None:
        if self._size == 0:
            raise ArchiveError(f"{self._path} is empty", "it is not an image archive")
        if not is_tar(os.pread(self._fd, BLOCK, 0)):
            raise ArchiveError(f"{self._path} is not a tar archive")

    def _walk(self) -> Iterator[tuple[str, Member]]:
        offset = 0
        count = 0
        extension = Extension()
        # Each turn moves on by a header at least.
        while offset < self._size and (block := self._block(offset)) != _ZERO:
            if not checksum_fits(block):
                raise ArchiveError(
                    f"{self._path} is damaged: there is no tar header at byte {offset}"
                )
            count += 1
            if count > MAX_MEMBERS:
                raise LimitError(f"{self._path} has more than {MAX_MEMBERS} members")
            flag = block[156]
            with about(f"{self._path}: the header at byte {offset}"):
                size = size_of(block)
            offset += BLOCK
            if flag in EXTENSIONS:
                data = self._extension(offset, size)
                with about(self._path):
                    extension.extend(flag, data)
                offset += padded(size)
                continue
            name, member = self._member(block, offset, size, extension)
            yield name, member
            end = member.sparse.end if member.sparse else member.start + member.size
            offset = padded(end)
            extension = Extension()
        self._check_end(offset)

    def _member(
        self, block: bytes, offset: int, size: int, extension: Extension
    ) -> tuple[str, Member]:
        """The member whose header ``block`` is, in front of ``offset``, and its name."""
        flag = block[156]
        name = _text(extension.path if extension.path is not None else name_of(block))
        if extension.sparse.name is not None:
            name = _text(extension.sparse.name)
        if extension.size is not None:
            size = extension.size
        if flag == 0 and name.endswith("/"):
            flag = ord("5")
        if flag in _HEADER_ONLY:
            size = 0
        self._need(offset + size, name)
        link = _text(extension.link if extension.link is not None else text(block[157:257]))
        with about(f"{self._path}: the member {name[:200]!r}"):
            sparse: Sparse | None = None
            if flag == ord("S"):
                sparse = old_gnu(block, self._read, offset, size, _number)
            elif flag in _REGULAR:
                sparse = extension.sparse.member(self._read, offset, size)
        if sparse is None:
            return normal(name), Member(flag, offset, size, link)
        self._need(sparse.end, name)
        return normal(name), Member(flag, sparse.start, sparse.size, link, sparse)

    def _check_end(self, offset: int) -> None:
        """Look at what follows the last member: zero blocks, one or two, or nothing."""
        rest = os.pread(self._fd, 2 * BLOCK, offset) if offset < self._size else b""
        self.ended = rest == 2 * _ZERO
        if any(rest):
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
        if len(block) < BLOCK and 0 < self._size < BLOCK:
            raise ArchiveError(
                f"{self._path} is not a tar archive: it has only {self._size} bytes",
                "name an archive of an image",
            )
        if len(block) < BLOCK:
            raise ArchiveError(
                f"{self._path} is truncated at byte {self._size}: its end is missing",
                "copy or make it again",
            )
        return block

    def _read(self, offset: int, size: int) -> bytes:
        return os.pread(self._fd, size, offset)

    def _extension(self, offset: int, size: int) -> bytes:
        if size > MAX_EXTENSION:
            raise LimitError(f"{self._path}: the tar header at byte {offset - BLOCK} is too large")
        self._need(offset + padded(size), "of a pax header")
        return os.pread(self._fd, size, offset)


def is_tar(head: bytes) -> bool:
    """Whether a file that begins with the block ``head`` can be a tar archive."""
    return len(head) < BLOCK or head == _ZERO or checksum_fits(head)


def _number(octets: bytes) -> int:
    return natural(octets, "a place in its map")


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def normal(name: str) -> str:
    """A member's name as loaders look it up: without ``./`` and the like."""
    # In one step: one cut for each ./ would be quadratic in the length.
    name = _HERE.sub("", name).rstrip("/")
    return posixpath.normpath(name) if "//" in name or "/." in name else name
