"""Access control lists that an archive has as text, as the attributes that a kernel keeps.

Sources: star's ``SCHILY.acl.access`` and ``SCHILY.acl.default``, which GNU tar (``--acls``)
and bsdtar write; acl(5), "ACL Text Forms"; Linux ``posix_acl_xattr.h``.
"""

import re
import struct
from typing import Final

from imgpack.errors import TreeError, quoted

_VERSION: Final = 2
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NO_ID: Final = 0xFFFFFFFF
_TAGS: Final = {
    b"user": (_USER_OBJ, _USER),
    b"group": (_GROUP_OBJ, _GROUP),
    b"mask": (_MASK, None),
    b"other": (_OTHER, None),
}
_ENTRY: Final = re.compile(
    rb"(user|group|mask|other):(?:([^:]*):)?([r-][w-][x-])(?::([0-9]{1,10}))?"
)
_HEADER: Final = struct.Struct("<I")
_ITEM: Final = struct.Struct("<HHI")


def parse_acl(text: bytes) -> bytes | None:
    """The value of ``system.posix_acl_access`` or ``..._default`` that ``text`` stands for.

    ``None`` for one that says no more than the permissions of its file do. Raises
    ``TreeError`` for a malformed one, and for a name that has no number.
    """
    items = sorted(_item(line) for line in re.split(rb"[,\n]", text) if line.strip())
    if {tag for tag, _, _ in items} <= {_USER_OBJ, _GROUP_OBJ, _OTHER}:
        return None
    return _HEADER.pack(_VERSION) + b"".join(
        _ITEM.pack(tag, permissions, owner) for tag, owner, permissions in items
    )


def acl_mode(value: bytes) -> int:
    """The nine permission bits of a file that gets the access list ``value``, as Linux sets them.

    Those of the group are the mask; bsdtar writes others.
    """
    permissions: dict[int, int] = {
        tag: bits for tag, bits, _ in _ITEM.iter_unpack(value[_HEADER.size :])
    }
    group = permissions.get(_MASK, permissions.get(_GROUP_OBJ, 0))
    return permissions.get(_USER_OBJ, 0) << 6 | group << 3 | permissions.get(_OTHER, 0)


def _item(line: bytes) -> tuple[int, int, int]:
    """Tag, id and permissions: the order in which the kernel has them."""
    match = _ENTRY.fullmatch(line.strip())
    tags = _TAGS[match[1]] if match else (0, None)
    name = match[2] if match else b""
    tag = tags[1] if name else tags[0]
    if match is None or tag is None:
        raise TreeError(f"its access control list has the malformed line {quoted(line[:80])}")
    permissions = sum(4 >> at for at, letter in enumerate(match[3]) if letter != ord("-"))
    return tag, _id(name, match[4]) if name else _NO_ID, permissions


def _id(name: bytes, number: bytes | None) -> int:
    digits = number or (b"0" if name == b"root" else name)
    if not digits.isdigit() or int(digits) >= _NO_ID:
        raise TreeError(
            f"its access control list names {quoted(name[:80])}, and no number for it",
            "make the archive with numeric owners, or with extended attributes",
        )
    return int(digits)
