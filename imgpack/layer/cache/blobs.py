"""Layers that were fetched, whole, by their digests.

Invariants: what is handed out was verified when it came in, and is again; what is damaged is
removed. They count in the cache's size, and go as its other entries do: the least recently
used first.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator

from imgpack.errors import CacheError, DigestError, ImgpackError
from imgpack.files.atomic import Temporary
from imgpack.files.blobs import verify_stream
from imgpack.files.reading import input_errors, open_regular, read_range
from imgpack.files.writing import write_all
from imgpack.layer.cache.entries import BLOBS, TMP, path_of
from imgpack.layer.cache.segments import SegmentCache
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest


class CachedBlobs:
    """The layers in a cache; every method may be called from any thread and process."""

    def __init__(self, cache: SegmentCache) -> None:
        self._directory = cache.directory

    def size(self, digest: Digest) -> int | None:
        """The size in bytes of a layer that is there, or ``None``."""
        try:
            fd, size = open_regular(self._path(digest))
        except OSError:
            return None
        os.close(fd)
        return size

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a layer from ``offset``; it was used now.

        Raises ``DigestError`` in the end, if it is damaged and was read from its start.
        """
        path = self._path(descriptor.digest)
        with input_errors(path):
            fd, _ = open_regular(path)
        try:
            with contextlib.suppress(OSError):
                os.utime(path)
            chunks = read_range(fd, offset, None)
            if offset:
                yield from chunks
                return
            try:
                yield from verify_stream(chunks, descriptor, f"the cache entry {path}")
            except DigestError as error:
                with contextlib.suppress(OSError):
                    os.unlink(path)
                raise error.reworded(f"{error.message}; it is removed", "fetch it again") from error
        finally:
            os.close(fd)

    def store(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:
        """Keep a layer. Raises ``DigestError``, ``CacheError`` and what ``chunks`` raise."""
        path = self._path(descriptor.digest)
        whole = verify_stream(chunks, descriptor, f"layer {descriptor.digest}")
        try:
            with Temporary(os.path.join(self._directory, TMP), "blob").open_file() as file:
                for chunk in whole:
                    write_all(file.fd, chunk)
                os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
                file.rename(path, sync=False)
        except ImgpackError:
            raise
        except OSError as error:
            raise CacheError(
                f"cannot write to the cache {self._directory}: {error.strerror}"
            ) from error

    def _path(self, digest: Digest) -> str:
        return path_of(self._directory, BLOBS, digest.hex)
