"""Images that others are built on: found, chosen, and what their layers make together."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from imgpack.api.locations import open as open_location
from imgpack.errors import UnsupportedError
from imgpack.events import SILENT, Reporter

if TYPE_CHECKING:
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
    registries: Registries | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
    cache: SegmentCache | None = None,
    jobs: int = 1,
    reporter: Reporter = SILENT,
) -> Iterator[Base]:
    """The image at ``location``, to be built on inside the ``with``.

    ``location`` is as for ``open``; of an archive or a layout with several images, one is
    ``PATH:NAME``. Of an index it is the image for ``platform`` (``None``: linux/amd64, or
    the only one there is). What its layers make is remembered in the ``cache``. Raises what
    ``open`` raises, ``NotFoundError`` naming the platforms there are, and
    ``UnsupportedError`` for an artifact.
    """
    from imgpack.image.base.tree import base_tree
    from imgpack.image.build import Base
    from imgpack.image.documents import BaseName

    path, name = _split(location)
    with open_location(path, registries=registries, scratch=scratch) as opened:
        root = opened.select(name)
        image = _image(opened, root, platform)
        called = next((one for one in root.names if name in (None, one.tag, str(one))), None)
        called = called or next(iter(root.names), None)
        tree = base_tree(image, opened.location, cache=cache, jobs=jobs, reporter=reporter)
        yield Base(image, tree, BaseName(root.descriptor.digest, called))


def _split(location: str | Reference) -> tuple[str | Reference, str | None]:
    """A path and the name of an image in it, if it is ``PATH:NAME``."""
    if not isinstance(location, str) or os.path.lexists(location):
        return location, None
    path, colon, name = location.partition(":")
    while colon:
        if name and os.path.exists(path):
            return path, name
        more, colon, name = name.partition(":")
        path = f"{path}:{more}"
    return location, None


def _image(opened: Opened, root: Root, platform: Platform | None) -> Image:
    from imgpack.image.image import Image, ImageIndex, images_in
    from imgpack.spec.platform import Platform

    found = opened.image(root, platform).image
    if isinstance(found, ImageIndex):
        first, *others = images_in(found)
        found = opened.image(root, Platform()).image if others else first
    if not isinstance(found, Image):
        raise UnsupportedError(
            f"{opened.location}: {root.shown()} is no image to build on, but an artifact",
            "choose an image",
        )
    return found
