"""The files of a cache: how they are called, where they lie, and how they are found.

Segments and records of layers may be many. They lie in 256 directories of each kind by the
first two digits of their names, and the third digit makes them 4096 *parts*: names are
fingerprints, so each part is a fair sample of all. The trees and the layers of bases are few.
Invariants: only files with the names that the cache gives are found, and no symbolic link
below the directory leads out of it.
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from imgpack.files.atomic import is_temporary
from imgpack.layer.cache.record import KEY_PATTERN

SEGMENTS, LAYERS, TREES, BLOBS, TMP = "segments", "layers", "trees", "fetched", "tmp"
KINDS: Final = frozenset({SEGMENTS, LAYERS, TREES, BLOBS, TMP})
OLD: Final = "old"
"""The kind of records as earlier releases kept them, which nobody reads."""
SIZES: Final = "sizes"
"""The file that has what was counted."""
PARTS: Final = 4096

_MANY: Final = (SEGMENTS, LAYERS)
_TOGETHER: Final = 64
"""Files of a directory that are looked at at once: it is not listed again for a few of them."""
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_NAMES: Final = {
    SEGMENTS: re.compile(KEY_PATTERN),
    LAYERS: _SHA256,
    TREES: _SHA256,
    BLOBS: re.compile(r"[0-9a-f]{64}|[0-9a-f]{128}"),
    # As in earlier releases; today's are called as temporaries are.
    TMP: re.compile(r"[0-9a-f]{32}|[0-9]+-[0-9]+"),
    OLD: _SHA256,
}
_SHARD: Final = re.compile(r"[0-9a-f]{2}")
_LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Found:
    """A file of the cache: its kind and path, its size in bytes, when it was used last, its part.

    The part is -1 if it is in none.
    """

    kind: str
    path: str
    size: int
    used_ns: int
    part: int


def path_of(directory: str, kind: str, name: str) -> str:
    """Where the entry ``name`` of a kind lies."""
    if kind in _MANY:
        return f"{directory}/{kind}/{name[:2]}/{name[2:]}"
    return f"{directory}/{kind}/{name}"


def part_of(name: str) -> int:
    """The number of the part that a segment or a record is in."""
    return int(name[:3], 16)


def is_ours(kind: str, name: str) -> bool:
    """Whether the cache may have given this name in the directory of a kind."""
    if kind in _MANY and _SHARD.fullmatch(name):
        return True
    return bool(_pattern(kind).fullmatch(name)) or is_temporary(name)


def _pattern(kind: str) -> re.Pattern[str]:
    return _SHARD if kind == SEGMENTS else _NAMES[kind]


def names_in(place: str) -> list[str]:
    """The names in a directory; none if it is a link, is not there, or cannot be read."""
    with contextlib.suppress(OSError):
        descriptor = os.open(place, _LIST)
        try:
            return os.listdir(descriptor)
        finally:
            os.close(descriptor)
    return []


def few(directory: str) -> Iterator[Found]:
    """The files that are in no part, in no order."""
    for kind, place in ((TREES, TREES), (BLOBS, BLOBS), (TMP, TMP), (OLD, LAYERS)):
        where = f"{directory}/{place}"
        yield from _found(kind, where, names_in(where))


def files(directory: str) -> Iterator[Found]:
    """Every file of the cache in ``directory``, in no order."""
    yield from few(directory)
    for _, found in parts(directory):
        yield from found


def parts(directory: str, first: int = 0) -> Iterator[tuple[range, list[Found]]]:
    """Each part once, in turn from the number ``first``, and what is in it; small ones together.

    Other processes may remove anything, or the whole cache, at any time.
    """
    there = {kind: set(names_in(f"{directory}/{kind}")) for kind in _MANY}
    for step in range(257):  # the first directory comes again, for what lies before ``first``
        number = (first // 16 + step) % 256
        low, high = first % 16 if step == 0 else 0, first % 16 if step == 256 else 16
        kinds = [kind for kind in _MANY if f"{number:02x}" in there[kind]]
        yield from _parts(directory, kinds, number, range(low, high))


def _parts(
    directory: str, kinds: Iterable[str], number: int, digits: range
) -> Iterator[tuple[range, list[Found]]]:
    """The parts of these third digits in the directory ``number`` of each kind."""
    shard = f"{number:02x}"
    names = {kind: names_in(f"{directory}/{kind}/{shard}") for kind in kinds}
    together = len(digits) if sum(map(len, names.values())) <= _TOGETHER else 1
    for low in range(digits.start, digits.stop, together or 1):
        wanted = "0123456789abcdef"[low : low + together]
        found: list[Found] = []
        for kind, there in names.items():
            chosen = [name for name in there if name[0] in wanted]
            found += _found(kind, f"{directory}/{kind}/{shard}", chosen, shard)
        yield range(16 * number + low, 16 * number + low + together), found


def _found(kind: str, place: str, names: Iterable[str], prefix: str = "") -> Iterator[Found]:
    pattern = _NAMES[kind]
    for name in names:
        if pattern.fullmatch(prefix + name) or (kind == TMP and is_temporary(name)):
            path = f"{place}/{name}"
            with contextlib.suppress(OSError):
                status = os.lstat(path)
                if not stat.S_ISDIR(status.st_mode):
                    part = part_of(prefix + name) if prefix else -1
                    yield Found(kind, path, status.st_size, status.st_mtime_ns, part)
