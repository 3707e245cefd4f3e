"""The directory that a cache lies in, and whose it is.

Marked as https://bford.info/cachedir/ says. Invariant: a directory that holds
anything else is refused before anything is made in it.
"""

import contextlib
import os
import stat
from typing import Final

from imgpack.errors import CacheError, Remedy
from imgpack.files.atomic import is_temporary, replace_file
from imgpack.files.reading import read_regular
from imgpack.layer.cache.entries import KINDS, SIZES, is_ours, names_in

_TAG: Final = "CACHEDIR.TAG"
_SIGNATURE: Final = b"Signature: 8a477f597d28d172789f06886806bc55"
_TEXT: Final = (
    _SIGNATURE + b"\n# This file is a cache directory tag created by imgpack.\n"
    b"# For information about cache directory tags see https://bford.info/cachedir/\n"
)
_FIRST_KINDS: Final = frozenset({"segments", "layers", "tmp"})
_BESIDE: Final = frozenset({_TAG, SIZES, "uploads", "lost+found"})
"""The tag, what was counted, the journal of uploads, and what a file system has in its root."""


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
        for kind in sorted(KINDS):
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
        not names & KINDS
        or names >= _FIRST_KINDS
        or cut_short
        or _holds_only_ours(directory, names)
    )
    if not tagged and not (whole and names <= KINDS | _BESIDE):
        raise CacheError(
            f"{directory} is no cache of imgpack: it holds other files",
            Remedy.EMPTY_CACHE(),
        )


def _holds_only_ours(directory: str, names: set[str]) -> bool:
    """Whether what is left of a cache, which lost its tag and more, shows that it was one."""
    kinds = names & KINDS
    count = 0
    for kind in kinds:
        for name in names_in(os.path.join(directory, kind)):
            if not is_ours(kind, name):
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
