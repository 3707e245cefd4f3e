"""What takes the space in an image, and what is wasted."""

import tarfile
from pathlib import Path

import pytest

from tests.cli.look.images import write_image
from tests.cli.test_json import check
from tests.cli_runner import InProcess


@pytest.fixture(autouse=True)
def image(tmp_path: Path) -> None:
    """An image of two layers."""
    write_image(tmp_path / "a.tar")


def test_programs_get_every_sum(imgpack_here: InProcess) -> None:
    """By layer, directory and file; what is hidden, and what is double."""
    document = check("usage", imgpack_here("du", "--json", "a.tar").ok())

    low, high = document["layers"]
    assert (low["hidden"], high["hidden"]) == (3007, 0)
    assert low["size"] == 4 + 97 - 4 + 3 + 2004 + 1000 - 97 + 4 + low["size"] - 3011
    assert document["size"] == low["size"] + high["size"]
    assert high["size"] == 3 + 1 + 2004 + 2004
    assert document["files"][0]["size"] == 2004
    paths = [one["path"] for one in document["directories"]]
    assert paths[:3] == ["/", "/srv", "/usr"]
    hidden = {
        one["path"]: (one["layer"], one["by"], one["how"]) for one in document["hidden"]["files"]
    }
    assert hidden == {
        "/usr/lib/libc.so": (1, 2, "same"),
        "/var/gone": (1, 2, "deleted"),
        "/etc/old": (1, 2, "deleted"),
    }
    (double,) = document["duplicates"]["contents"]
    assert [one["path"] for one in double["files"]] == ["/srv/copy", "/usr/lib/libc.so"]
    assert (double["copies"], double["wasted"]) == (2, 2004)
    assert document["shrink"] == 3007 + 2004


def test_people_get_the_largest(imgpack_here: InProcess) -> None:
    """As many as they ask for, and totals of all."""
    out = imgpack_here("du", "--top", "1", "-d", "0", "a.tar").ok().decode()

    sections = [line for line in out.splitlines() if line and not line.startswith(" ")]
    for title in ("Directories", "Files", "Hidden", "Duplicates", "Would shrink"):
        assert title in sections
    assert "same bytes  /usr/lib/libc.so" in out
    assert "/srv/copy, /usr/lib/libc.so" in out
    assert "/var/gone" not in out
    assert "hidden, in 3 files" in out


def test_a_directory_that_is_deleted_is_one_line(imgpack_here: InProcess, tmp_path: Path) -> None:
    """With all that is in it, of each layer; what is deleted by itself is among the files."""
    for name, size in (("low", 100), ("low/sub", 20), ("high", 3)):
        (tmp_path / "doc" / name).mkdir(parents=True)
        (tmp_path / "doc" / name / "file").write_bytes(bytes(size))
    build = ("build", "--mtime", "1", "--cmd", "x")
    imgpack_here(*build, "doc/low:/doc", "-t", "a:1", "-o", "1.tar").ok()
    imgpack_here(*build, "doc/high:/doc/high", "--from", "1.tar", "-t", "a:1", "-o", "2.tar").ok()
    with tarfile.open(tmp_path / "gone.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(".wh.doc"))
    imgpack_here("append", "2.tar", "gone.tar", "-o", "3.tar").ok()

    document = check("usage", imgpack_here("du", "--json", "3.tar").ok())

    assert document["hidden"]["directories"] == [
        {"path": "/doc", "layer": 1, "size": 120, "files": 2, "by": 3},
        {"path": "/doc", "layer": 2, "size": 3, "files": 1, "by": 3},
    ]
    lines = imgpack_here("du", "3.tar").ok().decode().splitlines()
    at = lines.index("Deleted directories")
    assert [line.split() for line in lines[at + 1 : at + 4]] == [
        ["SIZE", "FILES", "LAYER", "BY", "PATH"],
        ["120", "B", "2", "1", "3", "/doc"],
        ["3", "B", "1", "2", "3", "/doc"],
    ]


def test_a_lock_has_one_layer(imgpack_here: InProcess) -> None:
    """Of which nobody knows how it is stored; nothing in it is hidden."""
    imgpack_here("base", "lock", "a.tar", "-o", "a.lock").ok()

    document = check("usage", imgpack_here("du", "--json", "a.lock", "--cache-dir", "c").ok())

    (layer,) = document["layers"]
    assert layer["stored"] is None and layer["hidden"] == 0
    assert document["duplicates"]["size"] == 2004
