"""Extended attributes: which of them belong to the image, and in what form.

Source: the ``SCHILY.xattr`` records that every loader reads; ``docs/layer-format.md``,
"Extended attributes". Attributes that describe the building host (SELinux and
EVM labels, NFS ACLs) or overlayfs's own bookkeeping stay behind: a loader would
write ``trusted.overlay.opaque`` through to its storage and hide files. Where that
bookkeeping says that the tree is only half of one, there is no image to be made.
"""

import errno
import os
import re
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from imgpack.errors import TreeError, printable
from imgpack.tree.entry import Entry, Xattrs
from imgpack.tree.problems import Problems, changed

_HOST: Final = frozenset(
    {b"security.selinux", b"security.evm", b"system.nfs4_acl", b"system.nfs4acl"}
)
_OVERLAYS: Final = (
    b"trusted.overlay.", b"user.overlay.", b"user.fuseoverlayfs.", b"security.fuseoverlayfs."
)  # fmt: skip
_BOOKKEEPING: Final = (*_OVERLAYS, b"com.apple.")
_UNMERGED: Final = (b".opaque", b".redirect", b".metacopy", b".whiteout", b".whiteouts")
"""Of overlayfs: content that lies elsewhere, and deletions that only a merged tree shows."""
ROOTLESS: Final = b"user.rootlesscontainers"
"""Where umoci keeps the owner of what a normal user extracts."""
OVERRIDE: Final = b"user.containers.override_stat"
"""Where containers/storage keeps the owner, the mode and the kind."""
_OVERRIDES: Final = frozenset(
    {
        OVERRIDE,
        b"user.fuseoverlayfs.override_stat",
        b"security.fuseoverlayfs.override_stat",
    }
)
_OVERRIDE_VALUE: Final = re.compile(rb"(\d{1,10}):(\d{1,10}):([0-7]{1,7})(?::([^:]*).*)?")
_RECORDED_KINDS: Final = {
    b"file": stat.S_IFREG, b"dir": stat.S_IFDIR, b"symlink": stat.S_IFLNK,
    b"pipe": stat.S_IFIFO, b"socket": stat.S_IFSOCK,
    b"block": stat.S_IFBLK, b"char": stat.S_IFCHR,
}  # fmt: skip
_RECORDED_TYPE: Final = re.compile(
    rb"(file|dir|symlink|pipe|socket)|(block|char)-(\d+)-(\d+)(?:-.*)?"
)
_STANDING_FOR: Final = frozenset({stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFBLK, stat.S_IFCHR})
"""What a normal user cannot make, or a share has not: an empty file stands for it."""
_MAX_DEVICE: Final = 2**20 - 1
"""The largest number that half of Linux's ``dev_t`` is passed with."""
_CAPABILITY: Final = b"security.capability"

_VFS_CAP_REVISION_2: Final = 0x02000000
_VFS_CAP_REVISION_3: Final = 0x03000000
_VFS_CAP_FLAGS: Final = 0x00FFFFFF
_NO_OVERRIDE: Final = 0xFFFFFFFF

_UNSAYABLE: Final = "PAX cannot say an empty value, or = in a name"
_FOREIGN: Final = "it belongs to a root that this user namespace does not know"


@dataclass(frozen=True, slots=True)
class Attributes:
    """What an entry's attributes say: those to write, and the owner and mode they record.

    ``dropped`` are the names of those that the user will miss, each with the reason.
    ``kind`` are the type bits that are recorded, with ``rdev``; ``root`` is the root id that
    the capabilities had.
    """

    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    dropped: tuple[tuple[bytes, str], ...] = ()
    kind: int | None = None
    rdev: int = 0
    root: int | None = None

    def with_said(self, said: Xattrs) -> "Attributes":
        """The same with what is ``said`` of the entry besides: values, and what it has not."""
        if not said:
            return self
        values = dict(self.xattrs) | dict(said)
        kept = tuple((name, value) for name, value in sorted(values.items()) if value is not None)
        return replace(self, xattrs=kept)

    def recorded(self, entry: Entry) -> Entry:
        """``entry`` with the owner, the permissions and the kind that are recorded.

        Raises ``TreeError`` if it cannot stand for that kind.
        """
        on_disk = stat.S_IFMT(entry.mode)
        kind = on_disk if self.kind is None else self.kind
        stands = kind in _STANDING_FOR and on_disk == stat.S_IFREG and not entry.size
        if kind != on_disk and not stands:
            words = {number: word.decode() for word, number in _RECORDED_KINDS.items()}
            raise TreeError(
                f"{printable(entry.shown)} is recorded as {words[kind]} by its attribute "
                "override_stat, and is something else on disk",
                "build from the tree as podman mounts it, or remove it",
            )
        return entry._replace(
            uid=entry.uid if self.uid is None else self.uid,
            gid=entry.gid if self.gid is None else self.gid,
            mode=kind | (stat.S_IMODE(entry.mode) if self.mode is None else self.mode),
            rdev=entry.rdev if kind == on_disk else self.rdev,
        )


NONE: Final = Attributes()


def attributes(entry: Entry, problems: Problems) -> Attributes | None:
    """What an entry's attributes say; ``None`` if they cannot be read, which is remembered.

    Raises ``SourceChangedError``, and ``TreeError`` as ``interpret`` does.
    """
    content = entry.content
    try:
        if not isinstance(content, bytes):
            held = content.xattrs
            found = interpret(held, entry.path) if held else NONE
        else:
            found = read(entry.reach, content) if content else NONE
    except FileNotFoundError:
        raise changed(entry.shown, "vanished") from None
    except OSError as error:
        problems.add(entry.shown, error)
        return None
    return found.with_said(entry.xattrs)


def read(target: int | bytes, shown: bytes) -> Attributes:
    """The attributes of an open file or, without following it, of a path.

    Raises ``OSError`` as the system does, and ``TreeError`` as ``interpret`` does.
    """
    follow = isinstance(target, int)
    try:
        names = os.listxattr(target, follow_symlinks=follow)
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return NONE
        raise
    if not names:
        return NONE
    values: dict[bytes, bytes | None] = {}
    for name in map(os.fsencode, names):
        try:
            values[name] = os.getxattr(target, name, follow_symlinks=follow)
        except OSError as error:
            if error.errno != errno.EOVERFLOW or name != _CAPABILITY:
                raise
            values[name] = None
    return interpret(values, shown)


UNSUPPORTED: Final = frozenset({errno.ENOTSUP, errno.ENOSYS})
"""What a file system without attributes says."""


def interpret(values: Mapping[bytes, bytes | None], shown: bytes) -> Attributes:
    """Sort ``values`` into what is written, what is meant otherwise and what stays behind.

    ``None`` is the capability of another user namespace. Raises ``TreeError`` for a malformed
    record, and for an entry that is not what it looks like.
    """
    kept: list[tuple[bytes, bytes]] = []
    dropped: list[tuple[bytes, str]] = []
    uid = gid = mode = kind = root = None
    rdev = 0
    for name in sorted(values):
        value = values[name]
        if value is None:
            dropped.append((name, _FOREIGN))
        elif name in _OVERRIDES:
            uid, gid, mode = _override(name, value, shown)
            kind, rdev = _recorded_type(name, value, shown)
        elif name in _HOST or name.startswith(_BOOKKEEPING):
            _check_merged(name, shown)
        elif name == ROOTLESS:
            uid, gid = _rootless(value, shown)
        elif not value or b"=" in name:
            dropped.append((name, _UNSAYABLE))
        else:
            if name == _CAPABILITY:
                root, value = _root_id(value), portable_capability(value)
            kept.append((name, value))
    return Attributes(tuple(kept), uid, gid, mode, tuple(dropped), kind, rdev, root)


def stays_behind(name: bytes) -> bool:
    """Whether an attribute of this name is never written, whatever its value."""
    own = name in _HOST or name in _OVERRIDES or name == ROOTLESS or b"=" in name
    return own or name.startswith(_BOOKKEEPING)


def _check_merged(name: bytes, shown: bytes) -> None:
    if name.startswith(_OVERLAYS) and name.endswith(_UNMERGED):
        raise TreeError(
            f"{printable(shown)} has the attribute {printable(name)}, which only an upper "
            "directory of overlayfs has: some of what it stands for lies elsewhere",
            f"build from the merged tree, or remove it: setfattr -x {printable(name)} PATH",
        )


def portable_capability(value: bytes) -> bytes:
    """Version 3 file capabilities without their root id, as version 2.

    A version 3 value (24 bytes) is bound to the user namespace that wrote it and
    is dead on any other host; source: ``linux/capability.h``.
    """
    if _root_id(value) is None:
        return value
    (magic,) = struct.unpack_from("<I", value)
    return struct.pack("<I", _VFS_CAP_REVISION_2 | (magic & _VFS_CAP_FLAGS)) + value[4:20]


def _root_id(value: bytes) -> int | None:
    """The root id of version 3 file capabilities; ``None`` for another version."""
    if len(value) != 24:
        return None
    magic, *_, root = struct.unpack("<6I", value)
    return root if magic & ~_VFS_CAP_FLAGS == _VFS_CAP_REVISION_3 else None


def _override(name: bytes, value: bytes, shown: bytes) -> tuple[int, int, int]:
    """containers/storage's ``uid:gid:mode[:type]``, the mode in octal."""
    match = _OVERRIDE_VALUE.fullmatch(value.rstrip(b"\0"))
    if match is None or max(int(match[1]), int(match[2])) >= _NO_OVERRIDE:
        raise _malformed(name, shown)
    return int(match[1]), int(match[2]), int(match[3], 8) & 0o7777


def _recorded_type(name: bytes, value: bytes, shown: bytes) -> tuple[int | None, int]:
    """The type bits and the device number of such a record; ``None`` if it has no type."""
    _, _, _, *rest = value.rstrip(b"\0").split(b":")
    if not rest:
        return None, 0
    match = _RECORDED_TYPE.fullmatch(rest[0])
    if match is None:
        raise _malformed(name, shown)
    if match[1]:
        return _RECORDED_KINDS[match[1]], 0
    major, minor = int(match[3][:9]), int(match[4][:9])
    if max(major, minor) > _MAX_DEVICE:
        raise _malformed(name, shown)
    return _RECORDED_KINDS[match[2]], os.makedev(major, minor)


def _rootless(value: bytes, shown: bytes) -> tuple[int | None, int | None]:
    """umoci's protobuf message with ``uid`` as field 1 and ``gid`` as field 2."""
    fields = {1: 0, 2: 0}
    at = 0
    try:
        while at < len(value):
            key, at = _varint(value, at)
            number, at = _varint(value, at)
            if key & 7 or key >> 3 not in fields or number > _NO_OVERRIDE:
                raise ValueError
            fields[key >> 3] = number
    except (IndexError, ValueError):
        raise _malformed(ROOTLESS, shown) from None
    uid, gid = (None if number == _NO_OVERRIDE else number for number in fields.values())
    return uid, gid


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, at
        if shift > 35:
            raise ValueError


def _malformed(name: bytes, shown: bytes) -> TreeError:
    return TreeError(
        f"{printable(shown)} has a malformed {name.decode()} attribute",
        f"remove it: setfattr -x {name.decode()} PATH",
    )
