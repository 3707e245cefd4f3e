"""Trees and entries for the tests of this room."""

import os
import random
import stat
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Self

from imgpack.api import Digest, Directory, Entry, Transform, Tree
from imgpack.layer.segments import Segment, Segments
from imgpack.layer.stages import Stages
from imgpack.tree.problems import Problems

MIB = 1 << 20


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that hardly compress, the same ones for one seed."""
    return random.Random(seed).randbytes(size)


def text(size: int, seed: int = 1) -> bytes:
    """Bytes that compress to a half, as text does, the same ones for one seed."""
    return noise(size // 2 + 1, seed).hex().encode()[:size]


def fill(root: Path, files: int = 300, mean: int = 40_000) -> Path:
    """A tree of ordinary files with fixed contents and times: several segments of it."""
    chance = random.Random(5)
    for number in range(files):
        directory = root / f"d{number % 9}"
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / f"file{number:04}"
        file.write_bytes(text(chance.randrange(2 * mean), number))
    settle(root)
    return root


def settle(root: Path, at: int = 1_000_000_000) -> None:
    """Give everything one time, in seconds."""
    for where, _, names in os.walk(root, topdown=False):
        for name in [*names, "."]:
            os.utime(os.path.join(where, name), (at, at), follow_symlinks=False)


def cuts(tree: Path | Tree, *transforms: Transform) -> list[bytes]:
    """The segments of a tree."""
    return [bytes(segment.data) for segment in segments_of(tree, *transforms)]


def segments_of(tree: Path | Tree, *transforms: Transform) -> Iterator[Segment]:
    """The segments of a tree, as they are yielded."""
    if isinstance(tree, Path):
        tree = Directory(bytes(tree))
    problems = Problems()
    segments = Segments(Stages(tuple(transforms)), problems)
    return segments.cut(tree.entries(problems))


def opened(data: bytes) -> tarfile.TarFile:
    """A tar stream in Python's own reader."""
    return tarfile.open(fileobj=BytesIO(data), encoding="utf-8")


def entry(path: bytes, mode: int = stat.S_IFDIR | 0o755, **fields: int) -> Entry:
    """An entry without a source."""
    numbers = {"uid": 0, "gid": 0, "size": 0, "mtime_ns": 0, "ctime_ns": 0, "device": 1}
    numbers |= {"inode": 1, "links": 1, "rdev": 0} | fields
    return Entry(path=path, content=b"", mode=mode, **numbers)


class Blob:
    """An output that keeps everything: a ``BlobWriter`` for the tests."""

    def __init__(self) -> None:
        self.data = BytesIO()
        self.committed: tuple[Digest, int] | None = None

    def opening(self, size: int | None) -> Self:
        """As an ``OpenBlob``: start anew."""
        self.data = BytesIO()
        self.committed = None
        return self

    def write(self, data: bytes) -> None:
        self.data.write(data)

    def commit(self, digest: Digest, size: int) -> None:
        self.committed = digest, size

    def abort(self) -> None:
        if self.committed is None:
            self.data = BytesIO()
