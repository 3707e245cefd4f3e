"""The options that take something from a base, and what the others mean on one."""

from typing import Any

import click
import pytest

from imgpack.api import Ports, Runtime, RuntimeChanges
from imgpack.cli.options.build.config import RuntimeFlags
from imgpack.cli.options.build.unset import UnsetFlags
from imgpack.errors import ConfigError


def changes(runtime: dict[str, Any], **unset: Any) -> RuntimeChanges:
    """What some options say of a base."""
    return UnsetFlags(**unset).changes(RuntimeFlags(**runtime))


def test_without_options_nothing_changes() -> None:
    """Every key of the base stays."""
    assert changes({}) == RuntimeChanges(expand=True)


def test_each_option_takes_what_it_names() -> None:
    """Names once, ports with their protocol."""
    found = changes(
        {},
        unset_env=("A", "B", "A"),
        unset_label=("a=b",),
        unset_expose=("80", "8000-8010/UDP"),
        unset_volume=("/data",),
        clear_entrypoint=True,
        clear_cmd=True,
        clear_healthcheck=True,
        clear_user=True,
        clear_workdir=True,
        ignore_onbuild=True,
    )
    assert found == RuntimeChanges(
        Runtime(),
        ("A", "B"),
        ("a=b",),
        (Ports(80, 80), Ports(8000, 8010, "udp")),
        ("/data",),
        frozenset({"entrypoint", "cmd", "healthcheck", "user", "working_dir"}),
        expand=True,
        ignore_onbuild=True,
    )


def test_each_variable_is_an_instruction_of_its_own() -> None:
    """One given twice is there twice, for the second may have the first in it."""
    assert changes({"env": ("A=1", "A=$A:2")}).set.env == ("A=1", "A=$A:2")
    with pytest.raises(ConfigError, match="--env 'A' has no name and value"):
        changes({"env": ("A",)})


def test_a_relative_directory_is_below_the_bases() -> None:
    """An absolute one is one."""
    assert changes({"workdir": "app/x"}).relative_dir == "app/x"
    assert changes({"workdir": "/app"}) == RuntimeChanges(Runtime(working_dir="/app"), expand=True)
    with pytest.raises(ConfigError, match=r"--workdir 'a/../b' has .. in it"):
        changes({"workdir": "a/../b"})
    with pytest.raises(ConfigError, match="--workdir is empty"):
        changes({"workdir": ""})


@pytest.mark.parametrize(
    ("runtime", "unset", "problem"),
    [
        ({"cmd": ""}, "clear_cmd", "--clear-cmd and --cmd contradict each other"),
        ({"entrypoint": "a"}, "clear_entrypoint", "--clear-entrypoint and --entrypoint"),
        ({"healthcheck_cmd": "NONE"}, "clear_healthcheck", "and --healthcheck-cmd"),
        ({"user": "0"}, "clear_user", "--clear-user and --user"),
        ({"workdir": "x"}, "clear_workdir", "--clear-workdir and --workdir"),
    ],
)
def test_what_is_set_cannot_be_cleared(runtime: dict[str, Any], unset: str, problem: str) -> None:
    """Nobody could say which of them is meant."""
    with pytest.raises(click.UsageError, match=problem):
        changes(runtime, **{unset: True})


@pytest.mark.parametrize(
    ("option", "texts", "problem"),
    [
        ("unset_env", ("A=1",), "--unset-env 'A=1' has a value"),
        ("unset_env", ("",), "--unset-env is empty"),
        ("unset_label", ("",), "--unset-label is empty"),
        ("unset_volume", ("",), "--unset-volume is empty"),
        ("unset_expose", ("x",), "--unset-expose 'x' is not a port"),
    ],
)
def test_what_is_no_name_is_refused(option: str, texts: tuple[str, ...], problem: str) -> None:
    """By the option that it was given with."""
    with pytest.raises(ConfigError, match=problem):
        changes({}, **{option: texts})


def test_what_is_set_and_unset_by_name_is_refused() -> None:
    """Values and names come from different options, and may both come from a script."""
    with pytest.raises(ConfigError, match="ENV A is both set and unset"):
        changes({"env": ("A=1",)}, unset_env=("A",))


def test_without_a_base_there_is_nothing_to_take() -> None:
    """It is a mistake in the command, whatever the trees are."""
    UnsetFlags().check_base()
    with pytest.raises(click.UsageError, match="--unset-env is about a base image"):
        UnsetFlags(unset_env=("A",)).check_base()
