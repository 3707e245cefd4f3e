"""Trees that layers are made of, and the image that they make."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from imgpack.api.locations import references
from imgpack.errors import printable
from imgpack.events import SILENT, Reporter

if TYPE_CHECKING:
    from imgpack.compression.codec import Codec
    from imgpack.image.build import Placement
    from imgpack.image.documents import Recipe
    from imgpack.image.image import Image, LayerSink
    from imgpack.layer.build import Explain
    from imgpack.layer.cache.segments import SegmentCache
    from imgpack.layer.planned import PlannedEntry
    from imgpack.layer.raw import RawLayer
    from imgpack.layer.stages import Treatment
    from imgpack.spec.format import Format
    from imgpack.spec.merge.changes import RuntimeChanges
    from imgpack.spec.platform import Platform
    from imgpack.spec.reference import Reference
    from imgpack.spec.runtime import Runtime
    from imgpack.tree.below import Below
    from imgpack.tree.destination import Placed
    from imgpack.tree.disk.directory import Directory
    from imgpack.tree.entries import Entries
    from imgpack.tree.entry import Entry
    from imgpack.tree.exclusion import Exclusion
    from imgpack.tree.inputs.mtree.tree import MtreeTree
    from imgpack.tree.inputs.single_file import SingleFile
    from imgpack.tree.inputs.tarball import Tarball
    from imgpack.tree.merge.difference import Counts, Difference
    from imgpack.tree.transform import Transform
    from imgpack.tree.tree import Tree


def directory(
    path: str | bytes,
    *,
    dest: str | bytes = "/",
    caller: tuple[int, int] | None = None,
    excluded: Exclusion | None = None,
) -> Placed[Directory]:
    """The tree of a directory on disk, at ``dest`` of the image.

    What belongs to the ids ``caller`` is read as root's; what ``excluded`` leaves out is not
    looked at. Raises ``SourceError``, ``TreeError``.
    """
    from imgpack.tree.destination import place
    from imgpack.tree.disk.directory import directory as read_directory

    return place(read_directory(os.fsencode(path), caller, excluded), os.fsencode(dest))


def planned(
    layers: Sequence[Placed[Tree]],
    *,
    transforms: Sequence[Transform] = (),
    treatment: Treatment | None = None,
    placement: Placement | None = None,
    reporter: Reporter = SILENT,
) -> Iterator[tuple[Placed[Tree], Iterator[PlannedEntry]]]:
    """What ``build`` would pack, without a look into more than what the base may have just so.

    Each layer with its entries, to be looked at before the next one is asked for; each entry
    with the path of the first name of a hard link, whose size counts once. Raises source,
    tree and config errors.
    """
    from imgpack.image.build import Placement
    from imgpack.layer.planned import planned_layers
    from imgpack.layer.stack import grouped
    from imgpack.layer.stages import NO_TREATMENT, Stages

    placement = placement or Placement()
    stages = Stages(tuple(transforms), None, treatment or NO_TREATMENT)
    groups = grouped(layers, squash=placement.squash)
    return planned_layers(placement.stack(groups, stages, reporter))


def _below(layers: Sequence[Placed[Tree]], base: Tree | None = None) -> Below:
    from imgpack.tree.below import Below, Laid

    below = Below(() if base is None else (Laid(base),))
    for layer in layers:
        one = Laid(layer.tree, layer.dest, exact=layer.exact, named=layer.named_there)
        below = below.over(one)
    return below


def single_file(
    path: str | bytes,
    *,
    dest: str | bytes = "/",
    caller: tuple[int, int] | None = None,
) -> Placed[SingleFile]:
    """The tree of one file on disk, which gets the path ``dest`` in the image.

    If that ends in a slash, or is a directory in lower layers, it is the directory of the file,
    which keeps its name. A symbolic link is followed. Raises ``SourceError``, ``TreeError``,
    ``LimitError``.
    """
    from imgpack.tree.destination import place
    from imgpack.tree.inputs.single_file import single_file as read_single_file

    source, (above, slash, name) = os.fsencode(path), os.fsencode(dest).rpartition(b"/")
    own = os.path.basename(source)
    file = read_single_file(source, name or own, caller, as_copied=bool(name))
    return place(file, above or slash or own)


def tarball(
    path: str | bytes,
    *,
    dest: str | bytes = "/",
    name: str = "",
    scratch: Callable[[], str] = tempfile.gettempdir,
    reporter: Reporter = SILENT,
) -> Placed[Tarball]:
    """The tree of a tar archive, at ``dest`` of the image; ``name`` is what messages call it.

    It may be compressed (gzip, zstd, xz, bzip2) or come from a pipe: ``scratch`` finds a
    directory where it lies unpacked then, without a name. Of a path that it has twice the
    last counts, which ``reporter`` is told. Raises ``SourceError``, ``ArchiveError``,
    ``TreeError``, ``LimitError``.
    """
    from imgpack.tree.destination import place
    from imgpack.tree.inputs.tarball import tarball as read_tarball

    where = os.fsdecode(path)
    read = read_tarball(where, name or printable(where), scratch=scratch, warn=reporter.warn)
    return place(read, os.fsencode(dest))


def raw_layer(
    path: str | bytes, *, scratch: Callable[[], str] = tempfile.gettempdir
) -> Placed[RawLayer]:
    """A tar file that becomes a layer byte for byte, gzip or zstd as it is, or plain.

    ``build`` changes nothing of it. ``scratch``: as of ``tarball``. Raises ``SourceError``,
    ``ArchiveError``, ``TreeError``, ``LimitError``, ``UnsupportedError``.
    """
    from imgpack.layer.raw import raw_layer as read_raw_layer
    from imgpack.tree.destination import Placed

    return Placed(read_raw_layer(os.fsdecode(path), scratch=scratch))


def mtree(
    path: str | bytes,
    *,
    dest: str | bytes = "/",
    layers: Sequence[Placed[Tree]] = (),
    base: Tree | None = None,
    reporter: Reporter = SILENT,
) -> Placed[MtreeTree]:
    """The tree that an mtree(5) file lists, the bodies of whose files lie where it says.

    It goes over ``layers`` and the tree of a ``base``: names are those of their users and
    groups, and a line without a type changes what they have. Raises ``SourceError``,
    ``TreeError``, ``ConfigError``, ``LimitError``.
    """
    from imgpack.tree.destination import Placed, parse_dest
    from imgpack.tree.inputs.mtree.specification import specification
    from imgpack.tree.inputs.mtree.tree import MtreeTree

    below, where = _below(layers, base), parse_dest(os.fsencode(dest))
    listed = specification(os.fsencode(path), below.read_file)
    entries, named = listed.tree(below, below.resolve(where, b"/" + where))
    for warning in listed.warnings:
        reporter.warn(warning)
    return Placed(MtreeTree(os.fsencode(path), entries), where, named=named)


def read_file(layers: Sequence[Placed[Tree]], path: str, base: Tree | None = None) -> bytes | None:
    """The bytes of a small file of the image that ``layers`` make over ``base``.

    Links are followed; ``None`` if there is none. Raises ``LimitError``.
    """
    return _below(layers, base).read_file(path)


def entries(items: Iterable[Entry], *, dest: str | bytes = "/") -> Placed[Entries]:
    """The tree of entries in memory, as ``directory``; of 1970 and 0:0, unless they say so.

    ``file``, ``directory_entry``, ``symlink``, ``hard_link`` and others make them. Missing parents
    are made up. Raises ``TreeError``.
    """
    from imgpack.tree.destination import place
    from imgpack.tree.entries import Entries

    return place(Entries(items), os.fsencode(dest))


def difference(
    old: Tree,
    new: Tree,
    *,
    dest: str | bytes = "/",
    mtime: bool = False,
    transforms: Sequence[Transform] = (),
    treatment: Treatment | None = None,
    image: bool = False,
    told: Callable[[Counts], object] | None = None,
) -> Placed[Difference]:
    """The layer that makes ``new`` of ``old``: what changed, and deletions of what is gone.

    A time alone is a change only with ``mtime``. Both are compared as ``transforms`` and
    ``treatment``, those of the build, leave them; an ``image`` has its entries as they are.
    Where ``old`` is no base, it is the ``Placement``'s ``lower``. ``told`` hears how many paths
    differ, once the layer is made. Raises ``TreeError``.
    """
    from imgpack.layer.stages import NO_TREATMENT, Stages
    from imgpack.tree.destination import Placed, parse_dest
    from imgpack.tree.merge.difference import Difference

    stages = Stages(tuple(transforms), None, treatment or NO_TREATMENT)
    matched: set[int] = set()
    prepare = partial(stages.pairs, matched=matched) if stages else None
    tree = Difference(
        old, new, mtime=mtime, prepare=prepare, image=image, matched=matched, told=told
    )
    return Placed(tree, parse_dest(os.fsencode(dest)), exact=True)


def build(
    layers: Sequence[Placed[Tree]],
    *,
    into: LayerSink,
    names: Sequence[str | Reference] = (),
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

    ``platform``, if not given: what the programs in the layers are for, else linux/amd64; of
    a given one that they contradict is warned. ``format``, if not given: the base's, or the
    sink's. ``compression``: ``gzip[:1-12]``, ``zstd[:1-19]`` or ``none``, as ``Codec`` has it;
    ``created``: RFC 3339 in UTC (``None``: the newest time in the layers). ``placement``: what
    lies below. The ``transforms`` change entries, then the rules of ``treatment``. The bytes
    depend on none of ``cache``, ``jobs``, ``clock`` (in nanoseconds). ``outputs``: devices and
    inodes of what is being written. Raises config, source, tree, output errors.
    """
    from imgpack.image.build import Placement, build_image
    from imgpack.layer.build import Options

    placement = placement or Placement()
    recipe = _recipe(config, platform, layers, placement, reporter)
    codec = _codec(compression)
    return build_image(
        layers,
        into,
        replace(recipe, author=author, comment=comment, format=format or _format(recipe, into)),
        references(names),
        Options(tuple(transforms), codec, jobs, cache, clock(), check_contents, outputs, treatment),
        placement=placement,
        created=created,
        reporter=reporter,
        explain=explain,
    )


def _format(recipe: Recipe, into: LayerSink) -> Format:
    return into.default_format if recipe.base is None else recipe.base.format


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
