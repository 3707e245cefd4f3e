"""A tree written to disk, entry by entry, below one open directory.

Invariants: whatever is made is new, and nothing is followed; a file's attributes are set through
its own descriptor, a device's through one that does not open it. Runs of zeros become holes.
Whoever calls says of every directory twice: first that it is to be made, for this writer alone,
and when all is in it, what its attributes are.
"""

import os
import stat
from collections.abc import Iterable
from typing import Final

from imgpack.files.writing import pwrite_all
from imgpack.tree.tables.rows import TableRow
from imgpack.tree.unpack.attributes import AttributeSetter
from imgpack.tree.unpack.directories import OpenDirectories

_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_HOLE: Final = 1 << 16
"""Bytes of zeros that become a hole: fewer are written, so that files are in few pieces."""
_ZEROS: Final = bytes(_HOLE)


class TreeWriter:
    """Writes below the open directory ``root``.

    Methods raise ``OSError``, and ``ValueError`` for a name or a target with a NUL.
    """

    def __init__(self, root: int, setter: AttributeSetter) -> None:
        self._directories = OpenDirectories(root)
        self._setter = setter

    def close(self) -> None:
        """Close what is open."""
        self._directories.close()

    def directory(self, path: bytes) -> None:
        """Make the directory ``path``; the root is there."""
        if path:
            above, name = self._place(path)
            os.mkdir(name, 0o700, dir_fd=above)

    def end_directory(self, row: TableRow) -> None:
        """Give a directory its attributes: nothing more is made in it."""
        self._setter.set(self._directories.at(row.path), row)

    def file(self, row: TableRow, pieces: Iterable[bytes] = ()) -> int:
        """Make a regular file of ``pieces``; its descriptor, for the caller to close."""
        above, name = self._place(row.path)
        descriptor = os.open(name, _NEW, 0o600, dir_fd=above)
        try:
            write_with_holes(descriptor, pieces)
            self._setter.set(descriptor, row)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def other(self, row: TableRow) -> bool:
        """Make anything but a directory and a file with something in it; whether it could be."""
        above, name = self._place(row.path)
        if stat.S_ISLNK(row.mode):
            os.symlink(row.link, name, dir_fd=above)
            self._setter.set_link(above, name, row)
        elif stat.S_ISREG(row.mode) or self._setter.stands_in(row):
            os.close(self.file(row))
        else:
            return self._special(above, name, row)
        return True

    def link(self, path: bytes, first: bytes) -> None:
        """Make another name of what was made at ``first``."""
        above, name = self._place(first)
        source = os.dup(above)  # the way to the new name may close it
        try:
            there, new = self._place(path)
            os.link(name, new, src_dir_fd=source, dst_dir_fd=there, follow_symlinks=False)
        finally:
            os.close(source)

    def _special(self, above: int, name: bytes, row: TableRow) -> bool:
        kind = stat.S_IFMT(row.mode)
        try:
            os.mknod(name, kind | 0o600, row.rdev, dir_fd=above)
        except PermissionError:
            self._setter.unset.add_device(row.path)
            return False
        descriptor = os.open(name, _LOOK, dir_fd=above)
        try:
            if stat.S_IFMT(os.fstat(descriptor).st_mode) == kind:
                self._setter.set(b"/proc/self/fd/%d" % descriptor, row)
        finally:
            os.close(descriptor)
        return True

    def _place(self, path: bytes) -> tuple[int, bytes]:
        """The open directory that ``path`` is in, and its name there."""
        above, _, name = path.rpartition(b"/")
        return self._directories.at(above), name


def write_with_holes(descriptor: int, pieces: Iterable[bytes]) -> None:
    """Write a new file of ``pieces``, without those runs of zeros that are long enough."""
    at = end = 0
    for piece in pieces:
        start = 0
        for block in range(0, len(piece) - _HOLE + 1, _HOLE):
            if piece.startswith(_ZEROS, block):
                if start < block:
                    pwrite_all(descriptor, memoryview(piece)[start:block], at + start)
                start = block + _HOLE
        if start < len(piece):
            pwrite_all(descriptor, memoryview(piece)[start:], at + start)
            end = at + len(piece)
        at += len(piece)
    if end < at:
        os.ftruncate(descriptor, at)
