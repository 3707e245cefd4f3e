"""Snapshots: what ``lstat`` said of every entry of a tree, in a file, to compare with later.

A snapshot answers "did anything change?" without reading a file, by git's rules
(``Documentation/technical/racy-git.txt``): an entry whose ctime is so young that
another change could carry the same one is *racy*; it is written so that it never
compares equal, and its tree is read again next time. So is one on a file system whose
times prove nothing, or that was mounted again (``mounts``).

Format, private to one cache: a record for each entry in the order of the walk;
fixed fields first, then the path.
"""

import errno
import io
import itertools
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from imgpack.tree.disk.directory import entry_of, mapped
from imgpack.tree.disk.mounts import mount_of
from imgpack.tree.disk.walk import Seen, reached, scan
from imgpack.tree.entry import Entry, OpenDirectory
from imgpack.tree.problems import Problems
from imgpack.tree.tree import Stamps

RACY_NS: Final = 2_100_000_000
"""Nanoseconds: the coarsest time stamps of a file system (FAT's 2 s) and a kernel tick."""

_FIXED: Final = struct.Struct("<IIQQIIIQqIqQQ")
_PROOF: Final = struct.Struct("<Q")
"""The last: the number of the mount, if nobody can have changed the entry unseen."""
_UNPROVEN: Final = 1 << 63
"""Else this, with when the walk began, so that it never comes again, and the next bit."""
_DISTRUSTED: Final = 1
_BUFFER: Final = 1 << 20
"""Bytes of records that are written at once."""
_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Change:
    """One path that two snapshots disagree about; ``how`` is for people."""

    path: bytes
    how: str

    @property
    def is_of_times(self) -> bool:
        """Whether it may be the same as before but for its times, as in a fresh checkout."""
        words = set(self.how.removeprefix("changed: ").split(", "))
        return "mtime" in words and words <= {"ctime", "inode", "mtime"}


class Recorder:
    """Writes a snapshot to ``file``; ``started_ns`` is when the walk began, in nanoseconds.

    A file that cannot be written (a full disk) ends no walk: ``flush`` says so.
    ``distrusted`` is the kind of a file system whose times prove nothing, if one was met;
    ``proofs`` are what records of each device end with.
    """

    def __init__(
        self, file: BinaryIO, started_ns: int, proofs: dict[int, int] | None = None
    ) -> None:
        """``proofs`` are those that another one has found, for the same time."""
        self.file = file
        self.started_ns = started_ns
        self.distrusted = ""
        self._pending = bytearray()
        self._racy = _UNPROVEN | (started_ns << 1) % _UNPROVEN
        self._racy_from = started_ns - RACY_NS
        self.proofs = proofs or {0: 0}  # by device; what is made up is on none
        self._failure: OSError | None = None

    def flush(self) -> OSError | None:
        """Write what is left; what went wrong, now or before, if anything did."""
        rest = memoryview(self._pending)
        self._pending = bytearray()
        try:
            while rest and self._failure is None:
                rest = rest[self.file.write(rest) :]
        except OSError as error:
            self._failure = error
        return self._failure

    def add(
        self, path: bytes, where: bytes, found: os.stat_result, within: OpenDirectory | None
    ) -> bytes:
        """Append what ``lstat`` found at a path of the image; returns the record."""
        record = self.record(path, where, found, within)
        self.append(record)
        return record

    def fail(self, error: OSError) -> None:
        """What is recorded is not whole: ``flush`` says so."""
        self._failure = self._failure or error

    def append(self, records: bytes) -> None:
        """Append records."""
        self._pending += records
        if len(self._pending) >= _BUFFER:
            self.flush()

    def record(
        self, path: bytes, where: bytes, found: os.stat_result, within: OpenDirectory | None
    ) -> bytes:
        """What ``add`` appends."""
        mode, inode, device, links, uid, gid, size, _, seconds, _ = found
        ctime = found.st_ctime_ns
        try:
            proof = self.proofs[device] if ctime < self._racy_from else self._racy
        except KeyError:
            proof = self._prove(where, found, within)
        # Whole seconds apart: nanoseconds of the year 2262 and later pass 64 bits.
        nanoseconds = found.st_mtime_ns % _SECOND
        fixed = _FIXED.pack(
            len(path), mode, inode, device, links, uid, gid, size, seconds, nanoseconds,
            ctime, found.st_rdev, proof,
        )  # fmt: skip
        return fixed + path

    def _prove(self, where: bytes, found: os.stat_result, within: OpenDirectory | None) -> int:
        kind, number = mount_of(where, found, within)
        if not number:
            self.distrusted = self.distrusted or kind
        proof = number % _UNPROVEN if number else self._racy | _DISTRUSTED
        self.proofs[found.st_dev] = proof
        return proof


def path_in(record: bytes) -> bytes:
    """The path that a record is of."""
    return record[_FIXED.size :]


def recording(stamps: Stamps, problems: Problems, recorder: Recorder) -> Iterator[Entry]:
    """The entries of a tree on disk, recorded as they pass."""
    return recorded(scan(stamps, problems), stamps, recorder)


def recorded(found: Iterable[Seen], stamps: Stamps, recorder: Recorder) -> Iterator[Entry]:
    """The entries of what a walk found, recorded as they pass."""
    caller, add = stamps.caller, recorder.add
    for path, where, status, within in found:
        yield entry_of(path, where, status, caller, add(path, where, status, within), within)


class Comparison:
    """A tree on disk next to its old snapshot; what is seen can be recorded anew.

    It ends at the first entry that is not as it was: from there on the tree has to
    be read anyway, and what is left of the walk goes along with the reading.
    """

    def __init__(
        self, stamps: Stamps, problems: Problems, old: BinaryIO, recorder: Recorder
    ) -> None:
        self._stamps = stamps
        self._problems = problems
        self._old = old
        self._start = self._same = 0  # where it stood, and how many bytes of it are the same
        self._differs = b""
        self._recorder = recorder
        self._rest = scan(stamps, problems)

    def unchanged(self) -> bool:
        """Whether the tree is as ``old`` says, read from where it stands; to be asked once."""
        before, record = self._old.read, self._recorder.record
        self._start = self._old.tell()
        for path, where, status, within in self._rest:
            now = record(path, where, status, within)
            size = len(now)
            if before(size) != now:
                self._differs = now
                return False
            self._same += size
        return not before(1)

    def is_early(self) -> bool:
        """Whether most of the walk is still to come, going by what was recorded before."""
        return 2 * self._same < self._old.seek(0, os.SEEK_END) - self._start

    def close(self) -> None:
        """End the walk."""
        self._rest.close()

    def record(self) -> None:
        """Record what was seen: the records that are as they were are copied."""
        self._old.seek(self._start)
        while self._same and (piece := self._old.read(min(self._same, _BUFFER))):
            self._recorder.append(piece)
            self._same -= len(piece)
        if self._same:  # somebody cut the cache's file meanwhile
            self._recorder.fail(OSError(errno.EIO, os.strerror(errno.EIO)))
        self._recorder.append(self._differs)
        self._recorder.flush()

    def entries(self) -> Iterator[Entry]:
        """All entries of the tree, once what was seen is recorded."""
        yield from replay(self._recorder.file, self._stamps, self._problems)
        yield from recorded(self._rest, self._stamps, self._recorder)


def replay(file: BinaryIO, stamps: Stamps, problems: Problems) -> Iterator[Entry]:
    """The entries in ``file``, as the tree yielded them when it was recorded."""
    file.seek(0)
    records = _records(file, stamps)
    root = (
        entry._replace(content=stamps.root)
        for entry in itertools.islice(records, 1 if stamps.dest else 0)
    )
    caller = stamps.caller
    for entry in itertools.chain(root, reached(records, stamps, problems)):
        if caller is None:
            yield entry
        else:
            uid, gid = mapped(entry.uid, entry.gid, caller)
            yield entry._replace(uid=uid, gid=gid)


def _records(file: BinaryIO, stamps: Stamps) -> Iterator[Entry]:
    skip = len(stamps.dest) + 1 if stamps.dest else 0
    base = stamps.root + b"/"
    reader = io.BufferedReader(file, _BUFFER)  # type: ignore[type-var]
    try:
        yield from _parsed(reader, base, skip)
    finally:
        reader.detach()  # the file is the caller's to close


def _parsed(reader: BinaryIO, base: bytes, skip: int) -> Iterator[Entry]:
    read, unpack, size = reader.read, _FIXED.unpack, _FIXED.size
    while len(fixed := read(size)) == size:
        length, *found, seconds, nanoseconds, ctime, rdev, _ = unpack(fixed)
        path = read(length)
        mtime = seconds * _SECOND + nanoseconds
        yield Entry(path, base + path[skip:], *found, mtime, ctime, rdev, fixed + path, None)  # type: ignore[call-arg]


def differences(old: BinaryIO, new: BinaryIO, stamps: Stamps) -> Iterator[Change]:
    """What changed from ``old`` to ``new``, read from where they stand, in the walk's order."""
    before, after = _records(old, stamps), _records(new, stamps)
    one, other = next(before, None), next(after, None)
    mounted_again = False
    while one is not None or other is not None:
        if other is None or (one is not None and _place(one) < _place(other)):
            assert one is not None
            yield Change(one.path, "removed")
            one = next(before, None)
        elif one is None or _place(other) < _place(one):
            yield Change(other.path, "added")
            other = next(after, None)
        else:
            how = _how(one, other) if one[:12] != other[:12] else _doubt(one, other)
            if how and not (how is _MOUNTED and mounted_again):
                yield Change(other.path, how)
            mounted_again = mounted_again or how is _MOUNTED
            one, other = next(before, None), next(after, None)


_MOUNTED: Final = "mounted again, and so is all that lies on the same file system"


def _doubt(one: Entry, other: Entry) -> str:
    """Why entries of one stat may not be the same; empty if there is no more to say."""
    before, now = (
        _PROOF.unpack_from(entry.stamp, _FIXED.size - _PROOF.size)[0] for entry in (one, other)
    )
    if now & _UNPROVEN and now & _DISTRUSTED:
        return ""
    if (before | now) & _UNPROVEN:
        return "changed too recently to tell by its times"
    return _MOUNTED if before != now else ""


def _place(entry: Entry) -> list[bytes]:
    return entry.path.split(b"/")


def _how(one: Entry, other: Entry) -> str:
    named = (
        ("type or mode", "mode"), ("owner", "uid"), ("owner", "gid"), ("size", "size"),
        ("mtime", "mtime_ns"), ("inode", "inode"), ("inode", "device"), ("device number", "rdev"),
    )  # fmt: skip
    words = {word for word, field in named if getattr(one, field) != getattr(other, field)}
    return "changed: " + (", ".join(sorted(words)) or "ctime")
