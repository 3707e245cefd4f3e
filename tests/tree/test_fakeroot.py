"""What fakeroot saved: by device and inode, as its save file says it."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from imgpack.api import Directory, Entry, directory_entry, fakeroot_state
from imgpack.errors import SourceError, TreeError
from imgpack.tree.inputs.fakeroot import FakerootState


def found(root: Path, name: str) -> Entry:
    """An entry on disk."""
    entry = Directory(bytes(root)).find(name.encode())
    assert entry is not None
    return entry


def line(path: Path, **values: str | int) -> bytes:
    """A line for a file, with other values than its own."""
    status = path.lstat()
    said = {"dev": f"{status.st_dev:x}", "ino": status.st_ino, "mode": f"{status.st_mode:o}",
            "uid": 0, "gid": 0, "nlink": 1, "rdev": 0} | values  # fmt: skip
    return ",".join(f"{key}={value}" for key, value in said.items()).encode() + b"\n"


def test_files_are_what_was_saved_of_them(tmp_path: Path) -> None:
    """Those of which nothing was saved are root's."""
    (tmp_path / "f").touch(0o600)
    (tmp_path / "null").touch()
    saved = line(tmp_path / "f", mode="104755", uid=5, gid=6)
    saved += line(tmp_path / "null", mode="20666", rdev=259)
    state = FakerootState(saved, "state")

    owned = state(found(tmp_path, "f"))
    assert (owned.mode, owned.uid, owned.gid) == (stat.S_IFREG | 0o4755, 5, 6)
    device = state(found(tmp_path, "null"))
    assert (device.mode, device.rdev) == (stat.S_IFCHR | 0o666, os.makedev(1, 3))
    other = found(tmp_path, "")._replace(uid=7, gid=7)
    assert state(other) == other._replace(uid=0, gid=0)
    assert state(directory_entry(b"d", uid=3)).uid == 3
    assert state.identity != FakerootState(line(tmp_path / "f"), "state").identity


def test_a_state_of_other_files_is_told(tmp_path: Path) -> None:
    """An inode may be another file by now."""
    (tmp_path / "f").write_text("content")
    for mode in ("20666", "40755", "120777"):
        state = FakerootState(line(tmp_path / "f", mode=mode), "state")
        with pytest.raises(TreeError, match="f is not what fakeroot saved of it") as caught:
            state(found(tmp_path, "f"))
        assert "not for a copy" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        b"x",
        b"dev=1,ino=2,mode=0,uid=0,gid=0,nlink=1,rdev=0",
        b"dev=1,ino=2,mode=100644,uid=4294967295,gid=0,nlink=1,rdev=0",
        b"dev=1,ino=2,mode=100644,uid=0,gid=0,nlink=1,rdev=0 /path",
        b"",
    ],
)
def test_what_fakeroot_does_not_save_is_told(tmp_path: Path, text: bytes) -> None:
    """With the line."""
    (tmp_path / "f").touch()
    with pytest.raises(TreeError, match=r"^state:2: .* is no line that fakeroot saves"):
        FakerootState(line(tmp_path / "f") + text + b"\n", "state")
    with pytest.raises(SourceError, match="cannot read the state"):
        fakeroot_state(bytes(tmp_path))


@pytest.mark.skipif(shutil.which("fakeroot") is None, reason="needs fakeroot")
def test_what_fakeroot_saves_is_read(tmp_path: Path) -> None:
    """From the program itself."""
    script = "cd t; touch f; chown 5:6 f; chmod 4750 f; mknod disk b 259 70000; mkdir d; chown 7 d"
    (tmp_path / "t").mkdir()
    subprocess.run(["fakeroot", "-s", "state", "sh", "-ec", script], check=True, cwd=tmp_path)
    state = fakeroot_state(bytes(tmp_path / "state"))

    owned, disk, directory = (state(found(tmp_path / "t", name)) for name in ("f", "disk", "d"))

    assert (owned.uid, owned.gid, owned.mode & 0o7777) == (5, 6, 0o4750)
    assert (stat.S_IFMT(disk.mode), disk.rdev) == (stat.S_IFBLK, os.makedev(259, 70000))
    assert (directory.uid, directory.gid) == (7, 0)
