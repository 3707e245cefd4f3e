"""What every tree is, whatever it is made of: its entries, and what lies at a path."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Protocol

from imgpack.errors import LimitError, Remedy, TreeError, brief
from imgpack.tree.entry import Entry
from imgpack.tree.exclusion import Exclusion
from imgpack.tree.parts import Part
from imgpack.tree.problems import Problems

WHITEOUT_PREFIX = b".wh."
"""Names that a layer reserves for deletions (image-spec ``layer.md``, "Whiteouts")."""
MAX_NAME: Final = 255
"""Bytes of a name on Linux (``NAME_MAX``): no loader can unpack a longer one."""


class Tree(Protocol):
    """What one layer is made of; ``str`` of it is what people call it."""

    @property
    def stamps(self) -> "Stamps | None":
        """What proves, without a look into a file, that nothing changed; else it is always read."""

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """Everything below the root once, in the bytewise order of components, parents first.

        ``under`` is the directory of the image that the tree fills; unless it is empty, the
        tree's root comes first, as that directory. What cannot be read is added to
        ``problems``; without them, ``SourceError`` names all of it at the end.
        Raises ``TreeError`` for a name that no layer can hold.
        """

    def find(self, path: bytes) -> Entry | None:
        """What is at ``path``, which is empty for the root; no symbolic link is followed."""


@dataclass(frozen=True, slots=True)
class Stamps:
    """A tree on disk, of which ``lstat`` tells whether it is as it was.

    ``root`` is absolute and fills ``dest``. The ids ``caller`` are read as 0:0. What
    ``excluded`` leaves out is not there, nor what is not in its ``part``.
    """

    root: bytes
    caller: tuple[int, int] | None = None
    dest: bytes = b""
    excluded: Exclusion | None = None
    part: Part | None = None

    def at(self, dest: bytes) -> "Stamps":
        """The same tree at another place."""
        return replace(self, dest=dest)

    @property
    def identity(self) -> str:
        """A text that differs whenever the same stamps may mean other entries."""
        excluded = self.excluded and self.excluded.identity
        part = self.part and self.part.identity
        return repr((self.root, self.caller, self.dest, excluded, part))


def join(above: bytes, path: bytes) -> bytes:
    """``above/path``, of which either may be empty."""
    return above + b"/" + path if above and path else above or path


def check_name(name: bytes, shown: bytes) -> None:
    """Raise ``TreeError`` if the last component of ``shown`` is one that means a deletion."""
    if name.startswith(WHITEOUT_PREFIX):
        raise TreeError(
            f"{brief(shown)} cannot be in a layer: a name that starts with .wh. means a deletion",
            Remedy.SAY_DELETION(),
        )


def check_length(name: bytes, shown: bytes) -> None:
    """Raise ``LimitError`` if the component ``name`` of ``shown`` is too long to be unpacked."""
    if len(name) > MAX_NAME:
        raise LimitError(
            f"{brief(shown)} has a name of {len(name)} bytes, and Linux takes {MAX_NAME}",
            "give it a shorter one",
        )
