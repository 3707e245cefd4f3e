"""Every option and command of the programs on this machine is there, or is answered."""

import re
import subprocess

import pytest

from imgpack.cli.habits import commands
from imgpack.cli.main import COMMANDS
from tests.cli.test_habits import told
from tests.servers.process import require

_OPTION = re.compile(r"^ +(?:(-\w), )?(?:    )?(--[\w.-]+)", re.MULTILINE)
_COMMAND = re.compile(r"^  ([a-z][a-z-]+) {2,}\S", re.MULTILINE)

OPTIONS = {
    "docker build": "build",
    "docker push": "push",
    "docker pull": "pull",
    "docker inspect": "inspect",
    "docker login": "login",
    "podman build": "build",
    "podman push": "push",
    "podman pull": "pull",
    "podman login": "login",
    "buildah build": "build",
    "skopeo copy": "copy",
    "skopeo inspect": "inspect",
    "skopeo delete": "rm",
    "skopeo list-tags": "tags",
    "skopeo login": "login",
    "skopeo logout": "logout",
}
"""Whose options a command is asked for."""
GROUPS = ("docker", "docker image", "docker manifest", "podman", "podman image",
          "podman manifest", "skopeo", "buildah")  # fmt: skip


def helped(program: str) -> str:
    """Its help."""
    name, *words = program.split()
    done = subprocess.run([require(name), *words, "--help"], capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.mark.parametrize("program", OPTIONS)
def test_each_option_is_there_or_is_answered(program: str) -> None:
    """With more than a hint to the help."""
    command = OPTIONS[program]
    found = {name for pair in _OPTION.findall(helped(program)) for name in pair if name}
    assert len(found) > 2
    assert sorted(one for one in found - {"-h"} if told((command,), one).startswith("see ")) == []


@pytest.mark.parametrize("program", GROUPS)
def test_each_command_is_there_or_is_answered(program: str) -> None:
    """With its group before it, as it is typed."""
    group = program.split()[1:]
    found = set(_COMMAND.findall(helped(program)))
    assert len(found) > 4
    unknown = [
        name
        for name in found
        if name not in COMMANDS
        and name not in commands.ALIASES
        and not commands.answer([*group, name])
    ]
    assert unknown == []
