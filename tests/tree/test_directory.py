"""The walk: everything once, in one order, and everything that is wrong at once."""

import contextlib
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import Directory, Entry
from imgpack.errors import SourceChangedError, SourceError, TreeError, printable
from imgpack.tree.destination import place
from imgpack.tree.disk.directory import directory
from imgpack.tree.disk.walk import scan
from imgpack.tree.problems import Problems
from imgpack.tree.tree import Stamps
from tests.privileges import OBEYING_MODES

NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)


def found(root: Path, dest: bytes = b"/") -> list[Entry]:
    """The entries of a tree without problems."""
    problems = Problems()
    entries = list(place(Directory(bytes(root)), dest).entries(problems))
    problems.check()
    return entries


def test_the_order_is_that_of_components_and_not_of_whole_names(tmp_path: Path) -> None:
    """``a/b`` comes before ``a.b``, though a dot sorts before a slash."""
    (tmp_path / "a").mkdir()
    for name in ("a/b", "a.b", "a-b", "B", "ä"):
        (tmp_path / name).touch()

    assert [entry.path for entry in found(tmp_path)] == [
        b"B", b"a", b"a/b", b"a-b", b"a.b", "ä".encode(),
    ]  # fmt: skip


@given(paths=st.lists(st.lists(NAMES, min_size=1, max_size=3), max_size=12))
def test_the_order_is_bytewise_whatever_the_names(
    tmp_path_factory: pytest.TempPathFactory, paths: list[list[bytes]]
) -> None:
    """Parents come first, siblings by their bytes, and nothing twice."""
    root = bytes(tmp_path_factory.mktemp("tree"))
    for parts in paths:
        if not any(part.startswith(b".wh.") for part in parts):
            os.makedirs(os.path.join(root, *parts), exist_ok=True)

    walked = [entry.path.split(b"/") for entry in Directory(root).entries(Problems())]

    assert walked == sorted(walked)
    assert len(set(map(tuple, walked))) == len(walked)
    assert all(parts[:-1] in walked for parts in walked if parts[1:])


def test_an_entry_says_what_lstat_says(tmp_path: Path) -> None:
    """Symlinks are not followed; times are nanoseconds."""
    (tmp_path / "link").symlink_to("/nowhere/at all")
    (tmp_path / "file").write_bytes(b"12345")
    os.utime(tmp_path / "file", ns=(1, 1_500_000_000_123_456_789))

    file, link = found(tmp_path)

    assert (file.size, file.mtime_ns, stat.S_ISREG(file.mode)) == (
        5,
        1_500_000_000_123_456_789,
        True,
    )
    assert stat.S_ISLNK(link.mode)
    assert link.content == bytes(tmp_path / "link")


def test_every_kind_of_file_is_met(tmp_path: Path) -> None:
    """Sockets too: it is the encoder that leaves them out, with a warning."""
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))
    (tmp_path / "dir").mkdir()

    kinds = [stat.S_IFMT(entry.mode) for entry in found(tmp_path)]

    assert kinds == [stat.S_IFDIR, stat.S_IFIFO, stat.S_IFSOCK]


def test_a_directory_may_hold_many_names(tmp_path: Path) -> None:
    """Five thousand siblings come in order."""
    for number in range(5000):
        (tmp_path / f"{number}").touch()

    assert [entry.path for entry in found(tmp_path)] == sorted(
        b"%d" % number for number in range(5000)
    )


@contextlib.contextmanager
def deep(root: Path, levels: int) -> Iterator[int]:
    """A descriptor at the bottom of a tree of so many levels, deeper than a path can name.

    It is gone afterwards: pytest could not remove it: ``shutil.rmtree`` recurses.
    """
    here = os.open(root, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    try:
        yield here
    finally:
        os.close(here)
        subprocess.run(["rm", "-rf", str(root / "d")], check=True)


def test_a_tree_deeper_than_pythons_recursion_is_walked(tmp_path: Path) -> None:
    """Fifteen hundred levels, whose path still fits."""
    with deep(tmp_path, 1500):
        assert len(found(tmp_path)) == 1500


def test_paths_longer_than_the_system_takes_are_walked(tmp_path: Path) -> None:
    """By descriptors, up again too: what lies beside the deepest directory comes after it."""
    with deep(tmp_path, 2500) as bottom:
        os.symlink("target", "l", dir_fd=bottom)
        (tmp_path / "z").touch()
        walked = Directory(bytes(tmp_path)).entries()
        links = [(entry.path, entry.target()) for entry in walked if stat.S_ISLNK(entry.mode)]

        assert links == [(b"d/" * 2500 + b"l", b"target")]
        assert len(found(tmp_path)) == 2502


@pytest.mark.parametrize("name", [".wh.file", ".wh..wh..opq", ".wh."])
def test_a_name_that_means_a_deletion_is_refused(tmp_path: Path, name: str) -> None:
    """No layer can hold it: a runtime would delete something."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / name).touch()

    with pytest.raises(TreeError, match="means a deletion") as caught:
        found(tmp_path)

    assert str(tmp_path / "d" / name) in str(caught.value)


UNREADABLE = """
import os, sys
from imgpack.tree.disk.directory import Directory
from imgpack.tree.problems import Problems
from imgpack.tree.tree import Tree
problems = Problems()
list(Directory(os.fsencode(sys.argv[1])).entries(problems))
for path, why in problems.unreadable:
    print(os.fsdecode(path), why)
"""


def test_all_directories_that_cannot_be_listed_are_collected(tmp_path: Path) -> None:
    """The walk goes on behind each, so that all of them are told at once."""
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o755 if name == "b" else 0)
    done = subprocess.run(
        [*OBEYING_MODES, sys.executable, "-c", UNREADABLE, str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout.splitlines() == [
        f"{tmp_path / 'a'} Permission denied", f"{tmp_path / 'c'} Permission denied",
    ]  # fmt: skip


def test_every_unreadable_path_is_named(tmp_path: Path) -> None:
    """One error, all of its paths, on one line."""
    problems = Problems()
    problems.add(b"/a\nb", PermissionError(13, "Permission denied"))
    problems.add(b"/c\xff", OSError(5, "Input/output error"))

    with pytest.raises(SourceError) as caught:
        problems.check()

    text = str(caught.value)
    assert "cannot read 2 paths" in text
    assert "/a\\nb (Permission denied), /c\\udcff (Input/output error)" in text
    assert "\n" not in text


def test_paths_of_any_bytes_can_be_shown() -> None:
    """On one line, without control sequences."""
    assert printable(b"/plain/\xc3\xa4") == "/plain/ä"
    assert printable(b"/\x1b[31m\n\xff") == "/\\x1b[31m\\n\\udcff"


def test_a_source_must_be_a_directory(tmp_path: Path) -> None:
    """Missing, or a file: the error says which."""
    (tmp_path / "file").touch()

    with pytest.raises(SourceError, match="missing does not exist"):
        directory(bytes(tmp_path / "missing"))
    with pytest.raises(SourceError, match="file is not a directory"):
        directory(bytes(tmp_path / "file"))
    assert directory(bytes(tmp_path)) == Directory(bytes(tmp_path))


def test_a_directory_that_became_a_symlink_is_not_followed(tmp_path: Path) -> None:
    """Root may build a tree that another user writes to: what is outside stays outside."""
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    for place_ in (outside, tree / "d"):
        place_.mkdir(parents=True)
        (place_ / "secret").touch()

    with pytest.raises(SourceChangedError, match="tree/d changed"):
        for path, _, _, _ in scan(Stamps(bytes(tree)), Problems()):
            assert path == b"d"
            (tree / "d").rename(tmp_path / "away")
            (tree / "d").symlink_to(outside)


@pytest.mark.parametrize("depth", [1, 30])
def test_a_symlink_put_in_place_of_an_open_directory_changes_nothing(
    tmp_path: Path, depth: int
) -> None:
    """Names are looked up in the directory that was seen; deep below, it is opened again."""
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    below = tree / "d" / "/".join(["x"] * depth)
    below.mkdir(parents=True)
    outside.mkdir()
    for place_ in (tree / "d", outside):
        (place_ / "z").touch()
    inode = (tree / "d/z").stat().st_ino

    seen = {}
    for path, _, status, _ in scan(Stamps(bytes(tree)), Problems()):
        seen[path] = status.st_ino
        if path == os.fsencode(below.relative_to(tree)):
            (tree / "d").rename(tmp_path / "away")
            (tree / "d").symlink_to(outside)

    assert seen[b"d/z"] == inode
