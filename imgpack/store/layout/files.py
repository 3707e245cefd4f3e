"""Reading the files of an OCI layout directory, as untrusted as an archive's.

OCI image-spec ``image-layout.md``. Only regular files. A symbolic link is followed where
it stays below the directory, as tools write that link equal blobs; none leads out of it:
a layout from elsewhere must not make imgpack read, and then push, a file of this machine.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from imgpack.errors import ArchiveError
from imgpack.files.reading import NotRegularError, open_regular, read_range

_MOST_LINKS = 40
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class LayoutFiles:
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
        with self._errors(name):
            try:
                return self._open_plain(name)
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                    raise
            return self._open_plain(self._without_links(name))

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except NotRegularError as error:
            raise ArchiveError(f"{self._path}/{name} is {error.strerror}") from error
        except OSError as error:
            raise ArchiveError(f"cannot read {self._path}/{name}: {error.strerror}") from error

    def _open_plain(self, name: str) -> tuple[int, int]:
        """Open ``name``, in whose path no part may be a link."""
        *parents, last = name.split("/")
        where = self._fd
        try:
            for part in parents:
                inner = os.open(part, _DIRECTORY, dir_fd=where)
                if where != self._fd:
                    os.close(where)
                where = inner
            return open_regular(last, dir_fd=where)
        finally:
            if where != self._fd:
                os.close(where)

    def _without_links(self, name: str) -> str:
        """The path that ``name`` leads to. Raises ``ArchiveError`` if it leaves the directory."""
        done: list[str] = []
        left = name.split("/")[::-1]
        links = 0
        while left:
            part = left.pop()
            if part in ("", "."):
                continue
            target = None if part == ".." else self._link("/".join([*done, part]))
            if target is None and part != "..":
                done.append(part)
                continue
            links += 1
            outside = (not done) if target is None else target.startswith("/")
            if outside or links > _MOST_LINKS:
                raise ArchiveError(
                    f"{self._path}/{name}: a symbolic link in its path leads out of the layout",
                    "copy the layout with its links followed (cp -rL)",
                )
            if target is None:
                done.pop()
            else:
                left += target.split("/")[::-1]
        return "/".join(done)

    def _link(self, name: str) -> str | None:
        try:
            return os.readlink(name, dir_fd=self._fd)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return None
            raise
