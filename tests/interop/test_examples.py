"""What the example programs make is loaded and run."""

import re
import sys
from pathlib import Path

from tests.cli_runner import Imgpack
from tests.servers.engine import Engine
from tests.servers.process import run

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


def test_the_engine_runs_an_image_from_memory(engine: Engine, tmp_path: Path) -> None:
    """Its files were on no disk; it prints what one of them holds."""
    archive = tmp_path / "memory.tar"
    run([sys.executable, str(EXAMPLES / "from_memory.py"), str(archive), "out of thin air"])
    engine.load(archive)
    assert engine.run("from-memory:1") == b"out of thin air\n"


def test_the_engine_says_what_the_readme_shows(engine: Engine, tmp_path: Path) -> None:
    """The session's image is loaded and run, which a stand-in does in the other tests."""
    text = (EXAMPLES.parent / "README.md").read_text()
    shown = re.search(r"\$ imgpack load app.tar .*\n(.*)@sha256:…\n(.*\n)", text)
    assert shown is not None
    name, greeting = shown.groups()
    archive = tmp_path / "app.tar"
    tree = EXAMPLES / "hello" / "rootfs"
    Imgpack(tmp_path)("build", tree, "-t", name, "-o", archive, "--entrypoint", "/hello").ok()
    engine.load(archive)
    assert engine.run(name) == greeting.encode()
