"""What a tree may hold, but its user should know of."""

import errno
from pathlib import Path

import pytest

from imgpack.api import Directory, Tree
from imgpack.errors import ResourceError, SourceError
from imgpack.tree.problems import Problems
from tests.tree.stacks import over


def names(root: Path, *paths: str) -> Directory:
    """A tree with these empty files."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return Directory(str(root).encode())


def met(tree: Tree) -> Problems:
    """What the walk of a tree met."""
    problems = Problems()
    for _ in tree.entries(problems):
        pass
    return problems


def test_names_that_differ_only_in_case_are_told(tmp_path: Path) -> None:
    """They are two files here and one on a Mac."""
    assert met(names(tmp_path, "d/README", "d/readme")).colliding == bytes(tmp_path / "d")


def test_names_that_differ_only_in_unicode_form_are_told(tmp_path: Path) -> None:
    """An é is one character or two."""
    problems = met(names(tmp_path, "caf\u00e9", "cafe\u0301"))

    assert "Unicode form" in problems.remarks()[0]


def test_different_names_are_not_told(tmp_path: Path) -> None:
    """Equal names in different directories are no collision."""
    assert met(names(tmp_path, "a/x", "b/X")).remarks() == ()


def told(upper: Tree, *lower: Tree) -> list[str]:
    """What is said of ``upper`` over the others: the beginning of each line."""
    return [line.partition(" of a lower layer")[0] for line in over(upper, lower).survey.warnings]


def test_anything_else_over_a_directory_of_a_lower_tree_is_told(tmp_path: Path) -> None:
    """All that is in there is gone: a link or a file, where both have the directory above."""
    base = names(tmp_path / "base", "lib/libc", "etc/conf/x", "etc/passwd", "var/x")
    upper = names(tmp_path / "up", "usr/lib/libc", "etc/conf", "etc/passwd", "opt/new")
    (tmp_path / "up/lib").symlink_to("usr/lib")

    assert told(upper, base) == [
        "lib of up replaces a directory",
        "etc/conf of up replaces a directory",
    ]


def test_a_link_to_a_directory_that_is_replaced_is_told(tmp_path: Path) -> None:
    """By a file or another link; the same link is none."""
    base = names(tmp_path / "base", "usr/bin/sh", "usr/lib/libc")
    for name in ("bin", "lib", "dangling"):
        (tmp_path / "base" / name).symlink_to(f"usr/{name}")
    upper = names(tmp_path / "up", "lib", "dangling")
    (tmp_path / "up/bin").symlink_to("usr/bin")

    assert told(upper, base) == ["lib of up replaces a directory"]


def test_a_directory_over_a_file_is_told(tmp_path: Path) -> None:
    """The file is gone."""
    base = names(tmp_path / "base", "etc/conf")

    (line,) = told(names(tmp_path / "up", "etc/conf/x"), base)

    assert line == "the directory etc/conf of up replaces a file"


def test_what_a_middle_tree_replaced_is_not_told_again(tmp_path: Path) -> None:
    """The base's directory is gone already."""
    base, middle = names(tmp_path / "base", "lib/libc"), names(tmp_path / "middle", "lib")

    assert told(names(tmp_path / "up", "lib"), base, middle) == []


def test_what_cannot_be_read_is_told_in_a_line_of_bounded_length() -> None:
    """However many paths there are, and however long; the rest is counted."""
    problems = Problems()
    for _ in range(3000):
        problems.add(b"d/" * 10_000, PermissionError(13, "Permission denied"))
    with pytest.raises(SourceError, match="cannot read 3000 paths") as caught:
        problems.check()

    assert len(problems.unreadable) == 4
    assert "and 2996 more" in str(caught.value)
    assert len(str(caught.value)) < 5000


@pytest.mark.parametrize("reason", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_shortage_is_not_the_trees_fault(reason: int) -> None:
    """Nothing in it can be made readable, and the next path would fail like this one."""
    with pytest.raises(ResourceError, match="cannot read a/b"):
        Problems().add(b"a/b", OSError(reason, "too few"))
