"""The segment cache: compressed segments and whole layers, by what they were made of.

Segments are stored under a fingerprint of their raw bytes and the codec's identity;
layers under the hash of their source and rules, as a list of segments with a
snapshot of the tree; the trees of bases under the hash of their layers. Everything is
written to a temporary name and renamed, and checked when read, so the cache may be shared
by processes, killed at any point and damaged at will: a bad entry counts as missing and is
replaced. The checks are cheap ones, against damage: whoever may write this directory may
write the images as well.
"""

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, TypeVar

from imgpack.compression.checksum import RunningFingerprint, crc32, fingerprint
from imgpack.errors import ArchiveError, DocumentError, LimitError
from imgpack.files.atomic import Temporary
from imgpack.files.reading import NotRegularError, open_regular, read_range
from imgpack.files.scratch import nameless_file
from imgpack.files.writing import pwrite_all, write_all
from imgpack.layer.cache.directory import claim
from imgpack.layer.cache.entries import (
    BLOBS,
    LAYERS,
    OLD,
    SEGMENTS,
    TMP,
    TREES,
    files,
    part_of,
    path_of,
)
from imgpack.layer.cache.record import Filed, LayerRecord, line_of, parse
from imgpack.layer.cache.trim import ANY_SIZE, NEVER, Trim, Wanted

_HEAD: Final = 32
_MAX_ENTRY: Final = 64 << 20
"""Bytes: more than a segment ever compresses to; what is larger is damaged."""
_MAX_RECORD: Final = 256 << 20
_BUFFER: Final = 1 << 18
_CHUNK: Final = 1 << 20
_NO_TREE: Final = (
    ArchiveError, DocumentError, LimitError, OSError,
    ValueError, KeyError, TypeError, OverflowError, RecursionError,
)  # fmt: skip
"""What reading raises of a tree that is none."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Cached:
    """A compressed segment out of the cache, whole but perhaps not the one that was meant."""

    data: memoryview
    check: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a cache holds: numbers of entries and of bytes in all.

    ``fetched`` are layers of bases; ``unfinished`` files belong to builds that are running, or
    were killed.
    """

    segments: int
    layers: int
    trees: int
    fetched: int
    unfinished: int
    size: int


class SegmentCache:
    """A cache directory; every method may be called from any thread and process.

    ``stored`` is more than 0 once something was written that a ``trim`` has to know of.
    """

    def __init__(
        self,
        directory: str,
        warn: Callable[[str], None] = lambda message: None,
        *,
        create: bool = True,
    ) -> None:
        """Open the cache, and make it unless ``create`` is false. Raises ``CacheError``."""
        claim(directory, create=create)
        self.directory = directory
        self._tmp = f"{directory}/{TMP}"
        self._warn = warn
        self.stored = 0
        self._lock = threading.Lock()
        self._stored: Counter[int] = Counter()  # by part, since the last trim; under the lock

    def load(self, key: str) -> Cached | None:
        """What lies under ``key``, or ``None`` if nothing whole does.

        A key is no proof: the caller compares, and calls ``distrust`` if it must.
        """
        # System calls, and few of them: at each, this thread and the one that reads the
        # tree may wait for one another (the interpreter's lock).
        return self._load(self._segment(key))

    def tree(self, key: str, read: Callable[[Iterator[bytes]], _T]) -> _T | None:
        """What ``read`` makes of the pieces that were kept under ``key``, a SHA-256 in hexadecimal.

        ``None`` if there are none, or it cannot make anything of them: then they are dropped.
        """
        path = self._tree(key)
        try:
            descriptor, _ = open_regular(path)
        except NotRegularError:
            self._distrust(path)
            return None
        except OSError:
            return None
        with open(descriptor, "rb", buffering=0) as file, contextlib.suppress(*_NO_TREE):
            if _is_whole(file):
                found = read(read_range(descriptor, _HEAD, None))
                with contextlib.suppress(OSError):
                    os.utime(path)
                return found
        self._distrust(path)
        return None

    def keep_tree(self, key: str, pieces: Iterable[bytes]) -> None:
        """Keep ``pieces`` under ``key``, if they are not too many. A full disk only warns."""
        check = RunningFingerprint()

        def write(descriptor: int) -> None:
            write_all(descriptor, bytes(_HEAD))
            for piece in pieces:
                check.update(piece)
                if check.size > _MAX_RECORD - _HEAD:
                    raise _TooLargeError
                write_all(descriptor, piece)
            pwrite_all(descriptor, _head(check.value()), 0)

        try:
            self._write(self._tree(key), write)
            with self._lock:
                self.stored += _HEAD + check.size
        except _TooLargeError:
            return
        except OSError as error:
            self.cannot_write(error)

    def _load(self, path: str) -> Cached | None:
        try:
            descriptor, size = open_regular(path)
        except NotRegularError:
            self._distrust(path)
            return None
        except OSError:
            return None
        try:
            whole = os.read(descriptor, min(size, _MAX_ENTRY))
        except OSError:
            return None
        finally:
            os.close(descriptor)
        data = memoryview(whole)[_HEAD:]
        check = fingerprint(data)
        if _head(check) != whole[:_HEAD]:
            self._distrust(path)
            return None
        return Cached(data, check)

    def touch(self, keys: Iterable[str]) -> None:
        """These segments were used now; the least recently used go first."""
        for key in keys:
            with contextlib.suppress(OSError):
                os.utime(self._segment(key))

    def distrust(self, key: str) -> None:
        """Drop the segment under ``key``: it is not what it should be."""
        self._distrust(self._segment(key))

    def _distrust(self, path: str) -> None:
        self._warn(f"the cache entry {path} is damaged; it is made anew")
        with contextlib.suppress(OSError):
            os.unlink(path)

    def store(self, key: str, data: bytes) -> str:
        """Keep ``data`` under ``key``; returns its check sum. A full disk only warns."""
        check = fingerprint(data)
        try:
            self._write(self._segment(key), lambda to: _write_all(to, _head(check), data))
            self._count(key, _HEAD + len(data))
        except OSError as error:
            self.cannot_write(error)
        return check

    def cannot_write(self, error: OSError) -> None:
        """Warn: the build goes on, and the next one will find less here."""
        self._warn(f"cannot write to the cache {self.directory}: {error.strerror}")

    def temporary(self) -> BinaryIO | None:
        """A new unbuffered file that vanishes when closed; ``None``, with a warning, if not."""
        try:
            return open(nameless_file(self._tmp), "r+b", buffering=0)
        except OSError as error:
            self.cannot_write(error)
            return None

    def record(self, key: str) -> tuple[LayerRecord, BinaryIO] | None:
        """The layer under ``key`` and its open snapshot file, which the caller closes."""
        path = self._layer(key)
        try:
            descriptor, _ = open_regular(path)
        except NotRegularError:
            pass
        except OSError:
            return None
        else:
            file = open(descriptor, "rb", buffering=_BUFFER)  # noqa: SIM115 - handed on
            if (layer := _read(file, key)) is not None:
                with contextlib.suppress(OSError):
                    os.utime(path)
                return layer, file
            file.close()
        self._warn(f"the cache entry {path} is damaged; it is made anew")
        return None

    def keep(self, key: str, layer: LayerRecord, snapshot: BinaryIO) -> None:
        """Store ``layer`` with ``snapshot``, read from its start. A full disk only warns."""

        def write(descriptor: int) -> None:
            snapshot.seek(0)
            write_all(descriptor, line_of(Filed(key, layer, *_sum(snapshot))))
            while chunk := snapshot.read(_CHUNK):
                write_all(descriptor, chunk)

        path = self._layer(key)
        try:
            before = _size(path)
            self._write(path, write)
            self._count(key, _size(path) - before)
        except OSError as error:
            self.cannot_write(error)

    def _count(self, name: str, size: int) -> None:
        with self._lock:
            self._stored[part_of(name)] += size
            self.stored += abs(size)

    def usage(self) -> Usage:
        """What the cache holds now."""
        kinds: Counter[str] = Counter()
        size = 0
        for found in files(self.directory):
            kinds[found.kind] += 1
            size += found.size
        layers = kinds[LAYERS] + kinds[OLD]
        return Usage(kinds[SEGMENTS], layers, kinds[TREES], kinds[BLOBS], kinds[TMP], size)

    def trim(self, limit: int, *, stale_ns: int) -> Trim:
        """After a build: leave ``limit`` bytes, at a cost that grows with what was stored alone.

        The least recently used go first, as a sample tells. Temporary files older than
        ``stale_ns`` go too: their writers were killed.
        """
        with self._lock:
            stored, self._stored = self._stored, Counter()
        trim = Trim(self.directory, Wanted(limit, stale_ns))
        with self._refusals():
            trim.after_build(stored)
        return trim

    def trim_whole(
        self, limit: int | None, used_since_ns: int | None, *, stale_ns: int, dry: bool = False
    ) -> Trim:
        """Look at every file: leave what was used since a time, and of that ``limit`` bytes.

        ``None`` is no matter when, or however much. With ``dry`` nothing goes: it is only told.
        """
        most = ANY_SIZE if limit is None else limit
        since = NEVER if used_since_ns is None else used_since_ns
        trim = Trim(self.directory, Wanted(most, stale_ns, since), dry=dry)
        with self._refusals():
            trim.whole()
        return trim

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.cannot_write(error)

    def _segment(self, key: str) -> str:
        return f"{self.directory}/segments/{key[:2]}/{key[2:]}"  # path_of, where it is often asked

    def _layer(self, key: str) -> str:
        return path_of(self.directory, LAYERS, key)

    def _tree(self, key: str) -> str:
        return path_of(self.directory, TREES, key)

    def _write(self, path: str, write: Callable[[int], object]) -> None:
        # A crash may leave any bytes here; they are checked when read, so no sync.
        with Temporary(self._tmp, "entry", locked=False).open_file() as file:
            write(file.fd)
            try:
                file.rename(path, sync=False)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
                file.rename(path, sync=False)


def _size(path: str) -> int:
    """The bytes of a file; none if it is not there."""
    with contextlib.suppress(OSError):
        return os.lstat(path).st_size
    return 0


def _head(check: str) -> bytes:
    return check.encode().ljust(_HEAD)


def _write_all(descriptor: int, *parts: bytes) -> None:
    done = os.writev(descriptor, parts)
    if done != sum(map(len, parts)):  # a signal or a quota cut the write short
        write_all(descriptor, memoryview(b"".join(parts))[done:])


class _TooLargeError(Exception):
    """That a tree takes more than an entry may."""


def _is_whole(file: BinaryIO) -> bool:
    """Whether what follows upon the head of ``file`` is what that says. Raises ``OSError``."""
    check = RunningFingerprint()
    head = file.read(_HEAD)
    while (chunk := file.read(_CHUNK)) and check.size <= _MAX_RECORD:
        check.update(chunk)
    return head == _head(check.value())


def _read(file: BinaryIO, key: str) -> LayerRecord | None:
    """The record at the start of ``file``, which stands at its snapshot then; if it is whole."""
    with contextlib.suppress(OSError):
        filed = parse(file.readline(_MAX_RECORD))
        left = os.fstat(file.fileno()).st_size - file.tell()
        if filed is None or filed.key != key or left != filed.snapshot_size:
            return None
        if _sum(file) == (filed.snapshot_size, filed.snapshot_crc):
            return filed.layer
    return None


def _sum(snapshot: BinaryIO) -> tuple[int, int]:
    """The size and the CRC-32 of what follows in ``snapshot``; it stands there again."""
    start = snapshot.tell()
    size = crc = 0
    while chunk := snapshot.read(_CHUNK):
        size, crc = size + len(chunk), crc32(chunk, crc)
    snapshot.seek(start)
    return size, crc
