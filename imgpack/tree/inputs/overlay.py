"""An upper directory of overlayfs as a tree: what was changed on top of something else.

Sources: Linux ``Documentation/filesystems/overlayfs.rst``, "whiteouts and opaque
directories" and "Nesting overlayfs mounts"; containers/fuse-overlayfs ``README.md``. A
whiteout is a character device 0:0, an empty file with the attribute ``overlay.whiteout``, or,
of fuse-overlayfs, a file ``.wh.NAME``. What is renamed (``overlay.redirect``) or has only its
metadata here (``overlay.metacopy``) has the rest elsewhere, and is refused. The attributes are
those of ``trusted.``, which only root sees, or of ``user.``.

The directory is gone through twice: whiteouts come before all else in their directory.
"""

import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from imgpack.errors import TreeError, brief
from imgpack.tree import xattrs
from imgpack.tree.destination import Placed
from imgpack.tree.disk.directory import Directory, directory, entry_of
from imgpack.tree.disk.walk import scan
from imgpack.tree.entry import OPAQUE_NAME, Entry, opaque, whiteout
from imgpack.tree.problems import Problems, changed
from imgpack.tree.tree import WHITEOUT_PREFIX, Stamps, check_name, join

_MARK: Final = re.compile(
    rb"(?:(?:trusted|user)\.overlay|(?:user|security)\.fuseoverlayfs)"
    rb"\.(opaque|whiteouts?|redirect|metacopy)"
)
_NESTED: Final = re.compile(rb"((?:trusted|user)\.overlay\.)overlay\.(.+)")
"""What an overlay inside of this one keeps for itself: with a word more in its name."""
_ELSEWHERE: Final = {
    b"redirect": "was renamed, and what it was lies in a lower directory",
    b"metacopy": "has its bytes in a lower directory",
}
_BOOKKEEPING: Final = WHITEOUT_PREFIX + WHITEOUT_PREFIX


@dataclass(frozen=True, slots=True)
class _Unmarked:
    """The content of a path on disk, without the marks of overlayfs."""

    path: bytes
    xattrs: Mapping[bytes, bytes]

    @property
    def target(self) -> bytes:
        return os.readlink(self.path)

    def open(self) -> BinaryIO:
        return open(os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What the entries of an upper directory mean, by their paths in the image.

    ``deleted`` are the paths deleted in each directory, ``marks`` what only says so,
    ``emptied`` the opaque directories, ``contents`` those of entries that have marks.
    """

    deleted: dict[bytes, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    marks: set[bytes] = field(default_factory=set)
    emptied: set[bytes] = field(default_factory=set)
    contents: dict[bytes, _Unmarked] = field(default_factory=dict)

    def add(self, entry: Entry, problems: Problems) -> None:
        """Take note of what ``entry`` is. Raises ``TreeError`` for half of a thing."""
        path, kind = entry.path, stat.S_IFMT(entry.mode)
        above, _, name = path.rpartition(b"/")
        if kind == stat.S_IFCHR and entry.rdev == 0:
            self._delete(path, path)
        elif name.startswith(WHITEOUT_PREFIX):
            self._named(entry, above, name)
        else:
            marks = self._marks(entry, problems)
            if b"whiteout" in marks and kind == stat.S_IFREG and not entry.size:
                self._delete(path, path)
            elif marks.get(b"opaque") == b"y":
                self.emptied.add(path)

    def deletions(self, where: bytes) -> Iterator[Entry]:
        """Those in the directory ``where``."""
        if where in self.emptied:
            yield opaque(where)
        else:
            yield from map(whiteout, sorted(self.deleted.get(where, ())))

    def _delete(self, path: bytes, mark: bytes) -> None:
        self.deleted[path.rpartition(b"/")[0]].add(path)
        self.marks.add(mark)

    def _named(self, entry: Entry, above: bytes, name: bytes) -> None:
        """A name that means a deletion: of fuse-overlayfs, or kept by an older program."""
        gone = name.removeprefix(WHITEOUT_PREFIX)
        if name == OPAQUE_NAME:
            self.emptied.add(above)
            self.marks.add(entry.path)
        elif name.startswith(_BOOKKEEPING):
            self.marks.add(entry.path)
        elif stat.S_ISREG(entry.mode) and not entry.size and gone not in (b"", b".", b".."):
            self._delete(join(above, gone), entry.path)
        else:
            check_name(name, entry.shown)

    def _marks(self, entry: Entry, problems: Problems) -> Mapping[bytes, bytes]:
        """The marks of an entry by their last words; its content without them is kept."""
        marks: dict[bytes, bytes] = {}
        others: dict[bytes, bytes] = {}
        nested = False
        for attribute, value in _attributes(entry, problems):
            if found := _MARK.fullmatch(attribute):
                marks[found[1]] = value
            elif found := _NESTED.fullmatch(attribute):
                nested = True
                others[found[1] + found[2]] = value
            else:
                others[attribute] = value
        for mark, how in _ELSEWHERE.items():
            if mark in marks:
                raise TreeError(
                    f"{brief(entry.shown)} {how}, as its attribute {mark.decode()} says",
                    "build from the merged tree, or mount with redirect_dir=off,metacopy=off "
                    "before anything is changed",
                )
        if marks or nested:
            self.contents[entry.path] = _Unmarked(entry.shown, others)
        return marks


def _attributes(entry: Entry, problems: Problems) -> Iterator[tuple[bytes, bytes]]:
    """All attributes of an entry on disk, if any is one of overlayfs; else none."""
    try:
        names = list(map(os.fsencode, os.listxattr(entry.reach, follow_symlinks=False)))
        if any(_MARK.fullmatch(name) or _NESTED.fullmatch(name) for name in names):
            for name in names:
                yield name, os.getxattr(entry.reach, name, follow_symlinks=False)
    except FileNotFoundError:
        raise changed(entry.shown, "vanished") from None
    except OSError as error:
        if error.errno not in xattrs.UNSUPPORTED:
            problems.add(entry.shown, error)


class UpperDirectory:
    """The tree of an upper directory: files, and deletions of what lies below."""

    def __init__(self, upper: Directory) -> None:
        self._upper = upper

    def __str__(self) -> str:
        return str(self._upper)

    @property
    def root(self) -> bytes:
        """Where it lies: absolute."""
        return self._upper.root

    @property
    def stamps(self) -> Stamps | None:
        """None: it is read each time."""
        return None

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """As ``Tree.entries``. Raises ``TreeError`` for what lies elsewhere."""
        met = Problems() if problems is None else problems
        meaning, unread = _Meaning(), Problems(met.outputs)
        for entry in self._on_disk(unread, under):
            meaning.add(entry, unread)
        yield from meaning.deletions(b"")
        contents = meaning.contents
        for entry in self._on_disk(met, under):
            if entry.path not in meaning.marks:
                path = entry.path
                yield entry._replace(content=contents[path]) if path in contents else entry
                if entry.is_directory:
                    yield from meaning.deletions(path)
        if problems is None:
            met.check()

    def find(self, path: bytes) -> Entry | None:
        """As ``Tree.find``, deletions and the marks of opaque directories among it."""
        above, _, name = path.rpartition(b"/")
        other = above if name == OPAQUE_NAME else join(above, WHITEOUT_PREFIX + name)
        meaning = _Meaning()
        found = self._upper.find(path)
        for entry in (found, self._upper.find(other)):
            if entry is not None and entry.path:
                meaning.add(entry, Problems())
        if name == OPAQUE_NAME:
            return opaque(above) if above in meaning.emptied else None
        if path in meaning.deleted.get(above, ()):
            return whiteout(path)
        return found and found._replace(content=meaning.contents.get(path, found.content))

    def _on_disk(self, problems: Problems, under: bytes) -> Iterator[Entry]:
        upper = self._upper
        stamps = Stamps(upper.root, upper.caller, under)
        for path, where, found, within in scan(stamps, problems, lambda name, where: None):
            yield entry_of(path, where, found, upper.caller, b"", within)


def upper_directory(path: bytes, caller: tuple[int, int] | None = None) -> Placed[UpperDirectory]:
    """The layer of the upper directory ``path`` of overlayfs or fuse-overlayfs.

    What belongs to the ids ``caller`` is read as root's. Raises ``SourceError``.
    """
    return Placed(UpperDirectory(directory(path, caller)), exact=True)
