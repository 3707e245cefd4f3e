"""Blobs under their digests, and verified streams.

OCI image-spec ``image-layout.md``, "Blobs": ``blobs/ALGORITHM/HEX``. Invariant: a
blob's name is the digest of its bytes, so several processes may write the same one.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from typing import Protocol

from imgpack.errors import DigestError
from imgpack.files.atomic import Temporary
from imgpack.files.reading import input_errors, open_regular, read_range
from imgpack.files.writing import output_errors, write_all
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest


def verify_stream(chunks: Iterable[bytes], descriptor: Descriptor, what: str) -> Iterator[bytes]:
    """Pass ``chunks`` on, checked against ``descriptor``; ``what`` names the blob in errors.

    Never yields more bytes than the descriptor declares, and ends well only if
    size and digest are right; else ``DigestError``. The source is closed.
    """
    hasher = descriptor.digest.hasher()
    left = descriptor.size
    try:
        for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                raise DigestError(f"{what} has more than the {descriptor.size} bytes it declares")
            hasher.update(chunk)
            yield chunk
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    if left:
        raise DigestError(
            f"{what} has {descriptor.size - left} bytes, not {descriptor.size}: it is truncated"
        )
    if hasher.hexdigest() != descriptor.digest.hex:
        actual = f"{descriptor.digest.algorithm}:{hasher.hexdigest()}"
        raise DigestError(f"{what} is damaged: its bytes have the digest {actual}")


class BlobWriter(Protocol):
    """One blob that is being written; nothing is visible before ``commit``."""

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``. Raises ``OutputError``."""

    def commit(self, digest: Digest, size: int) -> None:
        """The blob is complete and has this digest and size, as the caller computed them."""

    def abort(self) -> None:
        """Throw the blob away; does nothing after ``commit``."""


class BlobDirectory:
    """Blobs under ``ROOT/blobs/ALGORITHM/HEX``; safe for several processes.

    Errors name the root, or ``shown``, which it belongs to.
    """

    def __init__(self, root: str, shown: str | None = None) -> None:
        self.root = root
        self.shown = root if shown is None else shown

    def path(self, digest: Digest) -> str:
        """Where a blob is, or would be."""
        return os.path.join(self.root, "blobs", digest.algorithm, digest.hex)

    def size(self, digest: Digest) -> int | None:
        """The size in bytes of a stored blob, or ``None``."""
        try:
            status = os.lstat(self.path(digest))
        except OSError:
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def open_blob(self) -> BlobWriter:
        """Start a blob whose digest is not known yet."""
        with output_errors(self.shown):
            os.makedirs(os.path.join(self.root, "blobs", "sha256"), exist_ok=True)
        return _StoredBlob(self)

    def put(self, raw: bytes, digest: Digest) -> None:
        """Store a small blob, whose digest the caller knows."""
        if self.size(digest) != len(raw):
            blob = self.open_blob()
            try:
                blob.write(raw)
                blob.commit(digest, len(raw))
            finally:
                blob.abort()

    def read(self, digest: Digest, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a stored blob from ``offset``, not verified."""
        path = self.path(digest)
        with input_errors(path):
            fd, _ = open_regular(path)
        try:
            yield from read_range(fd, offset, None)
        finally:
            os.close(fd)


class _StoredBlob:
    def __init__(self, directory: BlobDirectory) -> None:
        self._directory = directory
        self._temporary = Temporary(os.path.join(directory.root, "blobs"), "blob", locked=False)
        with output_errors(directory.shown):
            self._temporary.open_file()

    def write(self, data: bytes | memoryview) -> None:
        with output_errors(self._directory.shown):
            write_all(self._temporary.fd, data)

    def commit(self, digest: Digest, size: int) -> None:
        target = self._directory.path(digest)
        with output_errors(self._directory.shown):
            if os.fstat(self._temporary.fd).st_size != size:
                raise AssertionError(f"{digest}: {size} bytes were announced, others written")
            os.makedirs(os.path.dirname(target), exist_ok=True)
            self._temporary.rename(target, sync=True)
        self.abort()

    def abort(self) -> None:
        self._temporary.discard()
