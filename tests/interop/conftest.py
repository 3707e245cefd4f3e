"""The trees and the images of the interop tests, each made once."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli_runner import Imgpack
from tests.interop.trees import Facts, describe, make_edge_tree
from tests.servers.process import require, require_root, run

SUITE = "bookworm"
FORMATS = ("docker", "oci")


@pytest.fixture(scope="session")
def debian_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Debian minbase tree by mmdebstrap; ``IMGPACK_TEST_TREE`` names one that is there."""
    given = os.environ.get("IMGPACK_TEST_TREE")
    if given:
        return Path(given)
    program = require("mmdebstrap")
    require_root("a Debian tree with its real owners")
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    tree = shared / "debian-tree"
    with (shared / "debian-tree.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.exists():
            unready = shared / "debian-tree.unready"
            argv = [program, "--mode=root", "--variant=minbase", "--format=directory"]
            run([*argv, SUITE, str(unready)], timeout=600)
            unready.rename(tree)
    return tree


@dataclass(frozen=True, slots=True)
class Built:
    """An archive that imgpack built, and what the tree held that it was built from."""

    archive: Path
    name: str
    digest: str
    source: dict[bytes, Facts]


def build(directory: Path, tree: Path, repository: str, image_format: str) -> Built:
    """Build a tree into ``directory``."""
    archive = directory / f"{repository}-{image_format}.tar"
    name = f"{repository}:{image_format}"
    arguments = ["-t", name, "-o", str(archive), "--format", image_format]
    out = Imgpack(directory)("build", str(tree), *arguments, "--cmd", "/bin/sh").ok().decode()
    said, _, digest = out.strip().rpartition("@")
    assert said == name
    return Built(archive, name, digest, describe(tree))


@pytest.fixture(scope="session", params=FORMATS)
def debian(
    request: pytest.FixtureRequest, debian_tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> Built:
    """The Debian tree as an archive, in each format."""
    return build(tmp_path_factory.mktemp("debian"), debian_tree, "debian", request.param)


@pytest.fixture(scope="session")
def edge_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with every kind of path."""
    require("busybox")
    require_root("device nodes and foreign owners")
    return make_edge_tree(tmp_path_factory.mktemp("edge") / "rootfs")


@pytest.fixture(scope="session", params=FORMATS)
def edge(
    request: pytest.FixtureRequest, edge_tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> Built:
    """The edge tree as an archive, in each format."""
    return build(tmp_path_factory.mktemp("edge-image"), edge_tree, "edge", request.param)
