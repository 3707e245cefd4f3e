"""Completion in the shells themselves, at a terminal, switched on as the README says."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.screen import size
from tests.cli_runner import InProcess
from tests.servers.process import require

SHELLS = {
    "bash": ("bash", "--norc", "--noprofile", "-i"),
    "zsh": ("zsh", "-f", "-i"),
    "fish": ("fish", "--no-config", "-i"),
}
START = {
    "bash": 'eval "$(imgpack completion bash)"',
    "zsh": "autoload -Uz compinit; compinit -u -d zcompdump; setopt no_list_ambiguous; "
    'eval "$(imgpack completion zsh)"',
    "fish": "imgpack completion fish | source",
}
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
    programs.mkdir(exist_ok=True)
    (programs / "imgpack").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m imgpack "$@"\n')
    (programs / "imgpack").chmod(0o755)
    # What an argument is in the end is written where no shell can colour it.
    (programs / "arguments").write_text('#!/bin/sh\nfor one; do echo "$one"; done >arguments\n')
    (programs / "arguments").chmod(0o755)
    terminal, other = pty.openpty()
    size(other, 200, 50)
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "TERM": "dumb"}
    environment |= {"HOME": str(directory)}
    process = subprocess.Popen(
        [program, *SHELLS[name][1:]],
        stdin=other, stdout=other, stderr=other, cwd=directory, env=environment,
        start_new_session=True, preexec_fn=_own_terminal,
    )  # fmt: skip
    os.close(other)
    try:
        started = Shell(terminal)
        started.do(START[name])
        yield started
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(terminal)


def _own_terminal() -> None:
    os.close(os.open(os.ttyname(0), os.O_RDWR))  # the first that a session opens is its own


@pytest.fixture
def place(imgpack_here: InProcess, tmp_path: Path) -> Path:
    """Files to be completed, and archives with names in them."""
    here = tmp_path / "here"
    (here / "roots" / "etc").mkdir(parents=True)
    (here / "roots" / "etc" / "motd").write_text("hello")
    (here / "with blank").mkdir()
    (here / "it's $5.json").write_text("{}")
    (here / "my-image.json").write_text("{}")
    tags = ("-t", "localhost:5000/team/app:1.0", "-t", "other:2")
    imgpack_here("build", here / "roots", *tags, "-o", here / "my-image.tar").ok()
    return here


def completed(name: str, place: Path, lines: Iterable[str], typed: str = "") -> dict[str, str]:
    """What the last word of each line is when Tab was pressed behind it, and ``typed`` then."""
    found = {}
    with shell(name, place) as started:
        for line in lines:
            # The line is completed, and its words handed to another command.
            started.type(f"{line}\t{typed}\x01arguments \r")
            started.do("true")
            found[line] = (place / "arguments").read_text().splitlines()[-1]
            (place / "arguments").unlink()
    return found


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_completes_commands_options_and_files(name: str, place: Path) -> None:
    """Whatever an argument may be: without completion files were, and so they are with it."""
    expected = {
        "imgpack insp": "inspect",
        "imgpack base upd": "update",
        "imgpack build --healthcheck-ret": "--healthcheck-retries",
        "imgpack -q inspect my-image.t": "my-image.tar",
        "imgpack push my-image.t": "my-image.tar",
        "imgpack copy my-image.t": "my-image.tar",
        "imgpack copy x.tar my-image.t": "my-image.tar",
        "imgpack manifest ./my-image.t": "./my-image.tar",
        "imgpack build roots -o my-image.t": "my-image.tar",
        "imgpack build roots --output=my-image.t": "--output=my-image.tar",
        "imgpack build roots --metadata-file my-image.j": "my-image.json",
        "imgpack build roots -t my-image.j": "my-image.json",
    }
    assert completed(name, place, expected) == expected


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_completes_values_and_names(name: str, place: Path) -> None:
    """Those that are known: of an option, and of an image in an archive."""
    expected = {
        "imgpack build --format o": "oci",
        "imgpack build --format=o": "--format=oci",
        "imgpack build --stop-signal SIGQ": "SIGQUIT",
        "imgpack build --platform linux/ar": "linux/arm",
        "imgpack build --platform linux/arm6": "linux/arm64",
        "imgpack build --compression no": "none",
        "imgpack completion fi": "fish",
        "imgpack help repro": "reproducible-builds",
        "imgpack push my-image.tar loc": "localhost:5000/team/app:1.0",
        "imgpack push my-image.tar localhost:5000/te": "localhost:5000/team/app:1.0",
        "imgpack inspect my-image.tar --image oth": "other:2",
        "imgpack inspect --image oth": "other:2",
        "imgpack build --from my-image.tar:oth": "my-image.tar:other:2",
        "imgpack build --from=my-image.tar:loc": "--from=my-image.tar:localhost:5000/team/app:1.0",
        "imgpack build roots --from scr": "scratch",
    }
    assert completed(name, place, expected) == expected


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_completes_paths_inside_of_an_image(name: str, place: Path) -> None:
    """Behind a directory there is no blank, for there is more to come."""
    expected = {
        "imgpack ls my-image.tar /e": "/etc/X",
        "imgpack ls my-image.tar:other:2 e": "etc/X",
        "imgpack cat my-image.tar /etc/m": "X",
        "imgpack extract my-image.tar out etc/motd /e": "/etc/X",
    }
    assert completed(name, place, expected, "X") == expected


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_completes_images_of_the_file_beside_files(name: str, place: Path) -> None:
    """A word of a build may be either."""
    (place / "imgpack.toml").write_text("[image.web]\n[image.robot]\n")
    expected = {
        "imgpack build we": "web",
        "imgpack push we": "web",
        "imgpack build web rob": "robot",
        "imgpack build web my-image.j": "my-image.json",
        "imgpack build my-image.t": "my-image.tar",
    }
    assert completed(name, place, expected) == expected


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_completes_odd_names_as_ever(name: str, place: Path) -> None:
    """A directory gets a slash and no blank; blanks, quotes and signs mean themselves."""
    expected = {
        "imgpack build ro": "roots/X",
        "imgpack build wi": "with blank/X",
        "imgpack build with\\ bl": "with blank/X",
        "imgpack build roots/e": "roots/etc/X",
        "imgpack build --cache-dir ro": "roots/X",
        "imgpack build --cache-dir=ro": "--cache-dir=roots/X",
        "imgpack build it": "X",
        "imgpack build ~/ro": f"{place}/roots/X",
        "imgpack build --format o": "X",
        "imgpack insp": "X",
    }
    if name != "zsh":  # to zsh a colon is a letter
        expected["imgpack build roots:/op"] = "roots:/opt/X"
    assert completed(name, place, expected, "X") == expected


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_completes_within_quotes(name: str, place: Path) -> None:
    """Of a directory the quotes stay open: there may be more to it."""
    expected = {"imgpack build 'wi": "with blank/X"}
    # Bash closes them where it completes a directory.
    assert completed(name, place, expected, "X" if name == "bash" else "X'") == expected
