"""Running ``imgpack``: as a process, as a user does it, or inside this process, which is faster."""

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from imgpack.cli.main import run


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    out: bytes
    err: str

    def ok(self) -> bytes:
        """The standard output of a command that must have succeeded."""
        assert self.code == 0, f"exit code {self.code}: {self.err}"
        return self.out

    def failed(self, code: int) -> str:
        """The one line of error of a command that must have failed with ``code``."""
        assert self.code == code, f"exit code {self.code}, not {code}: {self.err}"
        lines = [line for line in self.err.splitlines() if line.startswith("imgpack: error: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err, self.err
        return lines[0]


_SIGNALS = ("env", "--default-signal=INT,TERM,HUP")
"""Before a command: it ends on signals, though whoever runs the tests ignores them (nohup)."""


class Imgpack:
    """``imgpack`` as a process in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(
        self,
        *arguments: str | bytes | Path,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        python: str = sys.executable,
        prefix: tuple[str, ...] = (),
        timeout: float = 300,
    ) -> Outcome:
        """Run to the end; ``env`` adds to the environment, ``prefix`` goes before the command."""
        done = subprocess.run(
            [*_SIGNALS, *prefix, python, "-m", "imgpack", *arguments],
            input=stdin,
            capture_output=True,
            env={**os.environ, **(env or {})},
            cwd=cwd or self.directory,
            timeout=timeout,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))

    def start(
        self, *arguments: str | bytes | Path, env: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        """Start without waiting; whoever asked ends it and closes its pipes."""
        return subprocess.Popen(
            [*_SIGNALS, sys.executable, "-m", "imgpack", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            cwd=self.directory,
        )


class InProcess:
    """``imgpack`` inside this process, in ``directory``, with streams of its own."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str | Path, stdin: bytes = b"") -> Outcome:
        """Run to the end."""
        out, err = io.BytesIO(), io.BytesIO()
        code = 0
        with self._monkeypatch.context() as patch:
            patch.chdir(self.directory)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
            patch.setattr(sys, "stdout", io.TextIOWrapper(out, "utf-8", write_through=True))
            patch.setattr(sys, "stderr", io.TextIOWrapper(err, "utf-8", write_through=True))
            try:
                run([str(argument) for argument in arguments])
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            finally:
                for stream in (sys.stdout, sys.stderr):
                    stream.flush()
                result = out.getvalue(), err.getvalue()
        return Outcome(code, result[0], result[1].decode("utf-8", "replace"))
