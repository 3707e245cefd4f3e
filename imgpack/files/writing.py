"""Writing to descriptors, and what the system's refusals mean to a user."""

import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from imgpack.errors import OutputError

_HINTS: Final = {
    errno.ENOSPC: "the disk is full: free some space or write somewhere else",
    errno.EDQUOT: "the disk quota is used up: free some space or write somewhere else",
    errno.EFBIG: "the file system takes no file of this size",
    errno.ENOENT: "create the directory first",
    errno.ENOTDIR: "a file stands where a directory is needed",
    errno.EACCES: "check the directory's permissions",
    errno.EROFS: "the file system is read-only",
    errno.EISDIR: "name a file in it, or another place",
}


@contextmanager
def output_errors(path: str, hint: str = "") -> Iterator[None]:
    """Turn an ``OSError`` into the ``OutputError`` that names ``path``; a closed pipe passes.

    ``hint`` is better than what can be said of any output.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        hint = hint or _HINTS.get(error.errno or 0, "")
        raise OutputError(f"cannot write {path}: {reason}", hint) from error


def scratch_errors(directory: str) -> AbstractContextManager[None]:
    """``output_errors`` for a file without a name in ``directory``, which nobody asked for."""
    return output_errors(
        f"a temporary file in {directory}", "let TMPDIR name a directory that has room for it"
    )


def real_path(path: str) -> str:
    """An output's ``path`` without links. Raises ``OutputError`` if it starts nowhere."""
    try:
        return os.path.realpath(path)
    except FileNotFoundError as error:
        raise OutputError(
            f"cannot write {path}: the current directory is gone", "change to one that exists"
        ) from error


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of ``data``; one ``write`` may take less (a signal, 2 GiB)."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def pwrite_all(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of ``data`` at ``offset`` without moving the file's position."""
    view = memoryview(data)
    while view:
        done = os.pwrite(fd, view, offset)
        view, offset = view[done:], offset + done
