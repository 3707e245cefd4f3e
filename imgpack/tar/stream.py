"""A forward reader of tar: every member of a layer or a root file system, with its content.

POSIX.1-2017 ``pax`` and its ustar, the v7 format of old, GNU tar's long names, numbers in
base 256 and sparse members, star's prefix; extended attributes as GNU tar and star
(``SCHILY.xattr``) and bsdtar (``LIBARCHIVE.xattr``) write them. Everything is untrusted and
bounded: members, their names and attributes together, each header in front of one. Errors
do not name the archive: whoever reads one says ``about`` which it is.

An archive ends with two zero blocks, or one, or none. What follows is read and ignored, so
that a digest of the stream covers it.
"""

import base64
import binascii
import os
import re
import stat
import urllib.parse
from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from typing import Final, NamedTuple

from imgpack.errors import ArchiveError, ImgpackError, LimitError, about, brief
from imgpack.files.reading import CHUNK
from imgpack.tar.extension import (
    EXTENSIONS,
    MAX_EXTENSION,
    Extension,
    checksum_fits,
    name_of,
    natural,
    number,
    one_for_all,
    padded,
    records,
    size_of,
    text,
)
from imgpack.tar.forward import Forward, ForwardChunks, ForwardFile
from imgpack.tar.header import BLOCK, MAX_ID
from imgpack.tar.sparse import MAX_SPARSE, Sparse, old_gnu

MAX_MEMBERS: Final = 10_000_000
"""Members of one archive: as many files as ext4 makes on a disk of 160 GB."""
MAX_NAMES: Final = 1 << 30
"""Bytes of all names, links' targets and attributes: a hundred for each of ``MAX_MEMBERS``."""

_ZERO: Final = bytes(BLOCK)
_HOLE: Final = bytes(CHUNK)
_LONGEST_PEEK: Final = 1 << 22
_NS: Final = 1_000_000_000
_MAX_OWNER: Final = 2**32 - 2
"""The next is -1, which to ``chown`` means no change."""
_TIME: Final = re.compile(rb"(-?)([0-9]{1,19})(?:\.([0-9]*))?")
_XATTR: Final = b"SCHILY.xattr."
_LIBARCHIVE: Final = b"LIBARCHIVE.xattr."
_ACLS: Final = (
    (b"SCHILY.acl.access", b"system.posix_acl_access"),
    (b"SCHILY.acl.default", b"system.posix_acl_default"),
)
_OF_ONE: Final = (b"uid", b"gid", b"mtime")
_REGULAR: Final = frozenset(b"0\x007S")
_KINDS: Final = {
    **dict.fromkeys(_REGULAR, stat.S_IFREG),
    ord("1"): 0,
    ord("2"): stat.S_IFLNK,
    ord("3"): stat.S_IFCHR,
    ord("4"): stat.S_IFBLK,
    ord("5"): stat.S_IFDIR,
    ord("6"): stat.S_IFIFO,
}
_DEVICES: Final = frozenset({stat.S_IFCHR, stat.S_IFBLK})
_SPARSE: Final = ord("S")
_LABEL: Final = ord("V")  # the name of a volume of GNU tar's, which says nothing of any file


class StreamMember(NamedTuple):
    """One member. ``path`` is clean: relative, without ``.``, ``..`` or a slash at its end.

    It is empty for the root. ``kind`` are the bits of a type, and 0 for a hard link, whose
    ``link`` is the clean path that it names; that of a symbolic link is its target.
    ``size`` and ``offset``, in the stream, are those of the content, in bytes; what of a
    ``sparse`` one is stored where, that says. ``acls`` are texts of access control lists, by
    the attributes that they would be: engines read only those.
    """

    path: bytes
    kind: int
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int
    link: bytes
    rdev: int
    xattrs: dict[bytes, bytes]
    offset: int
    sparse: Sparse | None = None
    acls: tuple[tuple[bytes, bytes], ...] = ()


Members = Iterator[tuple[StreamMember, Iterator[bytes]]]
"""Members in the archive's order, each with its bytes, to be read before the next is asked for."""


def read_members(chunks: Iterable[bytes]) -> Members:
    """The members of an archive that comes in ``chunks`` of any size; all of it is read.

    Content may be left unread. Raises ``ArchiveError``, ``LimitError``.
    """
    return _members(ForwardChunks(chunks))


def read_file_members(descriptor: int) -> Members:
    """As ``read_members``, of a regular file: content that nobody reads is passed over."""
    return _members(ForwardFile(descriptor))


def _members(source: Forward) -> Members:
    extension = Extension()
    count = names = sparse = 0
    # Each turn moves on by a header at least.
    while (block := source.peek(BLOCK)) and block != _ZERO:
        _check_header(block, source.offset)
        offset = source.offset
        source.skip(BLOCK)
        if block[156] in EXTENSIONS:
            with about(f"the header at byte {offset}"):
                _extend(extension, block, source)
            continue
        if block[156] == _LABEL:
            continue
        member, end = _named(block, extension, source)
        count += 1
        names += len(member.path) + len(member.link)
        for name, value in chain(member.xattrs.items(), member.acls):
            names += len(name) + len(value)
        sparse += member.size if member.sparse else 0
        if count > MAX_MEMBERS or names > MAX_NAMES or sparse > MAX_SPARSE:
            raise LimitError(
                "it has too many members, or their names or holes are too large together",
                f"at most {MAX_MEMBERS:,} members are read",
            )
        content = _content(source, member)
        yield member, content
        content.close()
        _pass(source, end - source.offset, member)
        source.skip(padded(end) - end)  # which the last member may lack
        if extension.taken:
            extension = Extension()
    _finish(source, block)


def _check_header(block: bytes, offset: int) -> None:
    if len(block) < BLOCK and block and not offset:
        raise ArchiveError(
            f"it is not a tar archive: it has only {len(block)} bytes", "name a tar archive"
        )
    if len(block) < BLOCK:
        raise _truncated(offset + len(block))
    if not checksum_fits(block):
        what = "it is not a tar archive" if offset == 0 else "it is damaged"
        hint = "name a tar archive" if offset == 0 else "copy or make it again"
        raise ArchiveError(f"{what}: there is no tar header at byte {offset}", hint)


def _extend(extension: Extension, block: bytes, source: Forward) -> None:
    size = size_of(block)
    if size > MAX_EXTENSION:
        raise LimitError(f"it has {size} bytes", f"at most {MAX_EXTENSION} are read")
    data = source.peek(size)
    if len(data) < size:
        raise _truncated(source.offset + len(data))
    source.skip(padded(size))
    extension.extend(block[156], data)
    if block[156] == ord("g"):
        for key, _ in records(data):
            if key in _OF_ONE or key.startswith((_XATTR, _LIBARCHIVE)):
                raise one_for_all(key)


def _named(block: bytes, extension: Extension, source: Forward) -> tuple[StreamMember, int]:
    """The member whose header ``block`` is, and where what is stored of it ends."""
    name = extension.sparse.name or extension.path or name_of(block)
    try:  # not about(), which costs as much as the rest: this runs for every file
        return _member(name, block, extension, source)
    except ImgpackError as error:
        raise error.reworded(f"the member '{brief(name)}': {error.message}") from error


def _member(
    name: bytes, block: bytes, extension: Extension, source: Forward
) -> tuple[StreamMember, int]:
    flag = block[156]
    kind = _KINDS.get(flag)
    if kind is None:
        raise ArchiveError(
            f"it is of the type {chr(flag)!r}, which no file has",
            "make the archive again, in the pax format",
        )
    path, link, others = _clean(name), b"", extension.others
    if flag == 0 and name.endswith(b"/"):
        kind = stat.S_IFDIR
    if flag in b"12":
        link = _link(kind, extension.link or text(block[157:257]))
    size = start = 0
    sparse: Sparse | None = None
    if kind == stat.S_IFREG:
        size = size_of(block) if extension.size is None else extension.size
        if flag == _SPARSE or extension.taken:
            sparse = _sparse(block, extension, source, size)
    start, end = source.offset, source.offset + size
    if sparse is not None:
        size, start, end = sparse.size, sparse.start, sparse.end
    member = StreamMember(
        path, kind, natural(block[100:108], "the mode") & 0o7777,
        _owner(others.get(b"uid"), block[108:116], "the uid"),
        _owner(others.get(b"gid"), block[116:124], "the gid"),
        _time(others.get(b"mtime"), block[136:148]),
        size, link, _device(block) if kind in _DEVICES else 0,
        _xattrs(others) if others else {}, start, sparse,
        tuple((name, others[key]) for key, name in _ACLS if key in others) if others else (),
    )  # fmt: skip
    return member, end


def _clean(name: bytes) -> bytes:
    """A name without what it may begin or end with. Raises ``ArchiveError``."""
    if not name:
        raise ArchiveError("it has no name")
    path = name.removeprefix(b"./").rstrip(b"/")
    if b"//" in path or b"/." in path or path[:1] in (b"/", b"."):
        parts = [part for part in path.split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            raise ArchiveError(
                f"the name '{brief(name)}' leads out of the archive with ..",
                "make the archive again from inside the directory",
            )
        path = b"/".join(parts)
    return path


def _link(kind: int, target: bytes) -> bytes:
    if not target:
        raise ArchiveError("it is a link without a target")
    return target if kind else _clean(target)


def _sparse(block: bytes, extension: Extension, source: Forward, stored: int) -> Sparse | None:
    # What a map says lies in front of the content, and is passed over with it.
    front = source.offset

    def read(offset: int, size: int) -> bytes:
        end = offset - front + size
        return source.peek(end)[offset - front :] if end <= _LONGEST_PEEK else b""

    if block[156] == _SPARSE:
        return old_gnu(block, read, front, stored, lambda octets: natural(octets, "a map's"))
    return extension.sparse.member(read, front, stored)


def _owner(record: bytes | None, octets: bytes, what: str) -> int:
    if record and not (record.isdigit() and len(record) < 20):
        raise ArchiveError(f"it is damaged: {what} {record[:40]!r} is no number")
    owner = int(record) if record else natural(octets, what)
    if owner > _MAX_OWNER:
        raise ArchiveError(f"{what} {owner} is above the largest, {_MAX_OWNER}")
    return owner


def _time(record: bytes | None, octets: bytes) -> int:
    """Nanoseconds since 1970; more digits are cut off."""
    if not record:
        return number(octets, "the time") * _NS
    match = _TIME.fullmatch(record)
    if match is None:
        raise ArchiveError(f"it is damaged: the time {record[:40]!r} is no number")
    since = int(match[2]) * _NS + int((match[3] or b"")[:9].ljust(9, b"0"))
    return -since if match[1] else since


def _device(block: bytes) -> int:
    numbers = natural(block[329:337], "the device"), natural(block[337:345], "the device")
    if max(numbers) > MAX_ID:
        raise ArchiveError(f"the device {numbers[0]}:{numbers[1]} is above the largest, {MAX_ID}")
    return os.makedev(*numbers)


def _xattrs(others: dict[bytes, bytes]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for key, value in others.items():
        if key.startswith(_LIBARCHIVE):
            name = urllib.parse.unquote_to_bytes(key.removeprefix(_LIBARCHIVE))
            try:
                data = base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
            except binascii.Error:
                raise ArchiveError(f"the attribute {brief(name)} is malformed") from None
            found.setdefault(name, data)
        elif key.startswith(_XATTR):
            found[key.removeprefix(_XATTR)] = value
    return found


def _content(source: Forward, member: StreamMember) -> Generator[bytes, None, None]:
    """The bytes of ``member``, at whose content ``source`` is or in front of its map."""
    if member.sparse is None:
        yield from _exactly(source, member.size, member)
        return
    _pass(source, member.offset - source.offset, member)
    for start, length in member.sparse.pieces(0):
        if start is not None:
            yield from _exactly(source, length, member)
            continue
        for at in range(0, length, CHUNK):
            yield _HOLE[: length - at]


def _exactly(source: Forward, size: int, member: StreamMember) -> Iterator[bytes]:
    for piece in source.pieces(size):
        size -= len(piece)
        yield piece
    if size:
        raise _truncated(source.offset, member)


def _pass(source: Forward, size: int, member: StreamMember) -> None:
    if source.skip(size) < size:
        raise _truncated(source.offset, member)


def _truncated(offset: int, member: StreamMember | None = None) -> ArchiveError:
    where = f", in the member '{brief(member.path)}'" if member else ""
    return ArchiveError(f"it is truncated at byte {offset}{where}", "copy or make it again")


def _finish(source: Forward, block: bytes) -> None:
    """Look at what follows the last member, and read it to its end."""
    rest = source.peek(2 * BLOCK)
    if block and any(rest[BLOCK:]):
        raise ArchiveError(
            f"it is damaged: a lone zero block at byte {source.offset} ends it",
            "copy or make it again",
        )
    for _ in source.pieces(1 << 62):
        pass
