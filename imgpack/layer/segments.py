"""A tree as tar segments: framed, in order, and cut where the content itself says.

The tar stream is cut before an entry whose path hash falls below a threshold
that grows with the entry's size, and at fixed steps inside a large file. So the
mean segment has ``SEGMENT`` bytes, and a change in one file moves no cut but
those around it: every other segment keeps its bytes, and its place in the cache.
``docs/layer-format.md`` specifies the rule; the constants decide digests.

Files are compared with what the walk saw when they are read: one that changed
or vanished ends the build. Files that cannot be read are all named at the end.
"""

import os
import stat
import zlib
from collections.abc import Generator, Iterable, Iterator
from typing import Final, NamedTuple

from imgpack.errors import SourceChangedError, TreeError
from imgpack.layer import frame
from imgpack.tree import xattrs
from imgpack.tree.entry import Entry
from imgpack.tree.rules import MAX_TIME, Rules
from imgpack.tree.walk import Problems, printable

FORMAT_VERSION: Final = 1
"""The version of ``docs/layer-format.md``: what was built by another one is not reused."""

SEGMENT: Final = 1 << 20
"""Bytes of a mean segment: smaller ones compress worse, larger ones hardly better."""
MAX_SEGMENT: Final = 4 << 20
"""Bytes after which a segment is cut whatever comes: this bounds memory."""
LAST_PIECE: Final = SEGMENT + SEGMENT // 2
"""A large file's remainder up to this size is not cut again."""

SPARSE_WARNING: Final = 1 << 30
"""Bytes of holes in one file above which the user is warned: a layer stores them as zeros."""

_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_LINKABLE: Final = frozenset({stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO})
"""What a hard link may name. Not devices: rootless runtimes leave them out, and a
link to one would then fail the whole layer."""
_TYPE: Final = 0o170000
"""The bits of a mode that ``stat.S_IFMT`` keeps; a call of it for every file is too dear."""
_KINDS: Final = {
    stat.S_IFLNK: frame.SYMLINK,
    stat.S_IFDIR: frame.DIRECTORY,
    stat.S_IFCHR: frame.CHARACTER_DEVICE,
    stat.S_IFBLK: frame.BLOCK_DEVICE,
    stat.S_IFIFO: frame.FIFO,
}
_ROOTLESS_MAX_ID: Final = 65535
_NS: Final = 1_000_000_000
_FIRST_AND_LAST: Final = (0, MAX_TIME)


class Segment(NamedTuple):
    """A part of the tar stream: the byte strings that make it up, and where they come from.

    ``records`` are the snapshot's records of its entries (empty ones without a
    snapshot): as long as they are the same, so are the bytes.
    """

    parts: list[bytes]
    records: list[bytes]


class Segments:
    """One pass over entries, which cuts them into segments.

    ``newest`` is the newest time written so far, in seconds; it is complete when
    the iteration ends. ``warnings`` are the lines that the user should see.
    """

    def __init__(self, rules: Rules, problems: Problems) -> None:
        self.newest = 0
        self.warnings: list[str] = []
        self._rules = rules
        self._problems = problems
        self._linked: dict[tuple[int, int], tuple[bytes, int]] = {}
        self._large_ids = 0
        self._odd_times = 0

    def cut(self, entries: Iterable[Entry]) -> Generator[Segment, None, None]:
        """Yield each segment, in order.

        Raises ``SourceError`` at the end if anything could not be read,
        ``SourceChangedError`` and ``TreeError`` at once.
        """
        parts: list[bytes] = []
        records: list[bytes] = []
        filled = 0
        crc32 = zlib.crc32
        for entry in entries:
            # A link to a file brings no content, and must not be cut as if it did.
            is_file = entry.mode & _TYPE == stat.S_IFREG
            size = entry.size if is_file and not self._is_link(entry) else 0
            weight = size + frame.BLOCK
            if parts and (
                filled + weight > MAX_SEGMENT or crc32(entry.path) * SEGMENT < weight << 32
            ):
                yield Segment(parts, records)
                parts, records, filled = [], [], 0
            records.append(entry.record)
            if size > LAST_PIECE:
                for number, (piece, whole) in enumerate(self._large(entry)):
                    parts.append(piece)
                    filled += len(piece)
                    if not whole and filled >= SEGMENT:
                        yield Segment(parts, records)
                        parts, records, filled = [], [entry.record, b"%d" % number], 0
                continue
            framed = self._small(entry)
            parts += framed
            for part in framed:
                filled += len(part)
        self._problems.check()
        parts.append(frame.END)
        yield Segment(parts, records)
        self._finish()

    def _finish(self) -> None:
        if self._large_ids:
            self.warnings.append(
                f"{self._large_ids} entries have a uid or gid above {_ROOTLESS_MAX_ID}, "
                "which rootless runtimes cannot unpack; set --owner to change them"
            )
        if self._odd_times:
            self.warnings.append(
                f"{self._odd_times} entries have a time before 1970 or after 2242, which no "
                "loader keeps; they get the nearest one"
            )

    def _is_link(self, entry: Entry) -> bool:
        return entry.links > 1 and (entry.device, entry.inode) in self._linked

    def _link(self, entry: Entry) -> bytes | None:
        """The path of the first entry with this inode, or ``None`` for the first itself."""
        key = (entry.device, entry.inode)
        first, left = self._linked.get(key, (None, entry.links))
        if first is None:
            self._linked[key] = (entry.path, left - 1)
        elif left > 1:
            self._linked[key] = (first, left - 1)
        else:
            del self._linked[key]  # all its names were met: memory need not grow
        return first

    def _small(self, entry: Entry) -> list[bytes]:
        """The framed entry: header, content and padding."""
        mode = entry.mode
        if entry.links > 1 and mode & _TYPE in _LINKABLE and (first := self._link(entry)):
            return self._linked_file(entry, first)
        if mode & _TYPE == stat.S_IFREG:
            return self._file(entry)
        kind = _KINDS.get(stat.S_IFMT(mode))
        if kind is None:
            self.warnings.append(f"skipped the socket {printable(entry.source)}: tar has none")
            return []
        name, link, device = entry.path, b"", (0, 0)
        if kind == frame.DIRECTORY:
            name += b"/"
        elif kind == frame.SYMLINK:
            link = self._target(entry)
        elif kind in (frame.CHARACTER_DEVICE, frame.BLOCK_DEVICE):
            device = self._device(entry, kind)
        try:
            found = xattrs.read(entry.source, entry.source) if entry.source else xattrs.NONE
        except FileNotFoundError:
            raise _changed(entry, "vanished") from None
        except OSError as error:
            self._problems.add(entry.source, error)
            return []
        return [self._header(entry, found, kind, name, link, device)]

    def _file(self, entry: Entry) -> list[bytes]:
        size = entry.size
        descriptor = self._open(entry)
        if descriptor < 0:
            return []
        try:
            data = os.read(descriptor, size + 1)
            while 0 < len(data) < size and (more := os.read(descriptor, size + 1 - len(data))):
                data += more
            self._check_same(entry, os.fstat(descriptor), len(data))
            found = xattrs.read(descriptor, entry.source)
        except OSError as error:
            self._problems.add(entry.source, error)
            return []
        finally:
            os.close(descriptor)
        return [self._header(entry, found, frame.FILE, entry.path), data, frame.padding(size)]

    def _linked_file(self, entry: Entry, first: bytes) -> list[bytes]:
        # Loaders apply the link's own header to the inode, so it repeats owner, mode
        # and attributes: a chown of the link drops file capabilities otherwise.
        try:
            found = xattrs.read(entry.source, entry.source)
        except OSError as error:
            self._problems.add(entry.source, error)
            return []
        return [self._header(entry, found, frame.HARD_LINK, entry.path, first)]

    def _large(self, entry: Entry) -> Iterator[tuple[bytes, bool]]:
        """The framed entry in pieces; with each, whether the file forbids a cut after it."""
        if entry.links > 1:
            self._link(entry)
        descriptor = self._open(entry)
        if descriptor < 0:
            return
        try:
            before = os.fstat(descriptor)
            self._check_same(entry, before, entry.size)
            self._warn_sparse(entry, before)
            found = xattrs.read(descriptor, entry.source)
            yield self._header(entry, found, frame.FILE, entry.path), True
            left = entry.size
            while left:
                step = SEGMENT if left > LAST_PIECE else left
                piece = _read_exactly(descriptor, step)
                if len(piece) != step:
                    raise _changed(entry, "was truncated")
                left -= step
                yield piece, not left
            self._check_same(entry, os.fstat(descriptor), entry.size)
        except OSError as error:
            self._problems.add(entry.source, error)
            return  # what is framed from here on is thrown away: the cut ends with the problems
        finally:
            os.close(descriptor)
        yield frame.padding(entry.size), True

    def _open(self, entry: Entry) -> int:
        """A descriptor of the entry's file; -1 if it cannot be read, which is remembered."""
        try:
            return os.open(entry.source, _OPEN)
        except FileNotFoundError:
            raise _changed(entry, "vanished") from None
        except OSError as error:
            self._problems.add(entry.source, error)
            return -1

    def _check_same(self, entry: Entry, now: os.stat_result, count: int) -> None:
        if (
            count != entry.size
            or now.st_size != entry.size
            or now.st_mtime_ns != entry.mtime_ns
            or now.st_ino != entry.inode
            or now.st_dev != entry.device
            or now.st_mode != entry.mode
        ):
            raise _changed(entry, "changed")

    def _target(self, entry: Entry) -> bytes:
        try:
            return os.readlink(entry.source)
        except OSError:
            raise _changed(entry, "changed") from None

    def _device(self, entry: Entry, kind: bytes) -> tuple[int, int]:
        numbers = os.major(entry.rdev), os.minor(entry.rdev)
        if kind == frame.CHARACTER_DEVICE and numbers == (0, 0):
            raise TreeError(
                f"{printable(entry.source)} is the character device 0:0, an overlayfs whiteout, "
                "which would delete a file of a lower layer",
                "build from the merged tree, or remove it",
            )
        return numbers

    def _warn_sparse(self, entry: Entry, found: os.stat_result) -> None:
        holes = entry.size - found.st_blocks * 512
        if holes > SPARSE_WARNING:
            self.warnings.append(
                f"{printable(entry.source)} has {holes >> 30} GiB of holes, which a layer stores "
                "as zeros and a runtime unpacks in full (for lastlog, see useradd -l)"
            )

    def _header(
        self,
        entry: Entry,
        found: xattrs.Attributes,
        kind: bytes,
        name: bytes,
        link: bytes = b"",
        device: tuple[int, int] = (0, 0),
    ) -> bytes:
        uid, gid = self._rules.ids(entry.uid, entry.gid)
        mode = 0o777 if kind == frame.SYMLINK else entry.mode & 0o7777
        if found is not xattrs.NONE:
            uid = uid if found.uid is None or self._rules.owner else found.uid
            gid = gid if found.gid is None or self._rules.owner else found.gid
            mode = mode if found.mode is None else found.mode
            for dropped in found.dropped:
                self.warnings.append(
                    f"dropped the attribute {printable(dropped)} of {printable(entry.source)}: "
                    "PAX cannot say an empty value, or = in a name"
                )
        if uid > _ROOTLESS_MAX_ID or gid > _ROOTLESS_MAX_ID:
            self._large_ids += 1
        mtime = self._rules.seconds(entry.mtime_ns)
        if mtime in _FIRST_AND_LAST and mtime != entry.mtime_ns // _NS:
            self._odd_times += self._rules.mtime is None and self._rules.clamp is None
        if mtime > self.newest:
            self.newest = mtime
        return frame.header(
            name,
            size=entry.size if kind == frame.FILE else 0,
            mode=mode,
            mtime=mtime,
            uid=uid,
            gid=gid,
            typeflag=kind,
            link=link,
            device=device,
            xattrs=dict(found.xattrs) if found.xattrs else None,
        )


def _read_exactly(descriptor: int, count: int) -> bytes:
    data = os.read(descriptor, count)
    while len(data) < count and (more := os.read(descriptor, count - len(data))):
        data += more
    return data


def _changed(entry: Entry, how: str) -> SourceChangedError:
    return SourceChangedError(
        f"{printable(entry.source)} {how} while it was being read",
        "build from a tree that nothing writes to",
    )
