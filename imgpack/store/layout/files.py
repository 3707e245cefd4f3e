"""Reading the files of an OCI layout directory, as untrusted as an archive's.

OCI image-spec ``image-layout.md``. Only regular files, and no symbolic link in
any part of a path below the directory: a layout from elsewhere must not make
imgpack read, and then push, a file of this machine.
"""

import errno
import os
from collections.abc import Iterator

from imgpack.errors import ArchiveError
from imgpack.files.reading import NotRegularError, open_regular, read_range

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Directory:
    """The files below a directory, by relative path. Safe in threads."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def size(self, name: str) -> int | None:
        """The size in bytes of the regular file ``name``, or ``None`` if it is not there."""
        try:
            fd, size = self._open(name)
        except FileNotFoundError:
            return None
        os.close(fd)
        return size

    def chunks(self, name: str, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a regular file from ``offset``. Raises ``ArchiveError``."""
        try:
            fd, _ = self._open(name)
        except FileNotFoundError:
            raise ArchiveError(f"{self._path} has no file {name}") from None
        try:
            yield from read_range(fd, offset, None)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close the directory; harmless a second time."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _open(self, name: str) -> tuple[int, int]:
        *parents, last = name.split("/")
        where = self._fd
        try:
            for part in parents:
                inner = os.open(part, _DIRECTORY, dir_fd=where)
                if where != self._fd:
                    os.close(where)
                where = inner
            return open_regular(last, dir_fd=where)
        except FileNotFoundError:
            raise
        except OSError as error:
            if isinstance(error, NotRegularError) and error.errno != errno.ELOOP:
                raise ArchiveError(f"{self._path}/{name} is {error.strerror}") from error
            link = error.errno in (errno.ELOOP, errno.ENOTDIR)
            reason = "a symbolic link, or no directory, is in its path" if link else error.strerror
            raise ArchiveError(f"cannot read {self._path}/{name}: {reason}") from error
        finally:
            if where != self._fd:
                os.close(where)
