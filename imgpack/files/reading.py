"""Opening and reading regular files, and nothing else, in bounded pieces."""

import errno
import os
import stat
from collections.abc import Iterator
from typing import Final

from imgpack.errors import ArchiveError, NotFoundError

CHUNK: Final = 1 << 18
"""Bytes that are read at once: large enough for the disk, small enough for the cache."""


def open_regular(path: str) -> int:
    """Open a regular file for reading, through no symbolic link at its end; the descriptor.

    Raises ``NotFoundError`` when it is not there, ``ArchiveError`` for anything else.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NotFoundError(f"{path} does not exist") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ArchiveError(f"{path} is a symbolic link, not a file") from error
        raise ArchiveError(f"cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ArchiveError(f"{path} is not a regular file")
    return fd


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
