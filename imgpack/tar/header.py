"""Tar headers: ustar headers, and PAX records only for what ustar cannot say.

Source: POSIX.1-2017 ``pax``, "ustar Interchange Format" and "pax Header Block";
``docs/layer-format.md`` specifies the bytes.

Invariants: everything here decides digests, so changing any constant changes
the digest of every layer ever built; golden vectors pin the bytes. Owner names
are empty (they would depend on the builder's ``/etc/passwd``); there are no
GNU entries and no global PAX headers (``docker build`` breaks on them).
"""

import zlib
from collections.abc import Mapping
from typing import Final

from imgpack.errors import LimitError, printable

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
"""The end of an archive: two zero blocks and no padding to a record of 10240 bytes."""

FILE: Final = b"0"
HARD_LINK: Final = b"1"
SYMLINK: Final = b"2"
CHARACTER_DEVICE: Final = b"3"
BLOCK_DEVICE: Final = b"4"
DIRECTORY: Final = b"5"
FIFO: Final = b"6"
PAX: Final = b"x"

PAX_NAME: Final = b"PaxHeaders.0/x"
"""One fixed name for every PAX header, so that none depends on the entry's path."""

MAX_NAME: Final = 100
MAX_PREFIX: Final = 155
MAX_ID: Final = 0o7777777
"""The largest uid, gid or device number of 7 octal digits."""
MAX_SIZE: Final = 0o77777777777
"""The largest size (8 GiB - 1) and time (the year 2242) of 11 octal digits."""

MAX_PAX: Final = 1 << 20
"""Bytes of one entry's PAX records: the most that Go's reader takes, and with it the engines."""

_MAGIC: Final = b"ustar\x0000"
_OWNER_NAMES: Final = 64  # bytes of user and group name, empty
_TAIL: Final = 12  # what a header has left after its fields
_SPACES: Final = 8 * 0x20  # the checksum field itself counts as eight spaces
_PADDING: Final = tuple(bytes(-n % BLOCK) for n in range(BLOCK))


def padding(size: int) -> bytes:
    """The zeros that fill ``size`` bytes of content up to a whole block."""
    return _PADDING[size % BLOCK]


def split_name(name: bytes) -> tuple[bytes, bytes] | None:
    """``(prefix, name)`` for the ustar fields, or ``None`` if they cannot hold ``name``."""
    if len(name) <= MAX_NAME:
        return b"", name
    if len(name) > MAX_NAME + 1 + MAX_PREFIX:
        return None
    # The last slash at which the prefix still fits leaves the shortest name.
    slash = name.rfind(b"/", 0, min(MAX_PREFIX + 1, len(name) - 1))
    if slash <= 0 or len(name) - slash - 1 > MAX_NAME:
        return None
    return name[:slash], name[slash + 1 :]


def ustar(
    name: bytes,
    *,
    size: int = 0,
    mode: int = 0o644,
    mtime: int = 0,
    uid: int = 0,
    gid: int = 0,
    typeflag: bytes = FILE,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
    prefix: bytes = b"",
) -> bytes:
    """One 512-byte header whose values all fit; ``mtime`` in seconds, ``size`` in bytes."""
    if link or prefix or device != (0, 0):
        rest = _rest(typeflag, link, device, prefix)
    else:
        rest = _PLAIN_REST[typeflag]
    return _block(name, owner(mode, uid, gid), size, mtime, rest)


def owner(mode: int, uid: int, gid: int) -> bytes:
    """The fields of a header that say mode and owner; a tree has few different ones."""
    return b"%07o\0%07o\0%07o\0" % (mode, uid, gid)


def plain(name: bytes, fields: bytes, size: int, mtime: int) -> bytes:
    """As ``encode`` of a file with ``owner``'s ``fields``, all of whose values fit.

    ``name`` has at most ``MAX_NAME`` bytes and ``size`` is at most ``MAX_SIZE``.
    """
    return _block(name, fields, size, mtime, _FILE_REST)


def _block(name: bytes, fields: bytes, size: int, mtime: int, rest: tuple[bytes, int]) -> bytes:
    head = b"%b%b%011o\0%011o\0" % (name.ljust(MAX_NAME, b"\0"), fields, size, mtime)
    # Adler-32 holds the sum of so few bytes, and is computed in C.
    checksum = (zlib.adler32(head) & 0xFFFF) - 1 + _SPACES + rest[1]
    return b"%b%06o\0 %b" % (head, checksum, rest[0])


def _rest(
    typeflag: bytes, link: bytes, device: tuple[int, int], prefix: bytes
) -> tuple[bytes, int]:
    """What follows the checksum, and the sum of its bytes."""
    rest = b"".join(
        (
            typeflag,
            link.ljust(MAX_NAME, b"\0"),
            _MAGIC,
            bytes(_OWNER_NAMES),
            b"%07o\0%07o\0" % device,
            prefix.ljust(MAX_PREFIX + _TAIL, b"\0"),
        )
    )
    return rest, sum(rest)


_PLAIN_REST: Final = {
    kind: _rest(kind, b"", (0, 0), b"")
    for kind in (FILE, HARD_LINK, SYMLINK, CHARACTER_DEVICE, BLOCK_DEVICE, DIRECTORY, FIFO, PAX)
}
_FILE_REST: Final = _PLAIN_REST[FILE]


def pax(records: Mapping[bytes, bytes]) -> bytes:
    """A PAX header entry for ``records``: header, sorted records and padding."""
    body = b"".join(_record(key, records[key]) for key in sorted(records))
    return ustar(PAX_NAME, size=len(body), typeflag=PAX) + body + padding(len(body))


def _record(key: bytes, value: bytes) -> bytes:
    # A record begins with its own length in decimal, which that length itself adds to.
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) != len(str(rest)):
        length += 1
    return b"%d %b=%b\n" % (length, key, value)


def encode(
    name: bytes,
    *,
    size: int = 0,
    mode: int = 0o644,
    mtime: int = 0,
    uid: int = 0,
    gid: int = 0,
    typeflag: bytes = FILE,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
    xattrs: Mapping[bytes, bytes] | None = None,
) -> bytes:
    """The header of any entry: ustar, after a PAX header where ustar cannot say it.

    ``xattrs`` maps names such as ``b"user.key"`` to values that are not empty. A
    value that a ustar field cannot hold is zero (or cut) there, and exact in PAX.
    Raises ``LimitError`` for more attributes than loaders read.
    """
    records = {b"SCHILY.xattr." + key: value for key, value in (xattrs or {}).items()}
    path, prefix = name, b""
    if len(name) > MAX_NAME:
        split = split_name(name)
        if split is None:
            records[b"path"] = path
            name = path[:MAX_NAME]
        else:
            prefix, name = split
    if len(link) > MAX_NAME:
        records[b"linkpath"] = link
        link = link[:MAX_NAME]
    block = ustar(
        name,
        size=_fitting(records, b"size", size, MAX_SIZE),
        mode=mode,
        mtime=mtime,
        uid=_fitting(records, b"uid", uid, MAX_ID),
        gid=_fitting(records, b"gid", gid, MAX_ID),
        typeflag=typeflag,
        link=link,
        device=device,
        prefix=prefix,
    )
    return _extended(path, records) + block if records else block


def _fitting(records: dict[bytes, bytes], key: bytes, value: int, most: int) -> int:
    """``value`` if its field holds it, else zero, with the value in ``records``."""
    if value <= most:
        return value
    records[key] = b"%d" % value
    return 0


def _extended(path: bytes, records: Mapping[bytes, bytes]) -> bytes:
    raw = pax(records)
    if len(raw) > BLOCK + MAX_PAX:
        size = sum(len(_record(key, value)) for key, value in records.items())
        raise LimitError(
            f"the attributes of {printable(path)} take {size} bytes in a layer",
            f"engines read {MAX_PAX} for one entry; remove some of them",
        )
    return raw
