"""What ``build --explain`` says: of whose layers, for people and for programs."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_json import check
from tests.cli_runner import InProcess, Outcome

PLATFORMS = ("--platform", "linux/amd64=amd64", "--platform", "linux/arm64=arm64")
JSON = ("--progress", "json")
FILE = """\
[image.web]
layers = ["shared"]
[image.tool]
layers = ["shared"]
platforms = { "linux/amd64" = "amd64", "linux/arm64" = "arm64" }
"""


@pytest.fixture
def here(imgpack_here: InProcess, tmp_path: Path) -> InProcess:
    """A tree for each of two platforms, and one for both."""
    for name in ("amd64", "arm64", "shared"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    return imgpack_here


def layers(done: Outcome) -> list[str]:
    """Whose layers are told, without what of them."""
    done.ok()
    return [line.partition(":")[0] for line in done.err.splitlines() if "layer " in line]


def events(done: Outcome) -> list[dict[str, Any]]:
    """What was said of layers, as events of the schema, without the message."""
    done.ok()
    told = [check("event", line.encode()) for line in done.err.splitlines()]
    return [
        {key: value for key, value in one.items() if key not in ("event", "message")}
        for one in told
        if "layer" in one
    ]


def test_a_layer_of_several_platforms_is_told_with_its_own(here: InProcess) -> None:
    """Each image's are counted from the bottom."""
    build = ("build", "shared", *PLATFORMS, "-t", "app:1", "-o", "app/", "--explain")
    assert layers(here(*build)) == [
        "linux/amd64, layer 1",
        "linux/amd64, layer 2",
        "linux/arm64, layer 1",
        "linux/arm64, layer 2",
    ]
    said = [(one["platform"], one["layer"]) for one in events(here(*build, *JSON))]
    assert list(dict.fromkeys(said)) == [
        ("linux/amd64", 1), ("linux/amd64", 2), ("linux/arm64", 1), ("linux/arm64", 2),
    ]  # fmt: skip


def test_what_platforms_share_is_compressed_once_without_a_cache(
    here: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    """In a cache of the run, of which nothing stays; the bytes are the same."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    build = ("build", "shared", *PLATFORMS, "-t", "app:1", "-o")
    done = here("-v", *build, "a.tar", "--no-cache")
    done.ok()
    assert re.findall(r"(\d+) of \d+ segments reused", done.err) == ["0", "0", "1", "0"]
    assert [*temporary.iterdir()] == []
    assert [path for path in home.rglob("*") if path.is_file()] == []
    here(*build, "b.tar").ok()
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_of_one_image_only_the_layer_is_told(here: InProcess) -> None:
    """There is no other."""
    build = ("build", "shared", "--platform", "linux/arm64", "-o", "one/", "--explain")
    assert layers(here(*build)) == ["layer 1"]
    assert {"layer": 1} in events(here(*build, *JSON))


def test_a_layer_of_several_images_of_a_file_is_told_with_its_own(
    here: InProcess, tmp_path: Path
) -> None:
    """Of one that is named alone it is not; what follows the layer's line is of it, too."""
    (tmp_path / "imgpack.toml").write_text(FILE)
    assert layers(here("build", "--explain")) == [
        "web, layer 1",
        "tool, linux/amd64, layer 1",
        "tool, linux/amd64, layer 2",
        "tool, linux/arm64, layer 1",
        "tool, linux/arm64, layer 2",
    ]
    (tmp_path / "shared" / "file").write_text("another")
    told = events(here("build", "--explain", *JSON))
    assert told.count({"image": "web", "layer": 1}) == 3
    assert {"image": "tool", "platform": "linux/arm64", "layer": 2} in told
    assert layers(here("build", "web", "--explain")) == ["layer 1"]
