"""The walk with an exclusion: what is left out is not there, is not opened, and is no problem."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import (
    Directory,
    Entries,
    Entry,
    Filtered,
    directory_entry,
    file,
    hard_link,
    ignore,
)
from imgpack.errors import SourceError
from imgpack.tree.destination import place
from imgpack.tree.disk.directory import directory
from imgpack.tree.entry import opaque, whiteout
from imgpack.tree.problems import Problems
from tests.privileges import OBEYING_MODES
from tests.tree.rules.test_ignore import PATTERNS


def make(root: Path, paths: Sequence[str]) -> Path:
    """A tree of empty files, and of directories where a path ends with a slash."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("/"):
            (root / path).mkdir(exist_ok=True)
        else:
            (root / path).touch()
    return root


def kept(root: Path, *patterns: str) -> list[str]:
    """The paths of a tree that are not left out."""
    problems = Problems()
    tree = Directory(bytes(root), excluded=ignore(patterns))
    found = [os.fsdecode(entry.path) for entry in tree.entries(problems)]
    problems.check()
    return found


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("foo*", "!foo/bar2"), "bar foo foo/bar2"),
        (("foo",), "bar foo2"),
        (("**", "!foo/bar2"), "foo foo/bar2"),
        (("*", "!**/bar2"), "foo foo/bar2"),
        (("foo/**",), "bar foo foo2"),
        (("foo", "!foo/none"), "bar foo2"),
        (("*",), ""),
        (("*", "!."), ""),
    ],
)
def test_what_is_kept_brings_its_parents(
    tmp_path: Path, patterns: tuple[str, ...], expected: str
) -> None:
    """Just before it; excluded siblings stay out (the tree is that of fsutil's own test)."""
    make(tmp_path, ["bar", "foo/", "foo2", "foo/bar2"])
    assert kept(tmp_path, *patterns) == expected.split()


def test_an_exception_within_an_exclusion_within_an_exception(tmp_path: Path) -> None:
    """At any depth the last that hits decides."""
    make(tmp_path, ["foo/bar/baz/x", "foo/bar/baz/y", "foo/bar/z", "foo/q"])
    patterns = ("foo", "!foo/bar", "foo/bar/baz", "!foo/bar/baz/x")
    assert kept(tmp_path, *patterns) == [
        "foo", "foo/bar", "foo/bar/baz", "foo/bar/baz/x", "foo/bar/z",
    ]  # fmt: skip


def test_a_symlink_is_matched_by_its_own_name(tmp_path: Path) -> None:
    """And never followed, also where something behind it would be kept."""
    make(tmp_path, ["there/file"])
    (tmp_path / "link").symlink_to("there")
    assert kept(tmp_path, "link", "!link/file") == ["there", "there/file"]


NAMES = st.lists(st.sampled_from(["a", "b", "ab", ".", "*"]), min_size=1, max_size=2).map("".join)
TREES = st.lists(
    st.lists(NAMES.filter(lambda n: n not in (".", "..")), min_size=1, max_size=4).map("/".join),
    max_size=8,
)


@given(paths=TREES, patterns=st.lists(PATTERNS, max_size=4))
def test_every_tree_is_left_with_the_same(
    tmp_path_factory: pytest.TempPathFactory, paths: list[str], patterns: list[str]
) -> None:
    """A directory by its walk, any other by what it yields, and a lookup agrees with both."""
    root = tmp_path_factory.mktemp("tree")
    files: list[str] = []
    for path in paths:
        above = path.split("/")
        inner = ["/".join(above[:count]) for count in range(1, len(above))]
        if not (root / path).exists() and not any((root / one).is_file() for one in inner):
            files += make(root, [path]) and [path]
    rules = ignore(patterns)
    plain = Filtered(Entries([file(path, b"") for path in files]), rules)
    on_disk = Directory(bytes(root), excluded=rules)
    problems, others = Problems(), Problems()

    walked = [entry.path for entry in on_disk.entries(problems)]

    assert [entry.path for entry in plain.entries(others)] == walked
    assert problems.left_out[0].count == others.left_out[0].count
    everything = [entry.path for entry in Directory(bytes(root)).entries()]
    assert [path for path in everything if on_disk.find(path)] == walked
    assert [path for path in everything if plain.find(path)] == walked


def test_what_is_left_out_is_told_by_its_topmost_path(tmp_path: Path) -> None:
    """With the rule that says so."""
    make(tmp_path, ["a/b/c", "d/x.o", "d/y", "e"])
    problems = Problems()
    tree = place(directory(bytes(tmp_path), excluded=ignore(["a", "**/*.o", "z"])), b"/opt")

    assert [entry.path for entry in tree.entries(problems)] == [
        b"opt",
        b"opt/d",
        b"opt/d/y",
        b"opt/e",
    ]

    (left_out,) = problems.left_out
    assert left_out.paths == [(b"a", 0), (b"d/x.o", 1)]
    assert [rule.text for rule in left_out.idle] == ["z"]


def test_deletions_are_left_out_by_the_path_that_they_delete() -> None:
    """And what empties a directory goes where the directory goes."""
    tree = Filtered(
        Entries([directory_entry("a"), directory_entry("b"), file("b/x", b""), file("b/y", b"")]),
        ignore(["a", "b", "!b/x"]),
    )

    class Deleting:
        stamps = None
        find = tree.tree.find

        def entries(self, problems: Problems | None = None, under: bytes = b"") -> list[Entry]:
            a, b, x, y = tree.tree.entries()
            return [whiteout(b"a0"), a, opaque(b"a"), b, whiteout(b"b/gone"), opaque(b"b"), x, y]

    found = Filtered(Deleting(), tree.excluded).entries()  # type: ignore[arg-type]

    assert [entry.path for entry in found] == [b"a0", b"b", b"b", b"b/x"]


@pytest.mark.parametrize(
    ("keep", "expected"), [("!d/b/x", [b"d", b"d/b", b"d/b", b"d/b/x"]), ("!d/b/none", [])]
)
def test_a_directory_is_emptied_only_if_it_is_kept(keep: str, expected: list[bytes]) -> None:
    """For something in it; else what lies below stays what it is."""

    class Emptied:
        stamps = None

        def entries(self, problems: Problems | None = None, under: bytes = b"") -> list[Entry]:
            way = [directory_entry(b"d"), directory_entry(b"d/b")]
            return [*way, opaque(b"d/b"), file(b"d/b/x", b"")]

        def find(self, path: bytes) -> Entry | None:
            return None

    found = Filtered(Emptied(), ignore(["d", keep])).entries()  # type: ignore[arg-type]

    assert [entry.path for entry in found] == expected


def test_patterns_mean_paths_in_the_tree_wherever_it_lies() -> None:
    """At any depth, whether one path is looked up or all are listed."""
    tree = Filtered(Entries([file("a/b/c", b""), file("a/b/d", b"")]), ignore(["a/b/c"]))

    found = [entry.path for entry in tree.entries(None, b"opt")]

    assert found == [b"opt", b"opt/a", b"opt/a/b", b"opt/a/b/d"]
    assert tree.find(b"a/b/c") is None
    assert tree.find(b"a/b/d") is not None


def test_the_first_name_that_is_kept_carries_the_data(tmp_path: Path) -> None:
    """Whatever is left out, the next name of a hard link is a file."""
    from tests.layer.trees import cuts, opened

    (tmp_path / "a").write_bytes(b"content")
    for name in ("b", "c"):
        os.link(tmp_path / "a", tmp_path / name)

    stream = opened(b"".join(cuts(Directory(bytes(tmp_path), excluded=ignore(["a"])))))

    assert [(one.name, one.size, one.linkname) for one in stream] == [("b", 7, ""), ("c", 0, "b")]

    held = Entries([file("a", b"content"), hard_link("b", "a"), hard_link("c", "a")])
    stream = opened(b"".join(cuts(Filtered(held, ignore(["a"])))))

    assert [(one.name, one.size, one.linkname) for one in stream] == [("b", 7, ""), ("c", 0, "b")]


_SCRIPT = """
import sys
from imgpack.api import Directory, ignore
for entry in Directory(sys.argv[1].encode(), excluded=ignore(sys.argv[2:])).entries():
    print(entry.path.decode())
"""


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("**/bar",), "foo"),
        (("**/bar", "!foo/bar/baz"), "foo"),
        (("foo",), ""),
        (("**/bar", "!foo/bar"), None),
        ((), None),
    ],
)
def test_what_cannot_be_read_is_no_problem_if_it_is_left_out(
    tmp_path: Path, patterns: tuple[str, ...], expected: str | None
) -> None:
    """What is kept is one, as ever."""
    make(tmp_path, ["foo/bar/baz"])
    (tmp_path / "foo/bar").chmod(0)
    done = subprocess.run(
        [*OBEYING_MODES, sys.executable, "-c", _SCRIPT, tmp_path, *patterns],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    (tmp_path / "foo/bar").chmod(0o700)
    if expected is None:
        assert SourceError.__name__ in done.stderr
        assert "foo/bar (Permission denied)" in done.stderr
    else:
        assert (done.stdout.split(), done.stderr) == (expected.split(), "")


@pytest.mark.parametrize("patterns", [("*", "!**/deepest"), ("**/none",), ("x", "!x/x/y")])
def test_a_tree_may_be_deeper_than_a_path(tmp_path: Path, patterns: tuple[str, ...]) -> None:
    """3,000 levels: also where every one of them is left out but for what is at the bottom."""
    above = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("x", dir_fd=above)
        below = os.open("x", os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = below
    os.close(os.open("deepest", os.O_CREAT | os.O_WRONLY, dir_fd=above))
    os.close(above)

    found = kept(tmp_path, *patterns)

    assert len(found) == (0 if patterns[0] == "x" else 3001)
    subprocess.run(["rm", "-r", tmp_path / "x"], check=True)
