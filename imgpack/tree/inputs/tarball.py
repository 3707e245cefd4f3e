"""A tar archive as a tree: validated and indexed when it is opened, framed anew in a layer.

The archive's own order does not matter, nor how it was written. Content is read from the
file itself if that is plain and regular; what is compressed or comes from a pipe is
unpacked once, while it is validated, into a file without a name. Nothing is extracted.
"""

import io
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import BinaryIO, Final

from imgpack.compression.whole import plain
from imgpack.errors import ArchiveError, ImgpackError, OutputError, about, brief, printable
from imgpack.files.incoming import (
    Stored,
    StoredFile,
    file_of,
    is_regular,
    open_input,
    read_input,
)
from imgpack.files.reading import input_errors
from imgpack.files.scratch import ScratchFile
from imgpack.spec.format import detect
from imgpack.tar.header import BLOCK
from imgpack.tar.sparse import Sparse
from imgpack.tar.stream import Members, StreamMember, read_file_members, read_members
from imgpack.tree.entry import Entry, made_up_directory
from imgpack.tree.inputs.acl import acl_mode, parse_acl
from imgpack.tree.inputs.unpacked import Unpacked
from imgpack.tree.members import member_entry
from imgpack.tree.problems import Problems, changed
from imgpack.tree.tree import Stamps, join

MAX_UNPACKED: Final = 1 << 38
"""Bytes: the largest archive that is taken from a pipe or decompressed."""
LARGE_HOLES: Final = 1 << 30
"""Bytes of holes above which the user is warned: a layer stores them as zeros."""

_ACCESS: Final = b"system.posix_acl_access"
_AT_ONCE: Final = 1 << 20
_HOLE: Final = bytes(1 << 18)


class StoredMember:
    """What a member has beyond its fields; its bytes stay in the archive."""

    __slots__ = ("_archive", "_offset", "_size", "_sparse", "target", "xattrs")

    def __init__(self, archive: Stored, member: StreamMember) -> None:
        self.target = member.link
        self.xattrs: Mapping[bytes, bytes] = member.xattrs
        self._archive = archive
        self._offset = member.offset
        self._size = member.size
        self._sparse: Sparse | None = member.sparse

    def open(self) -> BinaryIO:
        """The bytes, from their start."""
        if self._sparse is not None:
            return file_of(_with_holes(self._archive, self._sparse))
        pieces = self._archive.read(self._offset, self._offset + self._size)
        return io.BytesIO(b"".join(pieces)) if self._size <= _AT_ONCE else file_of(pieces)


def _with_holes(archive: Stored, sparse: Sparse) -> Iterator[bytes]:
    for start, length in sparse.pieces(0):
        if start is not None:
            yield from archive.read(start, start + length)
            continue
        for at in range(0, length, len(_HOLE)):
            yield _HOLE[: length - at]


class Tarball:
    """The tree of a tar archive, which messages call ``name``.

    ``root`` is its absolute path; empty for a stream, which has none.
    """

    def __init__(self, name: str, root: bytes, archive: Stored, found: dict[bytes, Entry]) -> None:
        self.root = root
        self._name = name
        self._root = found.pop(b"", made_up_directory(b"", 0))
        self._found = found
        self._names: dict[bytes, list[bytes]] | None = None
        self._archive = archive
        self._before = self._state()

    def __str__(self) -> str:
        return self._name

    @property
    def stamps(self) -> Stamps | None:
        """None: it is read each time, and what was seen of it comes out of the cache."""
        return None

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """As ``Tree.entries``. Raises ``SourceChangedError`` if the file was written to."""
        if self._before is not None and problems and self._before[:2] in problems.outputs:
            raise OutputError(
                f"{self._name} is a source of what would be written over it",
                "choose another output",
            )
        if not under:
            yield from self._found.values()
        else:
            yield self._root._replace(path=under)
            for entry in self._found.values():
                yield entry._replace(path=join(under, entry.path))
        if self._state() != self._before:
            raise changed(os.fsencode(self._name), "changed")

    def find(self, path: bytes) -> Entry | None:
        """As ``Tree.find``."""
        return self._found.get(path) if path else self._root

    def names(self, path: bytes) -> list[bytes]:
        """The names in the directory ``path``, which is empty for the root."""
        if self._names is None:
            self._names = defaultdict(list)
            for one in self._found:
                above, _, name = one.rpartition(b"/")
                self._names[above].append(name)
        return self._names.get(path, [])

    def _state(self) -> tuple[int, ...] | None:
        """What tells whether the file is another by now, its device and inode first."""
        if not isinstance(self._archive, StoredFile):
            return None
        found = os.fstat(self._archive.descriptor)
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def tarball(
    path: str,
    name: str,
    *,
    scratch: Callable[[], str],
    warn: Callable[[str], None] = lambda message: None,
) -> Tarball:
    """The tree of the archive at ``path``, compressed or not, called ``name`` in messages.

    ``path`` may be a pipe; ``scratch`` finds a directory for what can't be read in place.
    ``warn`` is told what an archive has twice. Raises ``SourceError`` for what can't be
    read, ``ArchiveError`` for what is no tar, ``TreeError`` and ``LimitError``.
    """
    with input_errors(path), _naming(name):
        file = StoredFile(open_input(path))
        descriptor = file.descriptor
        root = os.path.realpath(os.fsencode(path)) if is_regular(descriptor) else b""
        if is_regular(descriptor) and detect(os.pread(descriptor, BLOCK, 0)) == "none":
            _check_size(os.fstat(descriptor).st_size)
            found = _unpacked(read_file_members(descriptor), file, name, warn)
            return Tarball(name, root, file, found)
        with closing(file):
            scratched = ScratchFile(scratch())
            chunks = _scratching(plain(read_input(descriptor), limit=MAX_UNPACKED), scratched)
            found = _unpacked(read_members(chunks), scratched, name, warn)
            _check_size(scratched.size)
            return Tarball(name, root, scratched, found)


@contextmanager
def _naming(name: str) -> Iterator[None]:
    try:
        yield
    except ArchiveError as error:
        hint = error.hint or "make the archive again"
        raise error.reworded(f"{name}: {error.message}", hint) from error
    except ImgpackError as error:
        raise error.reworded(f"{name}: {error.message}") from error


def _with_acls(member: StreamMember) -> StreamMember:
    with about(brief(member.path)):
        values = {name: parse_acl(text) for name, text in member.acls}
    there = {name: value for name, value in values.items() if value is not None}
    access = there.get(_ACCESS)
    mode = member.mode if access is None else member.mode & ~0o777 | acl_mode(access)
    return member._replace(mode=mode, xattrs=there | member.xattrs)


def _check_size(size: int) -> None:
    if not size:
        raise ArchiveError("it is empty", "even an archive of nothing has an end")


def _scratching(chunks: Iterable[bytes], file: ScratchFile) -> Iterator[bytes]:
    for chunk in chunks:
        file.append(chunk)
        yield chunk


def _unpacked(
    members: Members, archive: Stored, name: str, warn: Callable[[str], None]
) -> dict[bytes, Entry]:
    unpacked = Unpacked()
    holes, sparse = 0, b""
    for member, _ in members:
        if member.acls:
            member = _with_acls(member)
        bare = not (member.link or member.xattrs or member.kind == stat.S_IFREG)
        entry = member_entry(member, b"" if bare else StoredMember(archive, member))
        if entry is None:
            continue
        unpacked.add(entry, b"" if member.kind else member.link)
        if member.sparse is not None:
            stored = sum(length for _, length in member.sparse.extents)
            holes += member.size - stored
            sparse = sparse or member.path
    if unpacked.twice:
        more = f" and {unpacked.twice - 1} more" if unpacked.twice > 1 else ""
        warn(f"{name} has {brief(unpacked.first_twice)}{more} more than once; the last counts")
    if holes > LARGE_HOLES:
        warn(
            f"{printable(name)} has {holes >> 30} GiB of holes, in {brief(sparse)} first, which a "
            "layer stores as zeros and a runtime unpacks in full"
        )
    return unpacked.entries()
