"""The examples: what is committed is what its script writes, and it does what it says."""

import platform
import runpy
import shutil
from pathlib import Path

import pytest

from tests.servers.process import require, require_root, run

ROOT = Path(__file__).resolve().parent.parent
HELLO = ROOT / "examples" / "hello"


def test_the_committed_program_is_what_its_script_writes() -> None:
    """Nobody has to trust a binary: the script makes the same bytes."""
    written = runpy.run_path(str(HELLO / "make_hello.py"))["program"]()
    assert (HELLO / "rootfs" / "hello").read_bytes() == written
    assert (HELLO / "rootfs" / "hello").stat().st_mode & 0o777 == 0o755


def test_the_program_prints_the_greeting_of_its_own_tree(tmp_path: Path) -> None:
    """Alone in its tree, it needs no loader, no library and no shell."""
    require_root("a change of the root directory")
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("needs Linux on x86-64")
    tree = shutil.copytree(HELLO / "rootfs", tmp_path / "rootfs")
    (tree / "etc" / "greeting").write_text("good morning\n")
    assert run([require("chroot"), str(tree), "/hello"]).stdout == b"good morning\n"
