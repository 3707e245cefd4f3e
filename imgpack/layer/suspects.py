"""What goes into a layer by its name and is hardly meant to, where nobody said what is.

Told once for each kind of thing, however many there are. Not told: what lies where a root
file system has its own (``/etc/ssl/private``, what packages install below ``/usr/lib``).
"""

import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from imgpack.errors import brief
from imgpack.tree.entry import Entry
from imgpack.tree.secrets.names import KEY, MAY_BE_KEYS, PRIVATE_KEY_MARK, suspected

_OF_A_ROOT: Final = (b"etc/", b"lib/", b"usr/lib/", b"usr/share/", b"var/lib/")
_HEAD: Final = 4096
_NAMED: Final = 3
"""Paths of one kind that are named; the others are counted."""


class Suspects:
    """The suspects that were met, by kind."""

    def __init__(self) -> None:
        self._paths: dict[str, list[bytes]] = {}
        self._count: dict[str, int] = {}

    def look(self, entry: Entry) -> None:
        """Remember ``entry``, whose path has one of the ``SUSPECT_ENDS``, if it is one."""
        path, kind = entry.path, _suspected(entry)
        if kind is not None:
            self._count[kind] = self._count.get(kind, 0) + 1
            named = self._paths.setdefault(kind, [])
            if len(named) < _NAMED:
                named.append(path)

    def warnings(self) -> Iterator[str]:
        """A line for each kind."""
        for kind, paths in self._paths.items():
            more = self._count[kind] - len(paths)
            shown = ", ".join("/" + brief(path) for path in paths)
            yield (
                f"what goes into the image looks like {kind}: {shown}"
                + (f" and {more} more" if more else "")
                + "; name what should not in a .dockerignore (an empty one says that it should)"
            )


def is_suspect(entry: Entry) -> bool:
    """Whether ``Suspects`` remember ``entry``, whose path has one of the ``SUSPECT_ENDS``."""
    return _suspected(entry) is not None


def _suspected(entry: Entry) -> str | None:
    return None if entry.path.startswith(_OF_A_ROOT) else _kind(entry)


def _kind(entry: Entry) -> str | None:
    path = entry.path
    kind = suspected(path, entry.mode)
    if kind is not None or not path.endswith(MAY_BE_KEYS) or not stat.S_ISREG(entry.mode):
        return kind
    with suppress(OSError), entry.open() as file:
        return KEY if PRIVATE_KEY_MARK in file.read(min(_HEAD, entry.size)) else None
    return None
