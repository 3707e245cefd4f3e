"""Several trees as one: what layers of each would show on top of one another."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import Directory, Entries, Entry, Placed, directory_entry, file, hard_link
from imgpack.errors import TreeError, UnsupportedError
from imgpack.tree.entry import OPAQUE, WHITEOUT, is_required, opaque, whiteout
from imgpack.tree.merge.difference import difference
from imgpack.tree.merge.union import Union, squashed
from imgpack.tree.merge.whiteouts import Whiteouts
from imgpack.tree.tree import join
from tests.tree.merge.shapes import NAMES, Listed, image, trees


@st.composite
def layers(draw: st.DrawFn) -> Listed:
    """A tree with deletions in it, of paths that others may have."""
    tree = draw(trees())
    listed = list(tree.entries())
    directories = [b"", *(entry.path for entry in listed if entry.is_directory)]
    for where in directories:
        if draw(st.integers(0, 5)) == 0:
            listed.append(opaque(where))
        names = draw(st.sets(st.sampled_from(NAMES), max_size=2))
        listed += [whiteout(join(where, name)) for name in names]
    return Listed(listed)


@given(trees(), st.lists(layers(), min_size=1, max_size=3))
def test_one_layer_shows_what_the_layers_would(base: Entries, some: list[Listed]) -> None:
    """On top of any base, with deletions of what it has; directories stay as they are below."""
    apart = image(base.entries(), *(layer.entries() for layer in some), keeping=True)
    together = image(base.entries(), Union(some).entries(), keeping=True)

    assert together.facts() == apart.facts()


@given(trees(), st.lists(layers(), min_size=1, max_size=3))
def test_exact_trees_say_how_directories_are(base: Entries, some: list[Listed]) -> None:
    """As layers that replace what they find."""
    placed = [Placed(layer, exact=True) for layer in some]
    apart = image(base.entries(), *(layer.entries() for layer in some))
    together = image(base.entries(), squashed(placed).entries())

    assert together.facts() == apart.facts()


@given(st.lists(layers(), max_size=3))
def test_nothing_is_both_deleted_and_there(some: list[Listed]) -> None:
    """Of one name there is a whiteout or an entry."""
    listed = list(Union(some).entries())
    gone = {entry.path for entry in listed if stat.S_IFMT(entry.mode) == WHITEOUT}
    named = [e.path for e in listed if stat.S_IFMT(e.mode) not in (WHITEOUT, OPAQUE)]

    assert not gone & set(named)
    assert len(named) == len(set(named))


@given(st.lists(trees(), max_size=3))
def test_what_is_found_is_what_is_listed(some: list[Entries]) -> None:
    """By its path, and nothing else."""
    union = Union(some)
    listed = {e.path: e for e in union.entries() if stat.S_IFMT(e.mode) != OPAQUE}

    for path in {entry.path for tree in some for entry in tree.entries()}:
        found, there = union.find(path), listed.get(path)
        assert (found and found[1:3]) == (there and there[1:3])


def test_made_up_inodes_of_two_trees_are_not_one_file(tmp_path: Path) -> None:
    """Each tree counts from one; on disk, a number is a number."""
    one = Entries([file("a", b"1"), hard_link("b", "a")])
    other = Entries([file("c", b"2"), hard_link("d", "c")])
    a, b, c, d = Union([one, other]).entries()

    assert (a.device, a.inode) == (b.device, b.inode)
    assert (c.device, c.inode) == (d.device, d.inode)
    assert (a.device, a.inode) != (c.device, c.inode)
    (tmp_path / "f").touch()
    (tmp_path / "g").hardlink_to(tmp_path / "f")
    device = tmp_path.stat().st_dev
    assert {e.device for e in Union([Directory(bytes(tmp_path))]).entries()} == {device}


def test_a_deletion_within_the_union_need_delete_nothing_below() -> None:
    """It is kept all the same, for the base may have the path as well."""
    tree = Placed(Entries([file("a/b", b"")]))

    found = list(squashed([tree, Placed(Whiteouts([b"/a/b", b"/c"]))]).entries())

    assert [(entry.path, is_required(entry)) for entry in found] == [
        (b"c", True), (b"a", False), (b"a/b", False),
    ]  # fmt: skip
    assert stat.S_IFMT(found[2].mode) == WHITEOUT


def test_differences_are_not_squashed_with_what_is_added() -> None:
    """One layer either says how directories are or leaves them."""
    plain = Placed(Entries([directory_entry("a")]))
    exact = difference(Entries([]), Entries([directory_entry("a")]))

    with pytest.raises(UnsupportedError, match="cannot be squashed together"):
        squashed([plain, exact])
    assert squashed([exact, exact, Placed(Whiteouts([b"x"]))]).exact
    assert not squashed([plain, plain]).exact


def listed(*paths: bytes) -> list[Entry]:
    """What deletes ``paths``."""
    return list(Whiteouts(paths).entries())


def test_paths_to_delete_are_sorted_and_said_once() -> None:
    """With slashes around or without; what lies in another goes with it."""
    assert [entry.path for entry in listed(b"/b/c/", b"b", b"a.b", b"a/x", b"a/x", b"b/c/d")] == [
        b"a.b", b"b", b"a/x",
    ]  # fmt: skip
    assert all(is_required(entry) for entry in listed(b"a", b"b"))


@pytest.mark.parametrize("path", [b"", b"/", b"a/../b", b"./a", b"a/.wh.b", b"a\0"])
def test_what_is_no_path_of_an_image_cannot_be_deleted(path: bytes) -> None:
    """The root, for one."""
    with pytest.raises(TreeError):
        Whiteouts([path])
