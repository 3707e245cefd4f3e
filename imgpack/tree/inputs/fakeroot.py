"""What fakeroot(1) saved of files: owners, modes and devices that nobody could really make.

Source: fakeroot's ``faked.c``, "save_database": a line for each inode that was changed. They
are known by device and inode, so a copy of the tree is another tree; all others are
root's. Invariant: no line is passed over.
"""

import hashlib
import re
import stat
from collections.abc import Iterable
from typing import Final

from imgpack.errors import ConfigError, SourceError, TreeError, printable, quoted
from imgpack.tree.entry import Entry
from imgpack.tree.problems import Problems
from imgpack.tree.transform import MAX_OWNER
from imgpack.tree.tree import Tree

_LINE: Final = re.compile(
    rb"dev=([0-9a-f]{1,16}),ino=(\d{1,20}),mode=([0-7]{1,7}),uid=(\d{1,10}),gid=(\d{1,10}),"
    rb"nlink=\d+,rdev=(\d{1,20})"
)
_DEVICES: Final = frozenset({stat.S_IFCHR, stat.S_IFBLK})
_KINDS: Final = _DEVICES | {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK}
_MAX_FILE: Final = 1 << 28
_new = tuple.__new__


class FakerootState:
    """A transform: entries as they were to a process under fakeroot."""

    def __init__(self, data: bytes, name: str) -> None:
        """Read ``data``, a save file's. Raises ``TreeError`` naming the line."""
        self._name = name
        self.identity = f"fakeroot {hashlib.sha256(data).hexdigest()}"
        self._known: dict[tuple[int, int], tuple[int, int, int, int]] = {}
        for number, line in enumerate(data.splitlines(), 1):
            match = _LINE.fullmatch(line)
            uid, gid = (int(match[4]), int(match[5])) if match else (MAX_OWNER + 1, 0)
            if match is None or max(uid, gid) > MAX_OWNER or _kind(match[3]) not in _KINDS:
                raise TreeError(
                    f"{name}:{number}: {quoted(line[:80])} is no line that fakeroot saves",
                    "name the file that fakeroot -s wrote",
                )
            key = int(match[1], 16), int(match[2])
            self._known[key] = int(match[3], 8), uid, gid, int(match[6])

    def check(self, trees: Iterable[Tree]) -> None:
        """Raise ``ConfigError`` if nothing that was saved is of a file in ``trees``."""
        entries = (entry for tree in trees for entry in tree.entries(Problems()))
        known = (_is_on_disk(one) and (one.device, one.inode) in self._known for one in entries)
        if self._known and not any(known):
            raise ConfigError(
                f"nothing that {self._name} says is about a file of the sources",
                "give the file that was saved for this very tree, not for a copy of it",
            )

    def __call__(self, entry: Entry) -> Entry:
        """``entry`` as fakeroot showed it. Raises ``TreeError`` if it cannot have been that."""
        if not _is_on_disk(entry):
            return entry
        known = self._known.get((entry.device, entry.inode))
        if known is None:
            return _new(Entry, (*entry[:6], 0, 0, *entry[8:]))
        mode, uid, gid, rdev = known
        kind, on_disk = stat.S_IFMT(mode), stat.S_IFMT(entry.mode)
        stands = kind in _DEVICES and on_disk == stat.S_IFREG and not entry.size
        if kind != on_disk and not stands:
            raise TreeError(
                f"{printable(entry.shown)} is not what fakeroot saved of it",
                "give the file that was saved for this very tree, not for a copy of it",
            )
        return entry._replace(mode=mode, uid=uid, gid=gid, rdev=rdev if stands else entry.rdev)


def _is_on_disk(entry: Entry) -> bool:
    return bool(entry.content) and isinstance(entry.content, bytes)


def _kind(octal: bytes) -> int:
    return stat.S_IFMT(int(octal, 8))


def fakeroot_state(path: bytes) -> FakerootState:
    """The state in the file ``path``. Raises ``SourceError``, and ``TreeError`` naming a line."""
    shown = printable(path)
    try:
        with open(path, "rb") as opened:
            data = opened.read(_MAX_FILE + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it has no such name"
        raise SourceError(f"cannot read the state {shown}: {why}") from error
    if len(data) > _MAX_FILE:
        raise SourceError(f"the state {shown} has more than {_MAX_FILE >> 20} MiB")
    return FakerootState(data, shown)
