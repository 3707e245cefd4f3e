"""A layer over the image that lower layers make: what of a tree is written, and where.

Docker and podman unpack a layer into a directory of its own: a directory that the
layer does not have, on the way to one that it has, becomes ``0755 0:0`` there and hides
the mode, owner and attributes of the same directory below. So a layer repeats the
directories on its way as lower layers have them. A directory entry replaces a symbolic
link below, ``/lib`` for one, and then nothing runs: so what a tree has in such a
directory goes to where the link leads. Deletions are written for what exists below, one
by one (image-spec ``layer.md``, "Whiteouts"), and never beside an entry of their name.
"""

import hashlib
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from imgpack.errors import TreeError, printable
from imgpack.tree import xattrs
from imgpack.tree.below import Below, Laid, View, redirected
from imgpack.tree.destination import Placed
from imgpack.tree.entry import (
    OPAQUE,
    WHITEOUT,
    Entry,
    Pair,
    made_up_directory,
    order,
    path_order,
    whiteout,
)
from imgpack.tree.merge.survey import Survey
from imgpack.tree.problems import Problems
from imgpack.tree.tree import Tree, join

_BELOW = b"below"
"""What stands for the stat of a directory of lower layers: these are part of the cache's key."""
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Over:
    """The arrangement of ``tree`` over ``below``, which ``chain`` identifies.

    Directories that lower layers have get the attributes of an ``exact`` tree, or if they are
    ``named`` by it or here; of any other what ``naming`` makes of them, if that is something.
    What a base has just so is left out, unless ``keep_identical``.
    """

    tree: Placed[Tree]
    below: Below
    survey: Survey
    chain: str = ""
    keep_identical: bool = False
    view: View = field(default=lambda entry: entry)
    naming: View = field(default=lambda entry: None)
    named: frozenset[bytes] = frozenset()

    @property
    def identity(self) -> str:
        """What lower layers are, and what is made of them."""
        plain = (self.chain, self.tree.exact, self.keep_identical)
        named = sorted(self.named | self.tree.named_there)
        return repr((*plain, named) if named else plain)

    @property
    def laid(self) -> Laid:
        """The tree as it lies in the image then."""
        placed = self.tree
        redirects = self.survey.redirects
        named = self.named | {redirected(path, redirects) for path in placed.named_there}
        return Laid(placed.tree, placed.dest, redirects, self.view, placed.exact, named)

    def __call__(self, pairs: Iterator[Pair]) -> Iterator[Pair]:
        """As ``Arrangement``. Raises ``TreeError``."""
        return _Arranging(self).run(pairs)


class _Arranging:
    """One pass: which directories were written, and where nothing of lower layers is."""

    def __init__(self, over: Over) -> None:
        self._over = over
        self._tree = over.tree
        self._laid = over.laid
        self._redirects = over.survey.redirects
        self._made = {b""}
        self._new = b""  # a directory that no lower layer has, with a slash behind it
        self._emptied: bytes | None = None  # one whose lower content is deleted, the same
        self._time = -1  # of what is made up

    def run(self, pairs: Iterator[Pair]) -> Iterator[Pair]:
        """The pairs that are written."""
        for seen, entry in self._each_once(pairs) if self._tree.strict else pairs:
            if self._time < 0:
                self._time = entry.mtime_ns
            own = entry.path
            moved = self._moved(entry) if self._redirects else entry
            if not self._is_emptied(moved.path):
                self._emptied = None
            kind = stat.S_IFMT(entry.mode)
            if kind == stat.S_IFDIR:
                yield from self._directory(seen, moved, own)
            elif kind == WHITEOUT:
                yield from self._deletion(seen, moved, own)
            elif kind == OPAQUE:
                if not self._is_emptied(moved.path):  # else all is deleted already
                    self._emptied = moved.path + b"/" if moved.path else b""
                    yield from self._deletions(moved.path)
            else:
                yield from self._other(seen, moved)

    def _moved(self, entry: Entry) -> Entry:
        """``entry`` where it lies in the image."""
        path = redirected(entry.path, self._redirects)
        if path == entry.path:
            return entry
        there, is_directory = path, entry.is_directory
        while there:
            other = self._other_at(there, entry, is_directory=is_directory)
            if other is not None:
                raise TreeError(
                    f"{printable(entry.path)} of {self._tree} is /{printable(path)} in the image, "
                    f"for lower layers have a symlink on the way, and {printable(other)} is in "
                    f"{self._tree} as well",
                    "leave one of them out",
                )
            there, is_directory = there.rpartition(b"/")[0], True
        return entry._replace(path=path)

    def _other_at(self, path: bytes, entry: Entry, *, is_directory: bool) -> bytes | None:
        """The path of something else than ``entry`` that would be at ``path``, too.

        If what is to be there is a directory, others may be.
        """
        for place in self._laid.sources(path):
            own = join(self._tree.dest, place)
            found = None if own == entry.path else self._tree.tree.find(place)
            if found is not None and not (found.is_directory and is_directory):
                return own
        return None

    def _is_emptied(self, path: bytes) -> bool:
        return self._emptied is not None and path.startswith(self._emptied)

    def _is_new(self, path: bytes) -> bool:
        return bool(self._new) and path.startswith(self._new)

    def _find(self, path: bytes) -> Entry | None:
        """What lower layers leave at ``path``."""
        nothing = self._is_new(path) or self._is_emptied(path)
        return None if nothing else self._over.below.find(path)

    def _directory(self, seen: Entry, entry: Entry, own: bytes) -> Iterator[Pair]:
        path = entry.path
        if path in self._made:
            return
        found = self._find(path)
        there = found is not None and found.is_directory
        if there and not self._laid.says(path):
            if self._over.keep_identical or self._over.naming(entry) is not None:
                yield from self._parents(path + b"/")
            return
        if there and own in self._redirects:
            return
        if not (there or self._is_new(path)):
            self._new = b"" if self._is_emptied(path) else path + b"/"
        yield from self._parents(path)
        self._made.add(path)
        yield seen, entry
        if self._is_emptied(path):
            yield from self._deletions(path)

    def _each_once(self, pairs: Iterator[Pair]) -> Iterator[Pair]:
        """Deletions alone, each where it leads: not twice, nor in another one."""
        found = {self._deleted(entry.path): seen for seen, entry in pairs}
        gone = b"/"
        kept: list[Pair] = []
        for path in sorted(found, key=path_order):
            if not (path + b"/").startswith(gone):
                gone = path + b"/"
                kept.append((found[path], found[path]._replace(path=path)))
        return iter(sorted(kept, key=lambda pair: order(pair[1])))

    def _deleted(self, path: bytes) -> bytes:
        """``path`` with the links on its way followed, and not it itself."""
        above, _, name = path.rpartition(b"/")
        return join(self._over.below.resolve(above, path), name)

    def _deletion(self, seen: Entry, entry: Entry, own: bytes) -> Iterator[Pair]:
        above = self._tree.find(own.rpartition(b"/")[0])
        # In a directory of the tree it is where that is.
        is_there = above is not None and above.is_directory
        path = entry.path if is_there else self._deleted(entry.path)
        if self._over.below.find(path) is None:
            if self._tree.strict:
                pattern = "; it is one path, and no pattern" if b"*" in path else ""
                raise TreeError(
                    f"/{printable(entry.path)} is to be deleted, and no lower layer has it",
                    "leave it out, or correct the path" + pattern,
                )
            return
        yield from self._parents(path)
        yield seen, entry._replace(path=path)

    def _deletions(self, path: bytes) -> Iterator[Pair]:
        """One for each name that lower layers have in a directory, and the tree has not."""
        found = self._over.below.find(path)
        if found is None or not found.is_directory:
            return
        for name in self._over.below.names(path):
            if self._laid.find(join(path, name)) is None:
                yield from self._parents(join(path, name))
                marker = whiteout(join(path, name))._replace(stamp=_BELOW)
                yield marker, marker

    def _other(self, seen: Entry, entry: Entry) -> Iterator[Pair]:
        found = self._find(entry.path)
        # What an exact tree says has changed: its time, or another name of it. One of several
        # names of a file is written with the others, which are links to it.
        keep = self._over.keep_identical or self._tree.exact or entry.links > 1
        if found is not None and not keep and identical(found, entry):
            return
        yield from self._parents(entry.path)
        yield seen, entry

    def _parents(self, path: bytes) -> Iterator[Pair]:
        """The directories above ``path`` that were not written yet, as lower layers have them."""
        missing = []
        while (path := path.rpartition(b"/")[0]) not in self._made:
            missing.append(path)
        for above in reversed(missing):  # as deep as a path is, which Python's stack is not
            found = self._find(above)
            if found is None or not found.is_directory:
                made_up = made_up_directory(above, max(self._time, 0))
                found = self._over.view(made_up) or made_up
            found = self._over.naming(found) or found
            self._made.add(above)
            parent = found._replace(stamp=_BELOW, within=None)
            yield parent, parent


def identical(found: Entry, entry: Entry) -> bool:
    """Whether what a base has is just what ``entry`` is, but for its time.

    Files are compared by the sha256 that the base is known by; without one they differ. What
    is ``found`` in another layer of the build does too, whatever that is made from.
    """
    from imgpack.tree.merge.listing import is_listed, listed_sha256

    same = (found.mode, found.uid, found.gid) == (entry.mode, entry.uid, entry.gid)
    if not (same and is_listed(found)):
        return False
    kind = stat.S_IFMT(entry.mode)
    if kind in (stat.S_IFCHR, stat.S_IFBLK) and found.rdev != entry.rdev:
        return False
    known = listed_sha256(found)
    if kind == stat.S_IFREG and (known is None or found.size != entry.size):
        return False
    try:
        if kind == stat.S_IFLNK and found.target() != entry.target():
            return False
        problems = Problems()
        one, other = (xattrs.attributes(each, problems) for each in (found, entry))
        if one is None or other is None or one.xattrs != other.xattrs:
            return False
        return kind != stat.S_IFREG or _sha256(entry) == known
    except OSError:
        return False  # the encoder tells


def _sha256(entry: Entry) -> str:
    hasher = hashlib.sha256()
    with entry.open() as file:
        while piece := file.read(_PIECE):
            hasher.update(piece)
    return hasher.hexdigest()
