"""Only regular files are read, only so far, and nothing keeps a reader waiting."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from imgpack.errors import ArchiveError, SourceError
from imgpack.files.reading import (
    CHUNK,
    NotRegularError,
    input_errors,
    open_regular,
    read_range,
    read_regular,
)


def put_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(path))


IRREGULAR = pytest.mark.parametrize(
    "put", [os.mkfifo, os.mkdir, put_socket], ids=["pipe", "directory", "socket"]
)


@IRREGULAR
@pytest.mark.parametrize("follow", [True, False])
def test_what_is_no_file_is_not_read(
    tmp_path: Path, put: Callable[[Path], None], *, follow: bool
) -> None:
    """And no descriptor of it stays open."""
    put(tmp_path / "x")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(NotRegularError, match="not a regular file"):
        read_regular(str(tmp_path / "x"), 10, follow=follow)
    assert len(os.listdir("/proc/self/fd")) == before


@IRREGULAR
def test_a_user_s_link_leads_to_a_file_or_nowhere(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    """What is behind it counts."""
    put(tmp_path / "x")
    (tmp_path / "link").symlink_to("x")
    with pytest.raises(NotRegularError, match="not a regular file"):
        read_regular(str(tmp_path / "link"), 10, follow=True)


def test_a_link_is_followed_only_where_it_is_the_user_s(tmp_path: Path) -> None:
    """Elsewhere whoever made it would choose what is read; a circle is an error of the system's."""
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "circle").symlink_to("circle")
    assert read_regular(str(tmp_path / "link"), 10, follow=True) == b"content"
    with pytest.raises(NotRegularError, match="a symbolic link, not a file"):
        read_regular(str(tmp_path / "link"), 10)
    with pytest.raises(OSError, match="Too many levels"):
        read_regular(str(tmp_path / "circle"), 10, follow=True)


def test_dev_null_is_an_empty_file_of_the_user_s() -> None:
    """Many name it to say that there is none; no other device is read."""
    assert read_regular("/dev/null", 10, follow=True) == b""
    with pytest.raises(NotRegularError):
        read_regular("/dev/null", 10)
    with pytest.raises(NotRegularError):
        read_regular("/dev/zero", 10, follow=True)


def test_only_so_much_of_a_file_is_read(tmp_path: Path) -> None:
    """However large it is; what is shorter is read whole."""
    (tmp_path / "x").write_bytes(b"0123456789")
    os.truncate(tmp_path / "x", 1 << 40)
    assert read_regular(str(tmp_path / "x"), 10) == b"0123456789"
    assert len(read_regular(str(tmp_path / "x"), CHUNK + 1)) == CHUNK + 1
    os.truncate(tmp_path / "x", 5)
    before = len(os.listdir("/proc/self/fd"))
    assert read_regular(str(tmp_path / "x"), 10) == b"01234"
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_is_opened_with_its_size_below_a_directory(tmp_path: Path) -> None:
    """The descriptor is not inherited."""
    (tmp_path / "x").write_bytes(b"content")
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    fd, size = open_regular("x", dir_fd=directory)
    try:
        assert size == 7
        assert b"".join(read_range(fd, 3, None)) == b"tent"
        assert b"".join(read_range(fd, 3, 2)) == b"te"
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)
        os.close(directory)


def test_errors_of_inputs_name_them(tmp_path: Path) -> None:
    """And tell what is missing from what is something else."""
    path = str(tmp_path / "x")
    with pytest.raises(SourceError, match=f"{path} does not exist"), input_errors(path):
        open_regular(path)
    (tmp_path / "x").symlink_to("y")
    with pytest.raises(ArchiveError, match=f"{path} is a symbolic link"), input_errors(path):
        open_regular(path)
    inner = str(tmp_path / "file" / "x")
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match=f"cannot read {inner}: Not a dir"), input_errors(inner):
        open_regular(inner)
