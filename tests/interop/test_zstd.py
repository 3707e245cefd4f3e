"""A zstd layer that is put together of several segments is read by every engine."""

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli_runner import Imgpack
from tests.interop.bases import timeless
from tests.interop.trees import Facts
from tests.servers.engine import Containerd, Podman
from tests.servers.process import require, run

NAME = "localhost/segments"
LEVELS = (1, 3, 9, 19)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of some segments: of what repeats across them, of noise, and of zeros."""
    chance = random.Random(12)
    text = b"".join(b"%x is a number\n" % chance.getrandbits(40) for _ in range(80_000))
    root = tmp_path_factory.mktemp("zstd") / "tree"
    (root / "etc").mkdir(parents=True)
    for number in range(8):
        (root / "etc" / f"text{number}").write_bytes(text + b"%d" % number)
    # Pieces of noise have no zeros to join a frame by, those of zeros have nothing else.
    (root / "noise").write_bytes(chance.randbytes(21 << 20))
    (root / "zeros").write_bytes(bytes(18 << 20) + b"end")
    (root / "zz").write_bytes(b"last")
    return root


@pytest.fixture(scope="module")
def held(tree: Path) -> dict[bytes, Facts]:
    """What is in it."""
    return timeless(tree)


@pytest.fixture(scope="module", params=LEVELS)
def archive(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tree: Path
) -> Iterator[tuple[str, Path]]:
    """A name, and the OCI archive of the tree at one level."""
    place = tmp_path_factory.mktemp("archive")
    name, codec = f"{NAME}:{request.param}", f"zstd:{request.param}"
    how = ("--format", "oci", "--compression", codec, "--entrypoint", '["/none"]')
    Imgpack(place)("build", tree, "-t", name, *how, "-o", "z.tar").ok()
    yield name, place / "z.tar"


def test_podman_unpacks_it(
    podman: Podman, archive: tuple[str, Path], held: dict[bytes, Facts]
) -> None:
    """Podman. (Docker's engine reads zstd since 23, and not all that tests run on are.)"""
    name, path = archive
    podman("load", "-i", str(path))
    container = podman("create", "--network", "none", name).decode().strip()
    with contextlib.ExitStack() as stack:
        stack.callback(podman, "rm", "-f", container)
        place = Path(podman("mount", container).decode().strip())
        found = timeless(place)
    assert {one: found.get(one) for one in held} == held


def test_containerd_unpacks_it(
    containerd: Containerd, archive: tuple[str, Path], held: dict[bytes, Facts], tmp_path: Path
) -> None:
    """So does containerd."""
    name, path = archive
    containerd("images", "import", str(path))
    with containerd.mounted(name, tmp_path) as place:
        assert timeless(place) == held


def test_skopeo_compresses_it_anew(archive: tuple[str, Path], tmp_path: Path) -> None:
    """What it decompresses has the digest that the configuration says, or it refuses."""
    _, path = archive
    skopeo = [
        require("skopeo"),
        "--insecure-policy",
        "copy",
        "-q",
        "--dest-compress-format",
        "gzip",
    ]
    run([*skopeo, f"oci-archive:{path}", f"dir:{tmp_path / 'copied'}"])
