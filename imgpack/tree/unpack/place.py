"""Where a tree is written: a directory that is new or empty.

A new one is written under a temporary name beside it, and renamed; one that is there already,
which may be a mount, is emptied again if anything fails.
"""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

from imgpack.errors import OutputError, printable
from imgpack.files.atomic import Temporary, sweep
from imgpack.files.writing import output_errors, real_path

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ACLS: Final = ("system.posix_acl_default", "system.posix_acl_access")


class NewTree(NamedTuple):
    """An open directory that is to be filled; nobody else may look into it. Its ``mode`` before."""

    descriptor: int
    mode: int


@contextmanager
def new_tree(path: str) -> Iterator[NewTree]:
    """A directory to be filled inside the ``with``, and given a mode.

    It is ``path`` when that ends well. Raises ``OutputError`` if ``path`` has something in it, or
    cannot be written.
    """
    if not path or "\0" in path:
        raise OutputError(f"{path!r} is no path of a directory", "name a new or empty directory")
    target = real_path(path)
    with output_errors(path):
        if os.path.lexists(target):
            descriptor = os.open(target, _DIRECTORY)
            try:
                with os.scandir(descriptor) as names:
                    if any(names):
                        raise OutputError(
                            f"{printable(path)} has something in it",
                            "name a new or empty directory",
                        )
                with _filling(descriptor) as filling:
                    yield filling
            finally:
                os.close(descriptor)
            return
        directory, name = os.path.split(target)
        sweep(directory, name)
        with Temporary(directory, name).open_directory() as made, _filling(made.fd) as filling:
            yield filling
            made.rename(target, sync=False)


@contextmanager
def _filling(descriptor: int) -> Iterator[NewTree]:
    """Let nobody else into a directory while it is filled, and empty it if that fails."""
    mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    with suppress(OSError):  # it may be another's
        os.fchmod(descriptor, 0o700)
    for name in _ACLS:  # what is made in it would get them
        with suppress(OSError):
            os.removexattr(descriptor, name)
    try:
        yield NewTree(descriptor, mode)
    except BaseException:
        empty(descriptor)
        with suppress(OSError):
            os.fchmod(descriptor, mode)
        raise


def empty(top: int) -> None:
    """Remove what is in the open directory ``top``, as far as it can be.

    What is in a directory in it comes up first, so that depth does not matter.
    """
    while True:
        removed = 0
        for name in _names(top):
            with suppress(OSError):
                _remove(top, name)
                removed += 1
        if not removed:
            return


def _remove(top: int, name: bytes) -> None:
    if not stat.S_ISDIR(os.lstat(name, dir_fd=top).st_mode):
        os.unlink(name, dir_fd=top)
        return
    directory = _opened(top, name)
    try:
        for below in _names(directory):
            if stat.S_ISDIR(os.lstat(below, dir_fd=directory).st_mode):
                os.close(_opened(directory, below))  # so that it may be moved
                new = b".%s" % secrets.token_hex(16).encode()
                os.rename(below, new, src_dir_fd=directory, dst_dir_fd=top)
            else:
                os.unlink(below, dir_fd=directory)
    finally:
        os.close(directory)
    os.rmdir(name, dir_fd=top)


def _opened(above: int, name: bytes) -> int:
    """A directory that its owner may change, open."""
    descriptor = -1
    with suppress(PermissionError):
        descriptor = os.open(name, _DIRECTORY, dir_fd=above)
    if descriptor < 0:
        os.chmod(name, 0o700, dir_fd=above)
        return os.open(name, _DIRECTORY, dir_fd=above)
    with suppress(OSError):
        os.fchmod(descriptor, 0o700)
    return descriptor


def _names(directory: int) -> list[bytes]:
    with suppress(OSError), os.scandir(directory) as found:
        return [os.fsencode(one.name) for one in found]
    return []
