"""Recipes: how a segment that is hardly more than files is made of them again.

What is stored as it is takes as much room in a cache as in the files that it came from, and
writing it there takes longer than making it. So the cache has where these bytes lie: below the
root of the tree, with the stat that the walk saw. Invariants: no symbolic link is followed,
nothing above the root is reached, and a file that is another by now, before or after it is
read, makes nothing. The caller compares the check sum of all of it.

Format, private to one cache: a JSON array on a line, with the files in order; then the bytes
between them, behind each other.
"""

import json
import os
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from imgpack.compression.algorithm import Bytes
from imgpack.layer.buffer import Buffer, Excerpt

_SHARE: Final = 4
"""A recipe has at most one in so many bytes of what it is for: with more it is not worth it."""
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_ELSEWHERE: Final = frozenset({"", ".", ".."})


class _Step(NamedTuple):
    """So many bytes as they are, then so many of a file: its path below the root, and its stat."""

    between: int
    path: str
    offset: int
    size: int
    status: tuple[int, ...]


def recipe_of(data: Bytes, excerpts: Sequence[Excerpt], root: bytes) -> bytes | None:
    """How ``data``, which has ``excerpts``, is made again; ``None`` if that is not worth it."""
    at, base = 0, root + b"/"
    steps: list[_Step] = []
    between: list[Bytes] = []
    for one in excerpts:
        if one.path.startswith(base):
            # Latin-1 has a character for each byte.
            path = one.path[len(base) :].decode("latin-1")
            steps.append(_Step(one.at - at, path, one.offset, one.size, one.status))
            between.append(data[at : one.at])
            at = one.at + one.size
    between.append(data[at:])
    made = b"\n".join((json.dumps(steps).encode(), b"".join(between)))
    return made if len(made) * _SHARE <= len(data) else None


def follow(recipe: memoryview, root: bytes, size: int, buffer: Buffer) -> bool:
    """Make the ``size`` bytes of ``recipe`` in ``buffer``.

    ``False`` if a file below ``root`` is not what it was. Raises ``ValueError`` for what is no
    recipe.
    """
    text, _, rest = bytes(recipe).partition(b"\n")
    at = 0
    try:
        for step in _steps(text):
            buffer.append(rest[at : at + step.between])
            at += step.between
            if buffer.filled + step.size > size:
                raise ValueError("more than there should be")
            if not _read(root, step, buffer):
                return False
    except OSError:
        return False
    buffer.append(rest[at:])
    return True


def _steps(text: bytes) -> list[_Step]:
    try:
        return [_step(*one) for one in json.loads(text)]
    except (TypeError, RecursionError) as error:
        raise ValueError("no recipe") from error


def _step(between: Any, path: Any, offset: Any, size: Any, status: Any) -> _Step:
    for number in (between, offset, size):
        if type(number) is not int or not 0 <= number < 1 << 63:
            raise ValueError("not a number of bytes")
    if type(path) is not str or _ELSEWHERE & set(path.split("/")):
        raise ValueError("not a path below the root")
    return _Step(between, path, offset, size, tuple(status))


def _read(root: bytes, step: _Step, buffer: Buffer) -> bool:
    """Append what ``step`` has of a file; ``False`` if it is another one."""
    descriptor = _open(root, step.path.encode("latin-1"))
    try:
        if Excerpt.status_of(os.fstat(descriptor)) != step.status:
            return False
        view, end = buffer.reserve(step.size), buffer.filled + step.size
        offset = step.offset - buffer.filled
        while buffer.filled < end:
            more = os.preadv(descriptor, (view[buffer.filled : end],), offset + buffer.filled)
            if not more:
                return False
            buffer.filled += more
        return Excerpt.status_of(os.fstat(descriptor)) == step.status
    finally:
        os.close(descriptor)


def _open(root: bytes, path: bytes) -> int:
    """A descriptor of the file at ``path`` below ``root``, reached step by step."""
    *above, name = path.split(b"/")
    directory = os.open(root, _DIRECTORY)
    try:
        for one in above:
            below = os.open(one, _DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = below
        return os.open(name, _FILE, dir_fd=directory)
    finally:
        os.close(directory)
