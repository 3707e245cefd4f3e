"""A file that one process at a time replaces: whoever comes meanwhile waits, for the new one."""

import fcntl
import os
import threading
from pathlib import Path

import pytest

from imgpack.errors import ImgpackError
from imgpack.files.locked import replacing


def _is_free(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_one_waits_for_another_and_then_has_the_new_file(tmp_path: Path) -> None:
    """Not the old one, whose lock keeps nobody away."""
    path = tmp_path / "index"
    path.write_text("old")
    order: list[str] = []
    held: list[bool] = []

    def follow() -> None:
        with replacing(str(path)):
            order.append(path.read_text())
            held.append(not _is_free(path))

    second = threading.Thread(target=follow, daemon=True)
    with replacing(str(path)):
        second.start()
        second.join(0.2)
        order.append("first")
        new = tmp_path / "new"
        new.write_text("new")
        new.rename(path)
    second.join(10)

    assert order == ["first", "new"]
    assert held == [True]
    assert _is_free(path)


def test_nothing_stays_open(tmp_path: Path) -> None:
    """However the block ends."""
    before = os.listdir("/proc/self/fd")
    with replacing(str(tmp_path)):
        pass
    with pytest.raises(KeyError), replacing(str(tmp_path)):
        raise KeyError
    assert os.listdir("/proc/self/fd") == before


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    """As by whoever reads it."""
    with pytest.raises(ImgpackError, match="none does not exist"), replacing(f"{tmp_path}/none"):
        pass
