"""What imgpack.toml says is pushed: after a build, and on the way."""

from __future__ import annotations

import json
import re

import pytest

from tests.cli.project.shop import Shop
from tests.cli.test_json import check
from tests.registry.hostile import HostileRegistry

FILE = """\
[variables]
HOST = ""
[image.web]
name = "${HOST}/shop/web"
tags = ["1", "latest"]
layers = ["trees/lib", "trees/web:/srv"]
[image.api]
layers = ["trees/lib", "trees/api:/srv"]
push = "${HOST}/shop/api:1"
[image.tools]
layers = ["trees/lib"]
push = []
"""
TAGS = {"shop/web": ["1", "latest"], "shop/api": ["1"]}


def tags(registry: HostileRegistry) -> dict[str, list[str]]:
    """What was pushed."""
    found = registry.repositories.items()
    return {name: sorted(one.tags) for name, one in found if one.tags}


def test_push_sends_what_build_wrote(shop: Shop) -> None:
    """To where it says, or to the names; an image that goes nowhere stays."""
    shop.write(FILE)
    with HostileRegistry() as registry:
        host = ("--set", f"variables.HOST={registry.host}")
        error = shop.imgpack("push", *host).failed(3)
        assert error == (
            "imgpack: error: imgpack.toml:3: image.web: web.tar does not exist; "
            "build it first: imgpack build web"
        )
        shop.imgpack("build", *host).ok()
        out = shop.imgpack("push", "--metadata-file", "m.json", *host).ok().decode()
        assert [line.partition("@")[0] for line in out.splitlines()] == [
            f"{registry.host}/shop/web:1",
            f"{registry.host}/shop/web:latest",
            f"{registry.host}/shop/api:1",
        ]
        assert tags(registry) == TAGS
        assert registry.incomplete() == []
    document = check("metadata", (shop.directory / "m.json").read_bytes())
    assert len(document["published"]) == 3


def test_an_archive_is_pushed_where_a_file_is_as_well(shop: Shop) -> None:
    """It is none of the file's images, and nothing like one."""
    shop.write(FILE)
    shop.imgpack("build", "./trees/api", "-o", "own.tar", "-t", "own").ok()
    with HostileRegistry() as registry:
        shop.imgpack("push", "own.tar", f"{registry.host}/own:1").ok()
        assert tags(registry) == {"own": ["1"]}


def test_what_is_of_one_image_is_refused_of_several(shop: Shop) -> None:
    """Before anything is looked for."""
    shop.write(FILE)
    error = shop.imgpack("push", "--iidfile", "id").failed(2)
    assert "--iidfile is of one image, and several of imgpack.toml are meant" in error


def test_build_and_push_are_one_step(shop: Shop) -> None:
    """The same in the registry, and no archive but of what is not pushed."""
    shop.write(FILE)
    with HostileRegistry() as registry:
        shop.imgpack("build", "--push", "--set", f"variables.HOST={registry.host}").ok()
        assert tags(registry) == TAGS
    assert {path.name for path in shop.directory.glob("*.tar")} == {"tools.tar"}


@pytest.mark.parametrize("way", ["build --push", "push"])
def test_what_images_share_is_sent_once(shop: Shop, way: str) -> None:
    """Into the other's repository it is mounted, unless that is not wanted."""
    shop.write(FILE)
    with HostileRegistry() as registry:
        host = ("--set", f"variables.HOST={registry.host}")
        shop.imgpack("build", *host).ok()
        told = shop.imgpack(*way.split(), "-v", *host)
        told.ok()
        mounted = re.findall(r"(\S+): sha256:\w+ mounted from (\S+)", told.err)
        assert mounted == [(f"{registry.host}/shop/api", "shop/web")]
        assert registry.incomplete() == []
    with HostileRegistry() as registry:
        host = ("--set", f"variables.HOST={registry.host}")
        assert " mounted from " not in shop.imgpack(*way.split(), "--no-mount", "-v", *host).err
        assert tags(registry) == TAGS


def test_one_image_is_pushed_by_its_name(shop: Shop) -> None:
    """Out of a layout of several, too, with the options of a push."""
    shop.write(FILE.replace("layers", 'output = "out/"\nlayers'))
    with HostileRegistry() as registry:
        host = ("--set", f"variables.HOST={registry.host}")
        shop.imgpack("build", *host).ok()
        shop.imgpack("push", "api", "--dry-run", *host).ok()
        assert tags(registry) == {}
        shop.imgpack("push", "api", *host).ok()
        assert tags(registry) == {"shop/api": ["1"]}


def test_the_base_of_another_is_written_and_pushed(shop: Shop) -> None:
    """If it was named; else it is but written."""
    shop.write(FILE + '[image.app]\nname = "${HOST}/app"\nfrom-image = "web"\nlayers = []\n')
    with HostileRegistry() as registry:
        host = ("--set", f"variables.HOST={registry.host}")
        shop.imgpack("build", "--push", "app", "--no-resume", *host).ok()
        assert tags(registry) == {"app": ["latest"]}
        shop.imgpack("build", "--push", *host).ok()
        assert tags(registry) == TAGS | {"app": ["latest"]}
    assert {path.name for path in shop.directory.glob("*.tar")} == {"tools.tar", "web.tar"}


def test_what_is_said_of_a_push_is_of_the_file(shop: Shop) -> None:
    """Names without a registry, an image that goes nowhere, a stream, words, and no file."""
    shop.write("[image.web]\nlayers = ['trees/web']\n[image.base]\npush = []\n"
               "[image.stream]\npush = 'x.example/y:1'\noutput = '-'\n")  # fmt: skip
    shop.imgpack("build", "web").ok()
    error = shop.imgpack("push", "web").failed(6)
    assert "imgpack.toml:1: image.web: 'web' names no registry" in error
    error = shop.imgpack("push", "base").failed(2)
    assert "imgpack.toml:4: image.base.push: it is empty: nothing is pushed" in error
    error = shop.imgpack("push", "stream").failed(2)
    assert "imgpack.toml:7: image.stream.output: it is a stream" in error
    assert "there is no image wbe in imgpack.toml" in shop.imgpack("push", "wbe").failed(2)
    (shop.directory / "imgpack.toml").unlink()
    error = shop.imgpack("push").failed(2)
    assert error.endswith("Missing argument 'ARCHIVE'; name an archive, or write imgpack.toml")


def test_print_is_the_same_of_a_push(shop: Shop) -> None:
    """And nothing is sent."""
    shop.write(FILE)
    settings = ("--print", "--set", "variables.HOST=x.example")
    assert json.loads(shop.imgpack("push", *settings).ok()) == json.loads(
        shop.imgpack("build", *settings).ok()
    )


def test_what_a_registry_says_is_of_the_image(shop: Shop) -> None:
    """The words of it are not looked for among the layers."""
    shop.write("[image.web]\nlayers = ['web']\nname = '127.0.0.1:1/shop/web'\n")
    (shop.directory / "web").mkdir()
    shop.imgpack("build").ok()
    error = shop.imgpack("push", "--retries", "0").failed(16)
    assert error.startswith("imgpack: error: imgpack.toml:3: image.web.name: 127.0.0.1:1")


def test_a_base_in_a_layout_is_found_by_where_it_is_pushed(shop: Shop) -> None:
    """For that is what it is called there then."""
    with HostileRegistry() as registry:
        shop.write(f"""\
[image.base]
layers = ["trees/lib"]
output = "out/"
push = "{registry.host}/base:1"
[image.app]
name = "{registry.host}/app"
from-image = "base"
layers = ["trees/web"]
""")
        shop.imgpack("build", "--push").ok()
        assert tags(registry) == {"base": ["1"], "app": ["latest"]}


SAME = """\
[image.web]
name = "localhost:1/shop"
layers = ["trees/web"]
[image.api]
layers = ["trees/api"]
name = "localhost:1/shop"
tag = "latest"
"""
TAKEN = "the later one would take the name: give each a name or a tag of its own"


@pytest.mark.parametrize("command", ["push", "build --push", "build --load"])
def test_no_image_takes_the_name_of_another(shop: Shop, command: str) -> None:
    """In a registry or an engine the second would be all that is left under the name."""
    shop.write(SAME)
    shop.imgpack("build").ok()
    assert shop.imgpack(*command.split()).failed(2) == (
        "imgpack: error: imgpack.toml:7: image.api.tag: localhost:1/shop:latest is what web is "
        f"called, too; {TAKEN}"
    )


def test_two_archives_may_have_one_name(shop: Shop) -> None:
    """Each holds one image, so none is lost; and one of them is pushed alone."""
    shop.write(SAME)
    shop.imgpack("build").ok()
    assert "cannot connect" in shop.imgpack("push", "api").failed(16)


def test_no_image_takes_the_name_of_another_in_a_layout(shop: Shop) -> None:
    """It would be in the layout, and nothing would name it."""
    line = shop.error(SAME.replace("layers", 'output = "out/"\nlayers'))
    assert line == (
        "imgpack.toml:9: image.api.tag: localhost:1/shop:latest is what web is called, too; "
        f"{TAKEN}"
    )


def test_no_image_is_pushed_to_the_target_of_another(shop: Shop) -> None:
    """The key that says so is named."""
    text = SAME.replace('name = "localhost:1/shop"', 'push = "localhost:1/shop:1"')
    shop.write(text.replace('tag = "latest"', ""))
    line = shop.imgpack("build", "--push").failed(2)
    assert line.startswith("imgpack: error: imgpack.toml:6: image.api.push: localhost:1/shop:1 is")


def test_tags_that_are_one_in_another_repository_are_refused(shop: Shop) -> None:
    """--repository keeps the tags, so two images with one tag would be one name there."""
    shop.write(SAME.replace('"localhost:1/shop"', '"localhost:1/api"', 1))
    shop.imgpack("build").ok()
    line = shop.imgpack("push", "--repository", "localhost:1/all").failed(2)
    assert "image.api.tag: localhost:1/all:latest is what web is called, too" in line
