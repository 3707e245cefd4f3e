"""What layers make together is what docker, podman and umoci make of them."""

import stat
from pathlib import Path

import pytest

from imgpack.api import open_base
from imgpack.tree.entry import Entry
from imgpack.tree.merge.listing import listed_sha256
from imgpack.tree.problems import Problems
from imgpack.tree.xattrs import attributes
from tests.interop.layers import TOP, facts_of_export, write_image
from tests.interop.trees import KINDS, Facts, describe, differences
from tests.servers.engine import Engine, Podman
from tests.servers.process import require, run

SEEDS = range(6)


@pytest.fixture(scope="module", params=SEEDS)
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of an image of several layers."""
    place = tmp_path_factory.mktemp("layers")
    return write_image(place / "image.tar", request.param, f"localhost/layers:{request.param}")


@pytest.fixture(scope="module")
def merged(image: Path) -> dict[bytes, Facts]:
    """What its layers make together below one directory, as imgpack sees it."""
    with open_base(str(image)) as base:
        entries = [one for one in base.tree.entries() if one.path.startswith(TOP.encode())]
    names: dict[int, list[bytes]] = {}
    for entry in entries:
        if entry.links > 1 and not entry.is_directory:
            names.setdefault(entry.inode, []).append(entry.path)
    return {entry.path: facts(entry, min(names.get(entry.inode, [b""]))) for entry in entries}


def facts(entry: Entry, linked_with: bytes) -> Facts:
    """What a listing says of a path."""
    said = attributes(entry, Problems())
    assert said is not None
    kind = KINDS[stat.S_IFMT(entry.mode)]
    return Facts(
        kind,
        stat.S_IMODE(entry.mode),
        (entry.uid, entry.gid),
        entry.size if kind == "file" else 0,
        entry.mtime_ns // 1_000_000_000,
        entry.target() if kind == "symlink" else b"",
        entry.rdev,
        b"" if entry.is_directory else linked_with,
        tuple((name.decode(), value) for name, value in said.xattrs),
        listed_sha256(entry) or "",
    )


def test_docker_exports_the_same(engine: Engine, image: Path, merged: dict[bytes, Facts]) -> None:
    """No path differs in type, mode, owner, size, time, target, links, attributes or content."""
    name = engine.load(image).split()[-1]
    container = engine("create", name).decode().strip()
    try:
        assert differences(merged, facts_of_export(engine("export", container))) == []
    finally:
        engine("rm", container)


def below_top(root: Path) -> dict[bytes, Facts]:
    """What lies below the one directory on disk, and it itself."""
    return {name: found for name, found in describe(root).items() if name.startswith(TOP.encode())}


def test_podman_holds_the_same(podman: Podman, image: Path, merged: dict[bytes, Facts]) -> None:
    """Nor does any where podman mounts the image."""
    name = podman("load", "-q", "-i", str(image)).decode().split()[-1]
    place = podman("image", "mount", name).decode().strip()
    try:
        assert differences(merged, below_top(Path(place))) == []
    finally:
        podman("image", "unmount", name)


def test_umoci_unpacks_the_same(image: Path, merged: dict[bytes, Facts]) -> None:
    """Nor in what umoci unpacks."""
    layout, bundle = image.parent / "layout", image.parent / "bundle"
    source = f"docker-archive:{image}"
    run([require("skopeo"), "--insecure-policy", "copy", "-q", source, f"oci:{layout}:1"])
    run([require("umoci"), "unpack", "--image", f"{layout}:1", str(bundle)])
    assert differences(merged, below_top(bundle / "rootfs")) == []
