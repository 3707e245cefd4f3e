"""An image out of a lock: its documents and its tree, and none of its layers.

Those come from where they are at hand (``with_layers``), or are left where they are.
"""

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from imgpack.errors import NotFoundError, about
from imgpack.files.reading import input_errors, open_regular, read_regular
from imgpack.image.base.lock import MAX_LOCK, Lock, LockedImage
from imgpack.image.base.stack import Stacked
from imgpack.image.build import Base
from imgpack.image.documents import BaseName
from imgpack.image.image import BlobSource, Image, absent_layer
from imgpack.image.opened import Opened, Root
from imgpack.image.resolve import Resolver
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.platform import Platform

_USUAL: Final = Platform()


def is_lock(path: str) -> bool:
    """Whether a lock is at ``path``: a regular file of JSON, as no archive is."""
    with contextlib.suppress(OSError, ValueError):
        # A pipe must not be opened for a look: who writes to it would see it closed.
        if stat.S_ISREG(os.stat(path).st_mode):
            fd, _ = open_regular(path, follow=True)
            try:
                return os.pread(fd, 1, 0) == b"{"
            finally:
                os.close(fd)
    return False


def read_lock(path: str) -> Lock:
    """The lock at ``path``. Raises ``SourceError``, and what ``Lock.parse`` does."""
    with input_errors(path):
        raw = read_regular(path, MAX_LOCK + 1, follow=True)
    with about(path):
        return Lock.parse(raw)


def open_lock(path: str) -> Opened:
    """The images of the lock at ``path``, without their layers. Raises as ``read_lock``."""
    lock = read_lock(path)
    names = () if lock.name is None else (lock.name,)
    resolver = Resolver(_Documents(lock.documents, path), path, lacks=lambda digest: True)
    return Opened(path, [Root(lock.target, names)], resolver, lambda: None)


def locked_base(lock: Lock, path: str, platform: Platform | None = None) -> Base:
    """The base for ``platform`` (``None``: linux/amd64, or the only one) of a lock at ``path``.

    Raises ``NotFoundError`` naming the platforms there are, and what its tree raises.
    """
    chosen = choose(lock, path, platform)
    with about(f"{path}: {chosen.platform}: tree"):
        tree = chosen.tree.listing(path)
    with about(f"{path}: {chosen.platform}"):
        absent = frozenset(layer.digest for layer in chosen.manifest.layers)
        documents = _Documents(lock.documents, path)
        image = Image(chosen.manifest, chosen.config, documents, absent)
    return Base(image, tree, BaseName(lock.target.digest, lock.name))


def choose(lock: Lock, path: str, platform: Platform | None) -> LockedImage:
    """The image that a build is on. Raises ``NotFoundError``."""
    if platform is None and len(lock.images) == 1:
        return lock.images[0]
    wanted = platform or _USUAL
    for image in lock.images:
        if wanted.matches(image.platform):
            return image
    there = ", ".join(str(image.platform) for image in lock.images)
    raise NotFoundError(
        f"{path} has no image for {wanted}", f"it is a lock of {there}; lock this one as well"
    )


@dataclass(frozen=True, slots=True)
class _Documents:
    """The documents of a lock, as an ``ImageSource``."""

    documents: dict[Digest, bytes]
    path: str

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """A document's bytes; a layer raises ``UnsupportedError``."""
        if descriptor.digest not in self.documents:
            raise absent_layer(descriptor, self.path)
        yield self.documents[descriptor.digest][offset:]

    def fetch(self, descriptor: Descriptor) -> bytes | None:
        """A document, which was verified when the lock was read."""
        return self.documents.get(descriptor.digest)

    def size(self, digest: Digest) -> int | None:
        """The bytes of a document; a layer is not here."""
        raw = self.documents.get(digest)
        return None if raw is None else len(raw)


class LayerStore(BlobSource, Protocol):
    """Where layers may be."""

    def size(self, digest: Digest) -> int | None:
        """The size in bytes of a blob, or ``None`` if it is not there."""


def with_layers(image: Image, stores: Sequence[LayerStore]) -> Image:
    """``image`` with those of its absent layers that one of ``stores`` holds, the first of them."""
    found: dict[Digest, LayerStore] = {}
    for layer in image.manifest.layers:
        if layer.digest in image.absent:
            store = next((one for one in stores if one.size(layer.digest) == layer.size), None)
            if store is not None:
                found[layer.digest] = store
    if not found:
        return image
    return replace(image, source=Stacked(found, image.source), absent=image.absent - found.keys())
