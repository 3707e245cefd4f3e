"""What one tree has that another has not, as the tree of a layer: on top of the old one it
makes the new one.

The trees are gone through twice: first for what has to be known early, which are the names
that are gone, for whiteouts come before all else in their directory, and the files with
several names of which anything changed, for these are written with all their names. Only
that is in memory. A file is opened only if all that is known of it is the same.
Source: OCI image-spec ``layer.md``, "Change Types" and "Representing Changes".
"""

import hashlib
import heapq
import itertools
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Final, NamedTuple

from imgpack.tree import xattrs
from imgpack.tree.entry import OPAQUE, WHITEOUT, Entry, Pair, path_order, whiteout
from imgpack.tree.merge.listing import listed_sha256
from imgpack.tree.problems import Problems, changed
from imgpack.tree.tree import Stamps, Tree

Prepare = Callable[[Iterable[Entry], Problems], Iterator[Pair]]
"""What becomes of the entries of the new tree before they are written."""

_CHUNK: Final = 1 << 20
"""Bytes of a file that are compared at once."""
_NS: Final = 1_000_000_000
_NO_FILES: Final = frozenset({WHITEOUT, OPAQUE, stat.S_IFSOCK})
"""What no image shows: a deletion has nothing below to delete here, and tar has no sockets."""
_DEVICES: Final = frozenset({stat.S_IFCHR, stat.S_IFBLK})

_Inode = tuple[int, int] | bytes
"""Device and inode of a file with several names, the path of any other."""


@dataclass(slots=True)
class Counts:
    """How many paths a difference adds, changes and deletes, with all that was in them."""

    added: int = 0
    changed: int = 0
    deleted: int = 0


class Difference:
    """What ``new`` has that ``old`` has not, with deletions of what it lacks.

    The entries of ``new`` are compared as ``prepare`` leaves them, and yielded as they are
    seen; those of ``old`` are prepared as well, unless it is an ``image``, which has them as
    they are. A time alone is a difference only with ``mtime``, by whole seconds. ``matched``
    are the numbers of the rules that ``prepare`` found something for, once it was read: what
    they make the same is in no layer. ``told`` hears how many paths differ, once the layer is
    made.
    """

    def __init__(
        self,
        old: Tree,
        new: Tree,
        *,
        mtime: bool = False,
        prepare: Prepare | None = None,
        image: bool = False,
        matched: Set[int] = frozenset(),
        told: Callable[[Counts], object] | None = None,
    ) -> None:
        self.matched = matched
        self._old = old
        self._new = new
        self._prepare = prepare or _as_they_are
        self._prepare_old = _as_they_are if image else self._prepare
        self._mtime = mtime
        self._told = told

    def __str__(self) -> str:
        return str(self._new)

    @property
    def stamps(self) -> Stamps | None:
        """None: it is compared each time."""
        return None

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """As ``Tree.entries``, with all directories on the way to what differs."""
        met = Problems() if problems is None else problems
        counts = Counts()
        if self._told is not None:
            met.at_end.append(partial(self._told, counts))
        gone, links = self._surveyed(Problems(met.outputs), under, counts)
        yield from gone.get(b"", ())
        way: list[Entry] = []  # directories that are the same so far
        for old, pair in self._joined(met, under):
            if pair is None:
                continue
            seen, path = pair[0], pair[0].path
            while way and not path.startswith(way[-1].path + b"/"):
                way.pop()
            differs = self._differs(old, pair, links, met)
            counts.added += old is None
            counts.changed += differs and old is not None
            if seen.is_directory and not (differs or path in gone):
                way.append(seen)
            elif differs or seen.is_directory:
                yield from way
                way.clear()
                yield seen
                yield from gone.get(path, ())
        if problems is None:
            met.check()

    def find(self, path: bytes) -> Entry | None:
        """As ``Tree.find``: what is new there, whether it differs or not, or its deletion."""
        found = self._new.find(path)
        if found is None and self._old.find(path) is not None:
            return whiteout(path)
        return found

    def _joined(
        self, problems: Problems, under: bytes
    ) -> Iterator[tuple[Entry | None, Pair | None]]:
        """What lies at each path, in order; something on one side at least."""
        pairs = self._prepare_old(self._old.entries(problems, under), problems)
        old = (_Side(path_order(pair[0].path), 0, pair) for pair in pairs)
        pairs = self._prepare(self._new.entries(problems, under), problems)
        new = (_Side(path_order(pair[0].path), 1, pair) for pair in pairs)
        shown = (one for one in heapq.merge(old, new) if _kind(one.pair[1]) not in _NO_FILES)
        for _, group in itertools.groupby(shown, lambda item: item.key):
            items = {item.number: item.pair for item in group}
            yield items[0][1] if 0 in items else None, items.get(1)

    def _surveyed(
        self, problems: Problems, under: bytes, counts: Counts
    ) -> tuple[dict[bytes, list[Entry]], "_Inodes"]:
        """The whiteouts in each directory, and what became of files with several names.

        What is gone is added to ``counts``.
        """
        gone: dict[bytes, list[Entry]] = defaultdict(list)
        links = _Inodes()
        hidden = b""  # a directory that the new tree has not, with a slash behind it
        for old, pair in self._joined(problems, under):
            new = pair[1] if pair else None
            met_first = links.meet(old, new)
            if old is None:
                continue
            counts.deleted += pair is None
            if pair is not None and new is not None:
                if (new.links > 1 and self._fields_differ(old, pair, problems)) or (
                    met_first and _contents_differ(old, pair, problems)
                ):
                    links.differ(new)
                if old.is_directory and not new.is_directory:
                    hidden = old.path + b"/"
            elif not (hidden and old.path.startswith(hidden)):
                gone[old.path.rpartition(b"/")[0]].append(whiteout(old.path))
                hidden = old.path + b"/"
        return gone, links

    def _differs(self, old: Entry | None, pair: Pair, links: "_Inodes", problems: Problems) -> bool:
        """Whether what is new at a path is to be written."""
        seen, written = pair
        if old is None or _kind(old) != _kind(written):
            return True
        if not seen.is_directory:
            if links.changed(written):
                return True
            if written.links > 1:
                return False
        return self._fields_differ(old, pair, problems) or _contents_differ(old, pair, problems)

    def _fields_differ(self, old: Entry, pair: Pair, problems: Problems) -> bool:
        """Whether anything but the bytes of a file differs; what cannot be read does."""
        seen, written = pair
        same_rules = seen is written or self._prepare is self._prepare_old
        if same_rules and _is_same_inode(old, seen):
            return False
        before, now = xattrs.attributes(old, problems), xattrs.attributes(written, problems)
        if before is None or now is None or _kind(old) != _kind(written):
            return True
        if self._prepare_old is _as_they_are:
            old = before.recorded(old)
        new = now.recorded(written) if self._prepare is _as_they_are else written
        kind = _kind(new)
        return (
            (old.uid, old.gid, before.xattrs) != (new.uid, new.gid, now.xattrs)
            or (old.mode != new.mode and kind != stat.S_IFLNK)
            or (old.rdev != new.rdev and kind in _DEVICES)
            or (old.size != new.size and kind == stat.S_IFREG)
            or (self._mtime and old.mtime_ns // _NS != new.mtime_ns // _NS)
            or (kind == stat.S_IFLNK and _target(old, problems) != _target(new, problems))
        )


class _Side(NamedTuple):
    """A pair, its place in the order, and whether it is old, 0, or new, 1."""

    key: bytes
    number: int
    pair: Pair


class _Inodes:
    """Which files have other names than before, or anything else that is new."""

    def __init__(self) -> None:
        self._olds: dict[_Inode, set[_Inode | None]] = defaultdict(set)
        self._news: dict[_Inode, set[_Inode | None]] = defaultdict(set)
        self._differing: set[_Inode] = set()

    def meet(self, old: Entry | None, new: Entry | None) -> bool:
        """Remember what one path is; whether a file of several names is compared first here."""
        if (old is None or old.links == 1) and (new is None or new.links == 1):
            return False
        before, now = _inode(old), _inode(new)
        first = now is not None and before not in self._olds[now]
        if now is not None:
            self._olds[now].add(before)
        if before is not None:
            self._news[before].add(now)
        return first and new is not None and new.links > 1

    def differ(self, new: Entry) -> None:
        """A name of this file is not as it was."""
        inode = _inode(new)
        if inode is not None:
            self._differing.add(inode)

    def changed(self, new: Entry) -> bool:
        """Whether the file is to be written with all its names."""
        inode = _inode(new)
        if inode is None or inode in self._differing:
            return inode is not None
        olds = self._olds.get(inode, set())
        return len(olds) > 1 or any(old is None or len(self._news[old]) > 1 for old in olds)


def _inode(entry: Entry | None) -> _Inode | None:
    if entry is None or entry.is_directory:
        return None
    return (entry.device, entry.inode) if entry.links > 1 else entry.path


def _as_they_are(entries: Iterable[Entry], problems: Problems) -> Iterator[Pair]:
    return ((entry, entry) for entry in entries)


def _kind(entry: Entry) -> int:
    return stat.S_IFMT(entry.mode)


def _is_same_inode(old: Entry, new: Entry) -> bool:
    """Whether both are one file on disk: nothing wrote to it between the walks, if so."""
    return (
        isinstance(old.content, bytes)
        and isinstance(new.content, bytes)
        and old.ctime_ns != 0
        and (old.device, old.inode, old.ctime_ns, old.mtime_ns, old.size)
        == (new.device, new.inode, new.ctime_ns, new.mtime_ns, new.size)
    )


def _target(entry: Entry, problems: Problems) -> bytes | None:
    try:
        return entry.target()
    except OSError as error:
        problems.add(entry.shown, error)
        return None


def _contents_differ(old: Entry, pair: Pair, problems: Problems) -> bool:
    """Whether regular files of one size hold other bytes; what cannot be read does."""
    seen, new = pair
    if _kind(old) != stat.S_IFREG or not new.size:
        return False
    if new.content is seen.content and _is_same_inode(old, seen):
        return False
    digest = listed_sha256(old)
    try:
        with new.open() as file:
            if digest is not None:
                return _sha256(file) != digest
            with old.open() as before:
                return not _equal(before, file)
    except FileNotFoundError:
        raise changed(seen.shown, "vanished") from None
    except OSError as error:
        problems.add(seen.shown, error)
        return True


def _sha256(file: BinaryIO) -> str:
    hashed = hashlib.sha256()
    while data := file.read(_CHUNK):
        hashed.update(data)
    return hashed.hexdigest()


def _equal(one: BinaryIO, other: BinaryIO) -> bool:
    while data := one.read(_CHUNK):
        if data != other.read(len(data)):
            return False
    return not other.read(1)
