"""A part of a tree, which makes a layer of its own: what of a walk is in it.

Directories on the way to what is in a part are in it as well, as the tree has them.
"""

import stat
from collections.abc import Callable, Generator, Iterable
from typing import Protocol, TypeVar, runtime_checkable

_T = TypeVar("_T")

Known = tuple[bytes, int, int, tuple[int, int]]
"""A path, its mode, the number of its names, and its device and inode."""

Belongs = Callable[[Known], bool]
"""Whether what is known of is in the part; to be asked in the order of the tree."""


class Part(Protocol):
    """Which paths of a tree, relative to its root, are in one of its parts."""

    @property
    def identity(self) -> str:
        """A text that differs whenever other paths may be in it."""

    def begin(self) -> Belongs:
        """What decides in one walk through the tree."""


@runtime_checkable
class NamedPart(Protocol):
    """A tree that is a part of another; ``part_name`` is empty for what is in no other part."""

    @property
    def part_name(self) -> str:
        """What the part is called."""


def parted(
    items: Iterable[_T], part: Part, dest: bytes, known: Callable[[_T], Known]
) -> Generator[_T, None, None]:
    """Those of ``items`` that are in ``part``; the tree fills ``dest`` of the image.

    ``dest`` itself, which the tree's root becomes, is in every part.
    """
    belongs, skip = part.begin(), len(dest) + 1 if dest else 0
    way: list[tuple[bytes, _T]] = []  # directories that may not be needed, with a slash behind
    for item in items:
        path, mode, links, inode = known(item)
        if path == dest:
            yield item
            continue
        while way and not path.startswith(way[-1][0]):
            way.pop()
        if belongs((path[skip:], mode, links, inode)):
            for _, directory in way:
                yield directory
            way.clear()
            yield item
        elif stat.S_ISDIR(mode):
            way.append((path + b"/", item))
