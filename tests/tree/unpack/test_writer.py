"""Files with holes: what is read is what was written, and zeros take no space."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.tree.unpack import writer
from imgpack.tree.unpack.writer import write_with_holes

_PIECES = st.lists(
    st.lists(st.sampled_from((b"\0", b"\0" * 4, b"\0" * 9, b"x", b"xyz")), max_size=6).map(
        b"".join
    ),
    max_size=6,
)


@given(pieces=_PIECES)
def test_a_file_is_its_pieces(pieces: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever zeros lie in them, and whether it ends with some."""
    monkeypatch.setattr(writer, "_HOLE", 4)
    monkeypatch.setattr(writer, "_ZEROS", bytes(4))
    with tempfile.TemporaryFile() as file:
        write_with_holes(file.fileno(), pieces)
        assert os.pread(file.fileno(), 1000, 0) == b"".join(pieces)


@pytest.mark.parametrize(
    ("pieces", "written"),
    [
        ((bytes(1 << 16),), []),
        ((bytes(1 << 17), bytes(1 << 16)), []),
        ((bytes((1 << 16) - 1),), [(0, (1 << 16) - 1)]),
        ((b"x" + bytes(1 << 16),), [(0, (1 << 16) + 1)]),
        ((b"x" * (1 << 16) + bytes(1 << 17) + b"y",), [(0, 1 << 16), (3 << 16, 1)]),
        ((bytes(1 << 16) + b"x" * (1 << 16), b"y"), [(1 << 16, 1 << 16), (2 << 16, 1)]),
    ],
)
def test_whole_blocks_of_zeros_are_not_written(
    pieces: tuple[bytes, ...], written: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 64 KiB, counted from where a piece begins; the rest is written in one go."""
    found = []
    write = os.pwrite

    def note(descriptor: int, data: bytes, offset: int) -> int:
        found.append((offset, len(data)))
        return write(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", note)
    with tempfile.TemporaryFile() as file:
        write_with_holes(file.fileno(), pieces)
        assert os.fstat(file.fileno()).st_size == sum(map(len, pieces))
    assert found == written


def test_a_file_is_never_one_that_is_there(tmp_path: Path) -> None:
    """Nor what a link that is there points to; nothing of either changes."""
    (tmp_path / "file").write_text("before")
    (tmp_path / "link").symlink_to("new")
    (tmp_path / "other").symlink_to("file")
    root = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    tree = writer.TreeWriter(root, writer.AttributeSetter())
    try:
        for name in (b"file", b"link", b"other"):
            with pytest.raises(FileExistsError):
                tree.file(writer.TableRow(name, 0o100644), [b"after"])
            with pytest.raises(FileExistsError):
                tree.directory(name)
            with pytest.raises(FileExistsError):
                tree.other(writer.TableRow(name, 0o120777, link=b"x"))
            with pytest.raises(FileExistsError):
                tree.link(name, b"file")
        with pytest.raises(OSError, match=r"Not a directory|symbolic"):
            tree.directory(b"other/in")
    finally:
        tree.close()
        os.close(root)
    assert sorted(os.listdir(tmp_path)) == ["file", "link", "other"]
    assert (tmp_path / "file").read_text() == "before"


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[writer.TreeWriter]:
    """A writer below a directory."""
    root = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    found = writer.TreeWriter(root, writer.AttributeSetter())
    yield found
    found.close()
    os.close(root)


NULL = writer.TableRow(b"null", stat.S_IFCHR | 0o640, 5, 6, 7_000_000_000, rdev=os.makedev(1, 3))


def test_a_device_that_may_not_be_made_is_counted(
    tree: writer.TreeWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not there, and nothing stands for it."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "mknod", refuse)
    assert tree.other(NULL) is False
    assert tree.other(NULL._replace(path=b"other")) is False
    unset = tree._setter.unset
    assert (unset.devices, unset.device, unset.owners) == (2, b"null", 0)
    assert os.listdir(tmp_path) == []


def test_what_took_the_place_of_a_device_keeps_what_it_has(
    tree: writer.TreeWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a device has what its row says, in a directory or not."""
    before = len(os.listdir("/proc/self/fd"))
    tree.directory(b"d")
    assert tree.other(NULL._replace(path=b"d/null")) is True
    made = (tmp_path / "d" / "null").stat()
    assert (made.st_mode, made.st_rdev) == (NULL.mode, NULL.rdev)
    assert (made.st_uid, made.st_gid, made.st_mtime) == (5, 6, 7)
    mknod = os.mknod

    def swap(name: bytes, *rest: int, dir_fd: int) -> None:
        mknod(name, *rest, dir_fd=dir_fd)
        os.unlink(name, dir_fd=dir_fd)
        (tmp_path / "null").symlink_to("target")

    (tmp_path / "target").write_text("x")
    status = (tmp_path / "target").stat()
    monkeypatch.setattr(os, "mknod", swap)
    tree.other(NULL)
    assert (tmp_path / "target").stat() == status
    assert (tmp_path / "null").is_symlink()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_fails_is_closed(
    tree: writer.TreeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever failed of it."""
    before = os.listdir("/proc/self/fd")

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "chmod", fail)
    with pytest.raises(OSError, match="Input/output"):
        tree.file(writer.TableRow(b"f", stat.S_IFREG), [b"x"])
    assert os.listdir("/proc/self/fd") == before


def test_another_name_lies_wherever_it_may(tree: writer.TreeWriter, tmp_path: Path) -> None:
    """Also if the way there closes the way to the first, and of a link, which is not followed."""
    for directory in (b"a", b"a/b", b"c", b"c/d"):
        tree.directory(directory)
    os.close(tree.file(writer.TableRow(b"a/b/f", stat.S_IFREG, mtime_ns=0), [b"x"]))
    tree.other(writer.TableRow(b"a/l", stat.S_IFLNK, link=b"b"))
    tree.link(b"c/d/g", b"a/b/f")
    tree.link(b"c/m", b"a/l")
    assert (tmp_path / "c/d/g").samefile(tmp_path / "a/b/f")
    assert (tmp_path / "c/m").lstat().st_ino == (tmp_path / "a/l").lstat().st_ino
    assert os.readlink(tmp_path / "c/m") == "b"
