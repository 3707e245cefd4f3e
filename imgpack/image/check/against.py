"""An image beside a tree on disk: what is only in one, and what differs in both.

Both are gone through once, in the order of paths; a file is opened only if nothing else of it
differs in size. What a builder would not take from disk (sockets, labels of the host) is no
difference.
"""

import hashlib
import heapq
import itertools
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final, NamedTuple

from imgpack.errors import printable
from imgpack.image.check.problems import TreeMismatch
from imgpack.tree import xattrs
from imgpack.tree.entry import Entry, path_order
from imgpack.tree.merge.listing import listed_sha256
from imgpack.tree.problems import Problems
from imgpack.tree.tables.applied import RowContent
from imgpack.tree.tree import Tree

FIELDS: Final = (
    "type", "mode", "owner", "mtime", "target", "device", "xattrs", "size", "content", "links",
)  # fmt: skip
"""What can be ignored; ``type`` stands for whether it is there as well."""
_LISTED: Final = 10_000
"""Mismatches that are kept; more are counted."""
_CHUNK: Final = 1 << 20
_NS: Final = 1_000_000_000
_DEVICES: Final = frozenset({stat.S_IFCHR, stat.S_IFBLK})
_TYPES: Final = {
    stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "character device", stat.S_IFBLK: "block device", stat.S_IFIFO: "fifo",
}  # fmt: skip


@dataclass(slots=True)
class Mismatches:
    """The first of ``count`` paths that are not alike."""

    count: int = 0
    listed: list[TreeMismatch] = field(default_factory=list)

    def add(self, one: TreeMismatch) -> None:
        """Take note of one more."""
        self.count += 1
        if len(self.listed) < _LISTED:
            self.listed.append(one)


def tree_mismatches(
    image: Tree, directory: Tree, ignored: frozenset[str], into: Mismatches
) -> None:
    """Compare the entries of ``image`` and ``directory`` but for the fields that are ``ignored``.

    Raises ``SourceError`` for what cannot be read on disk, ``SourceChangedError``, and as
    ``Tree.entries``.
    """
    problems = Problems()
    comparison = _EntryComparison(ignored, problems)
    firsts, others = _FirstPaths(), _FirstPaths()
    for path, (there, here) in _side_by_side(image, directory, problems):
        both = there is not None and here is not None
        links = firsts.shared(there, both=both), others.shared(here, both=both)
        if there is None or here is None:
            if "type" not in ignored:
                into.add(TreeMismatch(path, only="directory" if there is None else "image"))
        elif fields := (*comparison.fields(there, here), *comparison.links(*links)):
            into.add(TreeMismatch(path, fields=fields))
    problems.check()


class _TreeSide(NamedTuple):
    key: bytes
    number: int
    entry: Entry


_Pair = tuple[Entry | None, Entry | None]


def _side_by_side(
    image: Tree, directory: Tree, problems: Problems
) -> Iterator[tuple[bytes, _Pair]]:
    sides = _sides(0, image.entries()), _sides(1, directory.entries(problems))
    for _, group in itertools.groupby(heapq.merge(*sides), key=lambda side: side.key):
        found = {side.number: side.entry for side in group}
        there, here = found.get(0), found.get(1)
        if here is not None and stat.S_ISSOCK(here.mode):
            here = None
        if there is not None or here is not None:
            yield next(iter(found.values())).path, (there, here)


def _sides(number: int, entries: Iterator[Entry]) -> Iterator[_TreeSide]:
    return (_TreeSide(path_order(entry.path), number, entry) for entry in entries)


class _FirstPaths:
    """The first path of each file with several, as the entries of a tree come in order.

    Of those that are in both trees: what one lacks is told once. Memory holds files of which not
    all paths have come yet, those outside the tree among them.
    """

    def __init__(self) -> None:
        self._first: dict[int, bytes] = {}
        self._seen: dict[int, int] = {}
        """How many paths came of a file, if it was more than one."""

    def shared(self, entry: Entry | None, *, both: bool) -> bytes:
        """The first path of the file that ``entry`` is a later one of; else empty."""
        if entry is None or entry.links < 2 or entry.is_directory:
            return b""
        key = entry.device << 64 | entry.inode  # a third of what a pair takes
        seen = self._seen.pop(key, int(key in self._first)) + 1
        first = self._first.pop(key, b"")
        if seen < entry.links:
            self._first[key] = first or (entry.path if both else b"")
            if seen > 1:
                self._seen[key] = seen
        return first


class _EntryComparison:
    """How two entries of one path are compared."""

    def __init__(self, ignored: frozenset[str], problems: Problems) -> None:
        self._ignored = ignored
        self._problems = problems

    def fields(self, there: Entry, here: Entry) -> Iterator[tuple[str, str, str]]:
        """What differs, as the image has it and as it is on disk."""
        told = xattrs.attributes(here, self._problems)
        if told is None:
            return
        here = told.recorded(here)
        own = xattrs.attributes(there, self._problems) or xattrs.NONE
        before, now = _texts(there, own), _texts(here, told)
        if before["type"] != now["type"]:
            before, now = {"type": before["type"]}, {"type": now["type"]}
        elif "mtime" in before:
            self._settle_times(there, here, before, now)
        differing = [name for name in before if before[name] != now.get(name)]
        for name in differing:
            if name not in self._ignored:
                yield name, before[name], now.get(name, "")
        if differing != ["type"] and "size" not in differing and "content" not in self._ignored:
            yield from self._contents(there, here)

    def links(self, there: bytes, here: bytes) -> Iterator[tuple[str, str, str]]:
        """What the path is a hard link to, as ``_FirstPaths`` says it, if that differs."""
        if there != here and "links" not in self._ignored:
            first, now = (f"/{printable(path)}" if path else "" for path in (there, here))
            yield "links", first, now

    def _settle_times(
        self, there: Entry, here: Entry, before: dict[str, str], now: dict[str, str]
    ) -> None:
        """Take out times that say nothing: of directories made up, and parts of a second."""
        content = there.content
        made_up = isinstance(content, RowContent) and content.row.made_up
        whole = not there.mtime_ns % _NS and there.mtime_ns // _NS == here.mtime_ns // _NS
        if made_up or whole:
            del before["mtime"], now["mtime"]

    def _contents(self, there: Entry, here: Entry) -> Iterator[tuple[str, str, str]]:
        digest = listed_sha256(there)
        if not stat.S_ISREG(there.mode) or digest is None or not there.size:
            return
        try:
            with here.open() as file:
                found = _sha256(file)
        except OSError as error:
            self._problems.add(here.shown, error)
            return
        if found != digest:
            yield "content", f"sha256:{digest}", f"sha256:{found}"


def _texts(entry: Entry, told: xattrs.Attributes) -> dict[str, str]:
    """What an entry says, field by field."""
    kind = stat.S_IFMT(entry.mode)
    out = {
        "type": _TYPES.get(kind, f"{kind:o}"),
        "owner": f"{entry.uid}:{entry.gid}",
        "mtime": f"{entry.mtime_ns // _NS}.{entry.mtime_ns % _NS:09}",
    }
    if kind == stat.S_IFLNK:
        out["target"] = printable(entry.target())
    else:
        out["mode"] = f"{stat.S_IMODE(entry.mode):04o}"
    if kind == stat.S_IFREG:
        out["size"] = str(entry.size)
    if kind in _DEVICES:
        out["device"] = f"{entry.rdev:#x}"
    pairs = (f"{printable(name)}={value.hex()}" for name, value in told.xattrs)
    out["xattrs"] = " ".join(pairs)
    return out


def _sha256(file: BinaryIO) -> str:
    hashed = hashlib.sha256()
    while data := file.read(_CHUNK):
        hashed.update(data)
    return hashed.hexdigest()
