"""Completion in the shells themselves, at a terminal, switched on as the README says."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.screen import size
from tests.servers.process import require

SHELLS = {
    "bash": ("bash", "--norc", "--noprofile", "-i"),
    "zsh": ("zsh", "-f", "-i"),
    "fish": ("fish", "--no-config", "-i"),
}
START = {"zsh": "autoload -Uz compinit; compinit -u -d zcompdump; setopt no_list_ambiguous; "}
_PATIENCE = 60.0
"""Seconds for a shell to answer, on a machine that has other work."""


class Shell:
    """A shell at a terminal."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._count = 0

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._terminal, text.encode())

    def read_until(self, pattern: str) -> str:
        """What is written up to something that has to come."""
        end = time.monotonic() + _PATIENCE
        seen = ""
        while not re.search(pattern, seen):
            ready, _, _ = select.select([self._terminal], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {pattern!r} came: {seen!r}"
            seen += os.read(self._terminal, 65536).decode("utf-8", "replace")
        return seen

    def do(self, command: str) -> None:
        """Run a command to its end."""
        self._count += 1
        self.type(f"{command}; echo do''ne-{self._count}\r")
        self.read_until(rf"done-{self._count}\s")


@contextmanager
def shell(name: str, directory: Path) -> Iterator[Shell]:
    """A shell with ``imgpack`` on its path and completion switched on."""
    program = require(name)
    programs = directory.parent / f"{directory.name}-bin"
    programs.mkdir()
    (programs / "imgpack").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m imgpack "$@"\n')
    (programs / "imgpack").chmod(0o755)
    # What an argument is in the end is written where no shell can colour it.
    (programs / "arguments").write_text('#!/bin/sh\nfor one; do echo "$one"; done >arguments\n')
    (programs / "arguments").chmod(0o755)
    terminal, other = pty.openpty()
    size(other, 200, 50)
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "TERM": "dumb"}
    process = subprocess.Popen(
        [program, *SHELLS[name][1:]],
        stdin=other, stdout=other, stderr=other, cwd=directory, env=environment,
        start_new_session=True, preexec_fn=_own_terminal,
    )  # fmt: skip
    os.close(other)
    try:
        started = Shell(terminal)
        started.do(f'{START.get(name, "")}eval "$(_IMGPACK_COMPLETE={name}_source imgpack)"')
        yield started
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(terminal)


def _own_terminal() -> None:
    os.close(os.open(os.ttyname(0), os.O_RDWR))  # the first that a session opens is its own


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Files to be completed."""
    (tmp_path / "here" / "roots").mkdir(parents=True)
    (tmp_path / "here" / "my-image.tar").write_bytes(b"")
    (tmp_path / "here" / "my-image.json").write_bytes(b"")
    return tmp_path / "here"


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_completes_commands_options_and_files(name: str, place: Path) -> None:
    """Whatever an argument may be: without completion files were, and so they are with it."""
    expected = {
        "imgpack insp": "inspect",
        "imgpack build --healthcheck-ret": "--healthcheck-retries",
        "imgpack build --format o": "oci",
        "imgpack build ro": "roots",
        "imgpack inspect my-image.t": "my-image.tar",
        "imgpack push my-image.t": "my-image.tar",
        "imgpack copy my-image.t": "my-image.tar",
        "imgpack copy x.tar my-image.t": "my-image.tar",
        "imgpack manifest ./my-image.t": "./my-image.tar",
        "imgpack build roots -o my-image.t": "my-image.tar",
        "imgpack build roots --metadata-file my-image.j": "my-image.json",
        "imgpack cache info --cache-dir ro": "roots",
    }
    found = {}
    with shell(name, place) as started:
        for line in expected:
            # The line is completed, and its last word handed to another command.
            started.type(f"{line}\t\x01arguments \r")
            started.do("true")
            found[line] = (place / "arguments").read_text().splitlines()[-1].rstrip("/")
    assert found == expected
