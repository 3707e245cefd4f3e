"""An archive in the making: blobs written where they will probably stay.

The front of an archive names every blob by a digest that is known only when the
blob is complete. So blobs are written behind a gap of the size that the front
will probably have. ``finalize`` then fills in the front and the headers if every
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
from imgpack.image.image import Named
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.store.contents import (
    OCI_LAYOUT,
    SCHEMA1_NAME,
    blob_path,
    blobs,
    documents,
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
    """``size`` bytes of the assembly from ``start``."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """The first byte behind the extent and its padding."""
        return self.start + self.size + len(padding(self.size))


Part = bytes | Extent


def header(name: str, size: int) -> bytes:
    """The header of a regular file, with a pax record if its size needs one."""
    return encode(name.encode(), size=size)


def header_size(size: int | None) -> int:
    """The length in bytes of the header in front of ``size`` bytes (``None``: unknown)."""
    return 3 * BLOCK if size is not None and size > MAX_SIZE else BLOCK


def front(images: Sequence[Named]) -> bytes:
    """Everything before the first layer: the metadata, the directories, the documents."""
    files = {
        "oci-layout": OCI_LAYOUT,
        "index.json": index_json(images),
        "manifest.json": manifest_json(images),
        SCHEMA1_NAME: schema1_json(images),
    }
    directories = b"".join(
        encode(name, mode=0o755, typeflag=DIRECTORY) for name in (b"blobs/", b"blobs/sha256/")
    )
    inner = {blob_path(digest): raw for digest, raw in documents(images).items()}
    there = {name: raw for name, raw in files.items() if raw is not None}
    return _members(there) + directories + _members(inner)


def _members(files: dict[str, bytes]) -> bytes:
    return b"".join(
        header(name, len(data)) + data + padding(len(data)) for name, data in files.items()
    )


class Assembly:
    """Blobs in an open file, each at its guessed place. Safe for several threads.

    ``errors`` turns an ``OSError`` into one that names the file.
    """

    def __init__(self, fd: int, errors: Callable[[], AbstractContextManager[None]]) -> None:
        self.fd = fd
        self.errors = errors
        self._front = 0
        self._planned: dict[tuple[Digest, int], int] = {}
        self._slots: set[AssemblyBlob] = set()
        self._blobs: dict[Digest, Extent] = {}
        self._lock = threading.Lock()

    def plan(self, images: Sequence[Named]) -> None:
        """Guess where blobs will lie; placeholder digests of the right length will do.

        Ignored once a blob was written.
        """
        with self._lock:
            if self._slots:
                return
            self._front = len(front(images))
            offset = self._front
            for blob in blobs(images):
                offset += header_size(blob.size)
                self._planned[blob.digest, blob.size] = offset
                offset = Extent(offset, blob.size).end

    def size(self, digest: Digest) -> int | None:
        """The size in bytes of a committed blob, or ``None``."""
        with self._lock:
            extent = self._blobs.get(digest)
        return extent.size if extent else None

    def read(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a committed blob from ``offset``. Raises ``ArchiveError`` for another."""
        with self._lock:
            extent = self._blobs.get(descriptor.digest)
        if extent is None:
            raise ArchiveError(f"the blob {descriptor.digest} was not put")
        return read_range(self.fd, extent.start + offset, extent.size - offset)

    def open(self, expected_size: int | None = None) -> "AssemblyBlob":
        """A blob of unknown size and digest; no other may be opened until it is done."""
        with self._lock:
            return self._add(AssemblyBlob(self, self._end() + header_size(expected_size), None))

    def reserve(self, descriptor: Descriptor) -> "AssemblyBlob":
        """A blob that is known; several may be written at once."""
        size = descriptor.size
        with self._lock:
            start = self._planned.get((descriptor.digest, size))
            if start is None or not self._free(start - header_size(size), Extent(start, size).end):
                start = self._end() + header_size(size)
            return self._add(AssemblyBlob(self, start, size))

    def _add(self, slot: "AssemblyBlob") -> "AssemblyBlob":
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

    def commit(self, slot: "AssemblyBlob", digest: Digest) -> None:
        """The blob is complete; a second one of the same digest is dropped."""
        with self._lock:
            if digest in self._blobs:
                self._slots.discard(slot)
            else:
                self._blobs[digest] = slot.extent

    def abort(self, slot: "AssemblyBlob") -> None:
        """Give the blob's place back."""
        with self._lock:
            self._slots.discard(slot)

    def parts(self, images: Sequence[Named]) -> list[Part]:
        """The archive from its first byte to its last. Raises ``ArchiveError`` for a lost blob."""
        out: list[Part] = [front(images)]
        for blob in blobs(images):
            extent = self._blobs.get(blob.digest)
            if extent is None or extent.size != blob.size:
                raise ArchiveError(f"the manifest names the blob {blob.digest}, which was not put")
            out += [header(blob_path(blob.digest), blob.size), extent, padding(blob.size)]
        return [*out, END]

    def finalize(self, parts: Sequence[Part]) -> bool:
        """Complete the archive in place if every blob lies right; else do nothing."""
        if any(isinstance(part, Extent) and part.start != at for at, part in _placed(parts)):
            return False
        with self.errors():
            end = 0
            for at, part in _placed(parts):
                if not isinstance(part, Extent):
                    pwrite_all(self.fd, part, at)
                end = at + _length(part)
            os.ftruncate(self.fd, end)
        return True

    def copy(self, parts: Sequence[Part], target: int) -> None:
        """Assemble the archive in the empty file ``target``, a descriptor."""
        with self.errors():
            for at, part in _placed(parts):
                if isinstance(part, Extent):
                    _copy_range(self.fd, part, target, at)
                else:
                    pwrite_all(target, part, at)

    def stream(self, parts: Sequence[Part]) -> Iterator[bytes]:
        """The archive's bytes in order."""
        for part in parts:
            if isinstance(part, Extent):
                yield from read_range(self.fd, part.start, part.size)
            else:
                yield part


class AssemblyBlob:
    """One blob of an assembly; ``size`` is ``None`` as long as it is not known."""

    def __init__(self, assembly: Assembly, start: int, size: int | None) -> None:
        self._assembly = assembly
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
        with self._assembly.errors():
            pwrite_all(self._assembly.fd, data, self.start + self._written)
        self._written += len(data)

    def commit(self, digest: Digest, size: int) -> None:
        """The blob is complete."""
        if self._written != size:
            raise AssertionError(f"{digest}: {size} bytes were announced, {self._written} written")
        self.size = size
        self._closed = True
        self._assembly.commit(self, digest)

    def abort(self) -> None:
        """Throw the blob away; does nothing after ``commit``."""
        if not self._closed:
            self._closed = True
            self._assembly.abort(self)


def _length(part: Part) -> int:
    return part.size if isinstance(part, Extent) else len(part)


def _placed(parts: Iterable[Part]) -> Iterator[tuple[int, Part]]:
    at = 0
    for part in parts:
        yield at, part
        at += _length(part)


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
