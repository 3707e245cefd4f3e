"""Locks and shallow images with real registries, engines and no network at all."""

import shutil
from pathlib import Path

import pytest

from imgpack import api
from tests.cli_runner import Imgpack
from tests.interop.conftest import Built
from tests.interop.test_registries import sent_bodies
from tests.servers.distribution import Registry
from tests.servers.engine import Engine
from tests.servers.process import require, require_root

CREATED = ("--created", "2020-01-02T03:04:05Z")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A tree that goes over a Debian."""
    (tmp_path / "app" / "bin").mkdir(parents=True)
    (tmp_path / "app" / "bin" / "hello").write_text("#!/bin/sh\necho hello\n")
    (tmp_path / "app" / "bin" / "hello").chmod(0o755)
    return tmp_path / "app"


def on(base: str | Path, out: str, *more: str, name: str = "app:1") -> tuple[str, ...]:
    """The command line of a build."""
    return ("build", "--from", str(base), "app", "-t", name, "-o", out, *CREATED, *more)


def test_every_form_of_a_base_gives_one_digest_and_a_lock_does_without_a_network(
    registry: Registry, imgpack: Imgpack, debian: Built, app: Path, tmp_path: Path
) -> None:
    """From the registry, its lock, and the lock in an empty network namespace."""
    require_root("a network namespace")
    name = f"{registry.host}/locked/{debian.name}"
    imgpack("push", debian.archive, name).ok()
    imgpack("base", "lock", name, "-o", "base.lock").ok()
    built = imgpack(*on(name, "remote.tar", "--no-cache")).ok()
    alone = (require("unshare"), "-n")
    locked = on("base.lock", "locked.tar", "--no-cache", "--shallow")
    assert imgpack(*locked, prefix=alone).ok() == built
    whole = on("base.lock", "whole.tar", "--base-layers", str(debian.archive))
    assert imgpack(*whole, prefix=alone).ok() == built
    assert (tmp_path / "whole.tar").read_bytes() == (tmp_path / "remote.tar").read_bytes()
    imgpack("base", "fetch", "base.lock").ok()
    assert imgpack(*on("base.lock", "fetched.tar"), prefix=alone).ok() == built
    assert (tmp_path / "fetched.tar").read_bytes() == (tmp_path / "remote.tar").read_bytes()
    # An archive of a base says the same of it, but for where it came from.
    imgpack("copy", debian.archive, "./layout/").ok()
    archived = {
        imgpack(*on(base, "x.tar", "--no-cache")).ok() for base in (debian.archive, "layout")
    }
    assert len(archived) == 1


@pytest.mark.parametrize("shallow", [True, False], ids=["shallow", "whole"])
def test_a_base_s_layers_are_mounted_by_a_registry(
    registry: Registry, imgpack: Imgpack, debian: Built, app: Path, shallow: bool
) -> None:
    """The application's layer and the configuration alone are sent."""
    name = f"{registry.host}/mounted-{shallow}/{debian.name}".lower()
    imgpack("push", debian.archive, name).ok()
    imgpack("base", "lock", name, "-o", "base.lock").ok()
    source = ("base.lock", "app.tar", "--shallow") if shallow else (name, "app.tar")
    imgpack(*on(*source)).ok()
    before = sent_bodies(registry)
    target = f"{registry.host}/mounted-{shallow}/app-{debian.name}".lower()
    imgpack("push", "app.tar", target).ok()
    assert sent_bodies(registry) - before == 2
    assert b"verified: 2 layers" in imgpack("inspect", target, "--verify").ok()


def test_a_shallow_push_without_its_base_sends_nothing(
    registry: Registry, imgpack: Imgpack, debian: Built, app: Path
) -> None:
    """The layer is named."""
    imgpack("base", "lock", str(debian.archive), "-o", "base.lock").ok()
    imgpack(*on("base.lock", "app.tar", "--shallow")).ok()
    before = sent_bodies(registry)
    line = imgpack("push", "app.tar", f"{registry.host}/nobase/app:1").failed(20)
    with api.open(str(debian.archive)) as opened:
        (image,) = api.images_in(opened.image().image)
    assert str(image.manifest.layers[0].digest) in line
    assert sent_bodies(registry) == before


def test_an_engine_that_has_the_base_loads_a_shallow_archive(
    engine: Engine, imgpack: Imgpack, debian: Built, app: Path, tmp_path: Path
) -> None:
    """It looks for a layer by its chain before it opens the file."""
    engine.load(debian.archive)
    imgpack("base", "lock", str(debian.archive), "-o", "base.lock").ok()
    name = f"shallow-{debian.name}"
    imgpack(*on("base.lock", "app.tar", "--shallow", name=name)).ok()
    assert (tmp_path / "app.tar").stat().st_size < 1 << 20
    assert shutil.which("docker") is not None
    engine.load(tmp_path / "app.tar")
    assert engine.run(name, "/usr/bin/hello") == b"hello\n"
