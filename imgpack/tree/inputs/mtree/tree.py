"""An mtree(5) file as a tree of its own."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from imgpack.errors import printable
from imgpack.tree.entries import Entries
from imgpack.tree.entry import Entry
from imgpack.tree.problems import Problems
from imgpack.tree.tree import Stamps


@dataclass(frozen=True, slots=True)
class MtreeTree:
    """The tree that the list in the file ``root`` says; empty until that is read."""

    root: bytes
    listed: Entries = field(default_factory=lambda: Entries(()))

    def __str__(self) -> str:
        return printable(self.root)

    @property
    def stamps(self) -> Stamps | None:
        """None: the bodies of its files lie elsewhere."""
        return None

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """As ``Tree.entries``."""
        return self.listed.entries(problems, under)

    def find(self, path: bytes) -> Entry | None:
        """As ``Tree.find``."""
        return self.listed.find(path)
