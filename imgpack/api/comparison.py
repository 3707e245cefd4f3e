"""Images side by side, wherever they are."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from imgpack.api.bases import split
from imgpack.api.locations import open as open_location
from imgpack.errors import NotFoundError, UnsupportedError
from imgpack.events import SILENT, Reporter

if TYPE_CHECKING:
    from imgpack.image.compare.images import ComparedImages
    from imgpack.image.compare.scope import ComparisonScope
    from imgpack.image.compare.sides import ComparedSide
    from imgpack.image.compare.values import FieldDifference
    from imgpack.image.files.files import ImageFiles
    from imgpack.image.files.tables import ReadLayer
    from imgpack.image.image import AnyImage, Artifact, Image
    from imgpack.image.opened import Opened, Root
    from imgpack.layer.cache.segments import SegmentCache
    from imgpack.registry.registries import Registries
    from imgpack.spec.digest import Digest
    from imgpack.spec.layer import Layer
    from imgpack.spec.platform import Platform
    from imgpack.spec.reference import Reference


@dataclass(frozen=True, slots=True)
class ComparedLocations:
    """Two locations: the ``images`` of both, a pair for each platform; what only one has.

    That are platforms, or digests of what has none. ``digests`` are of all that was chosen in
    each: of an index, if no platform was. ``index`` is what two of these say otherwise.
    """

    images: tuple[ComparedImages, ...]
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    digests: tuple[Digest, ...] = ()
    index: tuple[FieldDifference, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether all that was chosen is the same, byte for byte."""
        return len(set(self.digests)) == 1


@contextmanager
def compare(
    a: str | Reference,
    b: str | Reference,
    scope: ComparisonScope | None = None,
    *,
    image: str | None = None,
    platform: Platform | None = None,
    other_platform: Platform | None = None,
    registries: tuple[Registries | None, Registries | None] = (None, None),
    scratch: Callable[[], str] = tempfile.gettempdir,
    cache: SegmentCache | None = None,
    jobs: int = 1,
    reporter: Reporter = SILENT,
) -> Iterator[ComparedLocations]:
    """The images at *a* and *b* side by side, to be looked at inside the ``with``.

    Locations are as for ``open_files``, artifacts too; ``image`` chooses one in each. Of two
    indexes each ``platform`` is compared, of an index and an image that of the image. ``platform``
    chooses one, and ``other_platform`` (``None``: the same) of *b*. ``scope`` says what counts
    (``None``: everything). Layers are read when what they hold is asked for, unless the ``cache``
    remembers it. Raises what ``open`` raises, ``NotFoundError`` if nothing can be compared, and
    ``NoSuchPathError`` for a path of ``scope`` that is in none of the images.
    """
    from imgpack.image.compare.scope import ComparisonScope

    path, name = split(a)
    other, other_name = split(b)
    at = partial(_Location, scratch=scratch, cache=cache, read={}, jobs=jobs, reporter=reporter)
    with (
        open_location(path, registries=registries[0], scratch=scratch) as left,
        open_location(other, registries=registries[1], scratch=scratch) as right,
    ):
        wanted = other_platform or platform
        first, second = left.select(image or name), right.select(image or other_name)
        found, there = left.image(first, platform).image, right.image(second, wanted).image
        scope = scope or ComparisonScope()
        compared = _compared(at(left, path), found, at(right, other), there, scope)
        digests = _digest_of(first, found, platform), _digest_of(second, there, wanted)
        yield replace(compared, digests=digests)


def _digest_of(root: Root, chosen: AnyImage, platform: Platform | None) -> Digest:
    """Of a lock the index may be known that its one image is of."""
    return (root if platform is None else chosen.document).descriptor.digest


@dataclass(frozen=True, slots=True)
class _Location:
    """Where images are, and how their files are read."""

    opened: Opened
    path: str | Reference
    scratch: Callable[[], str]
    cache: SegmentCache | None
    read: dict[Layer, ReadLayer]
    jobs: int
    reporter: Reporter

    def side(self, image: Image | Artifact) -> ComparedSide:
        """One of them, to be compared."""
        from imgpack.image.base.locked import is_lock, with_layers
        from imgpack.image.compare.sides import ComparedSide
        from imgpack.image.image import Image
        from imgpack.layer.cache.blobs import CachedBlobs

        bare = False
        if isinstance(image, Image):
            stores = [] if self.cache is None else [CachedBlobs(self.cache)]
            image = with_layers(image, stores)
            bare = bool(image.absent) and isinstance(self.path, str) and is_lock(self.path)
        return ComparedSide(image, partial(self._files, image, bare=bare), layered=not bare)

    def _files(self, image: Image | Artifact, *, bare: bool) -> ImageFiles:
        from imgpack.image.base.locked import locked_base, read_lock
        from imgpack.image.files.files import image_contents
        from imgpack.image.image import Image

        if not isinstance(image, Image):
            raise UnsupportedError(
                f"{self.opened.location} is an artifact, and no image with files"
            )
        path = str(self.path)
        tree = locked_base(read_lock(path), path, image.config.platform).tree if bare else None
        return image_contents(
            image,
            self.opened.location,
            self.scratch,
            tree=tree,
            cache=self.cache,
            read=self.read,
            jobs=self.jobs,
            reporter=self.reporter,
        )


def _compared(
    a: _Location, found: AnyImage, b: _Location, there: AnyImage, scope: ComparisonScope
) -> ComparedLocations:
    from imgpack.image.compare.documents import index_differences
    from imgpack.image.compare.images import ComparedImages
    from imgpack.image.compare.sides import check_paths
    from imgpack.image.image import ImageIndex

    left, right = _members(found), _members(there)
    if not isinstance(found, ImageIndex):
        right = _one_for(b, right, next(iter(left)))
    elif not isinstance(there, ImageIndex):
        left = _one_for(a, left, next(iter(right)))
    if len(left) == len(right) == 1:
        pairs = [(next(iter(left)), next(iter(right)))]
    else:
        pairs = [(key, key) for key in left if key in right]
    compared = []
    for key, other in pairs:
        one, two = left[key], right[other]
        if one is not None and two is not None:
            compared.append(ComparedImages(other, a.side(one), b.side(two), scope))
        elif key != other:  # of a type that nobody knows: the digest says all
            continue
        del left[key], right[other]
    if not pairs:
        there_are = f"{', '.join(left)} and {', '.join(right)}"
        raise NotFoundError(f"{a.path} and {b.path} have no platform in common", there_are)
    if scope.paths:
        check_paths([side for one in compared for side in (one.a, one.b)], scope)
    index: tuple[FieldDifference, ...] = ()
    if isinstance(found, ImageIndex) and isinstance(there, ImageIndex):
        index = index_differences(found.index, there.index, scope)
    return ComparedLocations(tuple(compared), tuple(left), tuple(right), index=index)


def _members(image: AnyImage) -> dict[str, Image | Artifact | None]:
    """What is compared, by the platform, or by the digest of what has none."""
    from imgpack.image.image import Image, ImageIndex, Opaque

    if isinstance(image, Opaque):
        return {str(image.descriptor.digest): None}
    if not isinstance(image, ImageIndex):
        platform = str(image.config.platform) if isinstance(image, Image) else ""
        return {platform: image}
    found: dict[str, Image | Artifact | None] = {}
    for member in image.members:
        for key, one in _members(member).items():
            digest = str(member.document.descriptor.digest)
            found[digest if not key or key in found else key] = one
    return found


def _one_for(
    where: _Location, members: dict[str, Image | Artifact | None], platform: str
) -> dict[str, Image | Artifact | None]:
    """That one of the ``members`` which is compared with the one image for ``platform``."""
    if platform in members:
        return {platform: members[platform]}
    if len(members) == 1:
        return members
    raise NotFoundError(
        f"{where.opened.location} has no image for {platform or 'no platform'}",
        f"there are {', '.join(members)}",
    )
