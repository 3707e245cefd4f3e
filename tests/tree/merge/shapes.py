"""Trees in memory for the tests of what is made of several: drawn, applied and compared."""

import stat
from collections.abc import Iterable, Iterator
from typing import Any

from hypothesis import strategies as st

from imgpack.api import Entries, Entry, directory_entry, fifo, file, hard_link, symlink
from imgpack.tree.entry import OPAQUE, OPAQUE_NAME, WHITEOUT, opaque, order, whiteout
from imgpack.tree.problems import Problems
from imgpack.tree.tree import Stamps, join
from imgpack.tree.xattrs import attributes

NAMES = [b"a", b"a.b", b"b", b"c"]
DELETIONS = (WHITEOUT, OPAQUE)
Node = tuple[Any, ...]
"""What one path shows: type, mode, owner, and what it holds."""


class Listed:
    """A tree of these entries as they are, deletions among them."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.listed = sorted(entries, key=order)

    @property
    def stamps(self) -> Stamps | None:
        return None

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        for entry in self.listed:
            yield entry._replace(path=join(under, entry.path))

    def find(self, path: bytes) -> Entry | None:
        above, _, name = path.rpartition(b"/")
        deleted = opaque(above) if name == OPAQUE_NAME else whiteout(path)
        named = (e for e in self.listed if e.path == path and stat.S_IFMT(e.mode) not in DELETIONS)
        return next(named, deleted if deleted in self.listed else None)


@st.composite
def trees(draw: st.DrawFn, *, links: bool = False) -> Entries:
    """Small trees with few names, so that two of them have much in common.

    ``links``: symbolic links may lead to what is in them.
    """
    found: dict[bytes, Entry] = {}
    files: list[bytes] = []
    pending = [b""]
    while pending:
        where = pending.pop()
        for name in draw(st.sets(st.sampled_from(NAMES), max_size=3 - where.count(b"/"))):
            path = join(where, name)
            kind = draw(st.sampled_from("dddffflpx" if path.count(b"/") < 2 else "fffl"))
            mode, uid = draw(st.sampled_from([0o644, 0o755])), draw(st.sampled_from([0, 0, 7]))
            value = draw(st.sampled_from([b"1", b"2", b"22"]))
            if kind == "d":
                found[path] = directory_entry(path, mode=mode, uid=uid)
                pending.append(path)
            elif kind == "l":
                target = draw(st.sampled_from([b"/a", b"b", b"../c", b"/b/a"])) if links else value
                found[path] = symlink(path, target, uid=uid)
            elif kind == "p":
                found[path] = fifo(path, mode=mode, uid=uid)
            elif kind == "x":
                found[path] = file(path, value, xattrs={b"user.x": value})
                files.append(path)
            elif files and draw(st.booleans()):
                found[path] = hard_link(path, draw(st.sampled_from(files)))
            else:
                found[path] = file(path, value, mode=mode, uid=uid)
                files.append(path)
    return Entries(found.values())


def shown(entry: Entry) -> Node:
    """What a path is, but for the names that it shares its file with."""
    kind = stat.S_IFMT(entry.mode)
    found = attributes(entry, Problems())
    assert found is not None
    mode = 0o777 if kind == stat.S_IFLNK else stat.S_IMODE(entry.mode)
    held = b""
    if kind == stat.S_IFREG:
        with entry.open() as opened:
            held = opened.read()
    elif kind == stat.S_IFLNK:
        held = entry.target()
    return kind, mode, entry.uid, entry.gid, entry.rdev, found.xattrs, held


class Image:
    """What layers show on top of one another, by the letter of ``layer.md``; kept naively."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, tuple[Node, object]] = {}

    def apply(self, entries: Iterable[Entry]) -> "Image":
        """Put a layer on top: first its deletions, for they are of what is below."""
        listed = list(entries)
        assert [order(entry) for entry in listed] == sorted({order(entry) for entry in listed})
        for entry in listed:
            if stat.S_IFMT(entry.mode) == WHITEOUT:
                self._remove(entry.path)
            elif stat.S_IFMT(entry.mode) == OPAQUE:
                self._empty(entry.path)
        layer = object()
        for entry in listed:
            kind = stat.S_IFMT(entry.mode)
            if kind in (WHITEOUT, OPAQUE):
                continue
            path = entry.path
            above = path.rpartition(b"/")[0]
            assert not above or self.nodes[above][0][0] == stat.S_IFDIR, path
            there = self.nodes.get(path)
            if there is None or not there[0][0] == kind == stat.S_IFDIR:
                self._remove(path)
            several = kind != stat.S_IFDIR and entry.links > 1
            inode = (layer, entry.device, entry.inode) if several else object()
            self.nodes[path] = shown(entry), inode
        return self

    def _remove(self, path: bytes) -> None:
        self.nodes.pop(path, None)
        self._empty(path)

    def _empty(self, path: bytes) -> None:
        for other in list(self.nodes):
            if not path or other.startswith(path + b"/"):
                del self.nodes[other]

    def facts(self) -> dict[bytes, tuple[Node, bytes]]:
        """Each path, what it is, and the first name of its file."""
        first: dict[object, bytes] = {}
        facts = {}
        for path in sorted(self.nodes):
            node, inode = self.nodes[path]
            facts[path] = node, first.setdefault(inode, path)
        return facts


def image(*layers: Iterable[Entry]) -> Image:
    """What ``layers`` show, bottom first."""
    made = Image()
    for layer in layers:
        made.apply(layer)
    return made
