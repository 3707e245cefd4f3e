"""Files of the image that layers make, found through its symbolic links."""

import stat
from collections.abc import Sequence
from typing import Final

from imgpack.errors import SourceError, brief
from imgpack.tree.below import Below, Laid
from imgpack.tree.destination import Placed
from imgpack.tree.merge.follow import follow
from imgpack.tree.tree import Tree

_MAX_SIZE: Final = 16 << 20
"""Bytes of a file that is read as a whole: many times those of any list of users."""


def read_file(layers: Sequence[Placed[Tree]], path: str, base: Tree | None = None) -> bytes | None:
    """The bytes of the file that a path leads to, in ``layers`` over ``base``.

    ``None`` if there is none. Raises ``SourceError`` if it cannot be read, or is far larger
    than a list of users.
    """
    below = Below(() if base is None else (Laid(base),))
    for layer in layers:
        below = below.over(Laid(layer.tree, layer.dest, exact=layer.exact))
    try:
        found = follow(below, path.encode("utf-8", "surrogateescape"))
        if found is None or not stat.S_ISREG(found.mode):
            return None
        with found.open() as file:
            data = file.read(_MAX_SIZE + 1)
    except OSError as error:
        raise SourceError(f"cannot read {path} of the image: {error.strerror}") from error
    if len(data) > _MAX_SIZE:
        raise SourceError(f"{brief(found.shown)} is larger than {_MAX_SIZE >> 20} MiB")
    return data
