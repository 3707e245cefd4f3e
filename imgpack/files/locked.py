"""A file that one process at a time replaces."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from imgpack.files.reading import input_errors


@contextmanager
def replacing(path: str) -> Iterator[None]:
    """Wait until nobody else who asks here is replacing the file at ``path``, and keep it so.

    Where a file system has no ``flock`` nobody waits. Raises as ``input_errors``.
    """
    while True:
        with input_errors(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            with input_errors(path):
                held = os.path.samestat(os.fstat(descriptor), os.stat(path))
            if held:  # and was not replaced while this one waited
                yield
                return
        finally:
            os.close(descriptor)
