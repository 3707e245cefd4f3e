"""Owners, modes, extended attributes and times of what was written.

They are set as engines set them: the owner first, which clears what gives privileges, then
attributes, the mode and the time. Without root an owner cannot be set: then set-id bits are not
set either, for they would lend the rights of whoever extracts. *Rootless* records keep the owner
in an attribute, as umoci does, and what that cannot say in that of containers/storage.
"""

import errno
import os
import stat
from dataclasses import dataclass
from typing import Final

from imgpack.tree.tables.rows import TableRow
from imgpack.tree.unpack.records import override_record, rootless_record
from imgpack.tree.xattrs import OVERRIDE, ROOTLESS, UNSUPPORTED, stays_behind

_SET_ID: Final = stat.S_ISUID | stat.S_ISGID
_NOT_ALLOWED: Final = frozenset({errno.EPERM, errno.EACCES, errno.EINVAL})
"""Of who may not, and of user namespaces and file systems that have no such owner or value."""
_NO_ATTRIBUTE: Final = _NOT_ALLOWED | UNSUPPORTED | {errno.E2BIG, errno.ERANGE}


@dataclass(slots=True)
class Unset:
    """How many entries are not what the image says, and the first path of each kind.

    ``owners`` were not set, nor recorded; ``devices`` were not made; ``attributes`` are those
    of which one at least was not set.
    """

    owners: int = 0
    owner: bytes = b""
    devices: int = 0
    device: bytes = b""
    attributes: int = 0
    attribute: bytes = b""

    def add_owner(self, path: bytes) -> None:
        """One more entry without its owner."""
        self.owner = self.owner if self.owners else path
        self.owners += 1

    def add_device(self, path: bytes) -> None:
        """One more that was not made."""
        self.device = self.device if self.devices else path
        self.devices += 1

    def add_attribute(self, path: bytes) -> None:
        """One more entry that lacks an attribute."""
        self.attribute = self.attribute if self.attributes else path
        self.attributes += 1


class AttributeSetter:
    """Sets what rows say of things on disk; ``rootless`` records what only root can set."""

    def __init__(self, *, rootless: bool = False) -> None:
        self.rootless = rootless
        self.unset = Unset()

    def set(self, target: int | bytes, row: TableRow) -> None:
        """All of anything but a symbolic link, which ``target`` must not be. Raises ``OSError``."""
        mode = stat.S_IMODE(row.mode)
        if self.rootless:
            mode = self._record(target, row, mode)
        elif not self._owned(target, row, follow=True):
            mode &= ~_SET_ID
        if row.xattrs:
            self._set_xattrs(target, row, follow=True)
        os.chmod(target, mode)
        os.utime(target, ns=(row.mtime_ns, row.mtime_ns))

    def set_link(self, above: int, name: bytes, row: TableRow) -> None:
        """All of the symbolic link ``name`` in the directory ``above``. Raises ``OSError``."""
        if self.rootless:  # a link has no attributes that a user may set
            if row.uid or row.gid:
                self.unset.add_owner(row.path)
        else:
            self._owned(name, row, follow=False, above=above)
        if row.xattrs:
            self._set_xattrs(b"/proc/self/fd/%d/%s" % (above, name), row, follow=False)
        times = row.mtime_ns, row.mtime_ns
        os.utime(name, ns=times, dir_fd=above, follow_symlinks=False)

    def stands_in(self, row: TableRow) -> bool:
        """Whether an empty file has to stand for the device or pipe, with a record of it."""
        return self.rootless and (not stat.S_ISFIFO(row.mode) or (row.uid, row.gid) != (0, 0))

    def _owned(
        self, target: int | bytes, row: TableRow, *, follow: bool, above: int | None = None
    ) -> bool:
        """Set the owner; whether that could be."""
        try:
            if follow:
                os.chown(target, row.uid, row.gid)
            else:
                os.chown(target, row.uid, row.gid, dir_fd=above, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NOT_ALLOWED:
                raise
            self.unset.add_owner(row.path)
            return False
        return True

    def _record(self, target: int | bytes, row: TableRow, mode: int) -> int:
        """Record the owner, and what the mode cannot be; the mode to set."""
        records: list[tuple[bytes, bytes]] = []
        kind = stat.S_IFMT(row.mode)
        stands = kind not in (stat.S_IFREG, stat.S_IFDIR) and self.stands_in(row)
        if stands or mode & _SET_ID:
            records.append((OVERRIDE, override_record(row)))
        if (row.uid, row.gid) != (0, 0):
            records.append((ROOTLESS, rootless_record(row.uid, row.gid)))
        for name, value in records:
            try:
                os.setxattr(target, name, value)
            except OSError as error:
                if error.errno not in _NO_ATTRIBUTE:
                    raise
                self.unset.add_owner(row.path)
                break
        return mode & ~_SET_ID

    def _set_xattrs(self, target: int | bytes, row: TableRow, *, follow: bool) -> None:
        whole = True
        for name, value in row.xattrs:
            if stays_behind(name):
                continue
            try:
                os.setxattr(target, name, value, follow_symlinks=follow)
            except ValueError:  # a NUL in the name
                whole = False
            except OSError as error:
                if error.errno not in _NO_ATTRIBUTE:
                    raise
                whole = False
        if not whole:
            self.unset.add_attribute(row.path)
