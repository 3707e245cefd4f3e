"""The directory that a tree is written to: nobody else looks into it, and a failure leaves none."""

import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.errors import OutputError
from imgpack.files.atomic import empty
from imgpack.tree.unpack import directories
from imgpack.tree.unpack.directories import OpenDirectories
from imgpack.tree.unpack.place import new_tree

_ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, 7, ident)
    for tag, ident in ((1, 2**32 - 1), (2, 4242), (4, 2**32 - 1), (16, 2**32 - 1), (32, 2**32 - 1))
)


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_what_is_no_path_is_told(path: str) -> None:
    """Before anything is made."""
    with pytest.raises(OutputError, match="is no path of a directory"), new_tree(path):
        pass


@pytest.mark.parametrize("there", [True, False])
def test_nobody_else_looks_into_a_tree_that_is_filled(tmp_path: Path, there: bool) -> None:
    """What is made in it gets no list of access of the directory that was there."""
    out = tmp_path / "out"
    if there:
        out.mkdir(mode=0o751)
        os.setxattr(out, "system.posix_acl_default", _ACL)
    with new_tree(str(out)) as tree:
        assert out.exists() == there
        assert stat.S_IMODE(os.fstat(tree.descriptor).st_mode) == 0o700
        os.mkdir("in", dir_fd=tree.descriptor)
        assert tree.mode == (0o751 if there else 0o755)
    assert os.listxattr(out / "in") == []
    assert os.listdir(tmp_path) == ["out"]


def test_a_tree_that_fails_is_empty_again_as_it_was(tmp_path: Path) -> None:
    """With its mode, or it is not there; nothing stays open."""
    before = _open_files()
    (tmp_path / "there").mkdir(mode=0o751)
    for name in ("there", "new"):
        with pytest.raises(KeyError), new_tree(str(tmp_path / name)) as tree:
            os.mkdir("in", dir_fd=tree.descriptor)
            raise KeyError
    assert os.listdir(tmp_path) == ["there"]
    assert os.listdir(tmp_path / "there") == []
    assert stat.S_IMODE((tmp_path / "there").stat().st_mode) == 0o751
    assert _open_files() == before


def _obey_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let root be bound by the modes of directories, as others are."""

    def bound(name: str, mask: int, of: Callable[[Any, dict[str, Any]], os.stat_result]) -> None:
        act = getattr(os, name)

        def run(path: Any, *rest: Any, **named: Any) -> Any:
            looks = name == "open" and rest[0] & os.O_PATH
            if not looks and of(path, named).st_mode & mask != mask:
                raise PermissionError(13, "Permission denied")
            return act(path, *rest, **named)

        monkeypatch.setattr(os, name, run)

    def itself(path: Any, named: dict[str, Any]) -> os.stat_result:
        return os.stat(path, dir_fd=named.get("dir_fd"), follow_symlinks=False)

    def above(_: Any, named: dict[str, Any]) -> os.stat_result:
        return os.fstat(named.get("dir_fd", named.get("src_dir_fd")))

    bound("open", 0o400, itself)
    for name in ("unlink", "rename", "rmdir"):
        bound(name, 0o300, above)


@pytest.mark.parametrize("mode", [0o700, 0o500, 0o300, 0])
def test_whatever_is_in_a_directory_is_removed(tmp_path: Path, mode: int) -> None:
    """However deep, whatever the modes of its directories; links are not followed."""
    (tmp_path / "out").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").touch()
    top = tmp_path / "out"
    (top / "a" / "b" / "c").mkdir(parents=True)
    for place in (top, top / "a", top / "a" / "b", top / "a" / "b" / "c"):
        (place / "file").touch()
        (place / "link").symlink_to(tmp_path / "outside")
    for place in (top / "a" / "b" / "c", top / "a" / "b", top / "a"):
        place.chmod(mode)
    before = _open_files()
    directory = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    with pytest.MonkeyPatch.context() as patch:
        _obey_modes(patch)
        empty(directory)
    os.close(directory)
    assert os.listdir(top) == []
    assert os.listdir(tmp_path / "outside") == ["file"]
    assert _open_files() == before


def test_what_cannot_be_removed_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the rest goes."""
    unlink = os.unlink

    def refuse(path: bytes, **named: Any) -> None:
        if path == b"stays":
            raise PermissionError(1, "Operation not permitted")
        unlink(path, **named)

    monkeypatch.setattr(os, "unlink", refuse)
    for name in ("a", "stays", "z"):
        (tmp_path / name).touch()
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    empty(directory)
    os.close(directory)
    assert os.listdir(tmp_path) == ["stays"]


_WAYS = st.lists(st.sampled_from(("a", "b")), max_size=6).map("/".join)


@given(st.lists(_WAYS, max_size=12), st.integers(1, 3))
def test_a_directory_is_found_whatever_was_asked_for_before(
    tmp_path_factory: pytest.TempPathFactory, paths: list[str], levels: int
) -> None:
    """So many of those on the way are open, and in the end none."""
    root_path = tmp_path_factory.mktemp("root")
    for path in paths:
        (root_path / path).mkdir(parents=True, exist_ok=True)
    before = _open_files()
    root = os.open(root_path, os.O_RDONLY | os.O_DIRECTORY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directories, "_OPEN_LEVELS", levels)
        found = OpenDirectories(root)
        for path in paths:
            assert os.path.samestat(os.fstat(found.at(path.encode())), (root_path / path).stat())
            assert _open_files() <= before + 1 + levels + 1
        found.close()
    os.close(root)
    assert _open_files() == before
