"""Which file, which images: words, directories, and files elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from imgpack.cli.topics.pages import page
from tests.cli.project.shop import Shop
from tests.cli_runner import Imgpack, InProcess

TWO = """\
[image.web]
layers = ["trees/web"]
[image.api]
layers = ["trees/api"]
"""


def names(out: bytes) -> list[str]:
    """What was built, without digests."""
    return [line.partition("@")[0] for line in out.decode().splitlines()]


def test_without_words_all_images_are_built_in_their_order(shop: Shop) -> None:
    """Each in an archive called as it is."""
    shop.write(TWO)
    assert names(shop.imgpack("build").ok()) == ["web:latest", "api:latest"]
    assert {path.name for path in shop.directory.glob("*.tar")} == {"web.tar", "api.tar"}


def test_a_word_is_an_image_if_the_file_has_it(shop: Shop) -> None:
    """One, or several, in the order of the file."""
    shop.write(TWO)
    assert names(shop.imgpack("build", "api").ok()) == ["api:latest"]
    assert names(shop.imgpack("build", "api", "web").ok()) == ["web:latest", "api:latest"]


def test_an_image_that_is_a_directory_too_is_told(shop: Shop) -> None:
    """The image is built; with ./ it is the directory, and --file needs no telling."""
    shop.write(TWO)
    (shop.directory / "web").mkdir()
    (shop.directory / "web" / "file").touch()
    done = shop.imgpack("build", "web")
    assert names(done.ok()) == ["web:latest"]
    assert done.err == ("imgpack: web is an image of imgpack.toml; ./web would be what lies here\n")
    plain = shop.imgpack("build", "./web", "-o", "dir.tar")
    plain.ok()
    assert plain.err == ""
    assert shop.digest("dir.tar") != shop.digest("web.tar")
    assert shop.imgpack("build", "-f", "imgpack.toml", "web").err == ""


def test_a_word_that_is_no_image_is_a_source(shop: Shop) -> None:
    """The file has no part in that."""
    shop.write(TWO)
    (shop.directory / "lib").mkdir()
    assert names(shop.imgpack("build", "lib").ok()) == ["lib:latest"]
    assert names(shop.imgpack("build", "trees/web", "-o", "x.tar").ok()) == ["web:latest"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["wbe"], "there is no image wbe in imgpack.toml; did you mean web?"),
        (["api", "wbe"], "there is no image wbe in imgpack.toml; did you mean web?"),
        (["web", "x"], "web is an image of imgpack.toml, and x is none; name images alone, or "
                       "write ./web for what lies here"),
        (["web", "trees/lib"], "web is an image of imgpack.toml, and trees/lib is none; name "
                               "images alone, or write ./web for what lies here"),
        (["-f", "imgpack.toml", "trees"], "there is no image trees in imgpack.toml; it has web, "
                                          "api"),
        (["--set", "image.web.tag=1", "./trees"], "there is no image ./trees in imgpack.toml; it "
                                                  "has web, api"),
        (["-o", "x.tar"], "-o is of one image, and several of imgpack.toml are meant; name one, "
                          "or let the file say it of each"),
        (["-t", "x"], "-t is of one image, and several of imgpack.toml are meant; name one, "
                      "or let the file say it of each"),
        (["-f", ""], "--file is empty; name a file"),
        (["-f", "a", "-f", "b"], "-f is given 2 times; there is one file"),
    ],
)  # fmt: skip
def test_a_slip_is_told(shop: Shop, words: list[str], said: str) -> None:
    """And nothing is built."""
    shop.write(TWO)
    assert shop.imgpack("build", *words).failed(2) == f"imgpack: error: {said}"
    assert [*shop.directory.glob("*.tar")] == []


def test_nothing_at_all_is_the_error_of_ever(shop: Shop) -> None:
    """With a word about the file, and where one is, if that is above."""
    said = "nothing goes into the image; name a directory, or a base with --from, or write "
    assert shop.imgpack("build").failed(2) == f"imgpack: error: {said}imgpack.toml"
    shop.write(TWO)
    below = InProcess(shop.directory / "trees" / "web", shop.imgpack._monkeypatch)
    error = below("build").failed(2)
    assert error == f"imgpack: error: {said}imgpack.toml; --file ../../imgpack.toml is there"
    (shop.directory / "imgpack.toml").unlink()
    shop.write('[project]\nname = "imgpack"\n', "trees/pyproject.toml")
    shop.write("[tool.imgpack.image.x]\nlayers = []\n", "pyproject.toml")
    assert below("build").failed(2).endswith("; --file ../../pyproject.toml is there")


@pytest.mark.parametrize("option", ["--print", "--set"])
def test_what_is_about_a_file_needs_one(shop: Shop, option: str) -> None:
    """With sources, too."""
    value = ["image.web.tag=1"] if option == "--set" else []
    error = shop.imgpack("build", option, *value, "trees/web").failed(2)
    assert f"{option} is about imgpack.toml, and there is none here" in error


def test_paths_are_relative_to_the_file(shop: Shop) -> None:
    """All of them, and the bytes are the same from wherever it is built."""
    shop.imgpack("build", "trees/lib", "-o", "base.tar", "-t", "base").ok()
    (shop.directory / "ignored").write_text("**/*.map\n")
    shop.write(
        """\
[image.web]
from = "base.tar"
layers = ["trees/web:/srv", { source = "./trees/api", ignore-file = "ignored" }]
ignore-file = "ignored"
output = "out/web.tar"
[image.named]
from = "base.tar:base"
layers = ["trees/web"]
"""
    )
    (shop.directory / "out").mkdir()
    shop.imgpack("build").ok()
    digests = shop.digest("out/web.tar"), shop.digest("named.tar")
    for directory, file in (("trees", "../imgpack.toml"), (".", f"{shop.directory}/imgpack.toml")):
        (shop.directory / "out" / "web.tar").unlink()
        there = InProcess(shop.directory / directory, shop.imgpack._monkeypatch)
        there("build", "-f", file).ok()
        assert (shop.digest("out/web.tar"), shop.digest("named.tar")) == digests
    above = InProcess(shop.directory.parent, shop.imgpack._monkeypatch)
    above("build", "-f", f"{shop.directory.name}/imgpack.toml", "web").ok()
    assert shop.digest("out/web.tar") == digests[0]


def test_a_reference_is_no_path(shop: Shop) -> None:
    """Nor is it taken for one that lies where imgpack is called."""
    shop.write("image.web.from = 'nowhere.example/base:1'\nimage.web.layers = 'x'", "sub/a.toml")
    printed = shop.imgpack("build", "--print", "-f", "sub/a.toml").ok()
    assert b'"from": "nowhere.example/base:1"' in printed
    assert b'"./sub/x"' in printed


def test_a_table_of_pyproject_is_a_file(shop: Shop) -> None:
    """Unless there is an imgpack.toml; and one without the table is none."""
    table = TWO.replace("[image", "[tool.imgpack.image")
    shop.write(f"[project]\nname = 'x'\n{table}", "pyproject.toml")
    assert names(shop.imgpack("build", "api").ok()) == ["api:latest"]
    error = shop.imgpack("build", "--set", "image.api.tgas=1").failed(2)
    assert "--set image.api.tgas: there is no such key" in error
    shop.write(f"{table}expose = true\n", "pyproject.toml")
    assert "pyproject.toml:5: tool.imgpack.image.api.expose: " in shop.imgpack("build").failed(2)

    shop.write("[image.other]\nlayers = ['trees/lib']\n")
    assert names(shop.imgpack("build").ok()) == ["other:latest"]
    (shop.directory / "imgpack.toml").unlink()

    shop.write("[project]\nname = 'imgpack'\n", "pyproject.toml")
    assert "nothing goes into the image" in shop.imgpack("build").failed(2)
    error = shop.imgpack("build", "-f", "pyproject.toml").failed(2)
    assert "pyproject.toml: there is no table tool.imgpack in it" in error


def test_another_tools_pyproject_is_not_judged(shop: Shop) -> None:
    """What does not speak of imgpack is not parsed at all."""
    shop.write("[[[ no TOML", "pyproject.toml")
    (shop.directory / "lib").mkdir()
    assert names(shop.imgpack("build", "lib").ok()) == ["lib:latest"]


def test_help_speaks_of_the_file(shop: Shop) -> None:
    """Of both commands."""
    for command in ("build", "push"):
        text = shop.imgpack(command, "--help").ok().decode()
        assert "imgpack.toml" in text
        assert "--set KEY=VALUE" in text


def test_without_a_file_nothing_is_loaded_for_it(tmp_path: Path) -> None:
    """A build with a source, where there is no file."""
    (tmp_path / "tree").mkdir()
    command = [sys.executable, "-X", "importtime", "-m", "imgpack", "build", "tree"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {name for name in loaded if "cli.project" in name or name == "tomllib"} == {
        "imgpack.cli.project", "imgpack.cli.project.command", "imgpack.cli.project.flags",
        "imgpack.cli.project.file", "imgpack.cli.project.file.names",
    }  # fmt: skip


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_an_error_is_one_line_whatever_the_terminal(imgpack: Imgpack, columns: str) -> None:
    """Nothing is cut off."""
    (imgpack.directory / "imgpack.toml").write_text("[image.web]\ntgas = []\n")
    done = imgpack("build", env={"COLUMNS": columns})
    assert done.failed(2).endswith("there is no such key; did you mean tags?")


def test_the_file_on_the_page_of_the_topic_is_one(shop: Shop) -> None:
    """What ``imgpack help project-file`` shows is read, with all its keys."""
    lines = page("project-file", 80).splitlines()
    text = "\n".join(line for line in lines if line.startswith("  ") and "$ " not in line)
    shop.write(text)
    plan = json.loads(shop.imgpack("build", "--print").ok())
    assert plan["image"]["web"]["tags"] == ["ghcr.io/shop/web:1.0", "ghcr.io/shop/web:latest"]
    assert len(plan["image"]["tool"]["platforms"]) == 2
