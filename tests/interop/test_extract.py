"""What imgpack extracts and exports is what umoci and docker make of the same image."""

import tarfile
from pathlib import Path

import pytest

from tests.cli_runner import Imgpack
from tests.interop.conftest import Built
from tests.interop.layers import TOP, facts_of_export, write_image
from tests.interop.test_merged import below_top
from tests.interop.trees import describe, differences
from tests.servers.engine import Engine, Podman
from tests.servers.process import require, run


def by_umoci(archive: Path, place: Path) -> Path:
    """Where umoci unpacked an image."""
    layout = place / "layout"
    source = f"docker-archive:{archive}"
    run([require("skopeo"), "--insecure-policy", "copy", "-q", source, f"oci:{layout}:1"])
    run([require("umoci"), "unpack", "--image", f"{layout}:1", str(place / "bundle")])
    return place / "bundle" / "rootfs"


@pytest.mark.parametrize("seed", range(3000, 3006))
def test_layers_are_unpacked_as_umoci_does(imgpack: Imgpack, seed: int) -> None:
    """No path differs in type, mode, owner, size, time, target, links, attributes or content."""
    archive = write_image(imgpack.directory / "image.tar", seed)
    imgpack("extract", archive, "out").ok()
    theirs = describe(by_umoci(archive, imgpack.directory))
    assert differences(theirs, describe(imgpack.directory / "out")) == []


@pytest.mark.parametrize("edge", ["docker"], indirect=True)
def test_a_tree_of_every_kind_comes_back_and_is_built_the_same(
    imgpack: Imgpack, edge: Built
) -> None:
    """What is extracted is what it was built from, and makes the same layer."""
    imgpack("extract", edge.archive, "out").ok()
    assert differences(edge.source, describe(imgpack.directory / "out")) == []
    for source in (edge.archive, "again.tar"):
        imgpack("export", source, "-o", f"{Path(source).stem}-files.tar").ok()
        imgpack("build", "out", "-o", "again.tar", "-t", "x/edge:1").ok()
    files = [path.read_bytes() for path in sorted(imgpack.directory.glob("*-files.tar"))]
    assert len(files) == 2
    assert files[0] == files[1]


@pytest.mark.parametrize("seed", range(3000, 3003))
def test_the_exported_tar_is_what_docker_exports(
    engine: Engine, imgpack: Imgpack, seed: int
) -> None:
    """Nor does any path differ there; docker import and tar take it."""
    archive = write_image(imgpack.directory / "image.tar", seed)
    imgpack("export", archive, "-o", "files.tar").ok()
    name = engine.load(archive).split()[-1]
    container = engine("create", name, "/none").decode().strip()
    try:
        theirs = facts_of_export(engine("export", container))
    finally:
        engine("rm", container)
    written = imgpack.directory / "files.tar"
    assert differences(theirs, facts_of_export(written.read_bytes())) == []
    with tarfile.open(written) as tar:
        assert tar.getnames()[0] == TOP
    imported = engine("import", str(written)).decode().strip()
    engine("rmi", imported)


@pytest.mark.parametrize("seed", range(3000, 3004))
def test_what_is_extracted_and_exported_is_what_podman_shows(
    podman: Podman, imgpack: Imgpack, seed: int
) -> None:
    """Where it mounts the image, and in what it exports: deletions, links, attributes and all."""
    archive = write_image(imgpack.directory / "image.tar", seed)
    imgpack("extract", archive, "out").ok()
    imgpack("export", archive, "-o", "files.tar").ok()
    name = podman("load", "-q", "-i", str(archive)).decode().split()[-1]
    place = podman("image", "mount", name).decode().strip()
    try:
        theirs = below_top(Path(place))
        assert len(theirs) > 10
        assert differences(theirs, below_top(imgpack.directory / "out")) == []
    finally:
        podman("image", "unmount", name)
    container = podman("create", name, "/none").decode().strip()
    try:
        exported = facts_of_export(podman("export", container))
    finally:
        podman("rm", container)
    written = (imgpack.directory / "files.tar").read_bytes()
    assert differences(exported, facts_of_export(written)) == []
