"""Locks of bases: made, moved to what their names point to now, and their layers fetched."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from imgpack.api.bases import called, choose, select, split, warn_of_plain
from imgpack.api.locations import open as open_location
from imgpack.api.locations import with_registries
from imgpack.errors import LimitError, Remedy, UnsupportedError, about
from imgpack.events import SILENT, Reporter, human_size

if TYPE_CHECKING:
    from imgpack.files.pool import Stop
    from imgpack.image.base.lock import Lock, LockedImage
    from imgpack.image.image import BlobSource, Image
    from imgpack.image.opened import Opened, Root
    from imgpack.layer.cache.blobs import CachedBlobs
    from imgpack.layer.cache.segments import SegmentCache
    from imgpack.registry.registries import Registries
    from imgpack.spec.descriptor import Descriptor
    from imgpack.spec.platform import Platform
    from imgpack.spec.reference import Reference


def lock_base(
    location: str | Reference,
    *,
    platforms: Sequence[Platform] = (),
    registries: Registries | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
    cache: SegmentCache | None = None,
    jobs: int = 1,
    reporter: Reporter = SILENT,
) -> Lock:
    """The base at ``location`` as a lock, whose ``encode`` are the bytes of its file.

    Of an index it holds the images for ``platforms``, or without any the one that
    ``open_base`` chooses. Raises what ``open_base`` does.
    """
    from imgpack.image.base.locked import is_lock

    if isinstance(location, str) and is_lock(location):
        raise UnsupportedError(f"{location} is a lock itself", Remedy.UPDATE_LOCK(location))
    path, name = split(location)
    with open_location(path, registries=registries, scratch=scratch) as opened:
        root = select(opened, name)
        images = [choose(opened, root, platform) for platform in platforms or (None,)]
        distinct = {image.manifest.descriptor.digest: image for image in images}
        return _lock(location, name, opened, root, list(distinct.values()), cache, jobs, reporter)


def _lock(
    location: str | Reference,
    name: str | None,
    opened: Opened,
    root: Root,
    images: Sequence[Image],
    cache: SegmentCache | None,
    jobs: int,
    reporter: Reporter,
) -> Lock:
    from imgpack.image.base.lock import Lock, LockedImage, LockedTree
    from imgpack.image.base.tree import base_tree
    from imgpack.image.location import is_path, parse_reference
    from imgpack.spec.manifest import Index

    document = opened.document(root)
    index = document if isinstance(document, Index) else None
    named = {entry.digest for entry in index.manifests} if index else {root.descriptor.digest}
    locked: list[LockedImage] = []
    for image in images:
        warn_of_plain(opened, image, reporter)
        if image.manifest.descriptor.digest not in named:
            raise UnsupportedError(
                f"{opened.location}: {image.manifest.descriptor.digest} is in an index within the "
                "index",
                "lock that image by its digest",
            )
        tree = base_tree(image, opened.location, cache=cache, jobs=jobs, reporter=reporter)
        with about(opened.location):
            locked.append(LockedImage(image.manifest, image.config, LockedTree.of(tree)))
    asked, reference = str(location), None
    if not isinstance(location, str):
        reference = location
    elif name is None and not is_path(location):
        reference = parse_reference(location)
    return Lock(asked, reference, called(root, name), root.descriptor, index, tuple(locked))


def update_lock(
    path: str,
    *,
    registries: Registries | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
    cache: SegmentCache | None = None,
    jobs: int = 1,
    reporter: Reporter = SILENT,
) -> tuple[Lock, Lock]:
    """The lock at ``path``, and what it is when it is made now; the same, if nothing moved.

    Nothing is written. Raises what ``lock_base`` does.
    """
    from imgpack.image.base.locked import read_lock

    old = read_lock(path)
    place, name = (old.reference, None) if old.reference else split(old.asked)
    with open_location(place, registries=registries, scratch=scratch) as opened:
        if select(opened, name).descriptor.digest == old.target.digest:
            return old, old
    new = lock_base(
        old.reference or old.asked,
        platforms=[image.platform for image in old.images],
        registries=registries,
        scratch=scratch,
        cache=cache,
        jobs=jobs,
        reporter=reporter,
    )
    return old, replace(new, asked=old.asked)


def fetch_base(
    location: str,
    cache: SegmentCache,
    *,
    platforms: Sequence[Platform] = (),
    limit: int | None = None,
    registries: Registries | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
    jobs: int = 4,
    reporter: Reporter = SILENT,
) -> tuple[Descriptor, ...]:
    """Bring the layers of the base or lock at ``location`` into the ``cache``; those that it has.

    Of a lock they are those of all its images, unless ``platforms`` are given. Raises
    ``LimitError`` if they have more than ``limit`` bytes, and what ``open`` raises.
    """
    from imgpack.files.pool import Stop, run_all
    from imgpack.layer.cache.blobs import CachedBlobs

    with _layers(location, platforms, registries, scratch) as (source, found):
        layers = tuple({layer.digest: layer for layer in found}.values())
        size = sum(layer.size for layer in layers)
        if limit is not None and size > limit:
            raise LimitError(
                f"{location}: its layers have {human_size(size)}, and the cache may hold "
                f"{human_size(limit)}",
                Remedy.LARGER_CACHE(),
            )
        blobs, stop = CachedBlobs(cache), Stop()
        missing = [layer for layer in layers if blobs.size(layer.digest) != layer.size]
        run_all(
            [partial(_fetch, source, one, blobs, reporter, stop) for one in missing], jobs, stop
        )
        return layers


@contextmanager
def _layers(
    location: str,
    platforms: Sequence[Platform],
    registries: Registries | None,
    scratch: Callable[[], str],
) -> Iterator[tuple[BlobSource, list[Descriptor]]]:
    """Where the layers are, and which they are."""
    from imgpack.image.base.locked import choose as choose_locked
    from imgpack.image.base.locked import is_lock, read_lock

    if is_lock(location):
        lock = read_lock(location)
        chosen = [choose_locked(lock, location, one) for one in platforms] or lock.images
        with _locked_source(lock, registries, scratch) as source:
            yield source, [layer for image in chosen for layer in image.manifest.layers]
        return
    path, name = split(location)
    with open_location(path, registries=registries, scratch=scratch) as opened:
        root = select(opened, name)
        images = [choose(opened, root, platform) for platform in platforms or (None,)]
        yield opened, [layer for image in images for layer in image.manifest.layers]


@contextmanager
def _locked_source(
    lock: Lock, registries: Registries | None, scratch: Callable[[], str]
) -> Iterator[BlobSource]:
    """What a lock was made of."""
    if lock.reference is None:
        from imgpack.store.open import open_blobs

        path, _ = split(lock.asked)
        with open_blobs(str(path), scratch=scratch) as blobs:
            yield blobs
        return
    from imgpack.registry.pull.download import RemoteSource

    with with_registries(registries) as connected:
        yield RemoteSource(connected.repository(lock.reference))


def _fetch(
    source: BlobSource, layer: Descriptor, blobs: CachedBlobs, reporter: Reporter, stop: Stop
) -> None:
    meter = reporter.begin(layer.digest.hex[:12], layer.size)

    def metered() -> Iterator[bytes]:
        for chunk in source.read_blob(layer):
            stop.check()
            yield chunk
            meter.advance(len(chunk))

    try:
        blobs.store(layer, metered())
    finally:
        meter.end()
