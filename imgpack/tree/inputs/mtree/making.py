"""The entry that a line of an mtree(5) file makes, alone or of one that is there."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from typing import BinaryIO, Final

from imgpack.errors import ImgpackError, SourceError, TreeError, printable
from imgpack.tree.entries import (
    Fields,
    block_device,
    character_device,
    directory_entry,
    fifo,
    file,
    symlink,
)
from imgpack.tree.entry import Entry
from imgpack.tree.inputs.mtree.keywords import Said
from imgpack.tree.problems import Problems
from imgpack.tree.xattrs import attributes

_NS: Final = 1_000_000_000
_DEVICES: Final = frozenset({stat.S_IFCHR, stat.S_IFBLK})


def overridden(entry: Entry, one: Said) -> Entry:
    """``entry`` as it is said to be. Raises ``TreeError``, ``SourceError``."""
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
        with body_of(one.contents) as body:
            size = os.fstat(body.fileno()).st_size
        return file(path, partial(body_of, one.contents), size=size, **fields)
    if one.size:
        raise TreeError(
            f"the file {printable(path)} is to have {one.size} bytes, which are not here",
            "say where they are, with contents=PATH, or put it into the source",
        )
    return file(path, b"", **fields)


def entry_of(one: Said) -> Entry:
    """What is said, alone. Raises ``TreeError``, ``SourceError``."""
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


def body_of(path: bytes) -> BufferedReader:
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


def changed_entry(found: Entry, one: Said) -> Entry | None:
    """What lower layers have as it is said to be; ``None`` if it is just so already.

    A directory that is said to be one is there. Raises ``TreeError`` without the body.
    """
    if one.kind == stat.S_IFDIR and (found.is_directory or stat.S_ISLNK(found.mode)):
        return None
    entry = overridden(found, one)
    if entry.mtime_ns // _NS == found.mtime_ns // _NS:  # a layer keeps no more of it
        entry = entry._replace(mtime_ns=found.mtime_ns)
    if entry == found:
        return None
    if stat.S_ISREG(entry.mode) and entry.content is found.content:
        _check_body(found, one)
    content = _Lower(found) if entry.content is found.content else entry.content
    return entry._replace(content=content, links=1, stamp=b"", within=None)


@dataclass(frozen=True, slots=True)
class _Lower:
    """What an entry of a lower layer has beyond its fields, for one that has others."""

    entry: Entry

    def open(self) -> BinaryIO:
        return self.entry.open()

    @property
    def target(self) -> bytes:
        return self.entry.target()

    @property
    def xattrs(self) -> Mapping[bytes, bytes]:
        found = attributes(self.entry, Problems())
        return {} if found is None else dict(found.xattrs)


def _check_body(found: Entry, one: Said) -> None:
    try:
        found.open().close()
    except (ImgpackError, OSError):
        raise TreeError(
            f"{printable(one.line.path)} is a file of a lower layer, whose bytes are not at hand "
            "to be written with other attributes",
            "say where they are, with contents=PATH",
        ) from None
