"""Trees that layers are made of, and the image that they make."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence, Set
from typing import TYPE_CHECKING

from imgpack.api.locations import references
from imgpack.errors import printable
from imgpack.events import SILENT, Reporter

if TYPE_CHECKING:
    from imgpack.compression.codec import Codec
    from imgpack.image.build import Placement
    from imgpack.image.image import Image, LayerSink
    from imgpack.layer.build import Explain
    from imgpack.layer.cache.segments import SegmentCache
    from imgpack.layer.stages import Treatment
    from imgpack.spec.format import Format
    from imgpack.spec.platform import Platform
    from imgpack.spec.reference import Reference
    from imgpack.spec.runtime import Runtime
    from imgpack.tree.destination import Placed
    from imgpack.tree.disk.directory import Directory
    from imgpack.tree.entries import Entries
    from imgpack.tree.entry import Entry
    from imgpack.tree.transform import Transform
    from imgpack.tree.tree import Tree


def directory(
    path: str | bytes,
    *,
    dest: str | bytes = "/",
    caller: tuple[int, int] | None = None,
) -> Placed[Directory]:
    """The tree of a directory on disk, at ``dest`` of the image.

    What belongs to the ids ``caller`` is read as root's. Raises ``SourceError``, ``TreeError``.
    """
    from imgpack.tree.destination import place
    from imgpack.tree.disk.directory import directory as read_directory

    return place(read_directory(os.fsencode(path), caller), os.fsencode(dest))


def entries(items: Iterable[Entry], *, dest: str | bytes = "/") -> Placed[Entries]:
    """The tree of entries in memory, as ``directory``; of 1970 and 0:0, unless they say so.

    ``file``, ``directory_entry``, ``symlink``, ``hard_link`` and others make them. Missing parents
    are made up. Raises ``TreeError``.
    """
    from imgpack.tree.destination import place
    from imgpack.tree.entries import Entries

    return place(Entries(items), os.fsencode(dest))


def build(
    layers: Sequence[Placed[Tree]],
    *,
    into: LayerSink,
    names: Sequence[str | Reference] = (),
    config: Runtime | None = None,
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

    ``platform``, if not given: what the programs in the layers are for, else linux/amd64; of
    a given one that they contradict is warned. ``format``, if not given: the sink's.
    ``compression``: ``gzip[:1-12]``, ``zstd[:1-19]`` or ``none``; ``created``: RFC 3339 in
    UTC (``None``: the newest time in the layers). ``placement``: what lies below them.
    ``transforms`` change entries, then the rules of ``treatment`` do. The bytes depend on none
    of ``cache``, ``jobs`` and ``clock`` (nanoseconds since 1970).
    ``outputs``: devices and inodes of what is being written, which no layer may hold.
    Raises config, source, tree and output errors.
    """
    from imgpack.compression.codec import Codec
    from imgpack.image.build import Placement, build_image
    from imgpack.image.documents import Recipe
    from imgpack.layer.build import Options
    from imgpack.layer.stages import NO_TREATMENT

    runtime, target = _runtime(config, platform, layers, reporter)
    codec = Codec.parse(compression) if isinstance(compression, str) else compression
    options = Options(
        tuple(transforms), codec, jobs, cache, clock(), check_contents, outputs,
        treatment or NO_TREATMENT,
    )  # fmt: skip
    return build_image(
        layers,
        into,
        Recipe(target, runtime, author, comment, format or into.default_format),
        references(names),
        options,
        placement=placement or Placement(),
        created=created,
        reporter=reporter,
        explain=explain,
    )


def _runtime(
    config: Runtime | None, given: Platform | None, layers: Sequence[Tree], reporter: Reporter
) -> tuple[Runtime, Platform]:
    from imgpack.spec.platform import Platform
    from imgpack.spec.runtime import Runtime
    from imgpack.tree.elf import find_program

    runtime = config or Runtime()
    programs = [words[0] for words in (runtime.entrypoint, runtime.cmd) if words]
    found = find_program(layers, programs)
    if given is None:
        return runtime, found.platform if found else Platform()
    if found and not given.runs(found.platform):
        reporter.warn(
            f"{printable(found.path)} is a program for {found.platform}, "
            f"and the image is said to be for {given}"
        )
    return runtime, given
