"""What is written into and never replaced, and how it is told from a file."""

import os
import stat
from pathlib import Path

import pytest

from imgpack.errors import OutputError
from imgpack.files.streams import is_stream, named_descriptor, open_output


@pytest.mark.parametrize(
    ("path", "descriptor"),
    [
        ("/dev/stdout", 1),
        ("/dev/stderr", 2),
        ("/dev/fd/63", 63),
        ("/proc/self/fd/7", 7),
        ("/proc/thread-self/fd/7", 7),
        ("/dev/../dev/fd/1", 1),
        ("/dev/null", None),
        ("/dev/fd", None),
        ("/dev/fd/one", None),
        ("/nowhere/fd/1", None),
        ("1", None),
        ("-", None),
    ],
)
def test_a_descriptor_is_known_by_its_path(path: str, descriptor: int | None) -> None:
    """Whatever lies behind it, and whether it is open or not."""
    assert named_descriptor(path) == descriptor


def test_a_link_to_a_descriptor_names_it(tmp_path: Path) -> None:
    """As the log files of many images do; a circle of links names nothing."""
    (tmp_path / "log").symlink_to("/dev/stderr")
    (tmp_path / "second").symlink_to("log")
    (tmp_path / "circle").symlink_to("circle")
    assert named_descriptor(f"/proc/{os.getpid()}/fd/7") == 7
    assert named_descriptor(str(tmp_path / "second")) == 2
    assert named_descriptor(str(tmp_path / "circle")) is None


def test_a_named_pipe_stays_one(tmp_path: Path) -> None:
    """Its reader gets what is written."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDWR | os.O_NONBLOCK)
    try:
        assert is_stream(str(tmp_path / "pipe"))
        with open_output(str(tmp_path / "pipe")) as write:
            write(b"one ")
            write(b"two")
        assert os.read(reader, 10) == b"one two"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """As any output that is no stream."""
    with pytest.raises(ValueError), open_output(str(tmp_path / "file")) as write:
        write(b"half")
        raise ValueError
    assert os.listdir(tmp_path) == []
    with open_output(str(tmp_path / "file")) as write:
        write(b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"


def test_a_descriptor_that_is_open_for_reading_only_is_refused(tmp_path: Path) -> None:
    """Before there is anything to write."""
    (tmp_path / "file").touch()
    with (tmp_path / "file").open("rb") as file:
        path = f"/dev/fd/{file.fileno()}"
        with (
            pytest.raises(OutputError, match=f"cannot write {path}: it is open for reading only"),
            open_output(path),
        ):
            pass
