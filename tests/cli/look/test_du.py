"""What takes the space in an image, and what is wasted."""

import re
import tarfile
from pathlib import Path

import pytest

from tests.cli.archives import write_archive
from tests.cli.look.images import write_image
from tests.cli.test_json import check
from tests.cli_runner import InProcess
from tests.store.samples import Memory, make_image, tar_of


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


def test_every_number_has_its_column(imgpack_here: InProcess) -> None:
    """Numbers to the right, words to the left, and the share of what could go."""
    lines = imgpack_here("du", "--top", "2", "a.tar").ok().decode().splitlines()

    assert lines[0] == "LAYER  STORED    FILES   HIDDEN  ENTRIES  CREATED BY"
    assert re.fullmatch(r"    1   \d+ B  3\.0 KiB  2\.9 KiB       16  layer 0", lines[1])
    assert re.fullmatch(r"    2   \d+ B  3\.9 KiB      0 B        7  layer 1", lines[2])
    assert lines[3:] == [
        "",
        "Directories",
        "   SIZE  FILES  PATH",
        "4.0 KiB      8  /",
        "2.0 KiB      1  /srv",
        "",
        "Files",
        "   SIZE  LAYER  PATH",
        "2.0 KiB      2  /srv/copy",
        "2.0 KiB      2  /usr/lib/libc.so",
        "",
        "Hidden",
        "   SIZE  LAYER  BY             PATH",
        "2.0 KiB      1  2, same bytes  /usr/lib/libc.so",
        " 1000 B      1  2, deleted     /var/gone",
        "",
        "Duplicates",
        " WASTED  COPIES     SIZE  PATHS",
        "2.0 KiB       2  2.0 KiB  /srv/copy, /usr/lib/libc.so",
        "",
        "Would shrink",
        "2.9 KiB  hidden, in 3 files",
        "2.0 KiB  duplicates, 1 copy",
        "4.9 KiB  in all, 70.4 % of 6.9 KiB",
    ]


def test_what_is_replaced_and_what_is_there_often_is_told(
    tmp_path: Path, imgpack_here: InProcess
) -> None:
    """Of many copies the first two by name."""
    low = tar_of(dict.fromkeys(("a", "b", "c", "d"), b"same" * 100) | {"e": b"old"})
    write_archive(tmp_path / "b.tar", make_image(Memory(), [low, tar_of({"e": b"news"})]))

    lines = imgpack_here("du", "b.tar").ok().decode().splitlines()

    assert " 3 B      1  2, replaced  /e" in lines
    assert "1.2 KiB       4  400 B  /a, /b and 2 more" in lines
    assert "1.2 KiB  duplicates, 3 copies" in lines
    document = check("usage", imgpack_here("du", "--json", "b.tar").ok())
    assert [one["how"] for one in document["hidden"]["files"]] == ["replaced"]


def test_an_image_without_a_byte_wastes_nothing(tmp_path: Path, imgpack_here: InProcess) -> None:
    """And has no sections of what there is none of."""
    write_archive(tmp_path / "b.tar", make_image(Memory(), [tar_of({"a": b"", "b": b""})]))

    out = imgpack_here("du", "b.tar").ok().decode()

    assert "Hidden" not in out and "Duplicates" not in out
    assert out.endswith("0 B  in all, nothing of 0 B\n")


def test_a_lock_has_one_layer(imgpack_here: InProcess) -> None:
    """Of which nobody knows how it is stored; nothing in it is hidden."""
    imgpack_here("base", "lock", "a.tar", "-o", "a.lock").ok()

    document = check("usage", imgpack_here("du", "--json", "a.lock", "--cache-dir", "c").ok())

    (layer,) = document["layers"]
    assert layer["stored"] is None and layer["hidden"] == 0
    assert document["duplicates"]["size"] == 2004
    assert (layer["digest"], layer["created_by"]) == (None, "")
    out = imgpack_here("du", "a.lock", "--cache-dir", "c").ok().decode()
    assert re.search(r"^    1       -  ", out, re.MULTILINE)
