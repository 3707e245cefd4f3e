"""Colours are for who looks, and as the environment wants them."""

import io
from pathlib import Path

import pytest

from imgpack.cli.output.colour import coloured
from tests.cli.screen import shown
from tests.cli_runner import Imgpack


class _Stream(io.StringIO):
    def __init__(self, *, tty: bool) -> None:
        super().__init__()
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


@pytest.mark.parametrize(
    ("environment", "tty", "expected"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"CLICOLOR_FORCE": "1"}, False, True),
        ({"CLICOLOR_FORCE": "0"}, False, False),
        ({"FORCE_COLOR": "0"}, True, False),
        ({"CLICOLOR": "0"}, True, False),
        ({"TERM": "dumb"}, True, False),
        ({"TERM": "dumb", "FORCE_COLOR": "3"}, True, True),
    ],
    ids=str,
)
def test_the_environment_decides(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], tty: bool, expected: bool
) -> None:
    """NO_COLOR first, then what forces colours, then the terminal."""
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert coloured(_Stream(tty=tty)) is expected


def test_names_and_errors_stand_out_at_a_terminal(tmp_path: Path) -> None:
    """And nowhere else."""
    (tmp_path / "t").mkdir()
    written, _ = shown(tmp_path, "build", "t", "-o", "t.tar", columns=80)
    assert "\x1b[1mt:latest\x1b[0m@sha256:" in written
    assert "\x1b[1mt:latest\x1b[0m\r\n" in shown(tmp_path, "inspect", "t.tar", columns=80)[0]
    written, _ = shown(tmp_path, "inspect", "no.tar", columns=80, code=3)
    assert written.startswith("imgpack: \x1b[31m\x1b[1merror:\x1b[0m no.tar does not exist")
    written, _ = shown(tmp_path, "inspect", "no.tar", columns=80, code=3, env={"NO_COLOR": "1"})
    assert "\x1b" not in written


def test_without_a_terminal_nothing_is_a_control_sequence(imgpack: Imgpack, tmp_path: Path) -> None:
    """Whatever TERM says; unless somebody wants it."""
    (tmp_path / "t").mkdir()
    env = {"TERM": "xterm-256color"}
    for arguments in (("build", "t", "-o", "t.tar"), ("inspect", "t.tar"), ("inspect", "no.tar")):
        done = imgpack(*arguments, env=env)
        assert b"\x1b" not in done.out + done.err.encode()
    forced = imgpack("inspect", "t.tar", env={"FORCE_COLOR": "1"}).ok()
    assert forced.startswith(b"\x1b[1mt:latest\x1b[0m\n")
