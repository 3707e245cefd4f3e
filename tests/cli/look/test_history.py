"""The steps of an image's making, as people and programs see them."""

from dataclasses import replace
from pathlib import Path

import pytest

from imgpack.api import Image
from imgpack.spec.config import History, build_config
from imgpack.spec.manifest import build_manifest
from tests.cli.archives import write_archive
from tests.cli.screen import shown
from tests.cli.test_json import check
from tests.cli_runner import InProcess
from tests.store.samples import LAYERS, Memory, make_image

LONG = "RUN " + "x" * 100


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """An image whose history has a step without a layer, between two with one."""
    source = Memory()
    made = make_image(source, LAYERS)
    steps = [
        History("2020-01-02T03:04:05.678Z", "ADD a /"),
        History("2020-01-02T03:04:06Z", "CMD [\x1b[2J]", empty_layer=True, comment="said"),
        History("", LONG),
    ]
    config = build_config(made.config.platform, made.config.diff_ids, steps, created="")
    source.add(config.raw)
    said = replace(made.manifest.config, digest=config.digest, size=len(config.raw))
    manifest = build_manifest(said, made.manifest.layers, made.manifest.media_type)
    source.add(manifest.raw)
    image = replace(made, config=config, manifest=manifest)
    write_archive(tmp_path / "a.tar", image, "app:1")
    return image


def test_steps_are_shown_last_to_first(image: Image, imgpack_here: InProcess) -> None:
    """With the layer that came of each; commands are cut off, and harmless."""
    low, high = (layer.digest.hex[:12] for layer in image.manifest.layers)

    lines = imgpack_here("history", "a.tar").ok().decode().splitlines()

    assert lines[0].split() == ["LAYER", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    assert lines[1].split()[:2] == [high, "RUN"]
    assert f"{LONG[:44]}…" in lines[1]
    assert lines[2].split() == ["-", "2020-01-02", "03:04:06", "CMD", r"[\x1b[2J]", "-", "said"]
    assert lines[3].split()[:4] == [low, "2020-01-02", "03:04:05", "ADD"]


def test_lines_fit_the_terminal(tmp_path: Path, image: Image) -> None:
    """Commands give way, and nothing else."""
    lines = shown(tmp_path, "history", "a.tar", columns=80)[1]

    steps = [line.rstrip() for line in lines if line.strip()]
    assert len(steps) == 1 + len(image.config.history)
    assert all(len(line) <= 80 for line in steps)
    assert steps[2].endswith("said")
    assert "2020-01-02 03:04:05" in steps[3]
    assert "…" in steps[1]


def test_nothing_is_cut_off_on_request(image: Image, imgpack_here: InProcess) -> None:
    """Digests and commands in full."""
    out = imgpack_here("history", "--no-trunc", "a.tar").ok().decode()

    assert LONG in out
    assert "2020-01-02T03:04:05.678Z" in out
    assert all(str(layer.digest) in out for layer in image.manifest.layers)
    lines = out.splitlines()
    assert len(lines) == 4
    end = lines[0].index("SIZE") + 4
    assert all(line[:end].endswith(("B", " -")) for line in lines[1:])


def test_json_has_all_digests(image: Image, imgpack_here: InProcess) -> None:
    """Of the image, its configuration and its layers; no layer is read for it."""
    document = check("history", imgpack_here("history", "--json", "a.tar").ok())

    assert document["id"] == str(image.config.digest)
    last, middle, first = document["history"]
    assert last["created_by"] == LONG and last["created"] is None
    assert middle["layer"] is None and middle["comment"] == "said"
    assert first["layer"]["diff_id"] == str(image.config.diff_ids[0])
    assert imgpack_here("history", "a.tar:app:1").ok() == imgpack_here("history", "a.tar").ok()
