"""Several trees as one: what layers of each would show on top of one another."""

import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import Directory, Entries, Entry, Tree, directory_entry, file, hard_link
from imgpack.errors import LimitError, TreeError
from imgpack.tree.below import Below, Laid
from imgpack.tree.entry import OPAQUE, WHITEOUT, opaque, whiteout
from imgpack.tree.merge.union import united
from imgpack.tree.merge.whiteouts import whiteouts
from imgpack.tree.tree import join
from tests.tree.merge.shapes import NAMES, Listed, image, trees


@st.composite
def layers(draw: st.DrawFn, *, both: bool = True) -> Listed:
    """A tree with deletions in it, of paths that others may have.

    ``both``: of its own paths too, and of all in its directories, as tools write that.
    """
    tree = draw(trees())
    listed = list(tree.entries())
    directories = [b"", *(entry.path for entry in listed if entry.is_directory)]
    for where in directories:
        if both and draw(st.integers(0, 5)) == 0:
            listed.append(opaque(where))
        names = draw(st.sets(st.sampled_from(NAMES), max_size=2))
        gone = [join(where, name) for name in names]
        listed += [whiteout(path) for path in gone if both or tree.find(path) is None]
    return Listed(listed)


def union(some: Sequence[Tree]) -> list[Entry]:
    """What one layer of them writes."""

    def find(path: bytes, first: int, end: int) -> Entry | None:
        return Below([Laid(tree, exact=True) for tree in some[first:end]]).find(path)

    streams = [((entry, entry) for entry in tree.entries()) for tree in some]
    return [entry for _, entry in united(streams, find)]


@given(trees(), st.lists(layers(), min_size=1, max_size=3))
def test_one_layer_shows_what_the_layers_would(base: Entries, some: list[Listed]) -> None:
    """On top of any base, with deletions of what it has."""
    apart = image(base.entries(), *(layer.entries() for layer in some))

    assert image(base.entries(), union(some)).facts() == apart.facts()


@given(st.lists(layers(), max_size=3))
def test_nothing_is_both_deleted_and_there(some: list[Listed]) -> None:
    """Of one name there is a whiteout or an entry."""
    listed = union(some)
    gone = {entry.path for entry in listed if stat.S_IFMT(entry.mode) == WHITEOUT}
    named = [e.path for e in listed if stat.S_IFMT(e.mode) not in (WHITEOUT, OPAQUE)]

    assert not gone & set(named)
    assert len(named) == len(set(named))


def said(some: Sequence[Tree]) -> list[tuple[bytes, int]]:
    """What one layer of them has, each path with its type."""
    return [(entry.path, stat.S_IFMT(entry.mode)) for entry in union(some)]


def test_a_directory_in_the_place_of_a_file_shows_only_what_came_with_it() -> None:
    """What lies below all of them is hidden by the file, and so is what a layer had before."""
    flat, full = Entries([file("d", b"")]), Entries([file("d/new", b"")])
    made = [(b"d", stat.S_IFDIR), (b"d", OPAQUE), (b"d/new", stat.S_IFREG)]

    assert said([flat, full]) == made
    assert said([Entries([file("d/old", b"")]), flat, full]) == made


def test_a_directory_that_was_deleted_before_shows_nothing_of_what_lies_below() -> None:
    """There is no whiteout beside it, and it is empty but for what came with it."""
    gone, full = Listed([whiteout(b"d")]), Entries([file("d/new", b"")])
    made = [(b"d", stat.S_IFDIR), (b"d", OPAQUE), (b"d/new", stat.S_IFREG)]

    assert said([gone, full]) == made
    assert said([Entries([file("d/old", b"")]), gone, full]) == made
    assert said([full, gone]) == [(b"d", WHITEOUT)]


def test_an_opaque_directory_stays_one_whichever_layer_has_it() -> None:
    """The lowest as well, for what lies below all of them."""
    emptied = Listed([directory_entry("d"), opaque(b"d"), file("d/x", b"")])
    made = [(b"d", stat.S_IFDIR), (b"d", OPAQUE), (b"d/x", stat.S_IFREG)]

    assert said([emptied]) == made
    assert said([Entries([file("d/old", b"")]), emptied]) == made


def test_a_socket_is_no_change_of_what_other_layers_have() -> None:
    """No layer has one: what was there before stays."""
    socket = Listed([file("d", b"")._replace(mode=stat.S_IFSOCK | 0o644)])
    full = Entries([file("d/x", b"")])

    assert said([full, socket]) == [(b"d", stat.S_IFDIR), (b"d/x", stat.S_IFREG)]
    assert said([socket, full]) == [(b"d", stat.S_IFDIR), (b"d/x", stat.S_IFREG)]
    assert said([socket]) == [(b"d", stat.S_IFSOCK)]


def test_made_up_inodes_of_two_trees_are_not_one_file(tmp_path: Path) -> None:
    """Each tree counts from one; on disk, a number is a number."""
    one = Entries([file("a", b"1"), hard_link("b", "a")])
    other = Entries([file("c", b"2"), hard_link("d", "c")])
    a, b, c, d = union([one, other])

    assert (a.device, a.inode) == (b.device, b.inode)
    assert (c.device, c.inode) == (d.device, d.inode)
    assert (a.device, a.inode) != (c.device, c.inode)
    (tmp_path / "f").touch()
    (tmp_path / "g").hardlink_to(tmp_path / "f")
    device = tmp_path.stat().st_dev
    assert {entry.device for entry in union([Directory(bytes(tmp_path))])} == {device}


def listed(*paths: bytes) -> list[Entry]:
    """What deletes ``paths``."""
    return list(whiteouts(paths).entries())


def test_paths_to_delete_are_sorted_and_said_once() -> None:
    """With slashes around or without; what lies in another goes with it."""
    found = listed(b"/b/c/", b"b", b"b/", b"a.b", b"a/x", b"a/x", b"b/c/d")

    assert [entry.path for entry in found] == [b"a.b", b"b", b"a/x"]
    assert whiteouts([b"a"]).strict
    assert whiteouts([b"a"]).find(b"a") == whiteout(b"a")
    assert whiteouts([b"a"]).find(b"b") is None
    assert [entry.path for entry in whiteouts([b"a"]).tree.entries(None, b"d")] == [b"d/a"]
    with pytest.raises(LimitError):
        whiteouts([b"a/" + b"n" * 256])


@pytest.mark.parametrize("path", [b"", b"/", b"a/../b", b"./a", b"a/.wh.b", b"a\0"])
def test_what_is_no_path_of_an_image_cannot_be_deleted(path: bytes) -> None:
    """The root, for one."""
    with pytest.raises(TreeError):
        whiteouts([path])
