"""Other tools take an index of several platforms, out of the archive and the registry."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli_runner import Imgpack
from tests.interop.test_loaders import BOTH, GREETING, HELLO, skopeo_copy
from tests.servers.distribution import Registry
from tests.servers.engine import Containerd, Engine, Podman
from tests.servers.process import require, run

PLATFORMS = ["linux/amd64", "linux/arm64"]


@pytest.fixture
def hello(imgpack: Imgpack, tmp_path: Path) -> list[str]:
    """The arguments of a build for both, of which one can be run here."""
    for name in ("shared", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
    shutil.copytree(HELLO, tmp_path / "hello")
    return [
        "build", "shared", "--platform", "linux/amd64=hello", "--platform", "linux/arm64=other",
        "--entrypoint", '["/hello"]',
    ]  # fmt: skip


@BOTH
def test_the_engine_runs_its_own_platform_of_a_nested_archive(
    engine: Engine, imgpack: Imgpack, hello: list[str], image_format: str
) -> None:
    """Out of ``manifest.json``."""
    name = f"platforms-{image_format}:1"
    imgpack(*hello, "-t", name, "--format", image_format, "-o", "hello.tar").ok()
    assert f"Loaded image: {name}" in engine.load(imgpack.directory / "hello.tar")
    assert engine.run(name) == GREETING


@BOTH
def test_podman_runs_its_own_platform_of_a_nested_archive(
    podman: Podman, imgpack: Imgpack, hello: list[str], image_format: str
) -> None:
    """Out of the index, where that is OCI's."""
    name = f"platforms-podman-{image_format}:1"
    imgpack(*hello, "-t", name, "--format", image_format, "-o", "hello.tar").ok()
    podman("load", "-i", str(imgpack.directory / "hello.tar"))
    assert podman.run(f"docker.io/library/{name}") == GREETING


@BOTH
def test_containerd_keeps_all_platforms_of_a_nested_archive(
    containerd: Containerd, imgpack: Imgpack, tmp_path: Path, hello: list[str], image_format: str
) -> None:
    """Under the index's digest, which it can send on; its own it can mount."""
    name = f"platforms-ctr-{image_format}:1"
    arguments = (*hello, "-t", name, "--format", image_format, "-o", "hello.tar")
    digest = imgpack(*arguments).ok().decode().strip().partition("@")[2]
    containerd("images", "import", "--all-platforms", str(tmp_path / "hello.tar"))
    full = f"docker.io/library/{name}"
    listed = containerd("images", "ls", f"name=={full}").decode()
    assert digest in listed
    assert "linux/amd64,linux/arm64" in listed
    (tmp_path / "mount").mkdir()
    with containerd.mounted(full, tmp_path / "mount") as place:
        assert (place / "etc" / "greeting").read_bytes() == GREETING


@BOTH
def test_skopeo_copies_all_platforms_of_a_nested_archive(
    imgpack: Imgpack, tmp_path: Path, hello: list[str], image_format: str
) -> None:
    """The index is what it was, to the byte."""
    digest = imgpack(*hello, "-t", "h:1", "--format", image_format, "-o", "h.tar").ok()
    run([
        require("skopeo"), "--insecure-policy", "copy", "--all", "--preserve-digests",
        f"oci-archive:{tmp_path / 'h.tar'}", f"dir:{tmp_path / 'copied'}",
    ])  # fmt: skip
    copied = json.loads((tmp_path / "copied" / "manifest.json").read_bytes())
    assert [
        f"{one['platform']['os']}/{one['platform']['architecture']}" for one in copied["manifests"]
    ] == PLATFORMS
    assert (tmp_path / "copied" / "manifest.json").read_bytes() == imgpack("manifest", "h.tar").ok()
    assert digest.decode().startswith("h:1@sha256:")


def test_skopeo_takes_a_joined_index(imgpack: Imgpack, tmp_path: Path, hello: list[str]) -> None:
    """Made of an archive and a layout, with annotations."""
    imgpack("build", "hello", "--platform", "linux/amd64", "-t", "a:1", "-o", "a.tar").ok()
    imgpack("build", "other", "--platform", "linux/arm64", "-t", "a:1", "-o", "b/").ok()
    joined = ("--add", "a.tar", "--add", "b/", "--annotation", "a=b")
    imgpack("index", "create", *joined, "-t", "x:1", "-o", "x/").ok()
    skopeo_copy(f"oci:{tmp_path / 'x'}:1", f"dir:{tmp_path / 'copied'}")
    assert (tmp_path / "copied" / "manifest.json").exists()


def test_podman_pulls_its_own_platform_of_what_is_pushed_while_it_is_built(
    registry: Registry, imgpack: Imgpack, podman: Podman, hello: list[str]
) -> None:
    """The registry has the children of the index."""
    name = f"{registry.host}/team/platforms:1"
    imgpack(*hello, "-t", name, "--push", "--annotation", "index,manifest:a=b").ok()
    said = json.loads(
        run(
            [require("skopeo"), "inspect", "--raw", "--tls-verify=false", f"docker://{name}"]
        ).stdout
    )
    assert said["annotations"] == {"a": "b"}
    podman("pull", "--tls-verify=false", name)
    assert podman.run(name) == GREETING
