"""Snapshots: what ``lstat`` said of every entry of a tree, in a file, to compare with later.

A snapshot answers "did anything change?" without reading a file, by git's rules
(``Documentation/technical/racy-git.txt``): an entry whose ctime is so young that
another change could carry the same one is *racy*; it is written so that it never
compares equal, and its tree is read again next time.

Format, private to one cache: a record for the root and for each entry below in
the order of the walk; fixed fields first, then the path.
"""

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from imgpack.tree.entry import Entry
from imgpack.tree.walk import Problems, Tree, above, entry_of, scan

RACY_NS: Final = 2_100_000_000
"""Nanoseconds: the coarsest time stamps of a file system (FAT's 2 s) and a kernel tick."""

_FIXED: Final = struct.Struct("<IIQQIIIQqIqQ")
_BUFFER: Final = 1 << 20
_BUFFERED: Final = 8192
"""Records that are written at once, about a megabyte."""
_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Change:
    """One path that two snapshots disagree about; ``how`` is for people."""

    path: bytes
    how: str


class Recorder:
    """Writes a snapshot to ``file``; ``started_ns`` is when the walk began, in nanoseconds.

    A file that cannot be written (a full disk) ends no walk: ``finish`` says so.
    """

    def __init__(self, file: BinaryIO, started_ns: int) -> None:
        self._file = file
        self._pending: list[bytes] = []
        self._never = -started_ns
        self._racy_from = started_ns - RACY_NS
        self._failure: OSError | None = None

    def finish(self) -> OSError | None:
        """Write what is left and go back to the start; what went wrong, if anything did."""
        self._flush()
        self._file.seek(0)
        return self._failure

    def _flush(self) -> None:
        rest = memoryview(b"".join(self._pending))
        self._pending.clear()
        try:
            while rest and self._failure is None:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._failure = error

    def add(self, path: bytes, found: os.stat_result) -> bytes:
        """Append what ``lstat`` found at a path of the image; returns the record."""
        ctime = found.st_ctime_ns
        # Whole seconds apart: nanoseconds of the year 2262 and later pass 64 bits.
        seconds, nanoseconds = divmod(found.st_mtime_ns, _SECOND)
        # The first seven of a stat result are mode, inode, device, links, uid, gid, size;
        # a slice costs a quarter of seven attributes, and this runs for every file.
        record = (
            _FIXED.pack(
                len(path),
                *found[:7],
                seconds,
                nanoseconds,
                ctime if ctime < self._racy_from else self._never,
                found.st_rdev,
            )
            + path
        )
        pending = self._pending
        pending.append(record)
        if len(pending) == _BUFFERED:
            self._flush()
        return record


def take(tree: Tree, problems: Problems, recorder: Recorder) -> None:
    """Record ``tree``: its root, then everything below. Raises as ``walk`` does."""
    add = recorder.add
    add(tree.dest, os.stat(tree.root))
    for path, _, found in scan(tree, problems):
        add(path, found)


def recording(tree: Tree, problems: Problems, recorder: Recorder) -> Iterator[Entry]:
    """The entries of ``tree``, recorded as they pass."""
    top = os.stat(tree.root)
    yield from above(tree, entry_of(tree.dest, tree.root, top, recorder.add(tree.dest, top)))
    for path, where, found in scan(tree, problems):
        yield entry_of(path, where, found, recorder.add(path, found))


def replay(file: BinaryIO, tree: Tree) -> Iterator[Entry]:
    """The entries in ``file``, as ``walk(tree)`` yielded them."""
    records = _records(file, tree)
    top = next(records, None)
    if top is not None:
        yield from above(tree, top._replace(source=tree.root))
        yield from records


def _records(file: BinaryIO, tree: Tree) -> Iterator[Entry]:
    skip = len(tree.dest) + 1 if tree.dest else 0
    base = tree.root + b"/"
    reader = io.BufferedReader(file, _BUFFER)  # type: ignore[type-var]
    try:
        yield from _parsed(reader, base, skip)
    finally:
        reader.detach()  # the file is the caller's to close


def _parsed(reader: BinaryIO, base: bytes, skip: int) -> Iterator[Entry]:
    read, unpack, size = reader.read, _FIXED.unpack, _FIXED.size
    while len(fixed := read(size)) == size:
        (
            length, mode, inode, device, links, uid, gid, bytes_, seconds, nanoseconds, ctime, rdev
        ) = unpack(fixed)  # fmt: skip
        path = read(length)
        yield Entry(
            path, base + path[skip:], mode, uid, gid, bytes_, seconds * _SECOND + nanoseconds,
            ctime, device, inode, links, rdev, fixed + path,
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
    before, after = _records(old, tree), _records(new, tree)
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
                yield Change(other.path or b".", _how(one, other))
            one, other = next(before, None), next(after, None)


def _place(entry: Entry) -> list[bytes]:
    return entry.path.split(b"/")


def _how(one: Entry, other: Entry) -> str:
    if other.ctime_ns < 0 or one.ctime_ns < 0:
        young = one._replace(ctime_ns=0, record=b"") == other._replace(ctime_ns=0, record=b"")
        if young:
            return "changed too recently to tell by its times"
    named = (
        ("type or mode", "mode"), ("owner", "uid"), ("owner", "gid"), ("size", "size"),
        ("mtime", "mtime_ns"), ("inode", "inode"), ("inode", "device"), ("device number", "rdev"),
    )  # fmt: skip
    words = {word for word, field in named if getattr(one, field) != getattr(other, field)}
    return "changed: " + (", ".join(sorted(words)) or "ctime")
