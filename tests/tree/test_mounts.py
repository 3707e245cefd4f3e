"""Mounts: whose times prove something, and which is which."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imgpack.tree.disk import mounts
from imgpack.tree.disk.mounts import mount_of


def at(path: Path) -> mounts.Mount:
    """The mount that a path lies on."""
    return mount_of(os.fsencode(path), os.lstat(path), None)


def test_a_mount_keeps_its_number(tmp_path: Path) -> None:
    """All that lies on it has the same one."""
    (tmp_path / "file").touch()

    assert at(tmp_path) == at(tmp_path / "file") == at(tmp_path)


def test_the_times_of_a_made_up_file_system_prove_nothing() -> None:
    """The kernel makes the files of /proc when it is asked for them."""
    assert at(Path("/proc/self")) == ("proc", 0)


def test_what_is_not_there_proves_nothing(tmp_path: Path) -> None:
    """It went while it was looked at."""
    assert mount_of(bytes(tmp_path / "gone"), os.lstat(tmp_path), None).number == 0


AGAIN = """
import os, subprocess, sys
from imgpack.tree.disk import mounts
def mounted():
    subprocess.run(["mount", "-t", "tmpfs", "one", sys.argv[1]], check=True)
    found = mounts.mount_of(os.fsencode(sys.argv[1]), os.lstat(sys.argv[1]), None)
    again = mounts.mount_of(os.fsencode(sys.argv[1]), os.lstat(sys.argv[1]), None)
    assert found == again and found.kind == "tmpfs" and found.number, found
    subprocess.run(["umount", sys.argv[1]], check=True)
    return found.number
print(mounted() != mounted())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_file_system_that_is_mounted_again_is_another(tmp_path: Path) -> None:
    """Its device and the number of its mount may be the same."""
    command = ["unshare", "-m", sys.executable, "-c", AGAIN, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if "mount: " in done.stderr or "unshare: " in done.stderr:
        pytest.skip("nothing may be mounted here")

    assert done.stdout == "True\n", done.stderr
