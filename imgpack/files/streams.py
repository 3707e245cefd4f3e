"""Outputs that are written into and never replaced: pipes, devices and open descriptors.

Invariant: what is behind ``/dev/stdout`` or ``/dev/fd/N`` belongs to whoever opened
it. It is no path to rename to, which would lose a log that others write to as well:
bytes go through the descriptor, with its position and its append mode.
"""

import errno
import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Final, Self

from imgpack.files.atomic import AtomicFile
from imgpack.files.writing import output_errors, write_all

STDIN: Final = "-"
"""What standard input is called where a path is expected."""
STDIN_PATH: Final = "/dev/stdin"
STDOUT: Final = "-"
"""What standard output is called where a path is expected."""
_TABLES: Final = ("/dev/fd", "/proc/self/fd", "/proc/thread-self/fd")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_MOST_LINKS: Final = 40


def named_descriptor(path: str) -> int | None:
    """The descriptor of this process that ``path`` names, as ``/dev/stdout`` does; or ``None``."""
    with suppress(FileNotFoundError):  # the current directory is gone
        tables = {os.path.realpath(table) for table in _TABLES}
        for _ in range(_MOST_LINKS):
            head, name = os.path.split(path)
            directory = os.path.realpath(head)
            if directory in tables and _NUMBER.fullmatch(name):
                return int(name)
            path = os.path.join(directory, name)
            if not os.path.islink(path):
                break
            path = os.path.join(directory, os.readlink(path))
    return None


def is_stream(path: str) -> bool:
    """Whether ``path`` must be written into, as a descriptor, /dev/null or a named pipe."""
    if named_descriptor(path) is not None:
        return True
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


class StreamFile:
    """A stream that is open for writing. Raises ``OutputError`` naming the path."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1

    def __enter__(self) -> Self:
        descriptor = named_descriptor(self.path)
        with output_errors(self.path):
            if descriptor is None:
                self._fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
            else:
                self._fd = _duplicate(descriptor)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._fd)

    def write(self, data: bytes) -> None:
        """Write ``data``; ``BrokenPipeError`` if the reader went away."""
        with output_errors(self.path):
            write_all(self._fd, data)


def _duplicate(descriptor: int) -> int:
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, "it is open for reading only")
    return os.dup(descriptor)


@contextmanager
def open_output(path: str) -> Iterator[Callable[[bytes], None]]:
    """Write to ``path`` with what this yields: into a stream, or a file that appears whole.

    Raises ``OutputError``.
    """
    if is_stream(path):
        with StreamFile(path) as stream:
            yield stream.write
        return
    with AtomicFile(path) as file:
        yield file.write
        file.commit()
