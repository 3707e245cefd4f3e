"""Files that appear whole or not at all, blobs under their digests, and verified streams.

OCI image-spec ``image-layout.md``, "Blobs": ``blobs/ALGORITHM/HEX``.

Invariants: a file is written beside its target under a temporary name, synced,
and renamed, so nothing half-written is ever seen under a final name, and a
failure of any kind (Ctrl-C and SIGTERM included) leaves nothing behind; what a
killed process leaves, the next writer of the same target removes; a blob's name
is the digest of its bytes, so several processes may write the same one. Modes
follow the umask, which is never read (reading it means changing it).
"""

import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from types import TracebackType
from typing import Final, Protocol, Self

from imgpack.errors import ArchiveError, DigestError, NotFoundError, OutputError
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest

CHUNK: Final = 1 << 18
"""Bytes that are read at once: large enough for the disk, small enough for the cache."""

_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_LOOK: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
_ATTEMPTS: Final = 100
_TEMPORARY: Final = re.compile(r"\.(.{1,40})\.[0-9a-f]{16}\.tmp", re.DOTALL)
_HINTS: Final = {
    errno.ENOSPC: "the disk is full: free some space or write somewhere else",
    errno.EDQUOT: "the disk quota is used up: free some space or write somewhere else",
    errno.EFBIG: "the file system takes no file of this size",
    errno.ENOENT: "create the directory first",
    errno.ENOTDIR: "a file stands where a directory is needed",
    errno.EACCES: "check the directory's permissions",
    errno.EROFS: "the file system is read-only",
    errno.EISDIR: "a directory is in the way; end the path in / for an OCI layout",
}


@contextmanager
def output_errors(path: str, hint: str = "") -> Iterator[None]:
    """Turn an ``OSError`` into the ``OutputError`` that names ``path``; a closed pipe passes.

    ``hint`` is better than what can be said of any output.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        hint = hint or _HINTS.get(error.errno or 0, "")
        raise OutputError(f"cannot write {path}: {reason}", hint) from error


def scratch_errors(directory: str) -> AbstractContextManager[None]:
    """``output_errors`` for a file without a name in ``directory``, which nobody asked for."""
    return output_errors(
        f"a temporary file in {directory}", "let TMPDIR name a directory that has room for it"
    )


def real_path(path: str) -> str:
    """An output's ``path`` without links. Raises ``OutputError`` if it starts nowhere."""
    try:
        return os.path.realpath(path)
    except FileNotFoundError as error:
        raise OutputError(
            f"cannot write {path}: the current directory is gone", "change to one that exists"
        ) from error


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of ``data``; one ``write`` may take less (a signal, 2 GiB)."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def pwrite_all(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of ``data`` at ``offset`` without moving the file's position."""
    view = memoryview(data)
    while view:
        done = os.pwrite(fd, view, offset)
        view, offset = view[done:], offset + done


class Temporary:
    """A new file or directory ``.LABEL.HEX.tmp`` that its writer has locked as long as it lives.

    ``sweep`` removes those that nobody holds any more. Where a file system has no
    ``flock`` nothing is locked, and nothing is swept. No name is ever used twice.
    """

    def __init__(self, directory: str, label: str) -> None:
        self._directory = directory
        # Not longer than the target's own name may be: NAME_MAX is 255 bytes.
        self._label = label[:40]
        self.path = ""
        self.fd = -1

    def open_file(self) -> None:
        """Make a file, open for reading and writing. Raises ``OSError``."""
        self._open(lambda path: os.open(path, _NEW, 0o666))

    def open_directory(self) -> None:
        """Make a directory. Raises ``OSError``."""

        def make(path: str) -> int:
            os.mkdir(path)
            try:
                return os.open(path, _DIRECTORY)
            except FileNotFoundError:
                return -1  # swept already

        self._open(make)

    def _open(self, make: Callable[[str], int]) -> None:
        try:
            for _ in range(_ATTEMPTS):
                name = f".{self._label}.{secrets.token_hex(8)}.tmp"
                self.path = os.path.join(self._directory, name)
                self.fd = make(self.path)
                if self._lock() and os.path.lexists(self.path):
                    return
                self.discard()  # a sweeper, or who knows who, had the lock before this writer
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._directory)
        except BaseException:
            self.discard()
            raise

    def _lock(self) -> bool:
        """Take the lock, if the file system has any; ``False`` if somebody else has it."""
        try:
            if self.fd >= 0:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def discard(self) -> None:
        """Remove it, if it was not renamed, and let it go; harmless a second time."""
        if self.path:
            _remove(self.path)
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def is_temporary(name: str) -> bool:
    """Whether a file is called as a ``Temporary`` is."""
    return _TEMPORARY.fullmatch(name) is not None


def sweep(directory: str, *labels: str) -> None:
    """Remove what killed writers left in ``directory`` under these labels, as far as it can."""
    wanted = {label[:40] for label in labels}
    with suppress(OSError), os.scandir(directory) as listing:
        for item in listing:
            match = _TEMPORARY.fullmatch(item.name)
            if match is not None and match[1] in wanted:
                _remove_abandoned(item.path)


def _remove_abandoned(path: str) -> None:
    with suppress(OSError):
        fd = os.open(path, _LOOK)
        try:
            # Whoever has the lock now has it alone: the writer is gone, or has yet to
            # take it, and then sees that the name is gone.
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path)
        finally:
            os.close(fd)


def _remove(path: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            os.unlink(path)


class AtomicFile:
    """A file that gets its name in ``commit``; left without it, nothing remains.

    Every method raises ``OutputError`` naming the path, or ``shown``, which it
    belongs to. A symbolic link at ``path`` is followed, so that it stays a link.
    """

    def __init__(self, path: str, shown: str | None = None) -> None:
        self.path = path if shown is None else shown
        self._target = real_path(path)
        self._directory, self._name = os.path.split(self._target)
        self._temporary = Temporary(self._directory, self._name)

    def __enter__(self) -> Self:
        with output_errors(self.path):
            if os.path.isdir(self._target):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            sweep(self._directory, self._name)
            self._temporary.open_file()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._temporary.discard()

    def fileno(self) -> int:
        """The open file's descriptor."""
        return self._temporary.fd

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``."""
        with output_errors(self.path):
            write_all(self.fileno(), data)

    def commit(self, *, sync: bool = True) -> None:
        """Give the file its name, once its bytes are on the disk (``sync``); the last call."""
        with output_errors(self.path):
            if sync:
                os.fsync(self.fileno())
            os.replace(self._temporary.path, self._target)
            if sync:
                sync_directory(self._directory)

    def commit_new(self) -> None:
        """Give the file its name unless another has it: that one, and its locks, stay."""
        with output_errors(self.path):
            os.fsync(self.fileno())
            with suppress(FileExistsError):
                os.link(self._temporary.path, self._target)
            sync_directory(self._directory)


def sync_directory(path: str) -> None:
    """Make renames in ``path`` last; file systems that cannot are left alone."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.fsync(fd)
    finally:
        os.close(fd)


def write_file(path: str, data: bytes, shown: str | None = None) -> None:
    """Write a small file atomically. Raises ``OutputError`` naming the path, or ``shown``."""
    with AtomicFile(path, shown) as file:
        file.write(data)
        file.commit()


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

    def put(self, raw: bytes) -> None:
        """Store a small blob."""
        digest = Digest.of(raw)
        if self.size(digest) != len(raw):
            blob = self.open_blob()
            try:
                blob.write(raw)
                blob.commit(digest, len(raw))
            finally:
                blob.abort()

    def read(self, digest: Digest, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a stored blob from ``offset``, not verified."""
        fd = open_regular(self.path(digest))
        try:
            yield from read_range(fd, offset, None)
        finally:
            os.close(fd)


class _StoredBlob:
    def __init__(self, directory: BlobDirectory) -> None:
        self._directory = directory
        blobs = os.path.join(directory.root, "blobs")
        self._temporary = os.path.join(blobs, f".{secrets.token_hex(8)}.tmp")
        self._fd = -1
        try:
            with output_errors(directory.shown):
                self._fd = os.open(self._temporary, _NEW, 0o666)
        except BaseException:
            self.abort()
            raise

    def write(self, data: bytes | memoryview) -> None:
        with output_errors(self._directory.shown):
            write_all(self._fd, data)

    def commit(self, digest: Digest, size: int) -> None:
        target = self._directory.path(digest)
        with output_errors(self._directory.shown):
            if os.fstat(self._fd).st_size != size:
                raise AssertionError(f"{digest}: {size} bytes were announced, others written")
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.fsync(self._fd)
            os.replace(self._temporary, target)
            sync_directory(os.path.dirname(target))
        os.close(self._fd)
        self._fd = -1

    def abort(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            with suppress(OSError):
                os.unlink(self._temporary)


def open_regular(path: str) -> int:
    """Open a regular file for reading, through no symbolic link at its end; the descriptor.

    Raises ``NotFoundError`` when it is not there, ``ArchiveError`` for anything else.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NotFoundError(f"{path} does not exist") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ArchiveError(f"{path} is a symbolic link, not a file") from error
        raise ArchiveError(f"cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ArchiveError(f"{path} is not a regular file")
    return fd


def read_range(fd: int, offset: int, size: int | None) -> Iterator[bytes]:
    """``size`` bytes of ``fd`` from ``offset`` in chunks, by ``pread``; ``None``: to the end.

    Ends early where the file ends: the caller checks sizes.
    """
    while size is None or size > 0:
        chunk = os.pread(fd, CHUNK if size is None else min(CHUNK, size), offset)
        if not chunk:
            return
        offset += len(chunk)
        if size is not None:
            size -= len(chunk)
        yield chunk
