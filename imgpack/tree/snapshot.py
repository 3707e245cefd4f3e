"""Snapshots: what ``lstat`` said of every entry of a tree, in a file, to compare with later.

A snapshot answers "did anything change?" without reading a file, by git's rules
(``Documentation/technical/racy-git.txt``): an entry whose ctime is so young that
another change could carry the same one is *racy*; it is written so that it never
compares equal, and its tree is read again next time.

Format, private to one cache: a record for each entry in the order of the walk,
fixed fields first, then the path.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from imgpack.tree.entry import Entry
from imgpack.tree.walk import Tree

RACY_NS: Final = 2_100_000_000
"""Nanoseconds: the coarsest time stamps of a file system (FAT's 2 s) and a kernel tick."""

_FIXED: Final = struct.Struct("<IIIIQqqQQIQ")
_BUFFER: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Change:
    """One path that two snapshots disagree about; ``how`` is for people."""

    path: bytes
    how: str


def record(entries: Iterable[Entry], file: BinaryIO, started_ns: int) -> Iterator[Entry]:
    """Pass ``entries`` on while writing them to ``file``; ``started_ns`` is when the walk began."""
    racy_from = started_ns - RACY_NS
    pack = _FIXED.pack
    for entry in entries:
        ctime = entry.ctime_ns if entry.ctime_ns < racy_from else -started_ns
        file.write(
            pack(
                len(entry.path), entry.mode, entry.uid, entry.gid, entry.size, entry.mtime_ns,
                ctime, entry.device, entry.inode, entry.links, entry.rdev,
            )
        )  # fmt: skip
        file.write(entry.path)
        yield entry


def replay(file: BinaryIO, tree: Tree) -> Iterator[Entry]:
    """The entries in ``file``, as ``walk(tree)`` yielded them."""
    skip = len(tree.dest) + 1 if tree.dest else 0
    base = tree.root + b"/"
    read, unpack, size = file.read, _FIXED.unpack, _FIXED.size
    while fixed := read(size):
        length, mode, uid, gid, bytes_, mtime, ctime, device, inode, links, rdev = unpack(fixed)
        path = read(length)
        source = base + path[skip:] if inode else b""
        if path == tree.dest:
            source = tree.root
        yield Entry(
            path, source, mode, uid, gid, bytes_, mtime, ctime, device, inode, links, rdev
        )  # fmt: skip


def same(old: BinaryIO, new: BinaryIO) -> bool:
    """Whether two snapshots, read from where they stand, are equal to the byte."""
    while True:
        one, other = old.read(_BUFFER), new.read(_BUFFER)
        if one != other:
            return False
        if not one:
            return True


def differences(old: BinaryIO, new: BinaryIO, tree: Tree) -> Iterator[Change]:
    """What changed from ``old`` to ``new``, in the order of the walk."""
    before, after = replay(old, tree), replay(new, tree)
    one, other = next(before, None), next(after, None)
    while one is not None or other is not None:
        if other is None or (one is not None and _place(one) < _place(other)):
            assert one is not None
            yield Change(one.path, "removed")
            one = next(before, None)
        elif one is None or _place(other) < _place(one):
            yield Change(other.path, "added")
            other = next(after, None)
        else:
            if one != other:
                yield Change(other.path, _how(one, other))
            one, other = next(before, None), next(after, None)


def _place(entry: Entry) -> list[bytes]:
    return entry.path.split(b"/")


def _how(one: Entry, other: Entry) -> str:
    if other.ctime_ns < 0 or one.ctime_ns < 0:
        young = one._replace(ctime_ns=0) == other._replace(ctime_ns=0)
        if young:
            return "changed too recently to tell by its times"
    named = (
        ("type or mode", "mode"), ("owner", "uid"), ("owner", "gid"), ("size", "size"),
        ("mtime", "mtime_ns"), ("inode", "inode"), ("inode", "device"), ("device number", "rdev"),
    )  # fmt: skip
    words = {word for word, field in named if getattr(one, field) != getattr(other, field)}
    return "changed: " + (", ".join(sorted(words)) or "ctime")
