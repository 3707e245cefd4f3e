"""One layer of several: it shows what they would, on top of the same base."""

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from imgpack.api import (
    Directory,
    Entries,
    Entry,
    Placed,
    SetOwner,
    Tree,
    directory_entry,
    file,
    symlink,
)
from imgpack.errors import TreeError
from imgpack.layer.squash import Squash
from imgpack.layer.stages import Stages
from imgpack.tree.below import Below, Laid
from imgpack.tree.entry import WHITEOUT, opaque, order
from imgpack.tree.inputs.additions import Additions
from imgpack.tree.merge.over import Over
from imgpack.tree.merge.survey import survey
from imgpack.tree.merge.whiteouts import whiteouts
from imgpack.tree.problems import Problems
from imgpack.tree.transform import Transform
from tests.tree.merge.shapes import Listed, image, trees
from tests.tree.merge.test_union import layers


def arranged(base: Tree, layers: Sequence[Placed[Tree]]) -> list[Over]:
    """Each layer over the base and those before it."""
    below, overs = Below([Laid(base)]), []
    for layer in layers:
        overs.append(Over(layer, below, survey(layer, below)))
        below = below.over(overs[-1].laid)
    return overs


def apart(overs: Sequence[Over], *transforms: Transform) -> Iterator[list[Entry]]:
    """What each layer writes, in the order of a tree."""
    for over in overs:
        pairs = Stages(transforms, over).pairs(over.tree.entries(), Problems())
        yield sorted((entry for _, entry in pairs), key=order)


def together(base: Tree, overs: Sequence[Over], *transforms: Transform) -> list[Entry]:
    """What the one layer writes."""
    squash = Squash(tuple(overs), Stages(transforms), Below([Laid(base)]))
    return [entry for _, entry in squash.pairs((), Problems())]


LAYERS = trees(links=True) | layers(both=False)


@given(trees(links=True), st.lists(LAYERS, min_size=1, max_size=3), st.booleans())
def test_it_shows_what_the_layers_show(base: Entries, some: list[Tree], exact: bool) -> None:
    """Through symbolic links of lower ones too, with the directories that they find."""
    try:
        overs = arranged(base, [Placed(tree, exact=exact) for tree in some])
        layers = list(apart(overs, SetOwner(3, 3)))
    except TreeError:
        return  # links that lead in circles, or two files to one place
    assume(all(len(set(map(order, layer))) == len(layer) for layer in layers))
    whole = image(base.entries(), *layers).facts()

    written = sorted(together(base, overs, SetOwner(3, 3)), key=order)

    assert image(base.entries(), written).facts() == whole


def test_what_goes_through_a_link_meets_what_is_there() -> None:
    """The files of /lib and of /usr/lib, to which it leads, come out in one order."""
    base = Entries([directory_entry("usr/lib"), symlink("lib", "usr/lib")])
    layers = [
        Placed(Entries([file("lib/b", b"1"), file("usr/lib/a", b"1")])),
        Placed(Entries([file("lib/a", b"2"), file("zz", b"")])),
    ]
    written = together(base, arranged(base, layers))

    assert [entry.path for entry in written] == [
        b"usr", b"usr/lib", b"usr/lib/a", b"usr/lib/b", b"zz",
    ]  # fmt: skip
    assert written[2].open().read() == b"2"


def test_a_deletion_is_written_only_for_what_the_base_has() -> None:
    """What only the layers had is simply not there; what nobody has is refused."""
    base = Entries([file("old", b"")])
    layers = [Placed(Entries([file("new", b""), file("kept", b"")])), whiteouts([b"new", b"old"])]

    written = together(base, arranged(base, layers))

    assert [(entry.path, stat.S_IFMT(entry.mode) == WHITEOUT) for entry in written] == [
        (b"old", True), (b"kept", False),
    ]  # fmt: skip
    with pytest.raises(TreeError, match="/nowhere is to be deleted"):
        together(base, arranged(base, [*layers, whiteouts([b"nowhere"])]))


def test_what_is_added_is_not_deleted_as_well() -> None:
    """Where a layer below the last one empties the directory that it is in."""
    base = Entries([file("old", b""), file("gone", b"")])
    overs = arranged(base, [Placed(Listed([opaque(b"")])), Placed(Entries([file("new", b"")]))])
    added = Additions((directory_entry("old"),), "")
    squash = Squash(tuple(overs), Stages(), Below([Laid(base)]), added)

    written = [entry for _, entry in squash.pairs((), Problems())]

    assert [(entry.path, stat.S_IFMT(entry.mode) == WHITEOUT) for entry in written] == [
        (b"gone", True), (b"new", False), (b"old", False),
    ]  # fmt: skip


def test_files_are_checked_against_what_was_seen(tmp_path: Path) -> None:
    """A pair keeps both: what the walk saw, and the owner that is written."""
    (tmp_path / "f").write_bytes(b"1")
    base = Entries([])
    overs = arranged(base, [Placed(Directory(bytes(tmp_path)))])
    squash = Squash(tuple(overs), Stages((SetOwner(5, 5),)), Below([Laid(base)]))

    ((seen, entry),) = squash.pairs((), Problems())

    assert (seen.uid, entry.uid) == ((tmp_path / "f").stat().st_uid, 5)
    assert squash.tree.find(b"f") is not None
    assert squash.identity != Squash(tuple(overs), Stages(), Below([Laid(base)])).identity
