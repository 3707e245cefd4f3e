"""An mtree(5) file laid over trees, or as a tree of its own.

Laid over, what it says counts more than what is on disk, and what is not on disk is made if
it needs no body, or has one elsewhere (``contents``); bsdtar reads such lists the same way.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from typing import Final

from imgpack.errors import SourceError, TreeError, about, printable
from imgpack.tree.below import Below
from imgpack.tree.entries import (
    Entries,
    Fields,
    block_device,
    character_device,
    directory_entry,
    fifo,
    file,
    symlink,
)
from imgpack.tree.entry import Entry
from imgpack.tree.inputs.additions import Additions
from imgpack.tree.inputs.mtree.keywords import Said, said
from imgpack.tree.inputs.mtree.lines import unescaped
from imgpack.tree.inputs.mtree.reader import MtreeFile, read_lines
from imgpack.tree.rules.parse import ReadFile
from imgpack.tree.tree import join

_MAX_FILE: Final = 1 << 28
"""Bytes of a list: those of some millions of paths."""


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
                with self.about(one), _body(one.contents) as body:
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

    def additions(self, below: Below) -> Additions:
        """What is not in the image ``below`` and not optional, with the directories on its way.

        Its own parents lie where links lead. Raises ``TreeError`` for what cannot be made,
        ``SourceError`` for a body.
        """
        missing: dict[bytes, Said] = {}
        for path, one in self._said.items():
            above, _, name = path.rpartition(b"/")
            if path and not one.optional and not one.as_found and below.find(path) is None:
                with self.about(one):
                    there = join(below.resolve(above, path), name)
                if below.find(there) is None:
                    missing[there] = one
        made = []
        for entry in Entries(self._made(missing), self._name).entries():
            there_is = below.find(entry.path)
            made.append(entry if there_is is None else there_is)
        return Additions(tuple(made), self.identity)

    def tree(self) -> Entries:
        """All of it as a tree. Raises as ``additions`` does."""
        return Entries(self._made(self._said), self._name)

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
                entry = _entry(one)._replace(path=path)
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
            return _overridden(entry, one)


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
        with _body(unescaped(body)) as opened:
            return opened.read(_MAX_FILE)

    return reading


def _values(found: MtreeFile, read: ReadFile) -> Iterator[tuple[bytes, Said]]:
    for line in found.lines:
        with about(f"{found.name}:{line.number}"):
            yield line.path, said(line, read)


def _overridden(entry: Entry, one: Said) -> Entry:
    kind = stat.S_IFMT(entry.mode)
    wanted = kind if one.kind is None else one.kind
    if (wanted == stat.S_IFDIR) != (kind == stat.S_IFDIR):
        raise TreeError(
            f"{printable(entry.shown)} is {'a' if entry.is_directory else 'no'} directory, and "
            "the list says otherwise",
            "correct the type, or remove it",
        )
    content = _content(entry, one, wanted, kind)
    if content is not None:
        entry = entry._replace(
            content=content.content, size=content.size, device=0, inode=0, links=1
        )
    xattrs = dict(entry.xattrs) | dict(one.xattrs)
    mode = stat.S_IMODE(entry.mode) if one.mode is None else one.mode
    return entry._replace(
        mode=wanted | mode,
        uid=entry.uid if one.uid is None else one.uid,
        gid=entry.gid if one.gid is None else one.gid,
        mtime_ns=entry.mtime_ns if one.mtime_ns is None else one.mtime_ns,
        rdev=_device(one, entry.rdev) if wanted in _DEVICES else 0,
        xattrs=tuple(sorted(xattrs.items())),
    )


_ACCOUNTS: Final = frozenset({b"etc/passwd", b"etc/group"})
_DEVICES: Final = frozenset({stat.S_IFCHR, stat.S_IFBLK})


def _content(entry: Entry, one: Said, wanted: int, kind: int) -> Entry | None:
    """Something with the content that takes the place of an entry's; ``None`` if none does."""
    if wanted == stat.S_IFREG and (one.contents is not None or kind != wanted):
        return _file(one, {})
    if wanted == stat.S_IFLNK and (kind != wanted or one.target not in (None, entry.target())):
        return symlink(one.line.path, _target(one))
    return None


def _device(one: Said, found: int) -> int:
    if one.rdev is None and not found:
        raise TreeError(
            f"the device {printable(one.line.path)} has no number", "write device=linux,MAJOR,MINOR"
        )
    return found if one.rdev is None else one.rdev


def _target(one: Said) -> bytes:
    if one.target is None:
        raise TreeError(f"the link {printable(one.line.path)} has no target", "write link=TARGET")
    return one.target


def _file(one: Said, fields: Fields) -> Entry:
    path = one.line.path
    if one.contents is not None:
        with _body(one.contents) as body:
            size = os.fstat(body.fileno()).st_size
        return file(path, partial(_body, one.contents), size=size, **fields)
    if one.size:
        raise TreeError(
            f"the file {printable(path)} is to have {one.size} bytes, which are not here",
            "say where they are, with contents=PATH, or put it into the source",
        )
    return file(path, b"", **fields)


def _entry(one: Said) -> Entry:
    path, kind = one.line.path, one.kind or stat.S_IFREG
    fields: Fields = {"xattrs": {name: value for name, value in one.xattrs if value is not None}}
    if one.mode is not None:
        fields["mode"] = one.mode
    fields["uid"], fields["gid"] = one.uid or 0, one.gid or 0
    fields["mtime_ns"] = one.mtime_ns or 0
    if kind == stat.S_IFDIR:
        return directory_entry(path, **fields)
    if kind == stat.S_IFLNK:
        return symlink(path, _target(one), **fields)
    if kind == stat.S_IFIFO:
        return fifo(path, **fields)
    if kind in _DEVICES:
        number = _device(one, 0)
        device = character_device if kind == stat.S_IFCHR else block_device
        return device(path, os.major(number), os.minor(number), **fields)
    return _file(one, fields)


def _body(path: bytes) -> BufferedReader:
    """The body of a file. Raises ``SourceError`` unless it is a regular file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return open(descriptor, "rb")
        os.close(descriptor)
        why = "it is no regular file"
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    raise SourceError(
        f"cannot read the contents {printable(path)}: {why}",
        "a relative path is looked up in the working directory",
    )
