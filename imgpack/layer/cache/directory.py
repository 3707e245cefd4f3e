"""The directory that a cache lies in: whose it is, and which files in it are the cache's.

Marked as https://bford.info/cachedir/ says. Invariants: a directory that holds
anything else is refused before anything is made in it; only files with the names that
the cache gives are counted or removed, and no symbolic link below the directory leads
out of it.
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from imgpack.errors import CacheError, Remedy
from imgpack.files.atomic import is_temporary, replace_file
from imgpack.files.reading import read_regular
from imgpack.layer.cache.record import KEY_PATTERN

SEGMENTS, LAYERS, TREES, BLOBS, TMP = "segments", "layers", "trees", "fetched", "tmp"

_TAG: Final = "CACHEDIR.TAG"
_SIGNATURE: Final = b"Signature: 8a477f597d28d172789f06886806bc55"
_TEXT: Final = (
    _SIGNATURE + b"\n# This file is a cache directory tag created by imgpack.\n"
    b"# For information about cache directory tags see https://bford.info/cachedir/\n"
)
_KINDS: Final = frozenset({SEGMENTS, LAYERS, TREES, BLOBS, TMP})
_FIRST_KINDS: Final = _KINDS - {TREES, BLOBS}
_BESIDE: Final = frozenset({_TAG, "uploads", "lost+found"})
"""The tag, the journal of uploads, and what a file system has in its root."""

_NAMES: Final = {
    SEGMENTS: re.compile(KEY_PATTERN),
    LAYERS: re.compile(r"[0-9a-f]{64}"),
    TREES: re.compile(r"[0-9a-f]{64}"),
    BLOBS: re.compile(r"[0-9a-f]{64}|[0-9a-f]{128}"),
    # As in earlier releases; today's are called as temporaries are.
    TMP: re.compile(r"[0-9a-f]{32}|[0-9]+-[0-9]+"),
}
_SHARD: Final = re.compile(r"[0-9a-f]{2}")
_LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Found:
    """A file of the cache: its kind and path, its size in bytes, and when it was used last."""

    kind: str
    path: str
    size: int
    used_ns: int


def claim(directory: str, *, create: bool) -> None:
    """See that ``directory`` is a cache, or with ``create`` becomes one.

    Without ``create`` nothing is written, and it may be missing. Raises ``CacheError``.
    """
    try:
        if create:
            os.makedirs(directory, mode=0o700, exist_ok=True)
        tag = _read_tag(directory)
        _check_owner(directory, tag)
        if create and tag != _TEXT and _TEXT.startswith(tag or b""):
            # The tag comes first: a directory that has some of the others is known by it.
            # A directory that cannot be written is a cache to read from.
            with contextlib.suppress(OSError):
                replace_file(os.path.join(directory, _TAG), _TEXT, sync=False)
        for kind in sorted(_KINDS):
            _check_directory(os.path.join(directory, kind), create=create)
    except OSError as error:
        raise CacheError(
            f"cannot use the cache {directory}: {error.strerror}",
            Remedy.OTHER_CACHE(),
        ) from error


def _check_owner(directory: str, tag: bytes | None) -> None:
    try:
        names = {name for name in os.listdir(directory) if not is_temporary(name)}
    except FileNotFoundError:
        return
    # Other programs tag their directories as well.
    tagged = tag is not None and tag.startswith(_SIGNATURE) and b"imgpack" in tag
    # Earlier releases made three directories, and no tag; a full disk cuts a tag short.
    cut_short = tag is not None and _TEXT.startswith(tag)
    whole = (
        not names & _KINDS
        or names >= _FIRST_KINDS
        or cut_short
        or _holds_only_ours(directory, names)
    )
    if not tagged and not (whole and names <= _KINDS | _BESIDE):
        raise CacheError(
            f"{directory} is no cache of imgpack: it holds other files",
            Remedy.EMPTY_CACHE(),
        )


def _holds_only_ours(directory: str, names: set[str]) -> bool:
    """Whether what is left of a cache, which lost its tag and more, shows that it was one."""
    kinds = names & _KINDS
    count = 0
    for kind in kinds:
        pattern = _SHARD if kind == SEGMENTS else _NAMES[kind]
        for name in _list(os.path.join(directory, kind)):
            if not (pattern.fullmatch(name) or is_temporary(name)):
                return False
            count += 1
    return count > 0 or len(kinds) > 1


def _read_tag(directory: str) -> bytes | None:
    with contextlib.suppress(OSError):
        return read_regular(os.path.join(directory, _TAG), 4096)
    return None


def _check_directory(path: str, *, create: bool) -> None:
    if create:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, mode=0o700)
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        raise CacheError(
            f"{path} is no directory, or a link to one",
            Remedy.CLEAR_CACHE(),
        )


def files(directory: str) -> Iterator[Found]:
    """Every file of the cache in ``directory``, in no order.

    Other processes may remove anything, or the whole cache, at any time.
    """
    for kind in (LAYERS, TREES, BLOBS, TMP):
        yield from _files(kind, os.path.join(directory, kind))
    segments = os.path.join(directory, SEGMENTS)
    for shard in _list(segments):
        if _SHARD.fullmatch(shard):
            yield from _files(SEGMENTS, os.path.join(segments, shard), shard)


def _files(kind: str, place: str, prefix: str = "") -> Iterator[Found]:
    pattern = _NAMES[kind]
    for name in _list(place):
        if pattern.fullmatch(prefix + name) or (kind == TMP and is_temporary(name)):
            path = os.path.join(place, name)
            with contextlib.suppress(OSError):
                status = os.lstat(path)
                if not stat.S_ISDIR(status.st_mode):
                    yield Found(kind, path, status.st_size, status.st_mtime_ns)


def _list(place: str) -> list[str]:
    """The names in a directory; none if it is a link, is not there, or cannot be read."""
    with contextlib.suppress(OSError):
        descriptor = os.open(place, _LIST)
        try:
            return os.listdir(descriptor)
        finally:
            os.close(descriptor)
    return []
