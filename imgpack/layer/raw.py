"""A tar file that is a layer as it is, byte for byte: validated, and never made anew.

What an engine could not unpack, or would unpack as something else than it says, is refused:
all that no tree can hold, a path that is there twice (tar-split, and so Docker and podman,
take no such layer), and marks of overlayfs. gzip and zstd stay; image-spec ``layer.md``
has no other compression.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from imgpack.compression.codec import decompress
from imgpack.compression.unpack import metered
from imgpack.errors import ArchiveError, OutputError, TreeError, UnsupportedError, about, brief
from imgpack.events import SILENT, Reporter
from imgpack.files.blobs import BlobWriter
from imgpack.files.incoming import StoredFile, is_regular, open_input
from imgpack.files.reading import input_errors
from imgpack.layer.build import Built
from imgpack.layer.cache.record import LayerRecord, Written
from imgpack.spec.digest import Digest
from imgpack.spec.format import Compression, detect
from imgpack.tar.header import BLOCK
from imgpack.tar.stream import read_members
from imgpack.tree.entry import Entry
from imgpack.tree.inputs.tarball import Tarball, tarball
from imgpack.tree.problems import Problems, changed
from imgpack.tree.transform import MAX_TIME
from imgpack.tree.tree import Stamps
from imgpack.tree.xattrs import attributes

_KINDS: Final = frozenset(kind.value for kind in Compression)


class RawLayer:
    """The tree of a tar file, whose bytes are the layer; ``compression`` is the file's own.

    ``root`` is its absolute path.
    """

    def __init__(
        self, tree: Tarball, file: StoredFile, compression: Compression, written: Written
    ) -> None:
        self.root = tree.root
        self.compression = compression
        self.written = written
        self._tree = tree
        self._file = file

    def __str__(self) -> str:
        return str(self._tree)

    @property
    def stamps(self) -> Stamps | None:
        """None: its digest is what it is known by."""
        return None

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """As ``Tree.entries``."""
        return self._tree.entries(problems, under)

    def find(self, path: bytes) -> Entry | None:
        """As ``Tree.find``."""
        return self._tree.find(path)

    def names(self, path: bytes) -> list[bytes]:
        """As ``Tarball.names``."""
        return self._tree.names(path)

    def write(
        self,
        blob: BlobWriter,
        outputs: Iterable[tuple[int, int]] = (),
        reporter: Reporter = SILENT,
    ) -> Built:
        """Write the file's bytes to ``blob``; it must be none of ``outputs``.

        Raises ``SourceChangedError`` if they are not what was validated, ``OutputError``.
        """
        found = os.fstat(self._file.descriptor)
        if (found.st_dev, found.st_ino) in outputs:
            raise OutputError(
                f"{self} is a layer of what would be written over it", "choose another output"
            )
        size, hasher = self.written.size, hashlib.sha256()
        meter = reporter.begin(str(self), size)
        try:
            for chunk in metered(self._file.read(0, size), meter):
                hasher.update(chunk)
                blob.write(chunk)
            if hasher.hexdigest() != self.written.digest.hex:
                raise changed(self.root, "changed")
            blob.commit(self.written.digest, size)
        finally:
            blob.abort()
            meter.end()
        newest = max((entry.mtime_ns for entry in self.entries()), default=0) // 1_000_000_000
        record = LayerRecord(self.written, max(0, min(newest, MAX_TIME)), (), ())
        return Built(record, 0, unchanged=False)


def raw_layer(path: str, *, scratch: Callable[[], str]) -> RawLayer:
    """The layer that the tar file at ``path`` is, once all of it was looked at.

    ``scratch`` finds a directory for a file without a name, for one that is compressed.
    Raises ``SourceError``, ``ArchiveError``, ``TreeError``, ``LimitError``, and
    ``UnsupportedError`` for a compression that no layer has.
    """
    with input_errors(path):
        if os.path.isdir(path):
            raise ArchiveError(f"{path} is a directory", "name a tar file, or give it as a source")
        file = StoredFile(open_input(path))
        if not is_regular(file.descriptor):
            raise ArchiveError(
                f"{path} is a stream, and a layer is read more than once", "name a file"
            )
        kind = detect(os.pread(file.descriptor, BLOCK, 0))
        if kind not in _KINDS:
            raise UnsupportedError(
                f"{path} is compressed with {kind}, which no layer is",
                "decompress it, or compress it with gzip or zstd",
            )
        tree = tarball(path, path, scratch=scratch)
        with about(path):
            _check(tree)
            return RawLayer(tree, file, Compression(kind), _measured(file, Compression(kind)))


def _check(tree: Tarball) -> None:
    problems = Problems()
    for entry in tree.entries():
        attributes(entry, problems)
        if stat.S_ISCHR(entry.mode) and entry.rdev == 0:
            raise TreeError(
                f"{brief(entry.path)} is the character device 0:0, an overlayfs whiteout",
                "a layer deletes with names that start with .wh.",
            )


def _measured(file: StoredFile, kind: Compression) -> Written:
    """Digests and sizes of the file and of the tar in it, which has no path twice."""
    size = os.fstat(file.descriptor).st_size
    outer, inner = _Hash(file.read(0, size)), None
    if kind is not Compression.NONE:
        inner = _Hash(decompress(outer, kind))
    seen: set[bytes] = set()
    for member, _ in read_members(inner or outer):
        if member.path in seen:
            raise TreeError(
                f"{brief(member.path)} is there twice, and Docker loads no such layer",
                "make the archive again, or give it as a source",
            )
        seen.add(member.path)
    raw = inner or outer
    return Written(raw.digest, outer.digest, raw.size, outer.size)


class _Hash:
    """Chunks that go by, hashed."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.size = 0
        self._chunks = chunks
        self._hasher = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._hasher.update(chunk)
            self.size += len(chunk)
            yield chunk

    @property
    def digest(self) -> Digest:
        """Of all that went by."""
        return Digest("sha256", self._hasher.hexdigest())
