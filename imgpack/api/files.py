"""The files of images, wherever they are."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from imgpack.api.bases import choose, split
from imgpack.api.locations import open as open_location
from imgpack.events import SILENT, Reporter

if TYPE_CHECKING:
    from imgpack.image.files.files import ImageFiles
    from imgpack.image.image import Image
    from imgpack.image.opened import Opened, Root
    from imgpack.layer.cache.segments import SegmentCache
    from imgpack.registry.registries import Registries
    from imgpack.spec.platform import Platform
    from imgpack.spec.reference import Reference


@contextmanager
def open_files(
    location: str | Reference,
    *,
    image: str | None = None,
    platform: Platform | None = None,
    registries: Registries | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
    cache: SegmentCache | None = None,
    at_most: int | None = None,
    jobs: int = 1,
    reporter: Reporter = SILENT,
) -> Iterator[ImageFiles]:
    """The files of the image at ``location``, to be looked at and read inside the ``with``.

    ``location`` is as for ``open``, or a lock; of an archive or a layout with several images,
    ``image`` chooses one as ``Opened.select`` does, or it is ``PATH:NAME``. Of an index it is the
    image for ``platform`` (``None``: linux/amd64, or the only one). Each layer is read once and
    verified, unless the ``cache`` remembers what it holds; its bytes, when they are asked for. With
    ``at_most`` layers of more bytes in all are not read, but a ``LimitError``, and nothing is
    remembered. ``scratch`` finds a directory for tables of the layers. Raises what ``open`` raises,
    ``DigestError``, ``ArchiveError``, ``TreeError``, ``LimitError`` and
    ``UnsupportedError``, also for what is no image.
    """
    from imgpack.image.base.locked import is_lock, locked_base, read_lock, with_layers
    from imgpack.image.files.files import image_contents
    from imgpack.image.image import missing_layers
    from imgpack.layer.cache.blobs import CachedBlobs

    path, name = split(location)
    tree = None
    if isinstance(path, str) and is_lock(path):
        tree = locked_base(read_lock(path), path, platform).tree
    with open_location(path, registries=registries, scratch=scratch) as opened:
        root = opened.select(image or name)
        chosen = choose(opened, root, platform)
        stores = [] if cache is None else [CachedBlobs(cache)]
        whole = with_layers(chosen, stores)
        yield image_contents(
            whole,
            opened.location,
            scratch,
            name=root.shown(),
            tree=tree if missing_layers(whole) else None,
            cache=cache,
            at_most=at_most,
            jobs=jobs,
            reporter=reporter,
            others=() if platform else _others(opened, root, chosen),
        )


def _others(opened: Opened, root: Root, chosen: Image) -> tuple[Platform, ...]:
    """The platforms of an index that ``chosen`` is not for."""
    from imgpack.image.image import images_in

    there = (one.config.platform for one in images_in(opened.image(root).image))
    return tuple(one for one in there if one != chosen.config.platform)
