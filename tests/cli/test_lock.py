"""``imgpack base``, and what is built on a lock: with the base's layers, or without."""

import json
from pathlib import Path

import pytest

from imgpack import api
from imgpack.errors import (
    DigestError,
    LimitError,
    MovedError,
    NotFoundError,
    SourceError,
    UnsupportedError,
)
from tests.cli.archives import write_archive
from tests.cli.test_json import check
from tests.cli_runner import InProcess
from tests.registry.hostile import HostileRegistry
from tests.registry.images import make_image, push_to
from tests.store.samples import tar_of

PASSWD = b"root:x:0:0::/:/bin/sh\napp:x:5:6::/:/bin/sh\n"
BASE = make_image(tar_of({"etc/passwd": PASSWD}), tar_of({"usr/lib/x": b"x", "opt/y": b"y"}))
NEWER = make_image(tar_of({"etc/passwd": PASSWD}), tar_of({"usr/lib/x": b"2", "opt/z": b"z"}))
LAYERS = len(BASE.manifest.layers)


@pytest.fixture
def here(imgpack_here: InProcess, tmp_path: Path) -> InProcess:
    """The command, where ``base.tar`` is a base, ``base.lock`` its lock, ``app`` a tree."""
    write_archive(tmp_path / "base.tar", BASE, "base:1")
    (tmp_path / "app" / "opt").mkdir(parents=True)
    (tmp_path / "app" / "opt" / "app").write_text("app")
    imgpack_here("base", "lock", "base.tar", "-o", "base.lock").ok()
    return imgpack_here


def on(base: str, out: str, *more: str) -> tuple[str, ...]:
    """The command line of a build."""
    return ("build", "--from", base, "app", "-t", "app:1", "--user", "app", "-o", out, *more)


def test_a_lock_an_archive_a_layout_and_a_registry_give_one_image(
    here: InProcess, tmp_path: Path
) -> None:
    """And so does a lock of each, and a lock with the layers from wherever they are."""
    here("copy", "base.tar", "./layout/").ok()
    with HostileRegistry() as registry:
        push_to(registry.host, BASE, "base:1")
        remote = f"{registry.host}/base:1"
        here("base", "lock", remote, "-o", "remote.lock").ok()
        named = here(*on(remote, "remote.tar")).ok()
        registry.requests.clear()
        assert here(*on("remote.lock", "r.tar", "--shallow")).ok() == named
        assert registry.requests == []
    here("base", "lock", "layout", "-o", "layout.lock").ok()
    built = here(*on("base.tar", "whole.tar")).ok()
    assert here(*on("layout", "x.tar")).ok() == built
    for lock in ("base.lock", "layout.lock"):
        assert here(*on(lock, "x.tar", "--shallow")).ok() == built
        for place in ("base.tar", "layout"):
            assert here(*on(lock, "x.tar", "--base-layers", place)).ok() == built
            assert (tmp_path / "x.tar").read_bytes() == (tmp_path / "whole.tar").read_bytes()


def test_without_the_layers_nothing_is_written_unless_it_may_be_shallow(
    here: InProcess, tmp_path: Path
) -> None:
    """The error has the ways out, the warning says what is left out."""
    line = here(*on("base.lock", "x.tar")).failed(UnsupportedError.exit_code)
    first = BASE.manifest.layers[0].digest
    assert f"x.tar would be without {LAYERS} layers of its base, as {first}" in line
    assert "--base-layers" in line
    assert "imgpack base fetch" in line
    assert "--shallow" in line
    assert not (tmp_path / "x.tar").exists()
    done = here(*on("base.lock", "x.tar", "--shallow"))
    done.ok()
    assert f"x.tar is shallow: it is without {LAYERS} layers" in done.err
    with api.open(str(tmp_path / "x.tar")) as opened:
        image = opened.image().image
        assert isinstance(image, api.Image)
        assert image.absent == {layer.digest for layer in BASE.manifest.layers}
        assert opened.roots[0].annotations == ()


def test_a_shallow_archive_is_no_damaged_one(here: InProcess, tmp_path: Path) -> None:
    """It is inspected, verified and copied as far as it goes; one that lost a layer is damaged."""
    here(*on("base.lock", "x.tar", "--shallow")).ok()
    told = here("inspect", "x.tar", "--verify").ok()
    assert b"verified: 1 layer" in told
    assert b"missing: 2 layers, not verified" in told
    assert b"(it is shallow)" in told
    (described,) = check("inspect", here("inspect", "x.tar", "--json").ok())["images"]
    assert described["missing"] == [str(layer.digest) for layer in BASE.manifest.layers]
    line = here("copy", "x.tar", "./y/").failed(UnsupportedError.exit_code)
    assert "would be without" in line
    here("copy", "x.tar", "./y/", "--shallow").ok()
    assert here("manifest", "y").ok() == here("manifest", "x.tar").ok()
    assert "shallow" in here(*on("x.tar", "z.tar", "--no-cache")).failed(9)
    here(*on("x.tar", "z.tar", "--no-cache", "--base-layers", "base.tar")).ok()
    assert b"verified: 4 layers" in here("inspect", "z.tar", "--verify").ok()
    with api.open(str(tmp_path / "x.tar")) as opened:
        own = api.images_in(opened.image().image)
        layer = next(own).manifest.layers[-1].digest
    (tmp_path / "y" / "blobs" / "sha256" / layer.hex).unlink()
    line = here("inspect", "y", "--verify").failed(NotFoundError.exit_code)
    assert str(layer) in line


def test_a_layout_becomes_whole_when_the_layers_come(here: InProcess, tmp_path: Path) -> None:
    """Its mark goes with the last of them."""
    here(*on("base.lock", "out/", "--shallow")).ok()
    assert "io.imgpack.shallow" in (tmp_path / "out" / "index.json").read_text()
    here(*on("base.lock", "out/", "--base-layers", "base.tar")).ok()
    assert "io.imgpack.shallow" not in (tmp_path / "out" / "index.json").read_text()
    assert b"verified: 3 layers" in here("inspect", "out", "--verify").ok()
    done = here(*on("base.lock", "out/"))  # what is there already is not missing
    done.ok()
    assert "shallow" not in done.err
    assert "io.imgpack.shallow" not in (tmp_path / "out" / "index.json").read_text()


def test_fetched_layers_are_used_from_the_cache(here: InProcess, tmp_path: Path) -> None:
    """Until they are trimmed; a damaged one is removed and named."""
    whole = here(*on("base.tar", "whole.tar")).ok()
    with HostileRegistry() as registry:
        push_to(registry.host, BASE, "base:1")
        here("base", "lock", f"{registry.host}/base:1", "-o", "remote.lock").ok()
        told = check("fetched", here("base", "fetch", "remote.lock", "--json").ok())
        assert [one["digest"] for one in told["layers"]] == [
            str(layer.digest) for layer in BASE.manifest.layers
        ]
        registry.requests.clear()
        here("base", "fetch", "remote.lock").ok()
        assert registry.sent("GET", "blobs") == []
    assert here(*on("base.lock", "x.tar")).ok() == whole
    assert json.loads(here("cache", "info", "--json").ok())["fetched"] == LAYERS
    kept = Path(told["directory"]) / "fetched" / BASE.manifest.layers[0].digest.hex
    kept.write_bytes(b"x" * kept.stat().st_size)
    line = here(*on("base.lock", "x.tar")).failed(DigestError.exit_code)
    assert "the cache entry" in line
    assert not kept.exists()
    here("base", "fetch", "base.tar").ok()
    assert here(*on("base.lock", "x.tar")).ok() == whole
    here("cache", "prune").ok()
    here(*on("base.lock", "x.tar")).failed(UnsupportedError.exit_code)


def test_more_than_the_cache_may_hold_is_not_fetched(here: InProcess) -> None:
    """It would be trimmed at once."""
    line = here("base", "fetch", "base.lock", "--cache-limit", "100").failed(LimitError.exit_code)
    assert "allow more with --cache-limit" in line
    assert "there is none" in here("base", "fetch", "base.lock", "--no-cache").failed(9)


def test_an_update_moves_a_lock_and_says_what_changed(here: InProcess, tmp_path: Path) -> None:
    """A check only says it, with an exit code of its own."""
    with HostileRegistry() as registry:
        push_to(registry.host, BASE, "base:1")
        name = f"{registry.host}/base:1"
        here("base", "lock", name, "-o", "r.lock").ok()
        before = (tmp_path / "r.lock").read_bytes()
        assert b"has not moved" in here("base", "update", "r.lock", "--check").ok()
        push_to(registry.host, NEWER, "base:1")
        done = here("base", "update", "r.lock", "--check")
        assert "imgpack base update r.lock" in done.failed(MovedError.exit_code)
        assert (tmp_path / "r.lock").read_bytes() == before
        told = here("base", "update", "r.lock").ok().decode()
        assert "layers    1 kept, 1 new" in told
        assert "files     1 added, 1 removed, 1 changed" in told
        assert "config    the same" in told
        here("base", "lock", name, "-o", "new.lock").ok()
        assert (tmp_path / "r.lock").read_bytes() == (tmp_path / "new.lock").read_bytes()
        assert check("updated", here("base", "update", "r.lock", "--json").ok())["moved"] is False
        push_to(registry.host, BASE, "base:1")
        told_again = check("updated", here("base", "update", "r.lock", "--json").ok())
        assert told_again["moved"] is True
        assert told_again["changes"][0]["layers_kept"] == 1
        locked = check("locked", here("base", "lock", name, "-o", "new.lock", "--json").ok())
        assert locked["pointsTo"] == told_again["pointsTo"]


def test_what_is_no_lock_is_refused(here: InProcess, tmp_path: Path) -> None:
    """A missing one is no reference; an archive is not updated; a lock is not locked again."""
    assert "none.lock does not exist" in here(*on("none.lock", "x.tar")).failed(3)
    assert here("base", "update", "none.lock").failed(SourceError.exit_code)
    assert "base.tar: it is no lock" in here("base", "update", "base.tar").failed(10)
    line = here("base", "lock", "base.lock", "-o", "x.lock").failed(9)
    assert "imgpack base update base.lock" in line
    (tmp_path / "half.lock").write_bytes((tmp_path / "base.lock").read_bytes()[:-500])
    assert "half.lock: the document is not JSON" in here(*on("half.lock", "x.tar")).failed(10)
    line = here(*on("base.lock", "x.tar", "--platform", "linux/s390x")).failed(20)
    assert "base.lock has no image for linux/s390x" in line
    line = here(*on("base.lock", "x.tar", "--base-layers", "none")).failed(3)
    assert "none does not exist" in line
    assert "verified" not in here("inspect", "base.lock").ok().decode()


def test_that_plain_layers_cannot_be_mounted_is_said(here: InProcess) -> None:
    """As docker save writes them; by the build and by the lock, and not from a registry's form."""
    here("build", "app", "-t", "plain:1", "-o", "plain.tar", "--compression", "none").ok()
    for command in (
        on("plain.tar", "x.tar", "--user", "5"),
        ("base", "lock", "plain.tar", "-o", "x.lock"),
    ):
        done = here(*command)
        done.ok()
        assert "plain.tar: the base's layers are not compressed" in done.err
    assert "not compressed" not in here(*on("base.tar", "x.tar")).err
