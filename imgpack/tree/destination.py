"""Where a tree lands in an image: its destination."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from imgpack.errors import TreeError, printable, quoted
from imgpack.tree.below import strip
from imgpack.tree.entry import Entry
from imgpack.tree.problems import Problems
from imgpack.tree.tree import WHITEOUT_PREFIX, Stamps, Tree, check_length, join

_T = TypeVar("_T", bound=Tree)
_T_co = TypeVar("_T_co", bound=Tree, covariant=True)


def parse_dest(text: bytes) -> bytes:
    """An absolute path without slashes around; raises ``TreeError`` and ``LimitError``."""
    shown = printable(text)
    if not text.startswith(b"/"):
        raise TreeError(f"the destination {shown} is not absolute", "begin it with /")
    parts = tuple(part for part in text.split(b"/") if part)
    for part in parts:
        if part in (b".", b"..") or part.startswith(WHITEOUT_PREFIX) or b"\0" in part:
            raise TreeError(
                f"the destination {shown} holds {quoted(part)}",
                "write the plain path that the files get in the image",
            )
        check_length(part, text)
    return b"/".join(parts)


@dataclass(frozen=True, slots=True)
class Placed(Generic[_T_co]):
    """A tree at a directory of the image.

    ``dest`` has no slash at either end and is empty for the image's root. What lies on the
    way to it, the layers below say when the image is built. An ``exact`` tree says all that
    changes: its directories have its attributes, whatever layers below say; of any other only
    those that are ``named``, by their paths in the tree. Each deletion in a ``strict`` one has
    to delete something.
    """

    tree: _T_co
    dest: bytes = b""
    exact: bool = False
    strict: bool = False
    named: frozenset[bytes] = frozenset()

    def __str__(self) -> str:
        return str(self.tree)

    @property
    def stamps(self) -> Stamps | None:
        """The tree's own, for another place."""
        own = self.tree.stamps
        return own and own.at(self.dest)

    @property
    def named_there(self) -> frozenset[bytes]:
        """The ``named`` directories by their paths in the image."""
        return frozenset(join(self.dest, path) for path in self.named)

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """As ``Tree.entries``."""
        return self.tree.entries(problems, join(under, self.dest))

    def find(self, path: bytes) -> Entry | None:
        """As ``Tree.find``, for a path of the image."""
        inside = strip(self.dest, path)
        found = None if inside is None else self.tree.find(inside)
        return found and found._replace(path=path)


def place(tree: _T, dest: bytes) -> Placed[_T]:
    """``tree`` at ``dest``. Raises ``TreeError`` and ``LimitError``."""
    return Placed(tree, parse_dest(dest))
