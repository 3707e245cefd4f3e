"""Files that appear whole or not at all.

Invariants: a file is written on its target's file system under a temporary name,
and renamed, so nothing half-written is ever seen under a final name, and a
failure of any kind (Ctrl-C and SIGTERM included) leaves nothing behind; what a
killed process leaves, the next writer of the same target removes. Modes
follow the umask, which is never read (reading it means changing it).
"""

import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from imgpack.files.writing import output_errors, real_path, write_all

_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_LOOK: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
_ATTEMPTS: Final = 100
_TEMPORARY: Final = re.compile(r"\.(.{1,40})\.[0-9a-f]{16}\.tmp", re.DOTALL)


def temporary_path(directory: str, label: str) -> str:
    """A new path ``.LABEL.HEX.tmp`` in ``directory``; no label makes it longer than NAME_MAX."""
    # Not the process's number, which repeats in containers that share a directory.
    return os.path.join(directory, f".{label[:40]}.{secrets.token_hex(8)}.tmp")


class Temporary:
    """A new file or directory that its writer has locked as long as it lives.

    ``sweep`` removes those that nobody holds any more. Where a file system has no
    ``flock`` nothing is locked, and nothing is swept. Without ``locked`` it costs no
    system call more than any file, and whoever owns the directory removes what is old.
    """

    def __init__(
        self, directory: str, label: str, *, mode: int = 0o666, locked: bool = True
    ) -> None:
        self._directory = directory
        self._label = label
        self._mode = mode
        self._locked = locked
        self.path = ""
        self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.discard()

    def open_file(self) -> Self:
        """Make a file, open for reading and writing. Raises ``OSError``."""
        return self._open(lambda path: os.open(path, _NEW, self._mode))

    def open_directory(self, *, private: bool = False) -> Self:
        """Make a directory; ``private`` is nobody else's. Raises ``OSError``."""

        def make(path: str) -> int:
            os.mkdir(path, 0o700 if private else 0o777)
            try:
                return os.open(path, _DIRECTORY)
            except FileNotFoundError:
                return -1  # swept already

        return self._open(make)

    def _open(self, make: Callable[[str], int]) -> Self:
        try:
            for _ in range(_ATTEMPTS):
                self.path = temporary_path(self._directory, self._label)
                self.fd = make(self.path)
                if not self._locked or (self._lock() and os.path.lexists(self.path)):
                    return self
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

    def rename(self, target: str, *, sync: bool) -> None:
        """Give it its name, once its bytes are on the disk (``sync``). Raises ``OSError``."""
        if sync:
            os.fsync(self.fd)
        os.replace(self.path, target)
        self.path = ""
        if sync:
            sync_directory(os.path.dirname(target))

    def discard(self) -> None:
        """Remove it, if it was not renamed, and let it go; harmless a second time."""
        if self.fd >= 0:  # before all else: removing a directory needs a descriptor
            fd, self.fd = self.fd, -1
            os.close(fd)
        if self.path:
            _remove(self.path)


def is_temporary(name: str) -> bool:
    """Whether a file is called as a ``Temporary`` is."""
    return _TEMPORARY.fullmatch(name) is not None


def sweep(directory: str, *labels: str, owner: int | None = None) -> None:
    """Remove what killed writers left in ``directory`` under these labels, as far as it can.

    With ``owner`` only what is this user's: in a directory where anybody may write.
    """
    wanted = {label[:40] for label in labels}
    with suppress(OSError), os.scandir(directory) as listing:
        for item in listing:
            match = _TEMPORARY.fullmatch(item.name)
            if match is not None and match[1] in wanted:
                _remove_abandoned(item.path, owner)


def is_held(directory: str, label: str, *, but: str) -> bool:
    """Whether a writer may be at work on a ``Temporary`` of this label, other than ``but``."""
    with os.scandir(directory) as listing:
        return any(
            (match := _TEMPORARY.fullmatch(item.name)) is not None
            and match[1] == label[:40]
            and item.path != but
            and _is_locked(item.path)
            for item in listing
        )


def _is_locked(path: str) -> bool:
    try:
        fd = os.open(path, _LOOK)
    except OSError as error:
        return error.errno != errno.ENOENT
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def _remove_abandoned(path: str, owner: int | None) -> None:
    with suppress(OSError):
        fd = os.open(path, _LOOK)
        try:
            if owner not in (None, os.fstat(fd).st_uid):
                return
            # Whoever has the lock now has it alone: the writer is gone, or has yet to
            # take it, and then sees that the name is gone.
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _remove_at_once(path):
                # By descriptors alone: another user's it may be, who could exchange what
                # lies in there for a link meanwhile.
                empty(fd)
                os.rmdir(path)
        finally:
            os.close(fd)


def _remove_at_once(path: str) -> bool:
    """Remove what is no directory; whether it is none."""
    if os.path.isdir(path) and not os.path.islink(path):
        return False
    with suppress(OSError):
        os.unlink(path)
    return True


def _remove(path: str) -> None:
    if _remove_at_once(path):
        return
    with suppress(OSError):
        fd = os.open(path, _DIRECTORY)
        try:
            empty(fd)
        finally:
            os.close(fd)
    # That needs some descriptors; where there are none, this needs one at most.
    for directory, directories, files in os.walk(path, topdown=False):
        for name in files:
            _remove(os.path.join(directory, name))
        for name in directories:
            with suppress(OSError):
                os.rmdir(os.path.join(directory, name))
    with suppress(OSError):
        os.rmdir(path)


def empty(top: int) -> None:
    """Remove what is in the open directory ``top``, as far as it can be.

    What is in a directory in it comes up first, so that depth does not matter.
    """
    while True:
        removed = 0
        for name in _names(top):
            with suppress(OSError):
                _remove_in(top, name)
                removed += 1
        if not removed:
            return


def _remove_in(top: int, name: bytes) -> None:
    if not stat.S_ISDIR(os.lstat(name, dir_fd=top).st_mode):
        os.unlink(name, dir_fd=top)
        return
    directory = _opened(top, name)
    try:
        for below in _names(directory):
            if stat.S_ISDIR(os.lstat(below, dir_fd=directory).st_mode):
                os.close(_opened(directory, below))  # so that it may be moved
                new = b".%s" % secrets.token_hex(16).encode()
                os.rename(below, new, src_dir_fd=directory, dst_dir_fd=top)
            else:
                os.unlink(below, dir_fd=directory)
    finally:
        os.close(directory)
    os.rmdir(name, dir_fd=top)


def _opened(above: int, name: bytes) -> int:
    """A directory that its owner may change, open."""
    descriptor = -1
    with suppress(PermissionError):
        descriptor = os.open(name, _DIRECTORY, dir_fd=above)
    if descriptor < 0:
        found = os.open(name, _DIRECTORY | os.O_PATH, dir_fd=above)
        try:  # by its descriptor: the name may lead elsewhere by now
            os.chmod(f"/proc/self/fd/{found}", 0o700)
        finally:
            os.close(found)
        return os.open(name, _DIRECTORY, dir_fd=above)
    with suppress(OSError):
        os.fchmod(descriptor, 0o700)
    return descriptor


def _names(directory: int) -> list[bytes]:
    with suppress(OSError), os.scandir(directory) as found:
        return [os.fsencode(one.name) for one in found]
    return []


class AtomicFile:
    """A file that gets its name in ``commit``; left without it, nothing remains.

    Every method raises ``OutputError`` naming the path, or ``shown``, which it
    belongs to. A symbolic link at ``path`` is followed, so that it stays a link. With
    ``keep_mode`` it may be read and written by no more than could the file that is there.
    """

    def __init__(self, path: str, shown: str | None = None, *, keep_mode: bool = False) -> None:
        self.path = path if shown is None else shown
        self._target = real_path(path)
        self._directory, self._name = os.path.split(self._target)
        mode = 0o666
        with output_errors(self.path):
            if keep_mode and os.path.exists(self._target):
                mode = os.stat(self._target).st_mode & 0o777
        self._temporary = Temporary(self._directory, self._name, mode=mode)

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
            self._temporary.rename(self._target, sync=sync)

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


def replace_file(path: str, data: bytes, *, mode: int = 0o666, sync: bool = True) -> None:
    """Write a small file in place of what is at ``path``, a link too. Raises ``OSError``."""
    directory, name = os.path.split(path)
    sweep(directory, name)
    with Temporary(directory, name, mode=mode).open_file() as file:
        write_all(file.fd, data)
        file.rename(path, sync=sync)


def write_file(path: str, data: bytes, shown: str | None = None) -> None:
    """Write a small file atomically. Raises ``OutputError`` naming the path, or ``shown``."""
    with output_errors(path if shown is None else shown):
        replace_file(real_path(path), data)
