"""The examples: what is committed is what its script writes, and it does what it says."""

import os
import platform
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HELLO = ROOT / "examples" / "hello"


def test_the_committed_program_is_what_its_script_writes() -> None:
    """Nobody has to trust a binary: the script makes the same bytes."""
    written = runpy.run_path(str(HELLO / "make_hello.py"))["program"]()
    assert (HELLO / "rootfs" / "hello").read_bytes() == written
    assert (HELLO / "rootfs" / "hello").stat().st_mode & 0o777 == 0o755


def test_the_program_prints_the_greeting_of_its_own_tree(tmp_path: Path) -> None:
    """Alone in its tree, it needs no loader, no library and no shell."""
    if platform.machine() == "x86_64" and sys.platform == "linux":
        tree = shutil.copytree(HELLO / "rootfs", tmp_path / "rootfs")
        (tree / "etc" / "greeting").write_text("good morning\n")
        enter = ["chroot"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "chroot"]
        done = subprocess.run([*enter, tree, "/hello"], capture_output=True, check=True)
        assert done.stdout == b"good morning\n"
