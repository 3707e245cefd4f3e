"""What goes wrong while a tree is read: collected, so that all of it can be told at once."""

import errno
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from typing import Final

from imgpack.errors import ResourceError, SourceChangedError, SourceError, brief
from imgpack.tree.exclusion import LeftOut

_KEPT: Final = 1 << 16
"""Bytes of paths that are told one by one; what is more is counted."""
_SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


@dataclass(slots=True)
class Problems:
    """What a walk met that the user must know of, in the order met.

    ``unreadable``: path on disk and reason, as many as can be told, of ``count``;
    ``colliding``: the first directory with names that are one name on file systems that
    fold case or Unicode forms, of ``collisions``. ``outputs`` are the devices and inodes
    that the caller writes to: a walk that meets one of them ends. ``left_out``: what each
    walk with an ``Exclusion`` left out. ``at_end``: what is called once the layer is made.
    """

    outputs: Set[tuple[int, int]] = frozenset()
    unreadable: list[tuple[bytes, str]] = field(default_factory=list)
    count: int = 0
    colliding: bytes = b""
    collisions: int = 0
    left_out: list[LeftOut] = field(default_factory=list)
    at_end: list[Callable[[], object]] = field(default_factory=list)
    _room: int = _KEPT

    def add(self, path: bytes, error: OSError) -> None:
        """Remember that ``path`` cannot be read.

        Raises ``ResourceError`` where nothing could be: the tree is not to blame.
        """
        if error.errno in _SHORTAGES:
            raise ResourceError(f"cannot read {brief(path)}: {error.strerror}") from error
        self.count += 1
        if self._room > 0:
            self._room -= len(path)
            self.unreadable.append((path, error.strerror or str(error)))

    def collides(self, directory: bytes) -> None:
        """Remember that names of ``directory`` fall together elsewhere."""
        self.colliding = self.colliding or directory
        self.collisions += 1

    def check(self) -> None:
        """Raise ``SourceError`` naming the paths that could not be read."""
        if self.count:
            listed = ", ".join(f"{brief(path)} ({why})" for path, why in self.unreadable)
            more = self.count - len(self.unreadable)
            raise SourceError(
                f"cannot read {self.count} path{'s' if self.count > 1 else ''} of the source: "
                + (f"{listed} and {more} more" if more else listed),
                "make them readable, or remove them from the tree",
            )

    def end(self) -> None:
        """The layer is made: tell whoever wants to hear of it."""
        for left_out in self.left_out:
            left_out.tell()
        for call in self.at_end:
            call()

    def remarks(self) -> tuple[str, ...]:
        """What is right here and may surprise elsewhere; every Debian tree has some of it."""
        if not self.colliding:
            return ()
        more = f" and {self.collisions - 1} more directories" if self.collisions > 1 else ""
        return (
            f"{brief(self.colliding)}{more} hold names that differ only in case or in "
            "Unicode form; they fall together on macOS and Windows",
        )


def changed(path: bytes, how: str) -> SourceChangedError:
    """The error for something that is not what was seen there before."""
    return SourceChangedError(
        f"{brief(path)} {how} while it was being read",
        "build from a tree that nothing writes to",
    )
