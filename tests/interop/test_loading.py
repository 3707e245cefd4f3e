"""Real engines get what they lack, and have in the end what was to be loaded."""

import json
import os
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from tests.cli_runner import Imgpack
from tests.interop.trees import make_small_tree
from tests.servers.engine import Containerd, Engine, Podman
from tests.servers.process import require

ROOT = Path(__file__).resolve().parent.parent.parent
HELLO = ROOT / "examples" / "hello" / "rootfs"
GREETING = (HELLO / "etc" / "greeting").read_bytes()
RUN = ("--platform", "linux/amd64", "--entrypoint", '["/hello"]')


class Wrapped:
    """A program in ``PATH`` before the real one, which keeps what it is fed."""

    def __init__(self, directory: Path, name: str, *arguments: str) -> None:
        self._directory = directory / f"wrapped-{name}"
        (self._directory / "bin").mkdir(parents=True)
        real, fed = require(name), f"{self._directory}/fed"
        words = " ".join(f"'{one}'" for one in arguments)
        program = self._directory / "bin" / name
        call = f"'{real}' {words} \"$@\""
        cases = (
            f"load*|*import*) tee '{fed}' | {call};;",
            f"pull*) for last; do :; done; ls \"${{last#dir:}}\" > '{fed}'; {call};;",
            f"*) exec {call};;",
        )
        program.write_text(f'#!/bin/sh\ncase "$*" in\n{" ".join(cases)}\nesac\n')
        program.chmod(0o755)

    @property
    def env(self) -> dict[str, str]:
        """The environment in which it is found."""
        return {"PATH": f"{self._directory}/bin:{os.environ['PATH']}"}

    def fed(self) -> bytes:
        """What came in last."""
        return (self._directory / "fed").read_bytes()

    def members(self) -> list[str]:
        """The files of the archive that came in last."""
        with tarfile.open(fileobj=BytesIO(self.fed())) as tar:
            return tar.getnames()


@pytest.fixture
def docker(engine: Engine, tmp_path: Path) -> Iterator[Wrapped]:
    """The program ``docker`` of the tests' engine."""
    yield Wrapped(tmp_path, "docker", "-H", f"unix://{engine.socket}")


def config_of(imgpack: Imgpack, archive: str) -> str:
    """The image's ID."""
    return str(json.loads(imgpack("manifest", archive).ok())["config"]["digest"])


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_docker_loads_once_and_runs_it(
    engine: Engine, docker: Wrapped, imgpack: Imgpack, compression: str
) -> None:
    """The second time no layer is sent; the ID is that of the archive."""
    name = f"once-{compression}:1"
    label = ("-l", f"by={compression}", "--compression", compression, "--format", "oci")
    make_small_tree(imgpack.directory / "own", **{compression: compression * 1000})
    imgpack("build", str(HELLO), "own", "-t", name, *RUN, *label, "-o", "a.tar").ok()
    known = config_of(imgpack, "a.tar")
    load = ("load", "a.tar", "--engine", "docker")
    assert imgpack(*load, env=docker.env).ok().decode() == f"{name}@{known}\n"
    assert [one for one in docker.members() if one.endswith(".tar")]
    assert json.loads(engine("image", "inspect", name))[0]["Id"] == known
    assert engine.run(name) == GREETING
    assert imgpack(*load, env=docker.env).ok().decode() == f"{name}@{known}\n"
    assert [one for one in docker.members() if one.endswith(".tar")] == []
    assert engine.run(name) == GREETING


def test_docker_gets_a_base_of_two_images_once(
    engine: Engine, docker: Wrapped, imgpack: Imgpack
) -> None:
    """Also from a build: what is on top goes over, and runs on what is there."""
    make_small_tree(imgpack.directory / "one", srv__one="the first\n")
    make_small_tree(imgpack.directory / "two", srv__two="the second\n")
    counts = []
    for name in "one", "two":
        build = ("build", str(HELLO), name, "-t", f"shared-{name}:1", *RUN, "--load")
        imgpack(*build, "--engine", "docker", env=docker.env).ok()
        counts.append(sum(one.endswith(".tar") for one in docker.members()))
        assert engine.run(f"shared-{name}:1") == GREETING
    assert counts[1] == 1
    assert not list(imgpack.directory.glob("*.tar"))


def test_docker_takes_an_image_again_that_was_deleted(
    engine: Engine, docker: Wrapped, imgpack: Imgpack
) -> None:
    """Nothing is thought to be there that is not."""
    make_small_tree(imgpack.directory / "gone", srv__gone="gone\n")
    build = ("build", str(HELLO), "gone", "-t", "gone:1", *RUN, "--load", "--engine", "docker")
    imgpack(*build, env=docker.env).ok()
    engine("image", "rm", "gone:1")
    imgpack(*build, env=docker.env).ok()
    assert engine.run("gone:1") == GREETING


@pytest.mark.parametrize("image_format", ["docker", "oci"])
def test_podman_pulls_what_it_lacks_and_runs_it(
    podman: Podman, imgpack: Imgpack, tmp_path: Path, image_format: str
) -> None:
    """And can give away what it was never sent whole."""
    podman_program = Wrapped(tmp_path, "podman", *podman.options)
    env = {**podman.environment, **podman_program.env}
    make_small_tree(imgpack.directory / "p", **{f"srv__{image_format}": image_format})
    first = ("build", str(HELLO), "-t", f"base-{image_format}:1", *RUN)
    second = ("build", str(HELLO), "p", "-t", f"over-{image_format}:1", *RUN)
    fed = []
    for build in first, second, second:
        more = ("--format", image_format, "--load", "--engine", "podman")
        said = imgpack(*build, *more, "--iidfile", "id", env=env).ok().decode()
        known = (imgpack.directory / "id").read_text()
        name = f"docker.io/library/{said.partition('@')[0]}"
        assert said.strip().endswith(f"@{known}")
        assert f"sha256:{json.loads(podman('image', 'inspect', name))[0]['Id']}" == known
        fed.append(len(podman_program.fed().split()) - len(("version", "manifest.json", "config")))
        assert podman.run(name) == GREETING
    assert fed[1:] == [1, 0]
    podman("push", "--quiet", name, f"dir:{tmp_path / 'pushed'}")
    manifest = json.loads((tmp_path / "pushed" / "manifest.json").read_bytes())
    assert manifest["config"]["digest"] == known
    assert all(layer["size"] > 0 for layer in manifest["layers"])


def test_containerd_gets_the_blobs_that_it_lacks(
    containerd: Containerd, imgpack: Imgpack, tmp_path: Path
) -> None:
    """It unpacks what it has, with what came now."""
    ctr = Wrapped(tmp_path, "ctr", "-a", str(containerd.socket))
    make_small_tree(imgpack.directory / "c", srv__c="c\n")
    load = ("load", "--engine", "containerd")
    (mount := tmp_path / "mount").mkdir()
    for name, sources in ("ctr-base:1", (str(HELLO),)), ("ctr-over:1", (str(HELLO), "c")):
        imgpack("build", *sources, "-t", name, *RUN, "-o", "a.tar").ok()
        digest = json.loads(imgpack("inspect", "a.tar", "--json").ok())["images"][0]["manifest"]
        said = imgpack(*load, "a.tar", env=ctr.env).ok().decode()
        assert said == f"{name}@{digest['digest']}\n"
    assert len([one for one in ctr.members() if one.startswith("blobs/")]) == 3
    with containerd.mounted("docker.io/library/ctr-over:1", mount) as place:
        assert (place / "etc/greeting").read_bytes() == GREETING
        assert (place / "srv/c").read_bytes() == b"c\n"


def test_containerd_keeps_every_platform_of_an_index(
    containerd: Containerd, imgpack: Imgpack, tmp_path: Path
) -> None:
    """Also when it has collected what nothing holds, so that it can give all of it away."""
    env = {"CONTAINERD_ADDRESS": str(containerd.socket)}
    make_small_tree(imgpack.directory / "arm", etc__arm="arm\n")
    platforms = ("--platform", "linux/amd64", "--platform", "linux/arm64=arm")
    imgpack("build", str(HELLO), "-t", "every:1", *platforms, "-o", "a.tar").ok()
    imgpack("load", "a.tar", "--engine", "containerd", env=env).ok()
    imgpack("build", "arm", "-t", "gone:1", "--load", "--engine", "containerd", env=env).ok()
    containerd("images", "rm", "--sync", "docker.io/library/gone:1")  # and collects
    out = tmp_path / "out.tar"
    containerd("images", "export", "--all-platforms", str(out), "docker.io/library/every:1")
    assert imgpack("inspect", "--verify", str(out)).ok().count(b"linux/arm64") >= 1
