"""Images that others are built on: found, chosen, and what their layers make together."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from imgpack.api.locations import open as open_location
from imgpack.errors import UnsupportedError
from imgpack.events import SILENT, Reporter

if TYPE_CHECKING:
    from imgpack.image.base.locked import LayerStore
    from imgpack.image.build import Base
    from imgpack.image.image import Image
    from imgpack.image.opened import Opened, Root
    from imgpack.layer.cache.segments import SegmentCache
    from imgpack.registry.registries import Registries
    from imgpack.spec.platform import Platform
    from imgpack.spec.reference import Reference


@contextmanager
def open_base(
    location: str | Reference,
    *,
    platform: Platform | None = None,
    layers: Sequence[str] = (),
    registries: Registries | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
    cache: SegmentCache | None = None,
    jobs: int = 1,
    reporter: Reporter = SILENT,
) -> Iterator[Base]:
    """The image at ``location``, to be built on inside the ``with``, as ``open_bases``."""
    with open_bases(
        location,
        [platform],
        layers=layers,
        registries=registries,
        scratch=scratch,
        cache=cache,
        jobs=jobs,
        reporter=reporter,
    ) as bases:
        yield bases[0]


@contextmanager
def open_bases(
    location: str | Reference,
    platforms: Sequence[Platform | None],
    *,
    layers: Sequence[str] = (),
    registries: Registries | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
    cache: SegmentCache | None = None,
    jobs: int = 1,
    reporter: Reporter = SILENT,
) -> Iterator[list[Base]]:
    """The images at ``location`` for ``platforms``, to be built on inside the ``with``.

    ``location`` is as for ``open``; of an archive or a layout with several images, one is
    ``PATH:NAME``. Of an index or a lock they are the images for each platform (``None``:
    linux/amd64, or the only one there is), which is opened once. What their layers make is
    remembered in the ``cache``. Layers that it does not hold, as those of a lock, are looked for
    in ``layers`` (archives, layouts, directories with files named by digests), then in the
    ``cache``. Raises what ``open`` raises, ``NotFoundError`` naming the platforms there are, and
    ``UnsupportedError`` for an artifact.
    """
    from imgpack.image.base.locked import is_lock, locked_base, read_lock, with_layers
    from imgpack.image.build import Base
    from imgpack.image.documents import BaseName

    with ExitStack() as stack:
        stores = _stores(layers, cache, scratch, stack)
        if isinstance(location, str) and is_lock(location):
            lock = read_lock(location)
            locked = [locked_base(lock, location, platform) for platform in platforms]
            yield [Base(with_layers(one.image, stores), one.tree, one.name) for one in locked]
            return
        from imgpack.image.base.tree import base_tree

        path, name = split(location)
        opening = open_location(path, registries=registries, scratch=scratch)
        opened = stack.enter_context(opening)
        root = select(opened, name)
        chosen = [choose(opened, root, platform) for platform in platforms]
        name_there = BaseName(root.descriptor.digest, called(root, name))
        bases = []
        for image in (with_layers(one, stores) for one in chosen):
            warn_of_plain(opened, image, reporter)
            tree = base_tree(image, opened.location, cache=cache, jobs=jobs, reporter=reporter)
            bases.append(Base(image, tree, name_there))
        yield bases


def _stores(
    layers: Sequence[str], cache: SegmentCache | None, scratch: Callable[[], str], stack: ExitStack
) -> list[LayerStore]:
    """Where layers may be that a base does not hold."""
    from imgpack.layer.cache.blobs import CachedBlobs

    stores: list[LayerStore] = []
    if layers:
        from imgpack.store.open import open_blobs

        stores += [stack.enter_context(open_blobs(path, scratch=scratch)) for path in layers]
    if cache is not None:
        stores.append(CachedBlobs(cache))
    return stores


def warn_of_plain(opened: Opened, image: Image, reporter: Reporter) -> None:
    """Say what ``docker save`` costs: no registry has the layers in that form."""
    from imgpack.image.location import is_path
    from imgpack.spec.format import Compression, compression_of

    types = [layer.media_type for layer in image.manifest.layers]
    if is_path(opened.location) and Compression.NONE in map(compression_of, types):
        reporter.warn(
            f"{opened.location}: the base's layers are not compressed, as docker save writes them; "
            "a registry has the base in another form, so they are sent and not mounted"
        )


def split(location: str | Reference) -> tuple[str | Reference, str | None]:
    """A path and the name of an image in it, if it is ``PATH:NAME``."""
    from imgpack.image.location import split_name

    return split_name(location) if isinstance(location, str) else (location, None)


def select(opened: Opened, name: str | None) -> Root:
    """What is to be built on, of a location with ``PATH:NAME``. Raises as ``open_base``."""
    return opened.select(name, base=True)


def called(root: Root, name: str | None) -> Reference | None:
    """What the image at ``root``, which was asked for by ``name``, is called."""
    found = next((one for one in root.names if name in (None, one.tag, str(one))), None)
    return found or next(iter(root.names), None)


def choose(opened: Opened, root: Root, platform: Platform | None) -> Image:
    """The image that ``root`` points to; of an index that for ``platform``, as ``open_bases``."""
    from imgpack.image.image import Image, ImageIndex, images_in
    from imgpack.spec.platform import Platform

    found = opened.image(root, platform).image
    if isinstance(found, ImageIndex):
        images = list(images_in(found))
        if not images:
            raise UnsupportedError(
                f"{opened.location}: {root.shown()} is an index that holds no image",
                "choose an image",
            )
        found = opened.image(root, Platform()).image if len(images) > 1 else images[0]
    if not isinstance(found, Image):
        raise UnsupportedError(
            f"{opened.location}: {root.shown()} is an artifact, and no image with files",
            "choose an image",
        )
    return found
