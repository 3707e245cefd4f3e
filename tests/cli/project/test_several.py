"""Several images of one file: their order, what they share, and the one that fails."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path

import pytest

from tests.cli.project.shop import Shop
from tests.cli.test_json import check

SHARED = """\
[image.web]
layers = ["trees/lib", "trees/web:/srv"]
[image.api]
layers = ["trees/lib", "trees/api:/srv"]
"""


def layers(shop: Shop, archive: str) -> list[str]:
    """The digests of an image's layers, bottom first."""
    document = json.loads(shop.imgpack("inspect", "--json", archive).ok())
    return [layer["digest"] for layer in document["images"][0]["layers"]]


@pytest.mark.parametrize("cache", [(), ("--no-cache",)], ids=len)
def test_a_layer_of_two_images_is_made_once(shop: Shop, cache: tuple[str, ...]) -> None:
    """From the cache; with --no-cache from one of this run, which is gone afterwards."""
    shop.write(SHARED)
    done = shop.imgpack("build", "-v", "--cache-dir", f"{shop.directory}/cache", *cache)
    done.ok()
    reused = re.findall(r"(\d+) of \d+ segments reused", done.err)
    assert reused == ["0", "0", "1", "0"]
    assert layers(shop, "web.tar")[0] == layers(shop, "api.tar")[0]
    assert (shop.directory / "cache").exists() == (not cache)


def test_without_a_cache_nothing_stays(
    shop: Shop,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
) -> None:
    """Neither in the place of the cache nor among temporary files; the bytes are the same."""
    temporary = tmp_path_factory.mktemp("tmp")
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    shop.write(SHARED)
    shop.imgpack("build", "--no-cache").ok()
    digests = shop.digest("web.tar"), shop.digest("api.tar")
    assert [*temporary.iterdir()] == []
    assert [path for path in home.rglob("*") if path.is_file()] == []
    shop.imgpack("build").ok()
    assert (shop.digest("web.tar"), shop.digest("api.tar")) == digests


BASED = """\
[image.web]
from-image = "base"
layers = ["trees/web:/srv"]
env = { B = "${A:-}" }
[image.base]
layers = ["trees/lib"]
env = { A = "1" }
[image.api]
from-image = "web"
layers = ["trees/api:/api"]
""".replace("${A:-}", "$${A}")


@pytest.mark.parametrize("output", ["", 'output = "out/"\n'], ids=["archives", "layout"])
def test_an_image_is_built_on_another_of_the_file(shop: Shop, output: str) -> None:
    """Which is built before it, though it comes later, or was not named."""
    shop.write(re.sub(r"(\[image.*\]\n)", rf"\1{output}", BASED))
    out = shop.imgpack("build", "api").ok().decode()
    assert [line.partition("@")[0] for line in out.splitlines()] == [
        "base:latest",
        "web:latest",
        "api:latest",
    ]
    archive = ("out/", "--image", "api") if output else ("api.tar",)
    document = json.loads(shop.imgpack("manifest", *archive, "--config").ok())
    assert len(document["rootfs"]["diff_ids"]) == 3
    assert {"A=1", "B=1"} <= set(document["config"]["Env"])


def test_flags_are_of_the_images_that_are_named(shop: Shop) -> None:
    """Not of those that these are built on."""
    shop.write(BASED)
    shop.imgpack("build", "web", "-e", "C=3", "-t", "x", "-o", "x.tar").ok()
    base = json.loads(shop.imgpack("manifest", "base.tar", "--config").ok())
    assert "C=3" not in base["config"]["Env"]
    assert "C=3" in json.loads(shop.imgpack("manifest", "x.tar", "--config").ok())["config"]["Env"]
    assert {path.name for path in shop.directory.glob("*.tar")} == {"base.tar", "x.tar"}


def test_several_images_go_into_one_layout(shop: Shop) -> None:
    """Each by its name."""
    shop.write(SHARED.replace("layers", 'output = "out/"\nlayers'))
    shop.imgpack("build").ok()
    document = json.loads(shop.imgpack("inspect", "--json", "out/").ok())
    assert [image["names"] for image in document["images"]] == [
        ["docker.io/library/web:latest"],
        ["docker.io/library/api:latest"],
    ]


def test_the_first_that_fails_ends_the_run(shop: Shop) -> None:
    """What was built stays, and is said, and so is what was not."""
    shop.write(
        SHARED + "[image.bad]\nlayers = ['trees/nowhere']\n[image.last]\nlayers = ['trees/lib']\n"
    )
    done = shop.imgpack("build")
    assert done.failed(3) == (
        "imgpack: error: imgpack.toml:6: image.bad.layers[0]: trees/nowhere does not exist; "
        "name a directory, a file or a tar archive"
    )
    assert "imgpack: built: web, api; not built: bad, last\n" in done.err
    assert {path.name for path in shop.directory.glob("*.tar")} == {"web.tar", "api.tar"}


def test_a_dry_run_lists_each(shop: Shop) -> None:
    """Under its name; as JSON it is of one."""
    shop.write(SHARED)
    out = shop.imgpack("build", "--dry-run").ok().decode()
    headings = [line for line in out.splitlines() if line.startswith("image")]
    assert headings == ["image web:", "image api:"]
    assert out.count("layer 1: ") == 4
    assert "--json is of one image" in shop.imgpack("build", "--dry-run", "--json").failed(2)
    json.loads(shop.imgpack("build", "web", "--dry-run", "--json").ok())
    assert not (shop.directory / "web.tar").exists()


def test_an_output_is_where_the_file_says(shop: Shop) -> None:
    """And a layout can be pruned."""
    (shop.directory / "out").mkdir()
    shop.write("[image.web]\nlayers = ['trees/web']\noutput = 'out/x.tar'\n")
    shop.imgpack("build").ok()
    assert tarfile.is_tarfile(shop.directory / "out" / "x.tar")
    shop.write("[image.web]\nlayers = ['trees/web']\noutput = 'layout/'\nprune = true\n")
    shop.imgpack("build").ok()
    before = {path.name for path in (shop.directory / "layout").rglob("*")}
    (shop.directory / "trees" / "web" / "more").touch()
    shop.imgpack("build").ok()
    after = {path.name for path in (shop.directory / "layout").rglob("*")}
    assert len(before - after) >= 2


def test_a_dry_run_of_an_image_on_another_needs_that(shop: Shop) -> None:
    """For it builds none."""
    shop.write(BASED)
    done = shop.imgpack("build", "web", "--dry-run")
    assert done.failed(2) == (
        "imgpack: error: imgpack.toml:2: image.web.from-image: base.tar does not exist; "
        "build it first: imgpack build base"
    )
    assert "imgpack: listed: base; not listed: web\n" in done.err
    shop.imgpack("build", "base").ok()
    assert b"image web:" in shop.imgpack("build", "web", "--dry-run").ok()


def test_metadata_is_of_all_images(shop: Shop) -> None:
    """That were named, in one document; of those that were made, if one fails."""
    shop.write(BASED)
    shop.imgpack("build", "web", "api", "--metadata-file", "m.json").ok()
    document = check("metadata", (shop.directory / "m.json").read_bytes())
    names = [one["name"] for one in document["published"]]
    assert names == ["docker.io/library/web:latest", "docker.io/library/api:latest"]
    assert len(document["images"]) == 2

    shop.write(SHARED + "[image.bad]\nlayers = ['trees/nowhere']\n")
    shop.imgpack("build", "--metadata-file", "m.json").failed(3)
    document = check("metadata", (shop.directory / "m.json").read_bytes())
    assert [one["name"] for one in document["published"]] == names

    error = shop.imgpack("build", "--metadata-file", "/dev/stdout").failed(2)
    assert "--metadata-file /dev/stdout is a stream; of several images, name a file" in error
    error = shop.imgpack("build", "--metadata-file", "trees/web/m.json").failed(14)
    assert "the metadata file trees/web/m.json is trees/web, or lies in it" in error


APART = """\
[image.web]
layers = ["trees/web"]
[image.api]
layers = [{ source = "trees/api", ignore-file = "api.ignore" }]
mtree = "api.mtree"
from = "./base.lock"
"""


@pytest.mark.parametrize("option", ["--metadata-file", "--iidfile", "-o"])
@pytest.mark.parametrize(
    "path", ["imgpack.toml", "link", "api.ignore", "api.mtree", "base.lock", "trees/api/bin/x"]
)
def test_nothing_that_the_file_names_is_written_over(shop: Shop, option: str, path: str) -> None:
    """Nor the file itself, whatever it is called."""
    shop.write(APART)
    for name in ("api.ignore", "api.mtree", "base.lock"):
        shop.write("mine", name)
    (shop.directory / "link").symlink_to("imgpack.toml")
    before = {one: one.read_bytes() for one in shop.directory.rglob("*") if one.is_file()}
    done = shop.imgpack("build", "api", option, path)
    done.failed(done.code)
    assert {one: one.read_bytes() for one in shop.directory.rglob("*") if one.is_file()} == before


@pytest.mark.parametrize(
    "path", ["imgpack.toml", "web.tar", "api.tar", "api.ignore", "base.lock", "trees/api/x"]
)
def test_what_is_said_of_all_is_written_over_nothing_of_any(shop: Shop, path: str) -> None:
    """That is known before the first is built."""
    shop.write(APART)
    for name in ("api.ignore", "api.mtree", "base.lock"):
        shop.write("mine", name)
    error = shop.imgpack("build", "--metadata-file", path).failed(14)
    assert error.startswith("imgpack: error: the metadata file ")
    assert f" {path}" in error
    assert not (shop.directory / "web.tar").exists()
    assert (shop.directory / path).exists() == (path not in ("web.tar", "api.tar", "trees/api/x"))


def test_the_output_of_the_file_is_not_the_file(shop: Shop) -> None:
    """It would be gone."""
    text = '[image.web]\nlayers = ["trees/web"]\noutput = "imgpack.toml"\n'
    assert shop.error(text, code=14).endswith(
        "the output is imgpack.toml, or lies in it; choose another place"
    )
    assert (shop.directory / "imgpack.toml").read_text() == text


def test_what_is_pushed_is_not_written_over(shop: Shop) -> None:
    """By what is said of all."""
    shop.write(SHARED)
    shop.imgpack("build").ok()
    before = shop.digest("api.tar")
    for path in ("api.tar", "imgpack.toml"):
        shop.imgpack("push", "--metadata-file", path).failed(14)
    assert shop.digest("api.tar") == before
