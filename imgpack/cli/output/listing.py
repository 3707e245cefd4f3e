"""Entries of images as lines for people, as ``ls -l`` has them, and as JSON for programs."""

from __future__ import annotations

import base64
import functools
import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from imgpack.errors import printable

if TYPE_CHECKING:
    from imgpack.api import OwnerNames, TableRow

WHITEOUT: Final = 0o160000
OPAQUE: Final = 0o150000
_KINDS: Final = {
    stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo", stat.S_IFCHR: "character", stat.S_IFBLK: "block",
    WHITEOUT: "whiteout", OPAQUE: "opaque", 0: "hard link",
}  # fmt: skip
_DELETIONS: Final = (WHITEOUT, OPAQUE)
_NS: Final = 1_000_000_000
_FIRST: Final = 1000
"""Lines that are as wide as the widest of them; later ones may be wider."""


class ListedRow(NamedTuple):
    """An entry to be listed: of the layer ``layer``, from 1, with that many ``links``."""

    row: TableRow
    layer: int
    links: int


def kind_of(row: TableRow) -> str:
    """The word for what it is."""
    return _KINDS.get(stat.S_IFMT(row.mode), "other")


def marked_name(name: str, row: TableRow) -> str:
    """``name``, and that it is a deletion, if it is one."""
    return f"{name} ({kind_of(row)})" if row.mode in _DELETIONS else name


@functools.lru_cache(maxsize=4096)
def moment(seconds: int) -> str:
    """``YYYY-MM-DD HH:MM:SS`` in UTC; of a year above 9999 the number, after an ``@``."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S").zfill(19)
    except (ValueError, OverflowError, OSError):
        return f"@{seconds}"


def exact_moment(seconds: str) -> str:
    """``moment`` of seconds as they are written, with what they have behind the point."""
    whole, _, rest = seconds.partition(".")
    rest = rest.rstrip("0")
    if rest and whole.startswith("-"):
        return f"@{seconds}"
    return moment(int(whole)) + (f".{rest}" if rest else "")


@dataclass(frozen=True, slots=True)
class LongLines:
    """Lines as ``ls -l`` has them; owners by their names, if there are ``names``."""

    names: OwnerNames | None

    def lines(self, listed: Iterable[tuple[str, ListedRow]]) -> Iterator[str]:
        """A line for each name and what it stands for, in columns."""
        cells = (self._cells(name, one) for name, one in listed)
        first = list(islice(cells, _FIRST))
        widths = [max(map(len, column)) for column in zip(*first, strict=True)] or [0] * 7
        for mode, links, user, group, size, when, name in chain(first, cells):
            yield (
                f"{mode} {links:>{widths[1]}} {user:{widths[2]}} {group:{widths[3]}} "
                f"{size:>{widths[4]}} {when:{widths[5]}} {name}"
            )

    def _cells(self, name: str, one: ListedRow) -> tuple[str, ...]:
        row = one.row
        if row.mode in _DELETIONS:
            return f"{kind_of(row):10}", "-", "-", "-", "-", "-", name
        kind = stat.S_IFMT(row.mode)
        size = str(row.size)
        if kind in (stat.S_IFCHR, stat.S_IFBLK):
            size = f"{os.major(row.rdev)},{os.minor(row.rdev)}"
        elif kind == stat.S_IFLNK:
            name += f" -> {printable(row.link)}"
        elif not kind:
            name += f" link to {printable(row.link)}"
        return (
            stat.filemode(row.mode), str(one.links), self._user(row.uid), self._group(row.gid),
            size, moment(row.mtime_ns // _NS), name,
        )  # fmt: skip

    def _user(self, uid: int) -> str:
        name = None if self.names is None else self.names.users.get(uid)
        return str(uid) if name is None else printable(name)

    def _group(self, gid: int) -> str:
        name = None if self.names is None else self.names.groups.get(gid)
        return str(gid) if name is None else printable(name)


def described_row(one: ListedRow, names: OwnerNames | None) -> dict[str, Any]:
    """An entry as JSON; what it has not is left out. Bytes that are no UTF-8 are surrogates."""
    row = one.row
    kind = kind_of(row)
    out: dict[str, Any] = {"path": "/" + os.fsdecode(row.path), "type": kind, "layer": one.layer}
    if row.mode in _DELETIONS:
        return out
    out |= {
        "mode": f"{stat.S_IMODE(row.mode):04o}",
        "uid": row.uid,
        "gid": row.gid,
        "size": row.size,
        "mtime": _rfc3339(row.mtime_ns),
        "links": one.links,
    }
    if names is not None:
        if row.uid in names.users:
            out["user"] = names.users[row.uid]
        if row.gid in names.groups:
            out["group"] = names.groups[row.gid]
    if row.link:
        out["target"] = os.fsdecode(row.link)
    if kind in ("character", "block"):
        out["device"] = [os.major(row.rdev), os.minor(row.rdev)]
    if row.sha256 is not None:
        out["sha256"] = row.sha256.hex()
    if row.xattrs:
        out["xattrs"] = {
            os.fsdecode(name): base64.b64encode(value).decode() for name, value in row.xattrs
        }
    return out


def _rfc3339(ns: int) -> str:
    seconds, rest = divmod(ns, _NS)
    when = moment(seconds)
    if when.startswith("@"):
        return when
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{when.replace(' ', 'T')}{fraction}Z"


def document_lines(head: dict[str, Any], entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    """One JSON document of a ``head`` and its ``entries``, each of which is a line."""
    rest = iter(entries)
    first = next(rest, None)
    opening = json.dumps(head)[:-1] + ', "entries": ['
    if first is None:
        yield opening + "]}"
        return
    yield opening
    last = json.dumps(first)
    for one in rest:
        yield last + ","
        last = json.dumps(one)
    yield last + "]}"
