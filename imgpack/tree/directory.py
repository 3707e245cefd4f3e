"""The walk of a directory: every entry once, parents first, in one order everywhere.

Order: the bytewise order of path components, which is what a depth-first walk
over sorted names gives; no locale has a say in it. Nothing that cannot be read
stops the walk: problems are collected, so that all of them can be told at once.
Memory: the names of the directories between the root and the current one.
"""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from imgpack.errors import SourceChangedError, SourceError, TreeError, printable
from imgpack.tree.entry import Entry, made_up_directory

_new = tuple.__new__
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_LEVELS: Final = 16
"""Directories above the current one that stay open: more might be more than a process may have."""

WHITEOUT_PREFIX = b".wh."
"""Names that a layer reserves for deletions (image-spec ``layer.md``, "Whiteouts")."""


@dataclass(slots=True)
class Problems:
    """What a walk met that the user must know of, in the order met.

    ``unreadable``: path on disk and reason; ``colliding``: directories on disk with
    names that are one name on file systems that fold case or Unicode forms.
    """

    unreadable: list[tuple[bytes, str]] = field(default_factory=list)
    colliding: list[bytes] = field(default_factory=list)

    def add(self, path: bytes, error: OSError) -> None:
        """Remember that ``path`` cannot be read."""
        self.unreadable.append((path, error.strerror or str(error)))

    def check(self) -> None:
        """Raise ``SourceError`` naming every path that could not be read."""
        if self.unreadable:
            listed = ", ".join(f"{printable(path)} ({why})" for path, why in self.unreadable)
            count = len(self.unreadable)
            raise SourceError(
                f"cannot read {count} path{'s' if count > 1 else ''} of the source: {listed}",
                "make them readable, or remove them from the tree",
            )

    def remarks(self) -> tuple[str, ...]:
        """What is right here and may surprise elsewhere; every Debian tree has some of it."""
        if not self.colliding:
            return ()
        more = f" and {len(self.colliding) - 1} more directories" if self.colliding[1:] else ""
        return (
            f"{printable(self.colliding[0])}{more} hold names that differ only in case or in "
            "Unicode form; they fall together on macOS and Windows",
        )


@dataclass(frozen=True, slots=True)
class Parent:
    """A directory of the image on the way to a tree, which the tree's layer has as well.

    It is like ``like``, a directory on disk. One that no tree has is made up,
    ``0755 0:0``, and has only the time of ``like``: the root of the tree that it was
    first needed for.
    """

    path: bytes
    like: bytes
    made_up: bool = False

    @property
    def source(self) -> bytes:
        """As ``Entry.source``: empty for a made-up one."""
        return b"" if self.made_up else self.like

    def look(self) -> os.stat_result:
        """What ``lstat`` says of it. Raises ``SourceChangedError``: it was there before."""
        try:
            found = os.lstat(self.like)
        except OSError:
            found = None
        if found is None or not stat.S_ISDIR(found.st_mode):
            raise changed(self.like, "vanished")
        return made_up_directory(found.st_mtime_ns) if self.made_up else found


@dataclass(frozen=True, slots=True)
class Tree:
    """A directory on disk and the directory of the image that it fills.

    ``root`` is absolute; ``dest`` has no slash at either end and is empty for the
    image's root. ``parents`` are the directories from the image's root, which has no
    entry, down to ``dest`` itself.
    """

    root: bytes
    dest: bytes = b""
    parents: tuple[Parent, ...] = ()


def changed(path: bytes, how: str) -> SourceChangedError:
    """The error for something that is not what was seen there before."""
    return SourceChangedError(
        f"{printable(path)} {how} while it was being read",
        "build from a tree that nothing writes to",
    )


def check_root(root: bytes) -> None:
    """Raise ``SourceError`` unless ``root`` is a directory that can be listed."""
    shown = printable(root)
    try:
        with os.scandir(root):
            pass
    except FileNotFoundError:
        raise SourceError(f"{shown} does not exist", "name a directory") from None
    except NotADirectoryError:
        raise SourceError(
            f"{shown} is not a directory", "name the directory that the layer is made of"
        ) from None
    except OSError as error:
        raise SourceError(f"cannot read {shown}: {error.strerror}") from error


def walk(tree: Tree, problems: Problems) -> Iterator[Entry]:
    """Yield the entries of ``tree``; sockets are yielded too, the framing skips them.

    Raises ``TreeError`` for a name that no layer can hold.
    """
    for path, where, found in scan(tree, problems):
        yield entry_of(path, where, found)


def scan(tree: Tree, problems: Problems) -> Iterator[tuple[bytes, bytes, os.stat_result]]:
    """Yield the image path, the path on disk and the ``lstat`` of every entry of the layer."""
    for parent in tree.parents:
        yield parent.path, parent.source, parent.look()
    # An explicit stack: a tree may be deeper than Python's.
    stack: list[_Level] = []
    level = _Level(tree.root, tree.dest, Parent(tree.dest, tree.root).look(), problems)
    lstat, is_dir = os.lstat, stat.S_ISDIR
    try:
        while True:
            while not level.names:
                level.close()
                if not stack:
                    return
                level = stack.pop()
                level.open(None, problems)
            name = level.names.pop()
            where = level.source + name
            try:
                found = lstat(name, dir_fd=level.descriptor)
            except OSError as error:
                problems.add(where, error)
                continue
            if name.startswith(WHITEOUT_PREFIX):
                raise TreeError(
                    f"{printable(where)} cannot be in a layer: "
                    "a name that starts with .wh. means a deletion",
                    "rename or remove it",
                )
            inside = level.path + name
            yield inside, where, found
            if is_dir(found.st_mode):
                below = _Level(where, inside, found, problems, level.descriptor)
                if len(stack) >= _OPEN_LEVELS:
                    level.close()
                stack.append(level)
                level = below
    finally:
        for each in (*stack, level):
            each.close()


class _Level:
    """A directory that is being walked, through a descriptor of it.

    Names are looked up below the descriptor, which is the directory that the walk saw:
    if somebody puts a symlink in its place, nothing that lies behind that is packed.
    """

    __slots__ = ("_found", "_where", "descriptor", "names", "path", "source")

    def __init__(
        self,
        where: bytes,
        path: bytes,
        found: os.stat_result,
        problems: Problems,
        above: int | None = None,
    ) -> None:
        self.source, self.path = where + b"/", path + b"/" if path else b""
        self._where, self._found = where, found
        self.descriptor = -1
        self.names: list[bytes] = []  # those still to come, in reverse: popping is cheap
        if self.open(above, problems):
            self.names = _names(self.descriptor, where, problems)

    def open(self, above: int | None, problems: Problems) -> bool:
        """Open the directory, if it is not; ``above`` is a descriptor of the one that holds it.

        Raises ``SourceChangedError`` if it is another one by now; whether it is open.
        """
        if self.descriptor >= 0:
            return True
        name = self._where if above is None else self._where.rpartition(b"/")[2]
        try:
            self.descriptor = os.open(name, _DIRECTORY, dir_fd=above)
            same = os.path.samestat(os.fstat(self.descriptor), self._found)
        except OSError as error:
            same = error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.ENOENT)
            if same:
                problems.add(self._where, error)
                self.names.clear()
        if not same:
            self.close()
            raise changed(self._where, "changed")
        return self.descriptor >= 0

    def close(self) -> None:
        """Close the descriptor, if it is open."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def entry_of(path: bytes, source: bytes, found: os.stat_result, record: bytes = b"") -> Entry:
    """The entry of what ``lstat`` ``found`` at ``source``."""
    # Taken apart at once, as a plain tuple: attribute by attribute it takes three times
    # as long, and this runs for every file.
    mode, inode, device, links, uid, gid, size, _, _, _ = found
    return _new(
        Entry,
        (
            path, source, mode, inode, device, links, uid, gid, size,
            found.st_mtime_ns, found.st_ctime_ns, found.st_rdev, record,
        ),
    )  # fmt: skip


def _names(descriptor: int, directory: bytes, problems: Problems) -> list[bytes]:
    try:
        names = list(map(os.fsencode, os.listdir(descriptor)))
    except OSError as error:
        problems.add(directory, error)
        return []
    fold = bytes.lower if b"".join(names).isascii() else _folded
    if len(set(map(fold, names))) != len(names):
        problems.colliding.append(directory)
    names.sort(reverse=True)
    return names


def _folded(name: bytes) -> bytes:
    import unicodedata

    return unicodedata.normalize("NFC", os.fsdecode(name).casefold()).encode("utf-8", "replace")
