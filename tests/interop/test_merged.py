"""What layers make together is what docker, podman and umoci make of them."""

import stat
from pathlib import Path

import pytest

from imgpack.api import open_base
from imgpack.tree.entry import Entry
from imgpack.tree.merge.listing import listed_sha256
from imgpack.tree.problems import Problems
from imgpack.tree.xattrs import attributes
from tests.cli_runner import Imgpack
from tests.interop.layers import TOP, facts_of_export, write_image
from tests.interop.trees import KINDS, Facts, describe, differences
from tests.servers.engine import Engine, Podman
from tests.servers.process import require, run

SEEDS = range(6)


@pytest.fixture(scope="module", params=SEEDS)
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of an image of several layers."""
    place = tmp_path_factory.mktemp("layers")
    return write_image(place / "image.tar", request.param)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """An archive of another image."""
    return write_image(tmp_path / "other.tar", 1000)


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
    assert differences(merged, exported(engine, image)) == []


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
    assert differences(merged, below_top(unpacked(image))) == []


def unpacked(image: Path) -> Path:
    """What umoci unpacks an image to."""
    layout, bundle = image.parent / "layout", image.parent / "bundle"
    if not bundle.exists():
        source = f"docker-archive:{image}"
        run([require("skopeo"), "--insecure-policy", "copy", "-q", source, f"oci:{layout}:1"])
        run([require("umoci"), "unpack", "--image", f"{layout}:1", str(bundle)])
    return bundle / "rootfs"


def exported(engine: Engine, archive: Path) -> dict[bytes, Facts]:
    """What docker makes of an image, below the one directory."""
    name = engine.load(archive).split()[-1]
    container = engine("create", name, "/none").decode().strip()
    try:
        return facts_of_export(engine("export", container))
    finally:
        engine("rm", container)


def test_a_difference_on_its_base_is_the_other_image(
    engine: Engine, imgpack: Imgpack, image: Path, merged: dict[bytes, Facts], other: Path
) -> None:
    """What one image has of its own, as docker lays it over another, makes the one."""
    options = ("-t", "localhost/difference:1", "-o", "difference.tar", "--diff-mtime")
    imgpack("build", "--diff-from", other, unpacked(image), *options).ok()
    assert differences(merged, exported(engine, imgpack.directory / "difference.tar")) == []


@pytest.mark.parametrize("seed", range(2000, 2003))
def test_one_layer_of_several_shows_the_same(engine: Engine, imgpack: Imgpack, seed: int) -> None:
    """In docker, deletions and all."""
    below, middle, top = (
        write_image(imgpack.directory / str(number) / "image.tar", number, links=False)
        for number in range(seed, seed + 300, 100)
    )
    sources = (unpacked(middle), unpacked(top))
    found, gone = [], min(exported(engine, below).keys() - {TOP.encode()})
    for tag, flags in (("several", ()), ("one", ("--squash",))):
        options = ("--whiteout", gone, "-t", f"localhost/squash:{tag}", "-o", f"{tag}.tar")
        imgpack("build", "--from", below, *sources, *options, *flags).ok()
        found.append(exported(engine, imgpack.directory / f"{tag}.tar"))
    assert len(found[0]) > 1
    assert differences(*found) == []
