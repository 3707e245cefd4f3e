"""What imgpack shows of an image is what tar and docker show of it."""

import json
import re
import tarfile
from pathlib import Path

import pytest

from tests.cli_runner import Imgpack
from tests.interop.layers import TOP, facts_of_export, write_image
from tests.servers.engine import Engine
from tests.servers.process import require, run

KINDS = {"character": "character device", "block": "block device"}


@pytest.fixture(params=range(3))
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An archive of an image of several layers, some of which delete what others have."""
    return write_image(tmp_path / "image.tar", request.param)


def test_ls_is_what_docker_exports(engine: Engine, imgpack: Imgpack, image: Path) -> None:
    """The same paths, with type, mode, owner, time, size, target and digest."""
    name = engine.load(image).split()[-1]
    container = engine("create", name, "/none").decode().strip()
    exported = facts_of_export(engine("export", container))
    engine("rm", container)

    document = json.loads(imgpack("ls", "-R", "--json", image).ok())

    entries = {one["path"][1:].encode(): one for one in document["entries"]}
    shown = {path: one for path, one in entries.items() if path.startswith(TOP.encode())}
    assert shown.keys() == exported.keys()
    for path, facts in exported.items():
        one = shown[path]
        assert KINDS.get(one["type"], one["type"]) == facts.kind, path
        assert (int(one["mode"], 8), one["uid"], one["gid"]) == (facts.mode, *facts.owner), path
        assert one.get("target", "").encode() == facts.target, path
        if facts.kind == "file":
            assert (one["size"], one["sha256"]) == (facts.size, facts.content), path


def test_a_layer_is_what_tar_lists(imgpack: Imgpack, image: Path) -> None:
    """Each long line: mode, owner, size, time in UTC, path and target; whiteouts are marked."""
    with tarfile.open(image) as archive:
        manifest = json.load(archive.extractfile("manifest.json") or [])
        archive.extractall(image.parent / "layers", filter="data")
    for number, blob in enumerate(manifest[0]["Layers"], 1):
        tar = [require("tar"), "tvf", str(image.parent / "layers" / blob)]
        options = ["--numeric-owner", "--utc", "--full-time", "--quoting-style=literal"]
        listed = run([*tar, *options]).stdout.decode().splitlines()
        lines = imgpack("ls", "-nR", "--layer", str(number), image).ok().decode().splitlines()

        expected = dict(map(_of_tar, listed))
        shown = dict(map(_of_ls, lines))
        assert shown.keys() == expected.keys()
        for path, facts in expected.items():
            assert facts is None or shown[path] == facts, path


def _of_tar(line: str) -> tuple[str, tuple[str, ...] | None]:
    """The path of a line and what it says of it; nothing of deletions, and of hard links."""
    mode, owner, size, date, clock, name = line.split(maxsplit=5)
    above, _, last = name.partition(" link to ")[0].partition(" -> ")[0].rstrip("/").rpartition("/")
    if last == ".wh..wh..opq":
        return f"/{above} (opaque)", None
    if last.startswith(".wh."):
        return f"/{above}/{last[4:]} (whiteout)", None
    path = f"{above}/{last}".strip("/")
    if mode[0] == "h":
        return f"/{path}", None
    size = "0" if mode[0] in "lp" else size
    return f"/{path}", (mode, owner, size, f"{date} {clock}", name.partition(" -> ")[2])


def _of_ls(line: str) -> tuple[str, tuple[str, ...]]:
    mode, _, uid, gid, size, rest = line.split(maxsplit=5)
    found = re.fullmatch(r"(-|[\d-]+ [\d:]+) +(.*)", rest)
    assert found is not None, line
    path, _, target = found[2].partition(" -> ")
    size = "0" if mode[0] in "lp" else size
    return path, (mode, f"{uid}/{gid}", size, found[1], target)


def test_history_is_what_docker_shows(engine: Engine, imgpack: Imgpack, image: Path) -> None:
    """The same steps in the same order, with what made them and when."""
    (imgpack.directory / "t").mkdir()
    steps = ("--env", "A=b", "--label", "c=d", "--cmd", '["/x"]', "-t", "on:1", "-o", "on.tar")
    imgpack("build", "t", "--from", image, *steps).ok()
    name = engine.load(imgpack.directory / "on.tar").split()[-1]
    options = ("--no-trunc", "--human=false", "--format", "json")
    docker = [json.loads(line) for line in engine("history", *options, name).splitlines()]

    document = json.loads(imgpack("history", "--json", "on.tar").ok())

    assert docker[0]["ID"] == document["id"]
    assert len(docker) == len(document["history"])
    for theirs, ours in zip(docker, document["history"], strict=True):
        assert theirs["CreatedBy"] == ours["created_by"]
        assert theirs["Comment"] == ours["comment"]
        assert theirs["CreatedAt"][:19] == (ours["created"] or "0001-01-01T00:00:00")[:19]
