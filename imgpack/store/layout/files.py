"""Reading the files of an OCI layout directory, as untrusted as an archive's.

OCI image-spec ``image-layout.md``. Only regular files, and no symbolic link in
any part of a path below the directory: a layout from elsewhere must not make
imgpack read, and then push, a file of this machine.
"""

import errno
import os
import stat
from collections.abc import Iterator

from imgpack.errors import ArchiveError
from imgpack.files.reading import read_range

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Directory:
    """The files below a directory, by relative path. Safe in threads."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def size(self, name: str) -> int | None:
        """The size in bytes of the regular file ``name``, or ``None`` if it is not there."""
        try:
            fd = self._open(name)
        except FileNotFoundError:
            return None
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def chunks(self, name: str, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a regular file from ``offset``. Raises ``ArchiveError``."""
        try:
            fd = self._open(name)
        except FileNotFoundError:
            raise ArchiveError(f"{self._path} has no file {name}") from None
        try:
            yield from read_range(fd, offset, None)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close the directory."""
        os.close(self._fd)

    def _open(self, name: str) -> int:
        *parents, last = name.split("/")
        where = self._fd
        try:
            for part in parents:
                inner = os.open(part, _DIRECTORY, dir_fd=where)
                if where != self._fd:
                    os.close(where)
                where = inner
            fd = os.open(last, _FILE, dir_fd=where)
        except FileNotFoundError:
            raise
        except OSError as error:
            link = error.errno in (errno.ELOOP, errno.ENOTDIR)
            reason = "a symbolic link, or no directory, is in its path" if link else error.strerror
            raise ArchiveError(f"cannot read {self._path}/{name}: {reason}") from error
        finally:
            if where != self._fd:
                os.close(where)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise ArchiveError(f"{self._path}/{name} is not a regular file")
        return fd
