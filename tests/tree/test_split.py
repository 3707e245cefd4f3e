"""A tree in parts: what patterns match in layers of its own, and the rest."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import Directory, Entries, Placed, Tree, directory_entry, file, hard_link
from imgpack.errors import ConfigError
from imgpack.tree.disk.walk import scan
from imgpack.tree.entry import WHITEOUT, whiteout
from imgpack.tree.problems import Problems
from imgpack.tree.rules.split import Group, split
from tests.tree.merge.shapes import NAMES, Listed, image, trees


def parts(tree: Tree, *groups: str) -> list[Placed[Tree]]:
    """The parts of a tree, lowest first."""
    return list(split([Placed(tree)], [Group.parse(text) for text in groups]))


def paths(tree: Tree) -> list[str]:
    """What is in a tree."""
    return [os.fsdecode(entry.path) for entry in tree.entries()]


PATTERNS = st.sampled_from([*map(os.fsdecode, NAMES), "**/a", "b/*", "**/*.b", "!b/a", "a/*/c"])


@given(trees(), st.lists(PATTERNS, min_size=1, max_size=3), PATTERNS)
def test_the_layers_show_the_tree(tree: Entries, some: Sequence[str], other: str) -> None:
    """Each file once, its names together, and every directory as it is."""
    try:
        made = parts(tree, f"one={','.join(some)}", f"two={other}")
    except ConfigError:
        return
    whole = image(tree.entries())

    assert image(*(part.entries() for part in made)).facts() == whole.facts()
    files = [e.path for part in made for e in part.entries() if not e.is_directory]
    assert sorted(files) == sorted(
        {entry.path for entry in tree.entries() if not entry.is_directory}
    )
    for part in made:
        listed = {entry.path for entry in part.entries()}
        for entry in tree.entries():
            assert (part.find(entry.path) is not None) == (entry.path in listed)


def test_parts_are_in_the_order_given_and_the_rest_comes_last() -> None:
    """A path is in the first that matches; directories on the way are in each."""
    tree = Entries(
        [
            file("app/main", b""),
            file("app/lib/a.so", b""),
            file("app/lib/b.py", b""),
            file("etc", b""),
        ]
    )

    native, lib, rest = parts(tree, "native=**/*.so", "lib=app/lib")

    assert paths(native) == ["app", "app/lib", "app/lib/a.so"]
    assert paths(lib) == ["app", "app/lib", "app/lib/b.py"]
    assert paths(rest) == ["app", "app/main", "etc"]
    assert [str(part) for part in (native, rest)] == ["entries (native)", "entries"]


def test_hard_links_never_cross() -> None:
    """All names of a file are where the first of them is."""
    tree = Entries([file("a", b"1"), hard_link("deps/a", "a"), file("deps/b", b"2")])

    deps, rest = parts(tree, "deps=deps")

    assert paths(deps) == ["deps", "deps/b"]
    assert paths(rest) == ["a", "deps", "deps/a"]


def test_a_rest_of_nothing_but_directories_on_the_way_is_no_layer() -> None:
    """They are in the lower layers; an empty one is in none, and so makes one."""
    tree = [file("a/b/c", b"")]

    assert len(parts(Entries(tree), "c=**/c")) == 1
    assert paths(parts(Entries([*tree, directory_entry("z")]), "c=**/c")[1]) == ["a", "a/b", "z"]


def test_deletions_are_in_the_lowest_part() -> None:
    """They are of what lies below the whole tree."""
    tree = Listed([whiteout(b"z"), file(b"a", b""), file(b"b", b"")])

    low, high = parts(tree, "a=a")

    assert [entry.mode == WHITEOUT for entry in low.entries()] == [True, False]
    assert paths(high) == ["b"]


def test_of_several_trees_each_is_split_and_one_has_to_match() -> None:
    """In the order of the trees."""
    one, other = Placed(Entries([file("a", b"")])), Placed(Entries([file("b", b"")]))

    found = split([one, other], [Group.parse("b=b")])

    assert [paths(part) for part in found] == [["a"], ["b"]]
    with pytest.raises(ConfigError, match="nothing is in the layer c"):
        split([one, other], [Group.parse("b=b"), Group.parse("c=c")])
    with pytest.raises(ConfigError, match="nothing is in the layer late"):
        split([other], [Group.parse("b=b"), Group.parse("late=b")])


@pytest.mark.parametrize("text", ["", "deps", "=a", "deps=", "deps=a,,b", "a\nb=c", "two words=c"])
def test_what_names_no_layer_and_its_patterns_is_refused(text: str) -> None:
    """A layer has a name, and at least one pattern."""
    with pytest.raises(ConfigError):
        Group.parse(text)


def test_a_walk_by_its_stamps_is_that_of_the_part(tmp_path: Path) -> None:
    """So a snapshot has nothing of another part, and a change there leaves the layer as it was."""
    for path in ("app/deps/a", "app/main", "app/deps/deep/b"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    for part in parts(Directory(bytes(tmp_path)), "deps=**/deps"):
        for dest in (b"", b"opt/x"):
            placed = Placed(part.tree, dest)
            assert placed.stamps is not None
            walked = [path for path, *_ in scan(placed.stamps, Problems())]
            assert walked == [entry.path for entry in placed.entries()]
    low, high = parts(Directory(bytes(tmp_path)), "deps=**/deps")
    assert low.stamps
    assert high.stamps
    assert low.stamps.identity != high.stamps.identity
