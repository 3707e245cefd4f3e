"""Entries as tar: each header, content and padding, straight into a buffer.

Files are compared with what the walk saw when they are read: one that changed
or vanished ends the build. Files that cannot be read are all named at the end.

This runs once for every file of a tree, and half of the time that small files cost
is spent here: the path of an ordinary file is kept short, at some cost in looks.
"""

import errno
import functools
import os
import stat
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from imgpack.errors import SourceError, TreeError, brief, printable
from imgpack.layer.buffer import Buffer
from imgpack.layer.links import Links
from imgpack.tar import header
from imgpack.tree import xattrs
from imgpack.tree.entry import OPAQUE, OPAQUE_NAME, WHITEOUT, Entry
from imgpack.tree.problems import Problems, changed
from imgpack.tree.transform import MAX_TIME
from imgpack.tree.tree import WHITEOUT_PREFIX, join

TYPE: Final = 0o170000
"""The bits of a mode that ``stat.S_IFMT`` keeps; a call of it for every file is too dear."""
FILE_TYPE: Final = stat.S_IFREG

SPARSE_WARNING: Final = 1 << 30
"""Bytes of holes in one file above which the user is warned: a layer stores them as zeros."""

_LINKABLE: Final = frozenset({stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO})
"""What a hard link may name. Not devices: rootless runtimes leave them out, and a
link to one would then fail the whole layer."""
_KINDS: Final = {
    stat.S_IFLNK: header.SYMLINK,
    stat.S_IFDIR: header.DIRECTORY,
    stat.S_IFCHR: header.CHARACTER_DEVICE,
    stat.S_IFBLK: header.BLOCK_DEVICE,
    stat.S_IFIFO: header.FIFO,
}
_DELETIONS: Final = frozenset({WHITEOUT, OPAQUE})
_REPLACED: Final = frozenset({errno.ENOENT, errno.EINVAL, errno.ENOTDIR})
"""Of ``readlink``: there is no link any more."""
_MAX_PATH: Final = 4095
"""Bytes of a path that Linux takes, and so engines, which do not unpack by descriptors."""
_WARNINGS: Final = 100
"""Entries that are warned of one by one; the others are counted."""
_ROOTLESS_MAX_ID: Final = 65535
_NS: Final = 1_000_000_000
_NO_DEVICE: Final = (0, 0)
_OWNERS: Final = 1024
"""Combinations of mode and owner whose fields are kept: more than a tree has, but a hostile one."""


class Tally(NamedTuple):
    """How many entries have what is told in numbers, and the first path that is too long."""

    large_ids: int = 0
    odd_times: int = 0
    long_paths: int = 0
    long_path: bytes = b""

    def plus(self, more: "Tally") -> "Tally":
        """Those of what was encoded before, and of ``more`` behind it."""
        large_ids, odd_times, long_paths, long_path = self
        return Tally(
            large_ids + more.large_ids,
            odd_times + more.odd_times,
            long_paths + more.long_paths,
            long_path or more.long_path,
        )


class Encoder:
    """Encodes entries into ``buffer``, which the caller may change between two of them.

    ``newest`` is the newest time written so far, in seconds; ``warnings`` are the
    lines that the user should see, complete after ``finish``; ``tally`` is what it tells
    then. ``recorded`` says that entries come with what their attributes record.
    """

    def __init__(self, problems: Problems, buffer: Buffer, *, recorded: bool = False) -> None:
        self.buffer = buffer
        self.newest = 0
        self.warnings: list[str] = []
        self._recorded = recorded
        self._problems = problems
        self._links = Links()
        self.tally = Tally()
        self._untold = 0

    def take_over(self, newest: int, tally: Tally) -> None:
        """What another one encoded is in the buffer."""
        self.newest = max(self.newest, newest)
        self.tally = self.tally.plus(tally)

    def finish(self) -> None:
        """All entries were written: warn of what is told in numbers."""
        if self._untold:
            self.warnings.append(f"and {self._untold} more warnings like these")
        large_ids, odd_times, long_paths, long_path = self.tally
        if large_ids:
            self.warnings.append(
                f"{large_ids} entries have a uid or gid above {_ROOTLESS_MAX_ID}, "
                "which rootless runtimes cannot unpack; give everything another owner"
            )
        if odd_times:
            self.warnings.append(
                f"{odd_times} entries have a time before 1970 or after 2242, which no "
                "loader keeps; they get the nearest one"
            )
        if long_paths:
            self.warnings.append(
                f"{long_paths} entries have a path above {_MAX_PATH:,} bytes, which no "
                f"engine unpacks; the first is {brief(long_path)}"
            )

    def _warn(self, message: str) -> None:
        if len(self.warnings) < _WARNINGS:
            self.warnings.append(message)
        else:
            self._untold += 1

    def is_link(self, entry: Entry) -> bool:
        """Whether an entry with this inode was written, so that this one will be a link to it."""
        return entry in self._links

    def file(self, entry: Entry, seen: Entry) -> None:
        """Encode a regular file on disk that is no link, read at once; ``seen`` by the walk."""
        path, source, mode, _, _, links, uid, gid, size, mtime_ns, _, _, _, _, said = entry
        assert type(source) is bytes
        if links > 1:
            self._links.first(entry)
        descriptor = self._open(entry)
        if descriptor < 0:
            return
        buffer = self.buffer
        try:
            found = xattrs.read(descriptor, source)
            if said:
                found = found.with_said(said)
            owner = _owner(mode, uid, gid)
            if owner is None or found is not xattrs.NONE or len(path) > header.MAX_NAME:
                head = self._header(entry, found, header.FILE, path)
            else:
                head = header.plain(path, owner, size, self._time(mtime_ns))
            # A byte more than there should be: of a file that grew, it is read.
            view = buffer.reserve(len(head) + size + header.BLOCK)
            start = buffer.filled + len(head)
            end = start + size
            view[buffer.filled : start] = head
            at = start + os.readv(descriptor, (view[start : end + 1],))
            while start < at < end and (more := os.readv(descriptor, (view[at : end + 1],))):
                at += more
            now = os.fstat(descriptor)
        except OSError as error:
            self._problems.add(source, error)
            return
        finally:
            os.close(descriptor)
        _check_same(seen, now)
        if at != end:
            raise _unlike_its_size(source)
        padding = header.padding(size)
        buffer.filled = end + len(padding)
        view[end : buffer.filled] = padding

    def steps(self, entry: Entry, seen: Entry, sizes: Iterable[int]) -> Iterator[int]:
        """Encode any regular file that is no link, in steps of so many bytes.

        Yields the number of steps done, after each but the last: ``buffer`` may be
        changed there.
        """
        if entry.links > 1:
            self._links.first(entry)
        on_disk = type(entry.content) is bytes
        return self._on_disk(entry, seen, sizes) if on_disk else self._held(entry, sizes)

    def _on_disk(self, entry: Entry, seen: Entry, steps: Iterable[int]) -> Iterator[int]:
        descriptor = self._open(entry)
        if descriptor < 0:
            return
        try:
            before = os.fstat(descriptor)
            _check_same(seen, before)
            self._warn_sparse(seen, before)
            found = xattrs.read(descriptor, entry.shown).with_said(entry.xattrs)
            self.buffer.append(self._header(entry, found, header.FILE, entry.path))
            for number, step in enumerate(steps):
                if number:
                    yield number
                self._read(seen, descriptor, step)
            _check_same(seen, os.fstat(descriptor))
        except OSError as error:
            self._problems.add(entry.shown, error)
            return  # what is written from here on is thrown away: the cut ends with the problems
        finally:
            os.close(descriptor)
        self.buffer.append(header.padding(entry.size))

    def _held(self, entry: Entry, steps: Iterable[int]) -> Iterator[int]:
        found = xattrs.attributes(entry, self._problems)
        if found is None:
            return
        try:
            with entry.open() as file:
                self.buffer.append(self._header(entry, found, header.FILE, entry.path))
                for number, step in enumerate(steps):
                    if number:
                        yield number
                    left = step
                    while left:
                        data = file.read(left)
                        if not data:
                            raise changed(entry.path, "was truncated")
                        self.buffer.append(data)
                        left -= len(data)
                if file.read(1):
                    raise changed(entry.path, "changed")
        except OSError as error:
            self._problems.add(entry.path, error)
            return
        self.buffer.append(header.padding(entry.size))

    def other(self, entry: Entry, seen: Entry) -> None:
        """Encode anything else: a link to what was written, a directory, a device, ..."""
        mode = entry.mode
        name, link, device = entry.path, b"", _NO_DEVICE
        first = self._links.first(entry) if entry.links > 1 and mode & TYPE in _LINKABLE else None
        if first:
            # Loaders apply the link's own header to the inode, so it repeats owner, mode
            # and attributes: a chown of the link drops file capabilities otherwise.
            kind, link = header.HARD_LINK, first
        elif (mode & TYPE) in _KINDS:
            kind = _KINDS[mode & TYPE]
        elif mode & TYPE in _DELETIONS:
            self.buffer.append(header.encode(_marker(entry), mode=0))
            return
        else:
            self._warn(f"skipped the socket {printable(entry.shown)}: tar has none")
            return
        if kind == header.DIRECTORY:
            name += b"/"
        elif kind == header.SYMLINK:
            target = self._target(entry)
            if target is None:
                return
            link = target
        elif kind in (header.CHARACTER_DEVICE, header.BLOCK_DEVICE):
            device = self._device(entry, kind)
        found = xattrs.attributes(entry, self._problems)
        if found is None:
            return
        if kind != header.DIRECTORY and seen.within is not None:
            # Whether a directory is another by now, the walk sees when it goes into it.
            self._check_status(seen)
        self.buffer.append(self._header(entry, found, kind, name, link, device))

    def _open(self, entry: Entry) -> int:
        """A descriptor of the entry's file; -1 if it cannot be read, which is remembered."""
        try:
            return entry.open_descriptor()
        except FileNotFoundError:
            raise changed(entry.shown, "vanished") from None
        except OSError as error:
            self._problems.add(entry.shown, error)
            return -1

    def _read(self, seen: Entry, descriptor: int, count: int) -> None:
        """Append the next ``count`` bytes of a file."""
        buffer = self.buffer
        view, end = buffer.reserve(count), buffer.filled + count
        while buffer.filled < end:
            more = os.readv(descriptor, (view[buffer.filled : end],))
            if not more:
                _check_same(seen, os.fstat(descriptor))
                raise _unlike_its_size(seen.shown)
            buffer.filled += more

    def _target(self, entry: Entry) -> bytes | None:
        """Where a symbolic link points; ``None`` if it cannot be read, which is remembered."""
        try:
            return entry.target()
        except OSError as error:
            if error.errno in _REPLACED:
                raise changed(entry.shown, "changed") from None
            self._problems.add(entry.shown, error)
            return None

    def _check_status(self, seen: Entry) -> None:
        try:
            now = seen.status()
        except FileNotFoundError:
            raise changed(seen.shown, "vanished") from None
        _check_same(seen, now)

    def _device(self, entry: Entry, kind: bytes) -> tuple[int, int]:
        numbers = os.major(entry.rdev), os.minor(entry.rdev)
        if kind == header.CHARACTER_DEVICE and numbers == (0, 0):
            raise TreeError(
                f"{printable(entry.shown)} is the character device 0:0, an overlayfs whiteout, "
                "which would delete a file of a lower layer",
                "build from the merged tree, or remove it",
            )
        return numbers

    def _warn_sparse(self, entry: Entry, found: os.stat_result) -> None:
        holes = entry.size - found.st_blocks * 512
        if holes > SPARSE_WARNING:
            self._warn(
                f"{printable(entry.shown)} has {holes >> 30} GiB of holes, which a layer stores "
                "as zeros and a runtime unpacks in full (for lastlog, see useradd -l)"
            )

    def _time(self, mtime_ns: int) -> int:
        """The time to write: whole seconds, rounded down, between 0 and ``MAX_TIME``."""
        seconds = mtime_ns // _NS
        if not 0 <= seconds <= MAX_TIME:
            self.tally = self.tally.plus(Tally(odd_times=1))
            seconds = 0 if seconds < 0 else MAX_TIME
        if seconds > self.newest:
            self.newest = seconds
        return seconds

    def _header(
        self,
        entry: Entry,
        found: xattrs.Attributes,
        kind: bytes,
        name: bytes,
        link: bytes = b"",
        device: tuple[int, int] = _NO_DEVICE,
    ) -> bytes:
        if found is not xattrs.NONE:
            if not self._recorded:
                entry = found.recorded(entry)
            for dropped, why in found.dropped:
                self._warn(
                    f"dropped the attribute {printable(dropped)} of {printable(entry.shown)}: {why}"
                )
        uid, gid = entry.uid, entry.gid
        mode = 0o777 if kind == header.SYMLINK else entry.mode & 0o7777
        if uid > _ROOTLESS_MAX_ID or gid > _ROOTLESS_MAX_ID:
            self.tally = self.tally.plus(Tally(large_ids=1))
        if len(name) > _MAX_PATH:
            self.tally = self.tally.plus(Tally(long_paths=1, long_path=entry.shown))
        return header.encode(
            name,
            size=entry.size if kind == header.FILE else 0,
            mode=mode,
            mtime=self._time(entry.mtime_ns),
            uid=uid,
            gid=gid,
            typeflag=kind,
            link=link,
            device=device,
            xattrs=dict(found.xattrs) if found.xattrs else None,
        )


def _marker(entry: Entry) -> bytes:
    """The file that stands for a deletion (image-spec ``layer.md``, "Whiteouts")."""
    if entry.mode & TYPE == OPAQUE:
        return join(entry.path, OPAQUE_NAME)
    above, _, name = entry.path.rpartition(b"/")
    return join(above, WHITEOUT_PREFIX + name)


@functools.lru_cache(_OWNERS)
def _owner(mode: int, uid: int, gid: int) -> bytes | None:
    """The fields of a mode and an owner; ``None`` if there is more to say of them."""
    if uid > _ROOTLESS_MAX_ID or gid > _ROOTLESS_MAX_ID:
        return None
    return header.owner(mode & 0o7777, uid, gid)


def _unlike_its_size(path: bytes) -> SourceError:
    return SourceError(
        f"{brief(path)} does not hold as many bytes as its size says, as in /proc and /sys",
        "leave it out: only files that are stored can be in an image",
    )


def _check_same(entry: Entry, now: os.stat_result) -> None:
    """Raise ``SourceChangedError`` if an open file is not what the walk saw."""
    # Mode, inode and device: an entry has them in the order of a stat result. The ctime
    # tells what the mtime does not: that can be put back.
    if (
        now[:3] != entry[2:5]
        or now.st_size != entry.size
        or now.st_mtime_ns != entry.mtime_ns
        or now.st_ctime_ns != entry.ctime_ns
    ):
        raise changed(entry.shown, "changed")
