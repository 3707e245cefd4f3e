"""Files with holes: what is read is what was written, and zeros take no space."""

import os
import tempfile
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
