"""An archive in the making: blobs written where they will probably stay.

The front of an archive names every blob by a digest that is known only when the
blob is complete. So blobs are written behind a gap of the size that the front
will probably have. ``settle`` then fills in the front and the headers if every
blob lies where the archive wants it; if one does not, ``copy`` writes a second
file. A copy costs time and changes no byte (a property test).

POSIX ustar; a blob of 8 GiB or more has a pax ``size`` record. Headers carry
mode 0644 (directories 0755), no owner, and the time 0: nothing of the machine.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from imgpack.errors import ArchiveError
from imgpack.files.reading import read_range
from imgpack.files.writing import pwrite_all
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.store.contents import (
    OCI_LAYOUT,
    SCHEMA1_NAME,
    Contents,
    blob_path,
    index_json,
    manifest_json,
    schema1_json,
)
from imgpack.tar.header import BLOCK, DIRECTORY, END, MAX_SIZE, encode, padding

_NO_COPY: Final = {
    errno.EXDEV,
    errno.ENOSYS,
    errno.EINVAL,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.EBADF,
}
_COPY: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Extent:
    """``size`` bytes of the draft from ``start``."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """The first byte behind the extent and its padding."""
        return self.start + self.size + len(padding(self.size))


Piece = bytes | Extent


def header(name: str, size: int) -> bytes:
    """The header of a regular file, with a pax record if its size needs one."""
    return encode(name.encode(), size=size)


def header_size(size: int | None) -> int:
    """The length in bytes of the header in front of ``size`` bytes (``None``: unknown)."""
    return 3 * BLOCK if size is not None and size > MAX_SIZE else BLOCK


def front(contents: Contents) -> bytes:
    """Everything before the first layer: the metadata, the directories, the documents."""
    files = {"oci-layout": OCI_LAYOUT, "index.json": index_json(contents.roots)}
    files["manifest.json"] = manifest_json(contents)
    payload = schema1_json(contents)
    if payload is not None:
        files[SCHEMA1_NAME] = payload
    directories = b"".join(
        encode(name, mode=0o755, typeflag=DIRECTORY) for name in (b"blobs/", b"blobs/sha256/")
    )
    documents = {blob_path(digest): raw for digest, raw in contents.documents().items()}
    return _members(files) + directories + _members(documents)


def _members(files: dict[str, bytes]) -> bytes:
    return b"".join(
        header(name, len(data)) + data + padding(len(data)) for name, data in files.items()
    )


class Draft:
    """Blobs in an open file, each at its guessed place. Safe for several threads.

    ``errors`` turns an ``OSError`` into one that names the file.
    """

    def __init__(self, fd: int, errors: Callable[[], AbstractContextManager[None]]) -> None:
        self.fd = fd
        self.errors = errors
        self._front = 0
        self._planned: dict[tuple[Digest, int], int] = {}
        self._slots: set[DraftBlob] = set()
        self._blobs: dict[Digest, Extent] = {}
        self._lock = threading.Lock()

    def plan(self, contents: Contents) -> None:
        """Guess where blobs will lie; placeholder digests of the right length will do.

        Ignored once a blob was written.
        """
        with self._lock:
            if self._slots:
                return
            self._front = len(front(contents))
            offset = self._front
            for blob in contents.blobs():
                offset += header_size(blob.size)
                self._planned[blob.digest, blob.size] = offset
                offset = Extent(offset, blob.size).end

    def size(self, digest: Digest) -> int | None:
        """The size in bytes of a committed blob, or ``None``."""
        with self._lock:
            extent = self._blobs.get(digest)
        return extent.size if extent else None

    def open(self, expected_size: int | None = None) -> "DraftBlob":
        """A blob of unknown size and digest; no other may be opened until it is done."""
        with self._lock:
            return self._add(DraftBlob(self, self._end() + header_size(expected_size), None))

    def reserve(self, descriptor: Descriptor) -> "DraftBlob":
        """A blob that is known; several may be written at once."""
        size = descriptor.size
        with self._lock:
            start = self._planned.get((descriptor.digest, size))
            if start is None or not self._free(start - header_size(size), Extent(start, size).end):
                start = self._end() + header_size(size)
            return self._add(DraftBlob(self, start, size))

    def _add(self, slot: "DraftBlob") -> "DraftBlob":
        if any(other.size is None for other in self._slots):
            raise RuntimeError("a blob of unknown size is still open")
        self._slots.add(slot)
        return slot

    def _end(self) -> int:
        return max((slot.extent.end for slot in self._slots), default=self._front)

    def _free(self, start: int, end: int) -> bool:
        return all(
            end <= slot.start - header_size(slot.size) or slot.extent.end <= start
            for slot in self._slots
        )

    def commit(self, slot: "DraftBlob", digest: Digest) -> None:
        """The blob is complete; a second one of the same digest is dropped."""
        with self._lock:
            if digest in self._blobs:
                self._slots.discard(slot)
            else:
                self._blobs[digest] = slot.extent

    def abort(self, slot: "DraftBlob") -> None:
        """Give the blob's place back."""
        with self._lock:
            self._slots.discard(slot)

    def pieces(self, contents: Contents) -> list[Piece]:
        """The archive from its first byte to its last. Raises ``ArchiveError`` for a lost blob."""
        out: list[Piece] = [front(contents)]
        for blob in contents.blobs():
            extent = self._blobs.get(blob.digest)
            if extent is None or extent.size != blob.size:
                raise ArchiveError(f"the manifest names the blob {blob.digest}, which was not put")
            out += [header(blob_path(blob.digest), blob.size), extent, padding(blob.size)]
        return [*out, END]

    def settle(self, pieces: Sequence[Piece]) -> bool:
        """Complete the archive in place if every blob lies right; else do nothing."""
        if any(isinstance(piece, Extent) and piece.start != at for at, piece in _placed(pieces)):
            return False
        with self.errors():
            end = 0
            for at, piece in _placed(pieces):
                if not isinstance(piece, Extent):
                    pwrite_all(self.fd, piece, at)
                end = at + _length(piece)
            os.ftruncate(self.fd, end)
        return True

    def copy(self, pieces: Sequence[Piece], target: int) -> None:
        """Assemble the archive in the empty file ``target``, a descriptor."""
        with self.errors():
            for at, piece in _placed(pieces):
                if isinstance(piece, Extent):
                    _copy_range(self.fd, piece, target, at)
                else:
                    pwrite_all(target, piece, at)

    def stream(self, pieces: Sequence[Piece]) -> Iterator[bytes]:
        """The archive's bytes in order."""
        for piece in pieces:
            if isinstance(piece, Extent):
                yield from read_range(self.fd, piece.start, piece.size)
            else:
                yield piece


class DraftBlob:
    """One blob of a draft; ``size`` is ``None`` as long as it is not known."""

    def __init__(self, draft: Draft, start: int, size: int | None) -> None:
        self._draft = draft
        self.start = start
        self.size = size
        self._written = 0
        self._closed = False

    @property
    def extent(self) -> Extent:
        """What the blob takes, or has taken so far."""
        return Extent(self.start, self._written if self.size is None else self.size)

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``. Raises ``OutputError``."""
        with self._draft.errors():
            pwrite_all(self._draft.fd, data, self.start + self._written)
        self._written += len(data)

    def commit(self, digest: Digest, size: int) -> None:
        """The blob is complete."""
        if self._written != size:
            raise AssertionError(f"{digest}: {size} bytes were announced, {self._written} written")
        self.size = size
        self._closed = True
        self._draft.commit(self, digest)

    def abort(self) -> None:
        """Throw the blob away; does nothing after ``commit``."""
        if not self._closed:
            self._closed = True
            self._draft.abort(self)


def _length(piece: Piece) -> int:
    return piece.size if isinstance(piece, Extent) else len(piece)


def _placed(pieces: Iterable[Piece]) -> Iterator[tuple[int, Piece]]:
    at = 0
    for piece in pieces:
        yield at, piece
        at += _length(piece)


def _copy_range(source: int, extent: Extent, target: int, at: int) -> None:
    start, left = extent.start, extent.size
    while left:
        try:
            # The kernel copies, or shares the blocks where the file system can.
            done = os.copy_file_range(source, target, min(left, _COPY), start, at)
        except OSError as error:
            if error.errno not in _NO_COPY:
                raise
            done = 0
        if done == 0:
            break
        start, left, at = start + done, left - done, at + done
    for chunk in read_range(source, start, left):
        pwrite_all(target, chunk, at)
        at += len(chunk)
