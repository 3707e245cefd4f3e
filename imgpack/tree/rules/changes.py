"""What rules do: owners, permissions, attributes and times, each of what can have them.

A symbolic link has no permissions. Capabilities are for regular files; ``user.`` attributes
for those and for directories, access lists for all but links (xattr(7), capabilities(7)).
"""

import stat
from dataclasses import dataclass
from typing import Final

from imgpack.errors import ConfigError, printable
from imgpack.tree.entry import Entry
from imgpack.tree.rules.modes import ModeChange
from imgpack.tree.transform import MAX_OWNER
from imgpack.tree.xattrs import stays_behind

CAPABILITY: Final = b"security.capability"
_new = tuple.__new__
_NS: Final = 1_000_000_000
_FILE: Final = frozenset({stat.S_IFREG})
_FILE_OR_DIRECTORY: Final = frozenset({stat.S_IFREG, stat.S_IFDIR})
_MAX_NAME: Final = 255
_MAX_VALUE: Final = 1 << 16
"""Bytes of an attribute's name and value (``XATTR_NAME_MAX``, ``XATTR_SIZE_MAX``)."""


@dataclass(frozen=True, slots=True)
class ChangeOwner:
    """Another owner and group; ``None`` keeps the one or the other. Raises ``ConfigError``."""

    uid: int | None
    gid: int | None

    def __post_init__(self) -> None:
        for number in (self.uid, self.gid):
            if number is not None and not 0 <= number <= MAX_OWNER:
                raise ConfigError(f"{number} is above the largest id, {MAX_OWNER}")

    def __call__(self, entry: Entry) -> Entry:
        """``entry`` with its owner."""
        uid = entry.uid if self.uid is None else self.uid
        gid = entry.gid if self.gid is None else self.gid
        # Not _replace, as in transform.SetOwner.
        return _new(Entry, (*entry[:6], uid, gid, *entry[8:]))


@dataclass(frozen=True, slots=True)
class ChangeMode:
    """Other permissions."""

    change: ModeChange

    def __call__(self, entry: Entry) -> Entry | None:
        """``entry`` with its permissions; ``None`` for a symbolic link."""
        mode = entry.mode
        kind = stat.S_IFMT(mode)
        if kind == stat.S_IFLNK:
            return None
        mode = kind | self.change(mode & 0o7777, directory=kind == stat.S_IFDIR)
        return _new(Entry, (*entry[:2], mode, *entry[3:]))


@dataclass(frozen=True, slots=True)
class ChangeAttribute:
    """An extended attribute with another value; ``None`` removes it. Raises ``ConfigError``."""

    name: bytes
    value: bytes | None

    def __post_init__(self) -> None:
        shown = printable(self.name)
        if stays_behind(self.name):
            raise ConfigError(
                f"the attribute {shown} is none of an image",
                "it describes the building host, or what a tool keeps for itself",
            )
        if len(self.name) > _MAX_NAME or len(self.value or b"") > _MAX_VALUE:
            raise ConfigError(
                f"the attribute {shown[:80]} is longer than Linux takes",
                f"its name has at most {_MAX_NAME} bytes, and its value {_MAX_VALUE}",
            )

    def __call__(self, entry: Entry) -> Entry | None:
        """``entry`` with the attribute; ``None`` if Linux gives it none of that name."""
        kind = stat.S_IFMT(entry.mode)
        if self.name == CAPABILITY:
            fits = kind in _FILE
        elif self.name.startswith(b"user."):
            fits = kind in _FILE_OR_DIRECTORY
        else:
            fits = kind != stat.S_IFLNK or not self.name.startswith(b"system.")
        if not fits:
            return None
        said = tuple(one for one in entry.xattrs if one[0] != self.name)
        return entry._replace(xattrs=tuple(sorted((*said, (self.name, self.value)))))
