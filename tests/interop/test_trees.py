"""Real trees in real programs: what comes out is exactly what went in."""

import contextlib
import hashlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli_runner import Imgpack
from tests.interop.conftest import Built
from tests.interop.trees import describe, differences, engine_differences
from tests.servers.engine import Engine, Podman
from tests.servers.process import require, run


@contextlib.contextmanager
def podman_mount(podman: Podman, image: str) -> Iterator[Path]:
    """The place where podman mounts an image."""
    place = podman("image", "mount", image).decode().strip()
    try:
        yield Path(place)
    finally:
        podman("image", "unmount", image)


def unpacked(archive: Path, tag: str, directory: Path) -> Path:
    """The root file system as umoci unpacks it."""
    layout = directory / "layout"
    with tarfile.open(archive) as tar:
        tar.extractall(layout, filter="data")
    run([require("umoci"), "unpack", "--image", f"{layout}:{tag}", str(directory / "bundle")])
    return directory / "bundle" / "rootfs"


def test_a_debian_tree_runs_in_the_engine(engine: Engine, debian: Built) -> None:
    """The package manager and the release file answer inside the container."""
    assert f"Loaded image: {debian.name}" in engine.load(debian.archive)
    packages = engine.run(debian.name, "dpkg", "-l").decode()
    assert "ii  base-files" in packages
    assert "ii  libc6:amd64" in packages
    release = engine.run(debian.name, "cat", "/etc/os-release").decode()
    assert "VERSION_CODENAME=bookworm" in release
    assert engine.run(debian.name, "dpkg", "--verify") == b""


def test_the_engine_holds_exactly_the_debian_tree(engine: Engine, debian: Built) -> None:
    """No path differs in type, mode, owner, size, time, target, attributes or content."""
    engine.load(debian.archive)
    with engine.running(debian.name, "sleep", "600") as place:
        inside = describe(place)
    assert engine_differences(debian.source, inside) == []


def test_a_debian_tree_runs_in_podman(podman: Podman, debian: Built) -> None:
    """The same, and the same tree, in podman's storage."""
    podman("load", "-i", str(debian.archive))
    name = f"docker.io/library/{debian.name}"
    assert b"bookworm" in podman.run(name, "cat", "/etc/os-release")
    assert b"ii  base-files" in podman.run(name, "dpkg", "-l")
    with podman_mount(podman, name) as place:
        assert differences(debian.source, describe(place)) == []


def test_the_engine_holds_exactly_the_edge_tree(engine: Engine, edge: Built) -> None:
    """Links, attributes, devices, odd names, holes, large ids and odd times all arrive."""
    engine.load(edge.archive)
    with engine.running(edge.name, "/bin/busybox", "sleep", "600") as place:
        inside = describe(place)
    assert engine_differences(edge.source, inside) == []


def test_podman_holds_exactly_the_edge_tree(podman: Podman, edge: Built) -> None:
    """The same in podman's storage."""
    podman("load", "-i", str(edge.archive))
    with podman_mount(podman, f"docker.io/library/{edge.name}") as place:
        assert differences(edge.source, describe(place)) == []


@pytest.mark.parametrize("debian", ["oci"], indirect=True)
def test_umoci_unpacks_exactly_the_debian_tree(debian: Built, tmp_path: Path) -> None:
    """The OCI image, extracted, is a layout that umoci takes."""
    rootfs = unpacked(debian.archive, "oci", tmp_path)
    assert differences(debian.source, describe(rootfs)) == []


@pytest.mark.parametrize("edge", ["oci"], indirect=True)
def test_umoci_unpacks_exactly_the_edge_tree(edge: Built, tmp_path: Path) -> None:
    """So it does the edge tree."""
    rootfs = unpacked(edge.archive, "oci", tmp_path)
    assert differences(edge.source, describe(rootfs)) == []


def test_gnu_tar_extracts_exactly_the_edge_tree(
    edge: Built, tmp_path: Path, imgpack: Imgpack
) -> None:
    """The layer is a tar that another tar reads without a warning."""
    manifest = json.loads(imgpack("manifest", str(edge.archive)).ok())
    digest = manifest["layers"][0]["digest"].removeprefix("sha256:")
    rootfs = tmp_path / "rootfs"
    rootfs.mkdir()
    with tarfile.open(edge.archive) as tar:
        member = tar.extractfile(f"blobs/sha256/{digest}")
        assert member is not None
        layer = member.read()
    argv = ["tar", "--extract", "--gzip", "--numeric-owner", "--same-owner"]
    argv += [
        "--preserve-permissions",
        "--warning=no-timestamp",
        "--xattrs",
        "--xattrs-include=*",
        "--file=-",
    ]
    done = run([*argv, "-C", str(rootfs)], input=layer, stdin=None)
    assert done.stderr == b""
    assert differences(edge.source, describe(rootfs)) == []


def test_the_digest_that_was_printed_is_the_manifests(edge: Built, imgpack: Imgpack) -> None:
    """Standard output of a build names what the archive holds."""
    raw = imgpack("manifest", str(edge.archive)).ok()
    assert edge.digest == "sha256:" + hashlib.sha256(raw).hexdigest()
