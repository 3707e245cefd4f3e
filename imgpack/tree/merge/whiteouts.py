"""Paths to delete, as a tree of nothing else."""

from collections.abc import Iterable, Iterator

from imgpack.errors import TreeError, quoted
from imgpack.tree.destination import Placed
from imgpack.tree.entry import Entry, order, whiteout
from imgpack.tree.problems import Problems
from imgpack.tree.tree import Stamps, check_length, check_name, join


class Whiteouts:
    """The deletion of what lower layers have at some paths of the image."""

    def __init__(self, paths: Iterable[bytes]) -> None:
        """Take ``paths`` in any order, with or without slashes around.

        What lies in another of them goes with it. Raises ``TreeError`` for what is no path
        of an image, and ``LimitError`` for a name that none can have.
        """
        found = sorted((whiteout(_clean(path)) for path in set(paths)), key=_place)
        self._entries: list[Entry] = []
        gone = b"/"
        for entry in found:
            if entry.path + b"/" != gone and not entry.path.startswith(gone):
                self._entries.append(entry)
                gone = entry.path + b"/"
        self._entries.sort(key=order)

    def __str__(self) -> str:
        return "deletions"

    @property
    def stamps(self) -> Stamps | None:
        """None: what is below decides what becomes of them."""
        return None

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """As ``Tree.entries``: whiteouts, without the directories that they lie in."""
        return (entry._replace(path=join(under, entry.path)) for entry in self._entries)

    def find(self, path: bytes) -> Entry | None:
        """The deletion of ``path``, if it is one of them."""
        return next((entry for entry in self._entries if entry.path == path), None)


def _place(entry: Entry) -> tuple[bytes, ...]:
    return tuple(entry.path.split(b"/"))


def _clean(path: bytes) -> bytes:
    parts = [part for part in path.split(b"/") if part]
    if not parts or b"." in parts or b".." in parts or b"\0" in path:
        raise TreeError(
            f"{quoted(path)} cannot be deleted: it is no path below the image's root",
            "write it as it is in the image, as /usr/share/doc",
        )
    for part in parts:
        check_name(part, path)
        check_length(part, path)
    return b"/".join(parts)


def whiteouts(paths: Iterable[bytes]) -> Placed[Whiteouts]:
    """The layer that deletes ``paths``, each of which a lower layer has to have.

    Raises ``TreeError`` and ``LimitError`` as ``Whiteouts`` does.
    """
    return Placed(Whiteouts(paths), strict=True)
