"""Images made of other images: with all layers made one, or on another base."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from imgpack.api.bases import called, choose, split
from imgpack.api.locations import open as open_location
from imgpack.errors import NotFoundError, Remedy, UnreachableError
from imgpack.events import SILENT, Reporter

if TYPE_CHECKING:
    from imgpack.compression.codec import Codec
    from imgpack.image.base.findings import Finding, OnNewBase
    from imgpack.image.documents import BaseName
    from imgpack.image.image import AnyImage, Image
    from imgpack.image.opened import Opened, Root
    from imgpack.layer.cache.segments import SegmentCache
    from imgpack.registry.registries import Registries
    from imgpack.spec.format import Format
    from imgpack.spec.platform import Platform
    from imgpack.spec.reference import Reference
    from imgpack.tree.merge.listing import Listing


@contextmanager
def flatten(
    image: AnyImage,
    *,
    above: str | Reference | None = None,
    where: str = "the image",
    format: Format | None = None,
    compression: str | Codec = "gzip",
    registries: Registries | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
    jobs: int = 1,
    clock: Callable[[], int] = time.time_ns,
    reporter: Reporter = SILENT,
) -> Iterator[AnyImage]:
    """``image`` with one layer of all, to be copied or pushed inside the ``with``.

    Of an index each image is flattened. With ``above``, a base that it is on (as ``location``
    of ``open_base``), those of the base stay, and there is one on top of them. ``format``, if
    not given: each image's own. ``where`` is what messages call it. ``scratch`` finds a
    directory with room for its layers, uncompressed. Raises what ``open`` raises, ``ConfigError``
    if it is not on that base, archive, tree and output errors.
    """
    from imgpack.compression.codec import Codec
    from imgpack.files.scratch import ScratchBlobs, ScratchFile
    from imgpack.image.base.flatten import Flattening, without_base
    from imgpack.image.base.platforms import Remaking
    from imgpack.layer.build import Options

    codec = Codec.parse(compression) if isinstance(compression, str) else compression
    with ExitStack() as stack:
        bases = _Bases(registries, scratch, None, stack)
        blobs = ScratchBlobs(stack.enter_context(closing(ScratchFile(scratch()))))
        options = Options((), codec, jobs, None, clock())
        flattening = Flattening(where, blobs, options, scratch, format, reporter)

        def one(image: Image) -> Image:
            below = None if above is None else bases.find(above, image.config.platform)[0]
            return flattening.flatten(image, below)

        kept = without_base if above is None else dict
        yield Remaking(where, one, kept, format, reporter)(image)


@contextmanager
def rebase(
    image: AnyImage,
    onto: str | Reference,
    *,
    old: str | Reference | None = None,
    where: str = "the image",
    look: bool = True,
    registries: Registries | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
    cache: SegmentCache | None = None,
    jobs: int = 1,
    reporter: Reporter = SILENT,
) -> Iterator[OnNewBase]:
    """``image`` on the base ``onto``, to be copied or pushed inside the ``with``.

    ``onto``, and the base that it is on now, ``old`` (``None``: the one that its annotations
    name), are as ``location`` of ``open_base``; each platform of an index goes to the base's
    same one. No layer is made. With ``look`` the layers are read for the findings; what the
    bases' make is remembered in the ``cache``. Raises what ``open`` raises, ``ConfigError`` if
    it is not on ``old``, ``NotFoundError`` for a base that nobody names, ``LimitError``,
    ``UnsupportedError``; archive and tree errors with ``look``.
    """
    from imgpack.image.base.findings import OnNewBase, looked
    from imgpack.image.base.platforms import Remaking
    from imgpack.image.base.rebase import move, on_base, recorded_base
    from imgpack.image.image import ImageIndex

    outer = dict(image.index.annotations) if isinstance(image, ImageIndex) else {}
    with ExitStack() as stack:
        bases = _Bases(registries, scratch, cache, stack)
        found: dict[Platform, tuple[Finding, ...]] = {}

        def one(image: Image) -> Image:
            platform = image.config.platform
            new, name = bases.find(onto, platform)
            if old is not None:
                below, _ = bases.find(old, platform)
            else:
                below = bases.recorded(recorded_base(image, outer, where), platform, where)
            rebased = move(image, below, new, name, where)
            for remark in rebased.remarks:
                reporter.warn(remark)
            if look:
                tree = bases.tree(onto, new, platform, jobs, reporter)
                found[platform] = looked(rebased, image, tree, where, cache, jobs, reporter)
            return rebased.image

        recorded = partial(on_base, recorded=bases.annotations(onto))
        made = Remaking(where, one, recorded, None, reporter)(image)
        yield OnNewBase(made, found if look else None)


class _Bases:
    """Images that others are on, opened when they are first asked for, and once."""

    def __init__(
        self,
        registries: Registries | None,
        scratch: Callable[[], str],
        cache: SegmentCache | None,
        stack: ExitStack,
    ) -> None:
        self._registries = registries
        self._scratch = scratch
        self._cache = cache
        self._stack = stack
        self._opened: dict[str, tuple[Opened, Root, BaseName]] = {}

    def find(self, location: str | Reference, platform: Platform | None) -> tuple[Image, BaseName]:
        """The image there for ``platform``, and what it is called."""
        from imgpack.image.base.locked import with_layers
        from imgpack.layer.cache.blobs import CachedBlobs

        opened, root, name = self._open(location)
        stores = [] if self._cache is None else [CachedBlobs(self._cache)]
        return with_layers(choose(opened, root, platform), stores), name

    def tree(
        self,
        location: str | Reference,
        image: Image,
        platform: Platform,
        jobs: int,
        reporter: Reporter,
    ) -> Listing:
        """What the layers of the ``image`` that was found there make; a lock says it."""
        from imgpack.image.base.locked import is_lock, locked_base, read_lock
        from imgpack.image.base.tree import base_tree
        from imgpack.tree.merge.listing import Listing

        if isinstance(location, str) and is_lock(location):
            tree = locked_base(read_lock(location), location, platform).tree
            assert isinstance(tree, Listing)
            return tree
        where = self._open(location)[0].location
        return base_tree(image, where, cache=self._cache, jobs=jobs, reporter=reporter)

    def recorded(self, name: Reference, platform: Platform, where: str) -> Image:
        """The same of what the image at ``where`` says that it is on."""
        try:
            return self.find(name, platform)[0]
        except (NotFoundError, UnreachableError) as error:
            said = f"{where} says that it is on {name.shown()}, and that cannot be had"
            raise error.reworded(f"{said}: {error.message}", Remedy.NAME_OLD_BASE()) from error

    def annotations(self, location: str | Reference) -> Mapping[str, str]:
        """The annotations of what is on the base there."""
        return self._open(location)[2].as_annotations()

    def _open(self, location: str | Reference) -> tuple[Opened, Root, BaseName]:
        from imgpack.image.documents import BaseName

        if (key := str(location)) not in self._opened:
            path, name = split(location)
            opening = open_location(path, registries=self._registries, scratch=self._scratch)
            opened = self._stack.enter_context(opening)
            root = opened.select(name)
            base = BaseName(root.descriptor.digest, called(root, name))
            self._opened[key] = opened, root, base
        return self._opened[key]
