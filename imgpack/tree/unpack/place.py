"""Where a tree is written: a directory that is new or empty.

A new one is written under a temporary name beside it, and renamed; one that is there already,
which may be a mount, is emptied again if anything fails.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

from imgpack.errors import OutputError, printable
from imgpack.files.atomic import Temporary, empty, sweep
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
