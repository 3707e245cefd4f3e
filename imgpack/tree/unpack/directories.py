"""The directories of a tree that is being written, each opened in the one above it.

Invariant: no name is followed that is a symbolic link, and no way leads up: whatever others put
in the place of a directory meanwhile, nothing outside of the root is reached.
"""

import os
from typing import Final

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_LEVELS: Final = 64
"""Directories above the current one that stay open: a process may not have many more."""


class OpenDirectories:
    """Those below the open directory ``root``; the way to the last one asked for is open.

    Methods raise ``OSError``.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        # The directories on the way, and -1 where one was closed again.
        self._way: list[tuple[bytes, int]] = []

    def at(self, path: bytes) -> int:
        """A descriptor of the directory at ``path``, open until another is asked for."""
        way = self._way
        while way and path != way[-1][0] and not path.startswith(way[-1][0] + b"/"):
            self._leave()
        here, descriptor = way[-1] if way else (b"", self._root)
        if descriptor < 0:
            descriptor = self._again(here)
            way[-1] = here, descriptor
        while here != path:
            start = len(here) + 1 if here else 0
            end = path.find(b"/", start)
            name = path[start:] if end < 0 else path[start:end]
            descriptor = os.open(name, _DIRECTORY, dir_fd=descriptor)
            here = path[: start + len(name)]
            way.append((here, descriptor))
            if len(way) > _OPEN_LEVELS:
                self._close(-1 - _OPEN_LEVELS)
        return descriptor

    def close(self) -> None:
        """Close all but the root."""
        while self._way:
            self._leave()

    def _leave(self) -> None:
        self._close(-1)
        self._way.pop()

    def _close(self, index: int) -> None:
        path, descriptor = self._way[index]
        if descriptor >= 0:
            os.close(descriptor)
            self._way[index] = path, -1

    def _again(self, path: bytes) -> int:
        """Open from the root on what was closed."""
        descriptor = self._root
        for name in path.split(b"/"):
            below = os.open(name, _DIRECTORY, dir_fd=descriptor)
            if descriptor != self._root:
                os.close(descriptor)
            descriptor = below
        return descriptor
