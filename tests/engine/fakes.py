"""A machine with engines that are not real: their programs, and what became of calls."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from imgpack.api import Engine, find_engine
from imgpack.events import SILENT, Reporter

_PROGRAM = Path(__file__).with_name("fake_program.py")
SAYS = {
    "docker": {
        "--version": "Docker version 20.10.24",
        "version": '{"Os":"linux","Arch":"amd64"}',
        "info": '{"DriverStatus":[["Backing Filesystem","extfs"]]}',
    },
    "podman": {"info": '{"host":{"os":"linux","arch":"amd64","serviceIsRemote":false}}'},
    "ctr": {"version": "Client: 1.6"},
    "kind": {"get nodes": "kind-control-plane\nkind-worker"},
}
"""What the programs answer by the beginning of their arguments, where there is no store to ask."""


@dataclass(frozen=True)
class Machine:
    """A directory with programs, ``bin`` below it, and their stores, each by its name."""

    directory: Path

    def install(self, name: str, **says: str) -> Path:
        """Have the program ``name``; where its store lies."""
        store = self.directory / "stores" / name
        store.mkdir(parents=True)
        answers = SAYS[name] | {key.replace("_", " "): text for key, text in says.items()}
        (store / "says").write_text(json.dumps(answers))
        programs = self.directory / "bin"
        programs.mkdir(exist_ok=True)
        program = programs / name
        program.write_text(
            f'#!/bin/sh\nexec "{sys.executable}" -I -S "{_PROGRAM}" "{store}" {name} "$@"\n'
        )
        program.chmod(0o755)
        return store

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let commands find its programs before others, and no variable name another engine."""
        monkeypatch.setenv("PATH", f"{self.directory}/bin:{os.environ['PATH']}")
        for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "CONTAINER_HOST", "CONTAINERD_ADDRESS"):
            monkeypatch.delenv(name, raising=False)

    def environment(self, **more: str) -> dict[str, str]:
        """What says where the programs are."""
        return {"PATH": str(self.directory / "bin"), **more}

    def find(self, kind: str | None = None, reporter: Reporter = SILENT, **more: str) -> Engine:
        """The engine, with scratch files in a directory of its own."""
        scratch = self.directory / "scratch"
        scratch.mkdir(exist_ok=True)
        return find_engine(
            kind,
            environment=self.environment(**more),
            scratch=lambda: str(scratch),
            reporter=reporter,
        )

    def calls(self, name: str, beginning: str = "") -> list[dict[str, Any]]:
        """The calls of a program whose arguments begin so, oldest first."""
        log = self.directory / "stores" / name / "calls"
        found = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [one for one in found if " ".join(one["arguments"]).startswith(beginning)]

    def left(self) -> list[Path]:
        """What lies in the scratch directory still."""
        return list((self.directory / "scratch").iterdir())
