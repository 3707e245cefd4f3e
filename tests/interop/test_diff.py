"""Images that other programs copied, packed and changed: what ``imgpack diff`` says of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli_runner import Imgpack
from tests.servers.process import require, run


def compared(imgpack: Imgpack, a: str, b: str, *options: str) -> dict[str, Any]:
    """What differs between two images of one platform."""
    done = imgpack("diff", a, b, "--json", *options)
    assert done.code in (0, 1), done.err
    document: dict[str, Any] = json.loads(done.out)
    assert document["equal"] is (done.code == 0)
    (image,) = document["images"]
    return {"equal": document["equal"], **image}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree with a link, a long name and a hard link."""
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/motd").write_text("hello\n")
    (tree / "etc" / ("long" * 30)).write_text("long\n")
    (tree / "etc/link").symlink_to("motd")
    (tree / "etc/hard").hardlink_to(tree / "etc/motd")
    return tree


@pytest.fixture
def image(tmp_path: Path, source: Path) -> str:
    """An image of it."""
    Imgpack(tmp_path)("build", source, "-o", "a.tar", "-t", "localhost/a:1", "--format=oci").ok()
    return "a.tar"


def test_what_skopeo_copies_is_the_same(tmp_path: Path, image: str) -> None:
    """As it is; and with other types, no file is another."""
    imgpack = Imgpack(tmp_path)
    skopeo = [require("skopeo"), "--insecure-policy", "copy", f"docker-archive:{tmp_path}/{image}"]
    run([*skopeo, f"oci:{tmp_path}/layout:1"])

    found = compared(imgpack, image, "layout")

    assert found["files"] == []
    assert {cause["kind"] for cause in found["causes"]} <= {"compression", "media-type"}


def test_what_umoci_packs_of_the_same_files_differs_in_them_alone(
    tmp_path: Path, source: Path, image: str
) -> None:
    """Of the same tree: the tar is written otherwise, and the files are the same."""
    imgpack = Imgpack(tmp_path)
    umoci = require("umoci")
    layout = f"{tmp_path}/umoci"
    run([umoci, "init", "--layout", layout])
    run([umoci, "new", "--image", f"{layout}:1"])
    run([umoci, "insert", "--image", f"{layout}:1", str(source / "etc"), "/etc"])

    found = compared(imgpack, image, "umoci", "--only", "layers,files", "--ignore", "times,owner")

    assert {one["path"] for one in found["files"]} == set()


def test_what_umoci_changes_is_what_differs(tmp_path: Path, image: str) -> None:
    """One file of one image, with the layer that it is in now."""
    imgpack = Imgpack(tmp_path)
    umoci = require("umoci")
    imgpack("copy", image, "layout/").ok()
    (tmp_path / "new").write_text("other\n")
    run([umoci, "insert", "--image", f"{tmp_path}/layout:1", str(tmp_path / "new"), "/etc/motd"])

    found = compared(imgpack, image, "layout", "--ignore", "times")

    assert found["causes"][0]["kind"] == "layers"
    changed = {one["path"]: one for one in found["files"]}
    assert "content" in changed["etc/motd"]["fields"]
    assert changed["etc/motd"]["b"]["layer"] == 2
