"""Which file systems' times prove that a file is as it was, and for how long.

``lstat`` proves something only where the kernel keeps a ctime that nobody can set, and
only while the same file system stays mounted: another image of squashfs in the same
place answers the same device, inode, size and times. Sources: statx(2)
(``STATX_MNT_ID_UNIQUE``), proc_pid_mountinfo(5).
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

from imgpack.tree.entry import OpenDirectory

_TRUSTED: Final = frozenset(
    {
        b"bcachefs", b"btrfs", b"ext2", b"ext3", b"ext4", b"f2fs", b"jffs2", b"jfs", b"nilfs2",
        b"overlay", b"ramfs", b"reiserfs", b"rootfs", b"tmpfs", b"ubifs", b"xfs", b"zfs",
    }
)  # fmt: skip
"""Not those that take times from an image (squashfs, EROFS), a server or another process
(NFS, 9p, FUSE), or keep none (FAT)."""

_AT_EMPTY_PATH: Final = 0x1000
_UNIQUE: Final = 0x4000  # STATX_MNT_ID_UNIQUE, since Linux 6.8
_MASK_SIZE, _ID_OFFSET, _STATX_SIZE = 4, 144, 256


class Mount(NamedTuple):
    """A mounted file system: its kind, as ``ext4``, and a number that no other mount has.

    ``number`` is 0 if its times prove nothing.
    """

    kind: str
    number: int


_UNKNOWN: Final = Mount("a file system without a name", 0)


def mount_of(where: bytes, found: os.stat_result, within: OpenDirectory | None) -> Mount:
    """The mount that what ``lstat`` ``found`` at ``where``, in ``within``, lies on."""
    with suppress(OSError, ValueError), _descriptor(where, found, within) as descriptor:
        number = _number(descriptor)
        line = _line(number)
        kind = line[line.index(b"-") + 1]
        if kind not in _TRUSTED:
            return Mount(os.fsdecode(kind), 0)
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            boot = file.read()
        same = boot + (_unique(descriptor) or b" ".join((*line, _disk(line[2]))))
        return Mount(os.fsdecode(kind), int.from_bytes(hashlib.sha256(same).digest()[:8]) | 1)
    return _UNKNOWN


@contextmanager
def _descriptor(where: bytes, found: os.stat_result, within: OpenDirectory | None) -> Iterator[int]:
    if within is not None and within.descriptor >= 0:
        if within.identity[0] == found.st_dev:
            yield within.descriptor
            return
        # Something is mounted here, or a subvolume begins.
        path, above = where[where.rfind(b"/") + 1 :], within.descriptor
    else:
        path, above = where, None
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _number(descriptor: int) -> bytes:
    """The mount's number in mountinfo, which another one gets when it is gone."""
    with open(f"/proc/self/fdinfo/{descriptor}", "rb") as file:
        for line in file:
            if line.startswith(b"mnt_id:"):
                return line.split()[1]
    raise ValueError


def _line(number: bytes) -> list[bytes]:
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            words = line.split()
            if words[0] == number:
                return words
    raise ValueError


def _unique(descriptor: int) -> bytes | None:
    """The mount's number that none gets again until the next boot, if the kernel has them."""
    import ctypes  # here, since it is not needed without a cache

    found = ctypes.create_string_buffer(_STATX_SIZE)
    try:
        statx = ctypes.CDLL(None, use_errno=True).statx
    except (AttributeError, OSError):  # an old C library
        return None
    if statx(descriptor, b"", _AT_EMPTY_PATH, _UNIQUE, found) != 0:
        return None
    has = int.from_bytes(found.raw[:_MASK_SIZE], sys.byteorder) & _UNIQUE
    return found.raw[_ID_OFFSET : _ID_OFFSET + 8] if has else None


def _disk(device: bytes) -> bytes:
    """What changes when another image is put behind a block device; empty for none."""
    with suppress(OSError), open(b"/sys/dev/block/%s/diskseq" % device, "rb") as file:
        return file.read()
    return b""
