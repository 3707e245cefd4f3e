"""The bytes of files of an image, as they are."""

import os
from pathlib import Path

import pytest

from tests.cli.archives import write_archive
from tests.cli.look.images import PASSWD, entry, layer, write_image
from tests.cli.screen import shown
from tests.cli_runner import Imgpack, InProcess
from tests.store.samples import Memory, make_image

LIBRARY = b"\x7fELF" + b"c" * 2000


@pytest.fixture(autouse=True)
def image(tmp_path: Path) -> None:
    """An image of two layers."""
    write_image(tmp_path / "a.tar")


def test_files_come_in_the_order_they_are_named(imgpack_here: InProcess) -> None:
    """From whatever layer, through links, by any name, and the same one twice."""
    paths = ("lib/libc.so", "/etc/passwd", "etc/app.conf", "bin/su", "bin/also", "/lib/libc.so")

    out = imgpack_here("cat", "a.tar", *paths).ok()

    assert out == LIBRARY + PASSWD + b"app" + b"#!su" * 2 + LIBRARY
    assert imgpack_here("cat", "a.tar", "bin/also").ok() == b"#!su"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("etc", "etc is a directory"),
        ("dev/null", "dev/null is a device or a pipe"),
        ("etc/old", "layer 2 deletes it"),
    ],
)
def test_what_is_no_file_is_refused_before_anything_is_written(
    imgpack_here: InProcess, path: str, told: str
) -> None:
    """Though another one is there."""
    done = imgpack_here("cat", "a.tar", "etc/passwd", path)

    assert told in done.failed(28)
    assert done.out == b""


def test_a_terminal_gets_text_and_nothing_that_acts_on_it(tmp_path: Path) -> None:
    """A control character is refused before it is written, wherever it is."""
    files = {"text": "tab\tümlaut\n", "acts": "x" * 3_000_000 + "\x9b2J", "bytes": "\x1b[2J"}
    made = [entry(name, text.encode()) for name, text in files.items()]
    write_archive(tmp_path / "t.tar", make_image(Memory(), [layer(*made)]))

    assert shown(tmp_path, "cat", "t.tar", "text", columns=80)[1][0] == "tab\tümlaut"
    for name in "acts", "bytes":
        text, _ = shown(tmp_path, "cat", "t.tar", name, columns=80, code=2)
        assert f"{name} is no plain text" in text
        assert "2J" not in text


def test_a_reader_that_goes_away_is_no_failure_to_tell(tmp_path: Path, imgpack: Imgpack) -> None:
    """As of ``cat`` into ``head``."""
    made = [entry("big", b"x" * 5_000_000)]
    write_archive(tmp_path / "t.tar", make_image(Memory(), [layer(*made)]))
    with imgpack.start("cat", "t.tar", "big") as process:
        assert process.stdout is not None and process.stderr is not None
        os.read(process.stdout.fileno(), 10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


def test_bytes_that_changed_since_they_were_verified_fail(
    tmp_path: Path, imgpack_here: InProcess
) -> None:
    """The cache knows what the layer held."""
    path = tmp_path / "t.tar"
    write_archive(path, make_image(Memory(), [layer(entry("f", b"good"))], compress=False))
    cat = ("cat", "t.tar", "f", "--cache-dir", "c")
    assert imgpack_here(*cat).ok() == b"good"
    path.write_bytes(path.read_bytes().replace(b"good", b"evil"))

    assert "t.tar: layer sha256:" in imgpack_here(*cat).failed(12)


def test_a_lock_has_no_bytes_unless_its_layers_are_in_the_cache(imgpack_here: InProcess) -> None:
    """It has the digests alone."""
    imgpack_here("base", "lock", "a.tar", "-o", "a.lock").ok()
    cat = ("cat", "a.lock", "etc/app.conf", "--cache-dir", "c")

    assert "imgpack base fetch LOCK gets" in imgpack_here(*cat).failed(20)

    imgpack_here("base", "fetch", "a.lock", "--cache-dir", "c").ok()
    assert imgpack_here(*cat).ok() == b"app"
