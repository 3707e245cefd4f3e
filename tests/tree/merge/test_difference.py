"""The difference of two trees: on top of the old one it makes the new one, and no more."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given

from imgpack.api import (
    Directory,
    Entries,
    Entry,
    SetOwner,
    Tree,
    character_device,
    directory_entry,
    file,
    hard_link,
)
from imgpack.layer.stages import Stages
from imgpack.tree.entry import WHITEOUT, whiteout
from imgpack.tree.merge.difference import Difference
from imgpack.tree.merge.listing import Listing, listing_text
from imgpack.tree.problems import Problems
from tests.tree.merge.shapes import image, trees


def paths(tree: Tree) -> list[bytes]:
    """What is written, deletions with a minus before them."""
    return [
        (b"-" if stat.S_IFMT(entry.mode) == WHITEOUT else b"") + entry.path
        for entry in tree.entries()
    ]


@given(trees(), trees())
def test_on_top_of_the_old_tree_it_makes_the_new_one(old: Entries, new: Entries) -> None:
    """In type, mode, owner, attributes, content and in which names are one file."""
    made = image(old.entries(), Difference(old, new).entries())

    assert made.facts() == image(new.entries()).facts()


@given(trees(), trees())
def test_a_whiteout_deletes_something_and_has_no_entry_of_its_name(
    old: Entries, new: Entries
) -> None:
    """And nothing is deleted that goes with a directory anyway."""
    listed = list(Difference(old, new).entries())
    gone = {entry.path for entry in listed if stat.S_IFMT(entry.mode) == WHITEOUT}

    assert not gone & {entry.path for entry in listed if entry.path not in gone}
    for path in gone:
        above = new.find(path.rpartition(b"/")[0])
        assert old.find(path) is not None
        assert new.find(path) is None
        assert above is not None
        assert above.is_directory


@given(trees())
def test_a_tree_does_not_differ_from_itself(tree: Entries) -> None:
    """Nothing at all comes out."""
    assert paths(Difference(tree, tree)) == []


@given(trees(), trees())
def test_below_a_directory_of_the_image_it_is_the_same(old: Entries, new: Entries) -> None:
    """Every path has the destination before it, which comes first if anything is in it."""
    plain = [entry.path for entry in Difference(old, new).entries()]
    below = [entry.path for entry in Difference(old, new).entries(None, b"opt/app")]

    assert below == [b"opt/app"] * bool(plain) + [b"opt/app/" + path for path in plain]


def test_the_directories_on_the_way_are_those_of_the_new_tree() -> None:
    """Engines make what is missing 0755, and hide what is below."""
    old = Entries([directory_entry("a", mode=0o700), file("a/same", b""), file("a/gone", b"")])
    new = Entries([directory_entry("a", mode=0o700, mtime_ns=5), file("a/same", b"")])

    above, gone = Difference(old, new).entries()

    assert (above.path, stat.S_IMODE(above.mode), above.mtime_ns) == (b"a", 0o700, 5)
    assert gone == whiteout(b"a/gone")


def test_whiteouts_come_before_what_else_is_in_their_directory() -> None:
    """As image-spec asks for: also before what lies deep in a sibling."""
    old = Entries([file("d/a/b/c", b"1"), file("d/z/deep", b""), file("z", b"")])
    new = Entries([file("d/a/b/c", b"2")])

    assert paths(Difference(old, new)) == [b"-z", b"d", b"-d/z", b"d/a", b"d/a/b", b"d/a/b/c"]


def test_a_change_of_type_needs_no_whiteout() -> None:
    """The entry replaces what is there, with all that is in it."""
    full, flat = Entries([file("a/b/c", b"")]), Entries([file("a", b"")])

    assert paths(Difference(full, flat)) == [b"a"]
    assert paths(Difference(flat, full)) == [b"a", b"a/b", b"a/b/c"]


def test_a_time_is_a_change_only_if_it_is_said_to_be() -> None:
    """By whole seconds, which is what a layer keeps."""
    old = Entries([file("f", b"", mtime_ns=10**9)])
    later = Entries([file("f", b"", mtime_ns=2 * 10**9)])
    hardly = Entries([file("f", b"", mtime_ns=2 * 10**9 - 1)])

    assert paths(Difference(old, later)) == []
    assert paths(Difference(old, later, mtime=True)) == [b"f"]
    assert paths(Difference(old, hardly, mtime=True)) == []


@pytest.mark.parametrize(
    "new",
    [
        [file("a", b"2"), hard_link("b", "a"), hard_link("c", "a")],
        [file("a", b"1"), hard_link("b", "a"), hard_link("c", "a"), hard_link("d", "a")],
        [file("a", b"1"), hard_link("b", "a")],
        [file("a", b"1"), hard_link("b", "a"), file("c", b"1")],
    ],
)
def test_a_file_of_several_names_is_written_with_all_of_them(new: list[Entry]) -> None:
    """A hard link must name something in its own layer."""
    old = Entries([file("a", b"1"), hard_link("b", "a"), hard_link("c", "a")])

    written = [path for path in paths(Difference(old, Entries(new))) if path[:1] != b"-"]

    assert written == [entry.path for entry in new]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([file("a", b"1")], [file("a", b"1"), hard_link("b", "a")]),
        ([file("a", b"1"), file("b", b"1")], [file("a", b"1"), hard_link("b", "a")]),
        ([file("a", b"1"), hard_link("b", "a")], [file("a", b"1"), file("b", b"1")]),
    ],
)
def test_files_that_become_one_or_several_are_written(old: list[Entry], new: list[Entry]) -> None:
    """Though each holds what was there before."""
    assert paths(Difference(Entries(old), Entries(new))) == [b"a", b"b"]


def test_a_device_differs_by_its_numbers() -> None:
    """It holds nothing else."""
    null, zero = (Entries([character_device("d", 1, minor)]) for minor in (3, 5))

    assert paths(Difference(null, null)) == []
    assert paths(Difference(null, zero)) == [b"d"]


def test_what_is_looked_up_is_what_is_new_there() -> None:
    """Whether it differs or not; its deletion, if it is gone."""
    same = file("same", b"")
    found = Difference(Entries([same, file("gone", b"")]), Entries([same]))

    assert found.find(b"same") == Entries([same]).find(b"same")
    assert found.find(b"gone") == whiteout(b"gone")
    assert found.find(b"none") is None


def test_an_empty_file_needs_no_look_at_what_was_there() -> None:
    """A base may not have its bytes at hand."""
    tree = Entries([file("empty", b"")])

    assert paths(Difference(Listing(listing_text(tree)), tree)) == []


def test_what_is_one_file_on_disk_is_not_opened(tmp_path: Path) -> None:
    """Hard-linked copies, as of a backup: only what stat cannot tell is read."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    (old / "same").write_bytes(b"1")
    (old / "touched").write_bytes(b"1")
    (new / "touched").write_bytes(b"2")
    os.link(old / "same", new / "same")
    opened: list[bytes] = []

    class Watched(Directory):
        def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
            for entry in super().entries(problems, under):
                yield _Telling(*entry)

    class _Telling(Entry):
        def open_descriptor(self) -> int:
            opened.append(self.path)
            return super().open_descriptor()

    found = paths(Difference(Watched(bytes(old)), Watched(bytes(new))))

    assert found == [b"touched"]
    assert set(opened) == {b"touched"}


def test_what_is_compared_is_what_will_be_written(tmp_path: Path) -> None:
    """A rule that gives everything one owner makes no difference of the owner on disk."""
    (tmp_path / "f").write_bytes(b"1")
    old = Entries([file("f", b"1", uid=7, gid=7)])
    stages = Stages((SetOwner(7, 7),))
    os.chmod(tmp_path / "f", 0o644)

    new = Directory(bytes(tmp_path))

    assert paths(Difference(old, new)) == [b"f"]
    assert paths(Difference(old, new, prepare=stages.pairs, image=True)) == []
    assert paths(Difference(new, new, prepare=stages.pairs)) == []
    assert paths(Difference(new, new, prepare=stages.pairs, image=True)) == [b"f"]


def test_a_socket_is_in_no_image() -> None:
    """Where there was a file, it is deleted."""
    socket = file("s", b"")._replace(mode=stat.S_IFSOCK | 0o644)

    class Made:
        stamps = None

        def entries(self, problems: object = None, under: bytes = b"") -> Iterator[Entry]:
            return iter([socket])

        def find(self, path: bytes) -> Entry | None:
            return None

    assert paths(Difference(Entries([file("s", b"")]), Made())) == [b"-s"]
    assert paths(Difference(Made(), Entries([]))) == []
