"""The golden vectors of the layer format, which ``scripts/golden`` wrote."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
VECTORS = ROOT / "tests/data/layer-golden.json"


def checked(script: Path) -> "subprocess.CompletedProcess[str]":
    """``scripts/golden --check``."""
    return subprocess.run(
        [sys.executable, str(script), "--check"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_the_layer_format_has_not_changed() -> None:
    """Regenerate with ``scripts/golden`` only together with a new version of the format."""
    done = checked(ROOT / "scripts/golden")

    assert done.returncode == 0, done.stderr


def test_a_change_of_the_format_would_be_told(tmp_path: Path) -> None:
    """With what differs and the command that records it."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "tests/data").mkdir(parents=True)
    shutil.copy(ROOT / "scripts/golden", tmp_path / "scripts/golden")
    (tmp_path / "imgpack").symlink_to(ROOT / "imgpack")
    recorded = json.loads(VECTORS.read_text())
    recorded["layer"]["diff_id"] = "sha256:" + "0" * 64
    recorded["headers"]["file"][0] = "0000 00"
    (tmp_path / "tests/data/layer-golden.json").write_text(json.dumps(recorded))

    done = checked(tmp_path / "scripts/golden")

    assert done.returncode == 1
    assert "differs: header 'file', layer." in done.stderr
    assert "run scripts/golden" in done.stderr
