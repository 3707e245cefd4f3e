"""An mtree(5) file laid over trees, or as a tree of its own.

Laid over, what it says counts more than what is on disk, and what is not on disk is made if
it needs no body, or has one elsewhere (``contents``); bsdtar reads such lists the same way.
"""

import hashlib
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from imgpack.errors import SourceError, TreeError, about, printable
from imgpack.tree.below import Below
from imgpack.tree.entries import Entries
from imgpack.tree.entry import Entry
from imgpack.tree.inputs.additions import Additions
from imgpack.tree.inputs.mtree.keywords import Said, said
from imgpack.tree.inputs.mtree.lines import unescaped
from imgpack.tree.inputs.mtree.making import body_of, changed_entry, entry_of, overridden
from imgpack.tree.inputs.mtree.reader import MtreeFile, read_lines
from imgpack.tree.rules.parse import ReadFile
from imgpack.tree.tree import join

_MAX_FILE: Final = 1 << 28
"""Bytes of a list: those of some millions of paths."""
_NOTHING: Final = Below()
_ACCOUNTS: Final = frozenset({b"etc/passwd", b"etc/group"})


class Specification:
    """What an mtree(5) file says, its values read; ``str`` of it is its name.

    ``warnings`` are for the user. ``identity`` differs whenever other entries may come of it.
    """

    def __init__(self, data: bytes, name: str, read: ReadFile) -> None:
        """Read ``data``, a file's; ``read`` reads the image's lists of users and groups.

        Raises ``TreeError``, ``ConfigError`` and ``LimitError`` naming the line.
        """
        found = read_lines(data, name)
        self._name = name
        self.warnings = list(found.warnings)
        self._said = dict(_values(found, _own_first(found, read)))
        self._parents = {
            path[:end] for path in self._said for end in range(len(path)) if path[end] == 0x2F
        }
        summed = hashlib.sha256(data)
        for one in self._said.values():
            summed.update(repr((one.uid, one.gid)).encode())
            if one.contents is not None:
                with self.about(one), body_of(one.contents) as body:
                    summed.update(hashlib.file_digest(body, "sha256").digest())
        self.identity = summed.hexdigest()

    def __str__(self) -> str:
        return self._name

    def about(self, one: Said) -> AbstractContextManager[None]:
        """Errors that leave the block name the line."""
        return about(f"{self._name}:{one.line.number}")

    def find(self, path: bytes) -> Said | None:
        """What is said of a path of the image."""
        return self._said.get(path)

    def holds(self, path: bytes) -> bool:
        """Whether a path is said, leads to one that is, or lies in one that is all of it."""
        if path in self._said or path in self._parents:
            return True
        while path := path.rpartition(b"/")[0]:
            one = self._said.get(path)
            if one is not None:
                return one.whole
        return False

    def additions(self, below: Below, lower: Below = _NOTHING) -> Additions:
        """What is not in the image ``below`` and not optional, with the directories on its way.

        And what is in no layer, but in what lies ``lower``, as it is said to be. Its own
        parents lie where links lead. Raises ``TreeError`` for what cannot be made, ``SourceError``
        for a body.
        """
        missing: dict[bytes, Said] = {}
        changed: dict[bytes, Entry] = {}
        for path, one in self._said.items():
            if not path or one.as_found or (one.optional and below.find(path) is None):
                continue
            with self.about(one):
                there, found = _found(below, path)
                if found is None:
                    missing[there] = one
                elif found == lower.find(there) and (entry := changed_entry(found, one)):
                    changed[there] = entry
        made = []
        for entry in Entries([*self._made(missing), *changed.values()], self._name).entries():
            there_is = None if entry.path in changed else below.find(entry.path)
            made.append(entry if there_is is None else there_is)
        return Additions(tuple(made), self.identity, _directories(changed))

    def tree(self, below: Below = _NOTHING, dest: bytes = b"") -> tuple[Entries, frozenset[bytes]]:
        """All of it as a tree at ``dest`` over ``below``.

        What has no type there is what lower layers have, changed. Second come the
        directories among that. Raises as ``additions`` does.
        """
        made: dict[bytes, Said] = {}
        changed: dict[bytes, Entry] = {}
        for path, one in self._said.items():
            with self.about(one):
                _, found = _found(below, join(dest, path))
                if found is None or (one.kind is not None and not _is_bodiless(one)):
                    made[path] = one
                elif one.kind is not None:
                    _check_empty(found, one)
                    made[path] = one
                elif not one.as_found and (entry := changed_entry(found, one)):
                    changed[path] = entry._replace(path=path)
        entries = Entries([*self._made(made), *changed.values()], self._name)
        return entries, _directories(changed)

    def _made(self, wanted: Mapping[bytes, Said]) -> Iterator[Entry]:
        files: dict[tuple[int, bytes | None, int | None], int] = {}
        for path, one in wanted.items():
            with self.about(one):
                if one.kind == stat.S_IFSOCK:
                    self.warnings.append(
                        f"{self._name}:{one.line.number}: skipped the socket "
                        f"{printable(one.line.path)}: a layer has none"
                    )
                    continue
                entry = entry_of(one)._replace(path=path)
            if one.inode is not None and one.links > 1 and stat.S_ISREG(entry.mode):
                # mtree has no keyword for hard links: two names of one inode are one file.
                number = files.setdefault((one.inode, one.contents, one.size), len(files) + 1)
                entry = entry._replace(inode=number, device=_LIST, links=one.links)
            yield entry


_LIST: Final = (1 << 63) - 1
"""A device that no disk has."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """A transform: what a specification says of entries that are there.

    With ``only``, what it does not hold is left out.
    """

    specification: Specification
    only: bool = False

    @property
    def identity(self) -> str:
        """That of the specification, and whether others are left out."""
        return repr(("mtree", self.specification.identity, self.only))

    def __call__(self, entry: Entry) -> Entry | None:
        """``entry`` as it is said to be. Raises ``TreeError`` naming the line."""
        one = self.specification.find(entry.path)
        if one is None:
            return None if self.only and not self.specification.holds(entry.path) else entry
        if one.as_found:
            return entry
        with self.specification.about(one):
            return overridden(entry, one)


def specification(path: bytes, read: ReadFile) -> Specification:
    """The specification in the file ``path``.

    Raises ``SourceError``, and what ``Specification`` does.
    """
    shown = printable(path)
    try:
        with open(path, "rb") as opened:
            data = opened.read(_MAX_FILE + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it has no such name"
        raise SourceError(
            f"cannot read the list {shown}: {why}", "name an mtree(5) file"
        ) from error
    if len(data) > _MAX_FILE:
        raise SourceError(f"the list {shown} has more than {_MAX_FILE >> 20} MiB")
    if b"\0" in data:
        raise TreeError(f"{shown} is no mtree(5) list: it is binary", "name an mtree(5) file")
    return Specification(data, shown, read)


def _own_first(found: MtreeFile, read: ReadFile) -> ReadFile:
    """What reads a file of the image where the list has it, or else as ``read`` does."""
    bodies = {
        line.path: line.keywords.get("contents", line.keywords.get("content"))
        for line in found.lines
        if line.path in _ACCOUNTS
    }

    def reading(path: str) -> bytes | None:
        body = bodies.get(path.lstrip("/").encode())
        if body is None:
            return read(path)
        with body_of(unescaped(body)) as opened:
            return opened.read(_MAX_FILE)

    return reading


def _found(below: Below, path: bytes) -> tuple[bytes, Entry | None]:
    """Where ``path`` lies, through the links on its way, and what is there."""
    found = below.find(path)
    if found is None and path:
        above, _, name = path.rpartition(b"/")
        path = join(below.resolve(above, path), name)
        found = below.find(path)
    return path, found


def _is_bodiless(one: Said) -> bool:
    return one.kind == stat.S_IFREG and one.contents is None and one.size is None


def _check_empty(found: Entry, one: Said) -> None:
    """Refuse to empty a file that nobody said is empty."""
    if stat.S_ISREG(found.mode) and found.size:
        raise TreeError(
            f"{printable(one.line.path)} is a file of a lower layer, and the list has no bytes for "
            "another one",
            "say where they are, with contents=PATH, or size=0 for an empty file; without a type "
            "the line changes what is there",
        )


def _directories(entries: Mapping[bytes, Entry]) -> frozenset[bytes]:
    return frozenset(path for path, entry in entries.items() if entry.is_directory)


def _values(found: MtreeFile, read: ReadFile) -> Iterator[tuple[bytes, Said]]:
    for line in found.lines:
        with about(f"{found.name}:{line.number}"):
            yield line.path, said(line, read)
