"""Which engine is taken, and what its program sees."""

from pathlib import Path

import pytest

from imgpack.api import Engine, Platform, find_engine, load
from imgpack.errors import ConfigError, EngineError
from tests.engine.fakes import Machine
from tests.engine.test_loading import named
from tests.store.samples import Memory, make_image


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with docker, podman and containerd."""
    found = Machine(tmp_path)
    for name in ("docker", "podman", "ctr"):
        found.install(name)
    return found


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({}, "docker"),
        ({"CONTAINER_HOST": "unix:///x"}, "podman"),
        ({"CONTAINERD_ADDRESS": "/x"}, "containerd"),
        ({"DOCKER_HOST": "unix:///x", "CONTAINER_HOST": "unix:///x"}, "docker"),
        ({"DOCKER_CONTEXT": "x", "CONTAINERD_ADDRESS": "/x"}, "docker"),
        ({"CONTAINER_HOST": ""}, "docker"),
    ],
)
def test_a_variable_that_names_one_goes_before_the_order(
    machine: Machine, said: dict[str, str], kind: str
) -> None:
    """Docker is before podman, and podman before containerd."""
    assert machine.find(**said).kind == kind


def test_the_next_one_is_taken_if_the_first_does_not_answer(tmp_path: Path) -> None:
    """Its program may be there, and its engine not run."""
    machine = Machine(tmp_path)
    (machine.install("docker") / "says").write_text('{"--version": "Docker version 1"}')
    machine.install("podman")
    assert machine.find().kind == "podman"


def test_podman_may_be_called_docker(tmp_path: Path) -> None:
    """The package podman-docker has it."""
    machine = Machine(tmp_path)
    machine.install(
        "docker", **{"--version": "podman version 4.3.1"}, info='{"host":{"arch":"amd64"}}'
    )
    assert machine.find().kind == "podman"


@pytest.mark.parametrize("said", ["nonsense", "[]", "null", '{"host":[]}', "[" * 10**5])
def test_an_engine_that_says_nothing_of_itself_is_an_ordinary_one(
    tmp_path: Path, said: str
) -> None:
    """Of the platform that most are of."""
    machine = Machine(tmp_path)
    machine.install("docker", version=said, info=said)
    machine.install("podman", info=said)
    for kind in ("docker", "podman"):
        assert machine.find(kind).platform == Platform("linux", "amd64")


def test_the_error_says_what_was_looked_for(tmp_path: Path) -> None:
    """Each, and why it was none; where a variable names one, that alone."""
    with pytest.raises(EngineError) as caught:
        find_engine(environment={"PATH": str(tmp_path)})
    assert caught.value.message == (
        "no engine is there: the program docker is not there; the program podman is not there; "
        "the program ctr is not there"
    )
    with pytest.raises(EngineError) as caught:
        find_engine(environment={"PATH": str(tmp_path), "CONTAINER_HOST": "x"})
    assert caught.value.message == "no engine is there: the program podman is not there"


def test_one_that_nobody_knows_is_a_mistake() -> None:
    """There are four."""
    with pytest.raises(ConfigError, match="'rocket'"):
        find_engine("rocket", environment={})


def test_programs_see_what_they_are_given_and_nothing_else(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variable of this process; the shell of the fake adds its own."""
    monkeypatch.setenv("SECRET", "of this process")
    engine: Engine = machine.find(DOCKER_CONFIG="/x")
    load([named(make_image(Memory()))], engine)
    for call in machine.calls("docker"):
        assert call["env"]["DOCKER_CONFIG"] == "/x"
        assert call["env"].keys() - {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"} == {
            "PATH",
            "DOCKER_CONFIG",
        }


def test_a_program_is_looked_for_in_absolute_directories(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies in the current directory is nobody's choice."""
    monkeypatch.chdir(machine.directory / "bin")
    with pytest.raises(EngineError):
        find_engine("docker", environment={"PATH": ".:"})


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ('{"Os":"\\u001b[31m","Arch":"a b"}', "runs nothing that is known"),
        ('{"Os":{"a":1},"Arch":"x/y/z"}', "runs nothing that is known"),
        ('{"Os":"linux","Arch":"amd64"}', None),
        ("[" * 100_000, None),
        ('{"Os":' + "9" * 5000 + "}", None),
    ],
)
def test_an_engine_that_says_nonsense_of_itself_is_none(
    tmp_path: Path, says: str, told: str | None
) -> None:
    """Or is taken to run what most do."""
    machine = Machine(tmp_path)
    machine.install("docker", version=says)
    if told is None:
        assert str(machine.find("docker").platform) == "linux/amd64"
        return
    machine.install("podman")
    assert machine.find().kind == "podman"
    with pytest.raises(EngineError, match=told):
        machine.find("docker")
