"""A tree from entries in memory: made one by one, sorted and checked when the tree is made.

Every value is checked here, so that what goes into a layer is what was meant: a path that
is absolute or leads out of the tree, one that is there twice, a number that no header has.
All raise ``TreeError`` with the path, or ``LimitError`` for what no Linux can unpack.
"""

import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Final, TypedDict, Unpack

from imgpack.errors import LimitError, TreeError, printable, quoted
from imgpack.tar.header import MAX_ID
from imgpack.tree.entry import Entry, made_up_directory
from imgpack.tree.problems import Problems
from imgpack.tree.transform import MAX_OWNER
from imgpack.tree.tree import MAX_NAME, Stamps, check_length, check_name, join

Opener = Callable[[], BinaryIO]
"""Opens content, at its start each time."""

_MAX_SIZE: Final = 1 << 62
_MAX_TARGET: Final = 4095
"""Bytes of a symbolic link's target (``PATH_MAX``)."""
_MAX_ATTRIBUTE: Final = 1 << 16
"""Bytes of an attribute's value (``XATTR_SIZE_MAX``)."""


@dataclass(frozen=True, slots=True)
class _Held:
    """Content in memory, or what opens it; ``first`` is the path that a hard link names."""

    data: bytes | Opener = b""
    target: bytes = b""
    xattrs: Mapping[bytes, bytes] = field(default_factory=dict)
    first: bytes | None = None

    def open(self) -> BinaryIO:
        """The bytes, from their start."""
        return io.BytesIO(self.data) if isinstance(self.data, bytes) else self.data()


class Entries:
    """The tree of some entries; missing directories on the way to them are made up."""

    def __init__(self, entries: Iterable[Entry], name: str = "entries") -> None:
        """Take ``entries`` in any order; ``name`` is what messages call the tree."""
        self._name = name
        found: dict[tuple[bytes, ...], Entry] = {}
        for entry in entries:
            parts = _parts(entry.path)
            if parts in found:
                raise TreeError(f"{printable(entry.path)} is there twice", "leave one out")
            found[parts] = entry
        for parts in list(found):
            for count in range(len(parts)):
                above = found.setdefault(
                    parts[:count], made_up_directory(b"/".join(parts[:count]), 0)
                )
                if not stat.S_ISDIR(above.mode):
                    raise TreeError(
                        f"{printable(above.path)} is not a directory, "
                        f"and {printable(b'/'.join(parts))} is to be in it"
                    )
        root = found.pop((), made_up_directory(b"", 0))
        if not stat.S_ISDIR(root.mode):
            raise TreeError("the root of a tree is a directory", "give what is in it a path")
        self._found = {b"": root} | dict(_linked({b"/".join(p): found[p] for p in sorted(found)}))

    def __str__(self) -> str:
        return self._name

    @property
    def stamps(self) -> Stamps | None:
        """None: only the bytes tell what they are."""
        return None

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """As ``Tree.entries``."""
        if under:
            yield self._found[b""]._replace(path=under)
        for path, entry in self._found.items():
            if path:
                yield entry._replace(path=join(under, path)) if under else entry

    def find(self, path: bytes) -> Entry | None:
        """As ``Tree.find``."""
        return self._found.get(path)


def _parts(path: bytes) -> tuple[bytes, ...]:
    parts = tuple(path.split(b"/")) if path else ()
    if any(part in (b"", b".", b"..") for part in parts) or b"\0" in path:
        raise TreeError(
            f"the path {quoted(path)} cannot be in a tree",
            "write it as it is in the image, without a slash at the front, . or ..",
        )
    for part in parts:
        check_name(part, path)
        check_length(part, path)
    return parts


def _linked(found: dict[bytes, Entry]) -> Iterator[tuple[bytes, Entry]]:
    """``found`` with hard links as the entries that they name, which share an inode."""
    names: dict[bytes, list[bytes]] = {}
    for path, entry in found.items():
        if isinstance(entry.content, _Held) and entry.content.first is not None:
            names.setdefault(entry.content.first, []).append(path)
    linked: dict[bytes, Entry] = {}
    for inode, (first, others) in enumerate(names.items(), 1):
        there = found.get(first)
        if there is None or stat.S_ISDIR(there.mode) or _is_link(there):
            raise TreeError(
                f"{printable(others[0])} is a hard link to {printable(first)}, which is "
                + ("not there" if there is None else "a directory or a link itself"),
            )
        for path in (first, *others):
            linked[path] = there._replace(path=path, inode=inode, links=len(others) + 1)
    for path, entry in found.items():
        yield path, linked.get(path, entry)


def _is_link(entry: Entry) -> bool:
    return isinstance(entry.content, _Held) and entry.content.first is not None


class Fields(TypedDict, total=False):
    """What most entries may have: permissions, owner, time, extended attributes.

    Without them an entry is ``0644``, a directory ``0755``, of 0:0, from 1970, and has none.
    """

    mode: int
    uid: int
    gid: int
    mtime_ns: int
    xattrs: Mapping[bytes, bytes]


def file(
    path: str | bytes, content: bytes | Opener, *, size: int | None = None, **fields: Unpack[Fields]
) -> Entry:
    """A regular file of these bytes, or of ``size`` bytes that ``content`` opens.

    ``fields``, here and below: ``mode``, ``uid``, ``gid``, ``mtime_ns`` and ``xattrs``.
    """
    if isinstance(content, bytes):
        size = len(content)
    elif not callable(content):
        raise TypeError(f"content is bytes, or opens a file of them: not {type(content).__name__}")
    elif size is None:
        raise TreeError(f"the size of {_shown(path)} is not known", "give it with the content")
    return _entry(path, stat.S_IFREG, fields, _Held(content), size)


def directory_entry(path: str | bytes, **fields: Unpack[Fields]) -> Entry:
    """A directory; that of the empty path is what a destination becomes."""
    return _entry(path, stat.S_IFDIR, {"mode": 0o755, **fields}, _Held())


def symlink(path: str | bytes, target: str | bytes, **fields: Unpack[Fields]) -> Entry:
    """A symbolic link to ``target``, whatever is there; its permissions are not kept."""
    held = _Held(target=os.fsencode(target))
    if not held.target or b"\0" in held.target:
        raise TreeError(f"the symbolic link {_shown(path)} has no target that a path can be")
    if len(held.target) > _MAX_TARGET:
        raise LimitError(
            f"the target of {_shown(path)} has {len(held.target)} bytes, "
            f"and Linux takes {_MAX_TARGET}"
        )
    return _entry(path, stat.S_IFLNK, {**fields, "mode": 0o777}, held, len(held.target))


def hard_link(path: str | bytes, first: str | bytes) -> Entry:
    """Another name of the file, link, fifo or device at ``first``, with all that it has."""
    return _entry(path, stat.S_IFREG, {}, _Held(first=os.fsencode(first)))


def fifo(path: str | bytes, **fields: Unpack[Fields]) -> Entry:
    """A named pipe."""
    return _entry(path, stat.S_IFIFO, fields, _Held())


def character_device(path: str | bytes, major: int, minor: int, **fields: Unpack[Fields]) -> Entry:
    """A character device."""
    return _device(path, stat.S_IFCHR, (major, minor), fields)


def block_device(path: str | bytes, major: int, minor: int, **fields: Unpack[Fields]) -> Entry:
    """A block device."""
    return _device(path, stat.S_IFBLK, (major, minor), fields)


def _device(path: str | bytes, kind: int, numbers: tuple[int, int], fields: Fields) -> Entry:
    for number in numbers:
        _check(path, "device number", number, MAX_ID)
    return _entry(path, kind, fields, _Held())._replace(rdev=os.makedev(*numbers))


def _entry(path: str | bytes, kind: int, fields: Fields, held: _Held, size: int = 0) -> Entry:
    mode, mtime_ns = fields.get("mode", 0o644), fields.get("mtime_ns", 0)
    uid, gid = fields.get("uid", 0), fields.get("gid", 0)
    xattrs = dict(fields.get("xattrs", {}))
    _check(path, "mode", mode, 0o7777)
    _check(path, "uid", uid, MAX_OWNER)
    _check(path, "gid", gid, MAX_OWNER)
    _check(path, "size", size, _MAX_SIZE)
    for name, value in xattrs.items():
        if not name or not value or b"=" in name or b"\0" in name:
            raise TreeError(
                f"{_shown(path)} has the attribute {quoted(name)}, which no layer can hold"
            )
        if len(name) > MAX_NAME or len(value) > _MAX_ATTRIBUTE:
            raise LimitError(
                f"{_shown(path)} has an attribute of {len(name)} and {len(value)} bytes, "
                f"and Linux takes {MAX_NAME} and {_MAX_ATTRIBUTE}"
            )
    content = replace(held, xattrs=xattrs)
    return Entry(os.fsencode(path), content, kind | mode, 0, 0, 1, uid, gid, size, mtime_ns, 0, 0)


def _check(path: str | bytes, what: str, number: int, largest: int) -> None:
    if not 0 <= number <= largest:
        raise TreeError(f"the {what} {number} of {_shown(path)} is not between 0 and {largest}")


def _shown(path: str | bytes) -> str:
    return printable(os.fsencode(path))
