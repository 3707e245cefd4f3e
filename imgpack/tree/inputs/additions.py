"""Entries that a layer gets beside those of its tree: a list of devices, for one."""

from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass

from imgpack.errors import TreeError, printable
from imgpack.tree.below import Below, strip
from imgpack.tree.entry import OPAQUE, WHITEOUT, Entry

_TYPE = 0o170000


@dataclass(frozen=True, slots=True)
class Additions:
    """Entries in the order of a tree, each with all directories on its way.

    Directories of lower layers that are ``named`` get the attributes of their entries.
    ``identity`` differs whenever they do, or their content.
    """

    entries: tuple[Entry, ...]
    identity: str
    named: frozenset[bytes] = frozenset()

    def merged(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """``entries`` with these between them; where both have a path, it is the tree's, unless
        it is ``named``.

        Raises ``TreeError`` if one lies in something that is no directory in the tree, and for
        one that the tree deletes.
        """
        added = {entry.path for entry in self.entries}
        waiting = [(entry.path.split(b"/"), entry) for entry in reversed(self.entries)]
        closed = b""  # the last of the tree that is no directory, with a slash behind it
        for entry in entries:
            place = _place(entry)
            while waiting and waiting[-1][0] < place:
                yield _checked(waiting.pop()[1], closed)
            if waiting and waiting[-1][0] == place:
                same = waiting.pop()[1]
                entry = same if same.path in self.named else entry
            deletes = entry.is_deletion
            if deletes:
                _check_deletion(entry, added)
            if not (entry.is_directory or deletes):
                closed = entry.path + b"/"
            yield entry
        while waiting:
            yield _checked(waiting.pop()[1], closed)


Adding = Callable[[Below, Below], Additions]
"""What is added to a layer, for all that is in the image without it, and what lies below all
layers."""


def _place(entry: Entry) -> list[bytes]:
    """Where an entry stands: the deletions of a directory come first in it."""
    parts = entry.path.split(b"/")
    return [*parts[:-1], b""] if entry.mode & _TYPE == WHITEOUT else parts


def _checked(entry: Entry, closed: bytes) -> Entry:
    if closed and entry.path.startswith(closed):
        raise TreeError(
            f"{printable(entry.path)} is to be in {printable(closed[:-1])}, "
            "which is no directory in the source",
        )
    return entry


def _check_deletion(deletion: Entry, added: Set[bytes]) -> None:
    path = deletion.path
    both = {path} & added
    if deletion.mode & _TYPE == OPAQUE:
        both = {entry for entry in added if strip(path, entry)}
    if both:
        raise TreeError(
            f"{printable(min(both))} is to be added, and deleted in the same layer",
            "have it in the source, or in one of its own",
        )
