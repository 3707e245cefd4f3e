"""An application on a real base is what the engine makes when it copies the same files in."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli_runner import Imgpack
from tests.interop.bases import (
    COMMITTED,
    TOOL,
    commit,
    exported,
    import_tree,
    make_alpine,
    make_application,
    make_distroless,
    started,
    timeless,
    to_be_copied,
)
from tests.interop.trees import Facts, differences
from tests.servers.engine import Containerd, Engine, Podman
from tests.servers.process import require, run

WAIT = (f"/{TOOL}", "sleep", "600")
BASES = ("debian", "alpine", "distroless", "committed", "committed-by-podman")
IDENTICAL = b"etc/passwd"
"""What the base has just so: imgpack leaves it as it is there, and a copy has another time."""


@dataclass(frozen=True, slots=True)
class OnBase:
    """A base and an image on it, as archives; both are called ``name``, by other tags.

    ``copied`` is what an engine copies into a container of the base instead.
    """

    kind: str
    base: Path
    archive: Path
    copied: bytes

    @property
    def name(self) -> str:
        """The name of both, without a tag."""
        return f"localhost/proof/{self.kind}"


@pytest.fixture(scope="module", params=BASES)
def on_base(
    request: pytest.FixtureRequest, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> OnBase:
    """The application on each base; the engine made the base, imgpack what is on it."""
    kind, name = request.param, f"localhost/proof/{request.param}"
    place = tmp_path_factory.mktemp(kind)
    base, archive, application = place / "base.tar", place / "app.tar", place / "app"
    if kind == "debian":
        tree = request.getfixturevalue("debian_tree")
    else:
        tree = (make_distroless if kind == "distroless" else make_alpine)(place / "base")
    import_tree(engine, tree, f"{name}:base")
    maker: Engine | Podman = engine
    if kind == "committed-by-podman":
        maker = request.getfixturevalue("podman")
        engine("save", "-o", str(base), f"{name}:base")
        maker("load", "-i", str(base))
        base.unlink()
    for script in COMMITTED if kind.startswith("committed") else ():
        commit(maker, f"{name}:base", script, f"{name}:base")
    maker("save", "-o", str(base), f"{name}:base")
    if maker is not engine:
        engine.load(base)
    make_application(application, tree / "etc/passwd")
    Imgpack(place)("build", "--from", base, application, "-t", f"{name}:app", "-o", archive).ok()
    copied = to_be_copied(application, exported(engine, f"{name}:base"))
    return OnBase(kind, base, archive, copied)


@contextlib.contextmanager
def in_podman(podman: Podman, container: str) -> Iterator[Path]:
    """The root file system of a container of podman's."""
    try:
        yield Path(podman("mount", container).decode().strip())
    finally:
        podman("rm", "-f", container)


def created(loader: Engine | Podman, name: str) -> str:
    """A container that only waits."""
    return loader("create", "--network", "none", name, *WAIT).decode().strip()


def test_the_engine_copies_the_same_into_a_container(engine: Engine, on_base: OnBase) -> None:
    """No path of the image differs from the container's in anything but a directory's time."""
    engine.load(on_base.archive)
    reference = created(engine, f"{on_base.name}:base")
    engine("cp", "-a", "-", f"{reference}:/", input=on_base.copied, stdin=None)
    with started(engine, reference) as place:
        wanted = timeless(place, IDENTICAL)
    with started(engine, created(engine, f"{on_base.name}:app")) as place:
        assert differences(wanted, timeless(place, IDENTICAL)) == []


@pytest.fixture(scope="module")
def held(podman: Podman, on_base: OnBase) -> dict[bytes, Facts]:
    """What podman holds of the image."""
    podman("load", "-i", str(on_base.archive))
    with in_podman(podman, created(podman, f"{on_base.name}:app")) as place:
        return timeless(place, IDENTICAL)


def test_podman_copies_the_same_into_a_container(
    podman: Podman, on_base: OnBase, held: dict[bytes, Facts]
) -> None:
    """Nor does any in podman's storage."""
    podman("load", "-i", str(on_base.base))
    reference = created(podman, f"{on_base.name}:base")
    podman("cp", "--archive=false", "-", f"{reference}:/", input=on_base.copied, stdin=None)
    with in_podman(podman, reference) as place:
        assert differences(timeless(place, IDENTICAL), held) == []


def test_containerd_holds_the_same(
    containerd: Containerd, on_base: OnBase, held: dict[bytes, Facts], tmp_path: Path
) -> None:
    """It takes a directory that a layer lacks from the layer below, as others do not."""
    containerd("images", "import", str(on_base.archive))
    with containerd.mounted(f"{on_base.name}:app", tmp_path) as place:
        assert differences(held, timeless(place, IDENTICAL)) == []


def test_umoci_unpacks_the_same(on_base: OnBase, held: dict[bytes, Facts], tmp_path: Path) -> None:
    """It unpacks all layers into one directory, and follows the links that are there."""
    layout = f"oci:{tmp_path / 'layout'}:1"
    skopeo = [require("skopeo"), "--insecure-policy", "copy", "-q"]
    run([*skopeo, f"docker-archive:{on_base.archive}", layout])
    unpack = [require("umoci"), "unpack", "--image", layout.partition(":")[2]]
    run([*unpack, str(tmp_path / "bundle")])
    assert differences(held, timeless(tmp_path / "bundle" / "rootfs", IDENTICAL)) == []


def test_a_tar_of_the_application_makes_the_same_image(on_base: OnBase, imgpack: Imgpack) -> None:
    """With its links, owners and attributes."""
    application = str(on_base.archive.parent / "app")
    packed = ["tar", "-C", application, "--xattrs", "--xattrs-include=*", "--format=posix"]
    run([*packed, "-czf", str(imgpack.directory / "app.tar.gz"), "."])
    options = ("-t", f"{on_base.name}:app", "-o", "from-tar.tar")
    imgpack("build", "--from", on_base.base, "app.tar.gz", *options).ok()
    ours, again = (imgpack("manifest", archive).ok() for archive in (on_base.archive, options[-1]))
    assert again == ours


def test_the_application_runs_in_the_engine(engine: Engine, on_base: OnBase) -> None:
    """And the base's own programs still do."""
    engine.load(on_base.archive)
    _runs(engine, on_base)


def test_the_application_runs_in_podman(podman: Podman, on_base: OnBase) -> None:
    """So it does there."""
    podman("load", "-i", str(on_base.archive))
    _runs(podman, on_base)


def _runs(loader: Engine | Podman, on_base: OnBase) -> None:
    name = f"{on_base.name}:app"
    tool = f"/{TOOL}"
    assert loader.run(name, tool, "cat", "/etc/app/app.conf", "/lib/libapp.so") == (
        b"answer = 42\na library\n"
    )
    assert loader.run(name, tool, "stat", "-c", "%a", "/tmp", "/root") == b"1777\n700\n"
    if on_base.kind != "distroless":
        said = loader.run(name, "/bin/sh", "-c", "/bin/cat /tmp/seed; test -u /tmp || echo no")
        assert said == b"seed\nno\n"
    if on_base.kind == "debian":
        assert loader.run(name, "dpkg", "--verify") == b""
