"""What the example programs make is loaded and run."""

import sys
from pathlib import Path

from tests.servers.engine import Engine
from tests.servers.process import run

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


def test_the_engine_runs_an_image_from_memory(engine: Engine, tmp_path: Path) -> None:
    """Its files were on no disk; it prints what one of them holds."""
    archive = tmp_path / "memory.tar"
    run([sys.executable, str(EXAMPLES / "from_memory.py"), str(archive), "out of thin air"])
    engine.load(archive)
    assert engine.run("from-memory:1") == b"out of thin air\n"
