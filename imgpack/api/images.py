"""Images that are built of layers: one, or several platforms' in one index."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING

from imgpack.api.locations import references
from imgpack.errors import printable
from imgpack.events import SILENT, Reporter

if TYPE_CHECKING:
    from imgpack.compression.codec import Codec
    from imgpack.image.build import ImageBuild, Placement
    from imgpack.image.documents import Recipe
    from imgpack.image.image import Image, ImageIndex, LayerSink
    from imgpack.layer.build import Explain
    from imgpack.layer.cache.segments import SegmentCache
    from imgpack.layer.stages import Treatment
    from imgpack.spec.annotations import Annotations
    from imgpack.spec.format import Format
    from imgpack.spec.merge.changes import RuntimeChanges
    from imgpack.spec.platform import Platform
    from imgpack.spec.reference import Reference
    from imgpack.spec.runtime import Runtime
    from imgpack.tree.destination import Placed
    from imgpack.tree.transform import Transform
    from imgpack.tree.tree import Tree


def build(
    layers: Sequence[Placed[Tree]],
    *,
    into: LayerSink,
    names: Sequence[str | Reference] = (),
    annotations: Annotations | None = None,
    config: Runtime | RuntimeChanges | None = None,
    platform: Platform | None = None,
    format: Format | None = None,
    compression: str | Codec = "gzip",
    transforms: Sequence[Transform] = (),
    treatment: Treatment | None = None,
    created: str | None = None,
    author: str = "",
    comment: str = "",
    placement: Placement | None = None,
    cache: SegmentCache | None = None,
    check_contents: bool = False,
    jobs: int = 1,
    clock: Callable[[], int] = time.time_ns,
    outputs: Set[tuple[int, int]] = frozenset(),
    reporter: Reporter = SILENT,
    explain: Explain | None = None,
) -> Image:
    """An image of ``layers``, bottom first, written ``into`` a sink under ``names``.

    With ``annotations`` on its manifest it has OCI's media types. All others are as for
    ``prepare``; ``format``, if not given: the base's, or the sink's. Raises config, source,
    tree, output errors.
    """
    from imgpack.image.image import Image

    image = prepare(
        layers, config=config, platform=platform,
        format=format or (into.default_format if _base(placement) is None else None),
        compression=compression, transforms=transforms, treatment=treatment, created=created,
        author=author, comment=comment, placement=placement, cache=cache,
        check_contents=check_contents, jobs=jobs, clock=clock, outputs=outputs,
        reporter=reporter, explain=explain,
    )  # fmt: skip
    built = build_prepared([image], into=into, names=names, annotations=annotations)
    assert isinstance(built, Image)
    return built


def build_prepared(
    images: Sequence[ImageBuild],
    *,
    into: LayerSink,
    names: Sequence[str | Reference] = (),
    annotations: Annotations | None = None,
) -> Image | ImageIndex:
    """What ``prepare`` gave: an index of ``images``, of a platform each, or the one that it is.

    They are built in their order and written ``into`` a sink under ``names``; what they share is
    stored and sent once (OCI image-spec ``image-index.md``). Nothing is visible before all of it
    is there. Raises ``ConfigError`` for two images of one platform, and what ``build`` does.
    """
    from imgpack.image.build import build_images
    from imgpack.spec.annotations import Annotations

    if not images:
        raise ValueError("there is no image to build")
    return build_images(images, into, references(names), annotations or Annotations())


def prepare(
    layers: Sequence[Placed[Tree]],
    *,
    config: Runtime | RuntimeChanges | None = None,
    platform: Platform | None = None,
    format: Format | None = None,
    compression: str | Codec = "gzip",
    transforms: Sequence[Transform] = (),
    treatment: Treatment | None = None,
    created: str | None = None,
    author: str = "",
    comment: str = "",
    placement: Placement | None = None,
    cache: SegmentCache | None = None,
    check_contents: bool = False,
    jobs: int = 1,
    clock: Callable[[], int] = time.time_ns,
    outputs: Set[tuple[int, int]] = frozenset(),
    reporter: Reporter = SILENT,
    explain: Explain | None = None,
) -> ImageBuild:
    """An image of ``layers``, bottom first, that ``build_prepared`` is to build; none is read yet.

    ``platform``, if not given: what the programs in the layers are for, else linux/amd64; of
    a given one that they contradict is warned. ``format``, if not given: the base's, or
    Docker's. ``compression``: ``gzip[:1-12]``, ``zstd[:1-19]`` or ``none``, as ``Codec`` has it;
    ``created``: RFC 3339 in UTC (``None``: the newest time in the layers). ``placement``: what
    lies below. The ``transforms`` change entries, then the rules of ``treatment``. The bytes
    depend on none of ``cache``, ``jobs``, ``clock`` (in nanoseconds). ``outputs``: devices and
    inodes of what is being written. Raises config, source and tree errors.
    """
    from imgpack.image.build import ImageBuild, Placement
    from imgpack.layer.build import Options
    from imgpack.spec.format import Format

    placement = placement or Placement()
    recipe = _recipe(config, platform, layers, placement, reporter)
    base, codec = placement.base, _codec(compression)
    kind = format or (Format.DOCKER if base is None else base.image.format)
    return ImageBuild(
        layers,
        replace(recipe, author=author, comment=comment, format=kind),
        Options(tuple(transforms), codec, jobs, cache, clock(), check_contents, outputs, treatment),
        placement=placement,
        created=created,
        reporter=reporter,
        explain=explain,
    )


def _base(placement: Placement | None) -> object:
    return None if placement is None else placement.base


def _codec(compression: str | Codec) -> Codec:
    from imgpack.compression.codec import Codec

    return Codec.parse(compression) if isinstance(compression, str) else compression


def _recipe(
    config: Runtime | RuntimeChanges | None,
    platform: Platform | None,
    layers: Sequence[Placed[Tree]],
    placement: Placement,
    reporter: Reporter,
) -> Recipe:
    from imgpack.image.documents import Recipe
    from imgpack.spec.merge.changes import RuntimeChanges

    changes, base = RuntimeChanges.of(config), placement.base
    given = platform if base is None else base.image.config.platform
    found = _platform(given, layers, changes.set, reporter)
    if base is None:
        return Recipe(found, changes)
    return Recipe(
        found,
        changes,
        base=base.image,
        base_name=base.name,
        base_labels=placement.base_labels,
    )


def _platform(
    given: Platform | None, layers: Sequence[Placed[Tree]], runtime: Runtime, reporter: Reporter
) -> Platform:
    from imgpack.spec.platform import Platform
    from imgpack.tree.elf import find_program

    programs = [words[0].encode() for words in (runtime.entrypoint, runtime.cmd) if words]
    programs += _single_files([one for one in layers if one.stamps is None])
    found = find_program(layers, programs)
    if given is None:
        return found.platform if found else Platform()
    if found and not given.runs(found.platform):
        reporter.warn(
            f"{printable(found.path)} is a program for {found.platform}, "
            f"and the image is for {given}"
        )
    return given


def _single_files(layers: Sequence[Placed[Tree]]) -> list[bytes]:
    """The paths of those of ``layers`` that are of one file."""
    if not layers:  # as of most builds, which need not load what such files are
        return []
    from imgpack.tree.inputs.single_file import SingleFile

    return [
        b"/".join((one.dest, file.name))
        for one in layers
        if isinstance(file := one.tree, SingleFile)
    ]
