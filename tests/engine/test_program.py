"""An engine's program, whatever it prints and however it ends."""

import signal
from pathlib import Path

import pytest

from imgpack.engine import program
from imgpack.engine.program import EngineProgram
from imgpack.errors import EngineError


def script(directory: Path, text: str) -> EngineProgram:
    """A program of the shell that is called ``engine``."""
    path = directory / "engine"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return EngineProgram(str(path), (("PATH", "/usr/bin:/bin"),))


def test_one_that_complains_without_end_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though there is always something to read."""
    monkeypatch.setattr(program, "_PATIENCE", 0.2)
    with pytest.raises(EngineError, match="did not answer"):
        script(tmp_path, "while :; do echo on >&2; done").ask("version")


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGRTMIN + 1, "signal 35")]
)
def test_the_signal_that_ended_it_is_told(tmp_path: Path, number: int, name: str) -> None:
    """One without a name as well."""
    with pytest.raises(EngineError) as caught:
        script(tmp_path, f"kill -{int(number)} $$").ask("version")
    assert caught.value.message == f"engine version failed: {name}"
