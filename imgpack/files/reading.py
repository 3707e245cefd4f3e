"""Opening and reading regular files, and nothing else, in bounded pieces."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from imgpack.errors import ArchiveError, SourceError

CHUNK: Final = 1 << 18
"""Bytes that are read at once: large enough for the disk, small enough for the cache."""
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class NotRegularError(OSError):
    """Something else than a regular file lies there; ``strerror`` says what."""


def open_regular(path: str, *, follow: bool = False, dir_fd: int | None = None) -> tuple[int, int]:
    """Open a regular file for reading; the descriptor, and the file's size in bytes.

    No pipe keeps it waiting. A user's own file may be a symbolic link (``follow``), or
    /dev/null, which is an empty one. Raises ``OSError``, of which ``NotRegularError``.
    """
    try:
        fd = os.open(path, _READ if follow else _READ | os.O_NOFOLLOW, dir_fd=dir_fd)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow:
            raise NotRegularError(error.errno, "a symbolic link, not a file") from error
        if error.errno == errno.ENXIO:  # a socket
            raise NotRegularError(error.errno, "not a regular file") from error
        raise
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode) or (follow and os.path.samestat(found, os.stat(os.devnull))):
        return fd, found.st_size
    os.close(fd)
    raise NotRegularError(errno.EINVAL, "not a regular file")


def read_regular(path: str, limit: int, *, follow: bool = False) -> bytes:
    """The first ``limit`` bytes of a regular file. Raises what ``open_regular`` does."""
    fd, _ = open_regular(path, follow=follow)
    try:
        return b"".join(read_range(fd, 0, limit))
    finally:
        os.close(fd)


@contextmanager
def input_errors(path: str) -> Iterator[None]:
    """Turn an ``OSError`` into the ``SourceError`` or ``ArchiveError`` that names ``path``."""
    if "\0" in path:  # to Python a ValueError, whatever is done with it
        raise SourceError(f"{path!r} does not exist")
    try:
        yield
    except FileNotFoundError:
        raise SourceError(f"{path} does not exist") from None
    except NotRegularError as error:
        raise ArchiveError(f"{path} is {error.strerror}") from error
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error


def read_range(fd: int, offset: int, size: int | None) -> Iterator[bytes]:
    """``size`` bytes of ``fd`` from ``offset`` in chunks, by ``pread``; ``None``: to the end.

    Ends early where the file ends: the caller checks sizes.
    """
    while size is None or size > 0:
        chunk = os.pread(fd, CHUNK if size is None else min(CHUNK, size), offset)
        if not chunk:
            return
        offset += len(chunk)
        if size is not None:
            size -= len(chunk)
        yield chunk
