"""Where a value comes from: the file, variables, --set, and options beside the file."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.cli.project.shop import Shop

FILE = """\
[variables]
VERSION = "1.10"
REGISTRY = "registry.example.com"

[image.web]
name = "${REGISTRY}/web"
tags = ["${VERSION}", "latest"]
layers = ["trees/web"]
expose = [80]
user = "1"
env = { A = "1", B = "2" }
exclude = ["*.map"]
entrypoint = ["/bin/server"]
ignore-file = "ignored"

[image.api]
layers = ["trees/api"]
"""


@pytest.fixture
def planned(shop: Shop) -> Any:
    """The plan of the image web with some arguments."""
    shop.write(FILE)

    def plan(*arguments: str) -> Any:
        return json.loads(shop.imgpack("build", "web", "--print", *arguments).ok())["image"]["web"]

    return plan


def test_a_variable_is_the_default(planned: Any) -> None:
    """As it is written: 1.10 is no number."""
    assert planned()["tags"] == ["registry.example.com/web:1.10", "registry.example.com/web:latest"]


def test_the_environment_beats_the_default_and_set_both(
    planned: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what is listed is looked at."""
    monkeypatch.setenv("VERSION", "2")
    assert planned()["tags"][0] == "registry.example.com/web:2"
    assert planned("--set", "variables.VERSION=3")["tags"][0] == "registry.example.com/web:3"
    assert planned("--set", "variables.VERSION=3.10")["tags"][0].endswith(":3.10")


def test_what_the_build_refuses_is_shown_as_it_stands(planned: Any) -> None:
    """A command that is no array of texts is no reason to fail where nothing is built."""
    assert planned("--set", 'image.web.entrypoint=["/a"')["entrypoint"] == '["/a"'
    assert planned("--cmd", "[1]")["cmd"] == "[1]"
    assert planned("--cmd", '["1"]')["cmd"] == ["1"]


def test_what_a_setting_makes_wrong_above_it_is_said_of_the_setting(shop: Shop) -> None:
    """The file has no such line: the key has dots, and is to be quoted."""
    shop.write(FILE)
    said = shop.imgpack("build", "web", "--set", "image.web.labels.org.x=2").failed(2)
    assert "--set image.web.labels.org.x: text or a number is expected, and not a table" in said


def test_what_a_variable_holds_is_not_looked_at_again(
    planned: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No value of the environment reads another."""
    monkeypatch.setenv("VERSION", "${REGISTRY}")
    assert planned()["tags"][0] == "registry.example.com/web:${REGISTRY}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("${A}${B}-${A}", "onetwo-one"),
        ("$A $$A $${A} $$${A}", "$A $$A ${A} $${A}"),
        ("$", "$"),
    ],
)
def test_text_and_variables_mix(shop: Shop, text: str, value: str) -> None:
    """$${ is a ${ that stays, and $ without braces is itself."""
    shop.write(f"[variables]\nA = 'one'\nB = 'two'\n[image.web]\ncomment = '{text}'\n")
    plan = json.loads(shop.imgpack("build", "--print").ok())
    assert plan["image"]["web"]["comment"] == value
    assert plan["variables"] == {"A": "one", "B": "two"}


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("tag=2", "tags", ["registry.example.com/web:2"]),
        ("tag=1.10", "tags", ["registry.example.com/web:1.10"]),
        ("tag=true", "tags", ["registry.example.com/web:true"]),
        ('tag="a"', "tags", ["registry.example.com/web:a"]),
        ('tags=["a", "b"]', "tags", ["registry.example.com/web:a", "registry.example.com/web:b"]),
        ("tag=${VERSION}", "tags", ["registry.example.com/web:1.10"]),
        ("user=0x10", "user", "0x10"),
        ("user='a b'", "user", "a b"),
        ("comment=a = b # c", "comment", "a = b # c"),
        ("comment=", "comment", ""),
        ("comment=1 # c", "comment", "1 # c"),
        ("squash=true", "squash", True),
        ("expose=90", "expose", ["90"]),
        ("expose=[90, '53/udp']", "expose", ["90", "53/udp"]),
        ("env.B=1.10", "env", {"A": "1", "B": "1.10"}),
        ("env.C=true", "env", {"A": "1", "B": "2", "C": "true"}),
        ("env={ C = 3 }", "env", {"C": "3"}),
        ('labels."a.b"=c', "labels", {"a.b": "c"}),
        ("healthcheck.retries=3", "healthcheck", {"retries": 3}),
        ("created=2026-01-31", "created", "2026-01-31"),
        ("layers=[{ source = 'x', exclude = ['y'] }]", "layers",
         [{"source": "x", "exclude": ["y"]}]),
        ("layers=trees/api:/x", "layers", ["trees/api:/x"]),
    ],
)  # fmt: skip
def test_a_setting_is_toml_or_a_text(planned: Any, setting: str, key: str, value: Any) -> None:
    """A text wherever the key takes one."""
    assert planned("--set", f"image.web.{setting}")[key] == value


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("image.wbe.tag=2", "--set image.wbe.tag: there is no image wbe; did you mean web?"),
        ("image.web.tga=2", "--set image.web.tga: there is no such key; did you mean tag?"),
        ("variables.VERSON=2", "--set variables.VERSON: there is no variable VERSON; "
                               "did you mean VERSION?"),
        ("image.web.squash=maybe", "--set image.web.squash: true or false is expected, and not "
                                   "text; write it as squash = true"),
        ("image.web.expose=[true]", "--set image.web.expose[0]: text or a number is expected, and "
                                    'not true or false; write it as expose = [8080, "53/udp"]'),
        ("image.web.expose=http", "--set image.web.expose 'http' is not a port; write 80, 53/udp "
                                  "or 8000-8010"),
        ("image.web=1", "--set image.web is no key; write image.NAME.KEY=VALUE or "
                        "variables.NAME=VALUE"),
        ("web.tag=1", "--set web.tag is no key; write image.NAME.KEY=VALUE or "
                      "variables.NAME=VALUE"),
        ("image.web.user.x=1", "--set image.web.user.x: user is text; set all of it"),
        ("tag", "--set 'tag' is no setting; write image.NAME.KEY=VALUE or variables.NAME=VALUE"),
        ("image.web.tags[0]=1", "--set 'image.web.tags[0]=1' is no setting; set the whole list: "
                                "image.NAME.KEY=[...]"),
        ("=", "--set '=' is no setting; write image.NAME.KEY=VALUE or variables.NAME=VALUE"),
        ("a" + ".a" * 1000 + "=", f"--set {'a' + '.a' * 1000 + '='!r} is no setting; "
                                  "write image.NAME.KEY=VALUE or variables.NAME=VALUE"),
    ],
    ids=lambda value: value[:24],
)  # fmt: skip
def test_a_setting_that_is_wrong_is_told(shop: Shop, setting: str, said: str) -> None:
    """By itself, for it has no line."""
    shop.write(FILE.replace('ignore-file = "ignored"\n', ""))
    error = shop.imgpack("build", "--set", setting)
    assert error.code in (2, 7)
    assert error.failed(error.code) == f"imgpack: error: {said}"


def test_an_option_that_is_given_once_replaces(planned: Any) -> None:
    """The command line beats the file."""
    found = planned("-u", "9", "--entrypoint", "other", "-o", "x.tar", "--platform", "linux/arm64")
    assert (found["user"], found["entrypoint"]) == ("9", "other")
    assert (found["output"], found["platforms"]) == ("x.tar", ["linux/arm64"])


def test_an_option_that_may_be_repeated_adds_and_a_name_replaces_all(planned: Any) -> None:
    """The later of two of the same name counts; of tags only those of the command line do."""
    found = planned("-e", "B=3", "-e", "C=4", "--expose", "90", "--exclude", "x", "-t", "x:1")
    assert found["env"] == {"A": "1", "B": "3", "C": "4"}
    assert found["expose"] == ["80", "90"]
    assert found["exclude"] == ["*.map", "x"]
    assert found["tags"] == ["x:1"]


def test_an_option_makes_void_what_it_contradicts(planned: Any) -> None:
    """No contradiction is reported of a flag and the file."""
    assert "ignore-file" not in planned("--no-ignore-file")
    assert planned("--ignore-file", "other")["ignore-file"] == "other"
    assert "entrypoint" not in planned("--clear-entrypoint")


def test_options_beside_the_file_make_the_bytes_of_all_of_them(shop: Shop) -> None:
    """The same as one command line."""
    shop.write(FILE.replace('ignore-file = "ignored"\n', ""))
    shop.imgpack("build", "web", "-e", "B=3", "--owner", "1:1", "-o", "a.tar", "-t", "x").ok()
    shop.imgpack(
        "build", "trees/web", "-t", "x", "--expose", "80", "-u", "1", "-e", "A=1", "-e", "B=3",
        "--exclude", "*.map", "--entrypoint", '["/bin/server"]', "--owner", "1:1", "-o", "b.tar",
    ).ok()  # fmt: skip
    assert shop.digest("a.tar") == shop.digest("b.tar")


def test_each_layer_leaves_out_what_it_says(shop: Shop) -> None:
    """Beside what is said of all; its own ignore file instead of the one of all."""
    (shop.directory / "js").write_text("**/*.js\n")
    (shop.directory / "server").write_text("bin/server\n")
    shop.write(
        """\
[image.web]
exclude = ["bin"]
ignore-file = "js"
layers = [
  "trees/web:/a",
  { source = "trees/web", dest = "/b", exclude = ["**/*.map", "!bin"] },
  { source = "trees/web", dest = "/c", ignore-file = "server", exclude = ["!bin"] },
  { source = "trees/web", dest = "/d", no-ignore-file = true },
]
"""
    )
    document = json.loads(shop.imgpack("build", "--dry-run", "--json").ok())
    files = {
        entry["path"]
        for layer in document["layers"]
        for entry in layer["entries"]
        if entry["type"] == "file"
    }
    assert files == {
        "/a/assets/app.map",
        "/b/bin/server",
        "/c/assets/app.js", "/c/assets/app.map", "/c/bin/server",
        "/d/assets/app.js", "/d/assets/app.map",
    }  # fmt: skip


def test_a_source_with_a_colon_in_it_is_a_source(shop: Shop) -> None:
    """In a table, nothing of it is a destination."""
    (shop.directory / "a:b").mkdir()
    (shop.directory / "a:b" / "file").touch()
    shop.write("[image.web]\nlayers = [{ source = 'a:b', dest = '/x' }, { source = 'a:b' }]\n")
    out = shop.imgpack("build", "--dry-run").ok().decode()
    assert " /x/file\n" in out
    assert " /file\n" in out


PLATFORMS = """\
[image.web]
layers = ["trees/lib"]
annotations = { "index:a" = "b" }
[image.web.platforms]
"linux/amd64" = [{ source = "trees/web", exclude = ["**/*.map"] }, "trees/api:/api"]
"linux/arm64" = "trees/api"
"linux/riscv64" = []
"""


def test_each_platform_has_layers_of_its_own(shop: Shop) -> None:
    """As one command line has them, with what is left out of each."""
    shop.write(PLATFORMS)
    plan = json.loads(shop.imgpack("build", "--print").ok())["image"]["web"]
    assert plan["platforms"] == {
        "linux/amd64": [{"source": "trees/web", "exclude": ["**/*.map"]}, "trees/api:/api"],
        "linux/arm64": ["trees/api"],
        "linux/riscv64": [],
    }
    shop.imgpack("build").ok()
    assets = shop.directory / "trees" / "web" / "assets"
    before = assets.stat().st_mtime_ns
    (assets / "app.map").unlink()
    os.utime(assets, ns=(before, before))
    shop.imgpack(
        "build", "trees/lib", "--platform", "linux/amd64=trees/web",
        "--platform", "linux/amd64=trees/api:/api", "--platform", "linux/arm64=trees/api",
        "--platform", "linux/riscv64", "--annotation", "index:a=b", "-t", "web", "-o", "flags.tar",
    ).ok()  # fmt: skip
    assert shop.digest("web.tar") == shop.digest("flags.tar")


def test_a_platform_on_the_command_line_is_one_of_the_file(shop: Shop) -> None:
    """With its layers; those of the others are not built."""
    shop.write(PLATFORMS)
    arguments = ("build", "--print", "--platform", "linux/arm64,linux/s390x")
    plan = json.loads(shop.imgpack(*arguments).ok())["image"]["web"]
    assert plan["platforms"] == {"linux/arm64": ["trees/api"], "linux/s390x": []}


def test_paths_of_platforms_are_relative_to_the_file(shop: Shop) -> None:
    """In a table and in a list; a wrong one is told with its place."""
    shop.write("[image.web]\nplatforms = ['linux/amd64=x', 'linux/arm64']\n", "sub/a.toml")
    plan = json.loads(shop.imgpack("build", "-f", "sub/a.toml", "--print").ok())["image"]["web"]
    assert plan["platforms"] == {"linux/amd64": ["./sub/x"], "linux/arm64": []}
    assert shop.error("[image.web]\nplatforms = ['linux/amd46']\n", code=7).startswith(
        "imgpack.toml:2: image.web.platforms[0]: no runtime knows the platform linux/amd46"
    )
    assert shop.error("[image.web.platforms]\n'linux/amd64' = 1\n").startswith(
        'imgpack.toml:2: image.web.platforms."linux/amd64": a list of texts or tables is expected'
    )


def test_annotations_of_a_checkout_are_of_the_files(shop: Shop) -> None:
    """Not of the directory where imgpack is called."""
    shop.write("[image.web]\nlayers = '../trees/web'\nannotate = 'auto'\n", "sub/imgpack.toml")
    shop.write("[project]\nname = 'x'\nversion = '7'\n", "sub/pyproject.toml")
    shop.imgpack("build", "-f", "sub/imgpack.toml").ok()
    manifest = json.loads(shop.imgpack("manifest", "sub/web.tar").ok())
    assert manifest["annotations"]["org.opencontainers.image.version"] == "7"
