"""``imgpack load`` and ``imgpack build --load`` as a user meets them."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from imgpack.errors import AmbiguousError, EngineError
from tests.cli.archives import write_archive
from tests.cli_runner import Imgpack, InProcess, Outcome
from tests.engine.fakes import Machine
from tests.registry.hostile import HostileRegistry
from tests.registry.images import make_image as make_pushed
from tests.registry.images import make_index, push_to
from tests.store.samples import Memory, make_image, make_multi, tar_of


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with docker."""
    found = Machine(tmp_path / "machine")
    found.install("docker")
    found.use(monkeypatch)
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Something to build."""
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "file").write_bytes(b"text" * 1000)
    return tmp_path / "t"


def lines(outcome: Outcome) -> list[str]:
    """What was printed."""
    return outcome.ok().decode().splitlines()


def config_of(imgpack_here: InProcess, archive: str) -> str:
    """The image's ID."""
    document = json.loads(imgpack_here("manifest", archive).ok())
    return str(document["config"]["digest"])


class TestLoad:
    """``imgpack load``."""

    def test_it_prints_each_name_with_the_image_s_id(
        self, tmp_path: Path, imgpack_here: InProcess, machine: Machine
    ) -> None:
        """One line a name."""
        image = make_image(Memory())
        write_archive(tmp_path / "a.tar", image, "foo:1", "localhost:5000/bar:2")
        outcome = imgpack_here("load", "a.tar")
        assert lines(outcome) == [
            f"foo:1@{image.config.digest}",
            f"localhost:5000/bar:2@{image.config.digest}",
        ]
        assert outcome.err == ""

    @pytest.mark.parametrize(
        "arguments",
        [
            ("a.tar", "new:1"),
            ("-i", "a.tar", "new:1"),
            ("new:1", "--input", "a.tar"),
        ],
        ids=" ".join,
    )
    def test_a_name_is_given_instead(
        self,
        tmp_path: Path,
        imgpack_here: InProcess,
        machine: Machine,
        arguments: tuple[str, ...],
    ) -> None:
        """However the archive is named; -i is what docker load has."""
        image = make_image(Memory())
        write_archive(tmp_path / "a.tar", image, "foo:1")
        assert lines(imgpack_here("load", *arguments)) == [f"new:1@{image.config.digest}"]
        tags = json.loads((machine.directory / "stores/docker/tags").read_text())
        assert list(tags) == ["docker.io/library/new:1"]

    def test_standard_input_is_the_archive_without_an_argument(
        self, tmp_path: Path, imgpack: Imgpack, machine: Machine
    ) -> None:
        """As docker load has it."""
        image = make_image(Memory())
        path = write_archive(tmp_path / "a.tar", image, "foo:1")
        outcome = imgpack("load", stdin=Path(path).read_bytes())
        assert lines(outcome) == [f"foo:1@{image.config.digest}"]

    def test_all_images_of_an_archive_are_loaded_or_the_chosen_one(
        self, tmp_path: Path, imgpack_here: InProcess, machine: Machine
    ) -> None:
        """One name for several is refused."""
        source = Memory()
        for number, name in enumerate(("foo:1", "bar:1")):
            image = make_image(source, [tar_of({"x": b"%d" % number})])
            write_archive(f"{tmp_path}/layout/", image, name)
        assert len(lines(imgpack_here("load", "layout"))) == 2
        assert len(lines(imgpack_here("load", "layout", "--image", "bar:1"))) == 1
        assert len(lines(imgpack_here("load", "./layout:bar:1"))) == 1
        imgpack_here("load", "layout", "new:1").failed(AmbiguousError.exit_code)
        refused = imgpack_here("load", "layout", "--iidfile", "id").failed(2)
        assert "--iidfile is for one image, and there are 2" in refused

    def test_of_a_reference_only_the_engine_s_platform_is_fetched(
        self, imgpack_here: InProcess, machine: Machine
    ) -> None:
        """No other manifest is asked for."""
        with HostileRegistry() as registry:
            image, other = make_pushed(b"one"), make_pushed(b"two", platform="linux/arm64")
            push_to(registry.host, make_index(other, image), "a:1")
            name, before = f"{registry.host}/a:1", len(registry.requests)
            assert lines(imgpack_here("load", name)) == [f"{name}@{image.config.digest}"]
            asked = [one.path for one in registry.requests[before:]]
            assert any(str(image.manifest.descriptor.digest) in path for path in asked)
            assert not any(str(other.manifest.descriptor.digest) in path for path in asked)

    def test_an_index_gives_the_engine_s_platform_or_the_one_that_is_asked_for(
        self, tmp_path: Path, imgpack_here: InProcess, machine: Machine
    ) -> None:
        """``--platform`` counts."""
        index = make_multi(Memory(), "linux/arm64", "linux/amd64")
        write_archive(tmp_path / "a.tar", index, "foo:1")
        ids = [str(one.config.digest) for one in index.members]  # type: ignore[union-attr]
        assert lines(imgpack_here("load", "a.tar")) == [f"foo:1@{ids[1]}"]
        arm = imgpack_here("load", "a.tar", "--platform", "linux/arm64")
        assert lines(arm) == [f"foo:1@{ids[0]}"]

    def test_no_engine_is_an_error_that_says_what_was_looked_for(
        self, tmp_path: Path, imgpack_here: InProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And how one is named."""
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("DOCKER_HOST", raising=False)
        write_archive(tmp_path / "a.tar", make_image(Memory()), "foo:1")
        said = imgpack_here("load", "a.tar").failed(EngineError.exit_code)
        assert "the program docker is not there; the program podman is not there" in said
        assert said.endswith("start one, or name the one that is meant with --engine")

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_a_signal_ends_the_engine_s_program_too(
        self, tmp_path: Path, imgpack: Imgpack, machine: Machine, number: int, code: int
    ) -> None:
        """Nothing goes on in the background."""
        store = machine.directory / "stores/docker"
        (store / "hangs").touch()
        write_archive(tmp_path / "a.tar", make_image(Memory()), "foo:1")
        with imgpack.start("load", "a.tar") as process:
            while not (store / "hanging").exists():
                assert process.poll() is None
                time.sleep(0.02)
            process.send_signal(number)
            assert process.stderr is not None
            said = process.stderr.read()
        assert process.returncode == code, said
        assert said.count(b"\n") == 1
        with pytest.raises(ProcessLookupError):
            os.kill(int((store / "hanging").read_text()), 0)


class TestBuildLoad:
    """``imgpack build --load``."""

    def test_it_makes_no_file_and_compresses_nothing(
        self, tmp_path: Path, imgpack_here: InProcess, machine: Machine, tree: Path
    ) -> None:
        """The ID is that of the image in an archive."""
        before = sorted(os.listdir(tmp_path))
        outcome = imgpack_here("build", "t", "--load", "--no-cache", "--metadata-file", "m.json")
        document = json.loads((tmp_path / "m.json").read_text())
        assert sorted(os.listdir(tmp_path)) == sorted([*before, "m.json"])
        assert document["inputs"]["image"]["t"]["compression"] == "none"
        (layer,) = document["images"][0]["layers"]
        assert layer["digest"] == layer["diff_id"]
        imgpack_here("build", "t", "-o", "t.tar", "--no-cache").ok()
        known = config_of(imgpack_here, "t.tar")
        assert lines(outcome) == [f"t:latest@{known}"]
        assert document["loaded"] == [
            {"name": "docker.io/library/t:latest", "id": known, "engine": "docker"}
        ]

    def test_of_several_platforms_the_engine_gets_its_own(
        self, tmp_path: Path, imgpack_here: InProcess, machine: Machine, tree: Path
    ) -> None:
        """The metadata has them all."""
        more = ("--platform", "linux/amd64,linux/arm64", "--metadata-file", "m.json")
        imgpack_here("build", "t", "--load", "--no-cache", *more).ok()
        document = json.loads((tmp_path / "m.json").read_text())
        configs = [one["config"]["digest"] for one in document["images"][0]["images"]]
        assert len(configs) == 2
        assert [one["id"] for one in document["loaded"]] == configs[:1]

    @pytest.mark.parametrize("target", ["t.tar", "layout/", "new/"])
    def test_beside_an_archive_both_happen(
        self,
        tmp_path: Path,
        imgpack_here: InProcess,
        machine: Machine,
        tree: Path,
        target: str,
    ) -> None:
        """The archive is compressed as always."""
        imgpack_here("build", "t", "-o", "layout/", "-t", "other:1").ok()
        outcome = imgpack_here("build", "t", "--load", "-o", target, "-t", "x:1", "--iidfile", "id")
        known = (tmp_path / "id").read_text()
        manifest = json.loads(imgpack_here("inspect", target, "--json").ok())["images"][-1]
        digest = manifest["manifest"]["digest"]
        assert sorted(lines(outcome)) == sorted([f"x:1@{known}", f"x:1@{digest}"])
        assert manifest["layers"][0]["mediaType"].endswith("gzip")

    def test_beside_a_push_both_happen(
        self, tmp_path: Path, imgpack_here: InProcess, machine: Machine, tree: Path
    ) -> None:
        """And with an archive all three."""
        with HostileRegistry() as registry:
            name = f"{registry.host}/a:1"
            build = ("build", "t", "--load", "--push", "-t", name, "--iidfile", "id")
            build += ("--metadata-file", "m.json")
            for more in (), ("-o", "t.tar"):
                outcome = lines(imgpack_here(*build, *more))
                known = (tmp_path / "id").read_text()
                inputs = json.loads((tmp_path / "m.json").read_text())["inputs"]
                assert "compression" not in inputs["image"]["a"], "it is not for the engine alone"
                assert outcome[1] == f"{name}@{known}"
                assert outcome[0].startswith(f"{name}@sha256:") and outcome[0] != outcome[1]
            assert registry.incomplete() == []
        assert config_of(imgpack_here, "t.tar") == known

    def test_layers_of_a_base_that_the_engine_has_are_not_read(
        self, tmp_path: Path, imgpack_here: InProcess, machine: Machine, tree: Path
    ) -> None:
        """Only what is on top goes over."""
        write_archive(tmp_path / "base.tar", make_image(Memory()), "base:1")
        imgpack_here("load", "base.tar").ok()
        imgpack_here("build", "t", "--from", "base.tar", "--load", "-t", "top:1").ok()
        loads = machine.calls("docker", "load")
        assert [sum(name.endswith(".tar") for name in one["files"]) for one in loads] == [2, 1]

    def test_an_engine_without_load_is_refused(self, imgpack_here: InProcess, tree: Path) -> None:
        """It would be left alone."""
        assert "add --load" in imgpack_here("build", "t", "--engine", "podman").failed(2)

    def test_a_failed_load_leaves_what_was_written(
        self, tmp_path: Path, imgpack_here: InProcess, machine: Machine, tree: Path
    ) -> None:
        """The archive comes first, and is whole."""
        (machine.directory / "stores/docker/fails").write_text("no space")
        said = imgpack_here("build", "t", "--load", "-o", "t.tar").failed(EngineError.exit_code)
        assert "docker load failed: first line no space" in said
        imgpack_here("inspect", "t.tar", "--verify").ok()
