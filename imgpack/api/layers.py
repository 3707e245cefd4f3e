"""Trees that layers are made of, and the image that they make."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from imgpack.errors import printable
from imgpack.events import SILENT, Reporter

if TYPE_CHECKING:
    from imgpack.image.build import Placement
    from imgpack.layer.planned import PlannedEntry
    from imgpack.layer.raw import RawLayer
    from imgpack.layer.stages import Treatment
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
