"""The names of users and groups, as the image's own files of accounts have them."""

import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from imgpack.errors import NoSuchPathError, NotFoundError, UnsupportedError
from imgpack.image.base.layer import MAX_KEPT
from imgpack.image.files.files import ImageFiles
from imgpack.image.files.paths import find_path
from imgpack.tree.rules.accounts import Account, groups, users


@dataclass(frozen=True, slots=True)
class OwnerNames:
    """Names by numbers: of several with one number, the first in the file."""

    users: Mapping[int, str]
    groups: Mapping[int, str]


def owner_names(files: ImageFiles) -> OwnerNames:
    """Those of ``/etc/passwd`` and ``/etc/group`` of an image, links followed.

    None of a file that is not there, is too large, or whose layer is not at hand.
    """
    return OwnerNames(
        _first(files, b"etc/passwd", users),
        _first(files, b"etc/group", groups),
    )


def _first(
    files: ImageFiles, path: bytes, parse: Callable[[bytes], Iterable[Account]]
) -> dict[int, str]:
    names: dict[int, str] = {}
    for account in _accounts(files, path, parse):
        names.setdefault(account.uid, account.name)
    return names


def _accounts(
    files: ImageFiles, path: bytes, parse: Callable[[bytes], Iterable[Account]]
) -> Iterator[Account]:
    try:
        found = find_path(files, path)
        if stat.S_ISREG(found.row.mode) and found.row.size <= MAX_KEPT:
            yield from parse(b"".join(files.read_row(found.held, found.row)))
    except (NoSuchPathError, NotFoundError, UnsupportedError):
        return
