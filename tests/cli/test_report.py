"""``imgpack inspect --html``: when the page is written, and when nothing is."""

from pathlib import Path

import pytest

from tests.cli_runner import InProcess
from tests.store.samples import LAYERS, Memory, make_image, tar_of, write_image


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory with an archive of two images by name, and another one."""
    write_image(tmp_path / "a.tar", make_image(Memory()))
    write_image(tmp_path / "old.tar", make_image(Memory(), [*LAYERS, tar_of({"y": b"1"})]))
    return tmp_path


def test_the_page_is_written_and_nothing_is_printed(here: Path, imgpack_here: InProcess) -> None:
    """Twice the same bytes, with the name of the image and no other image."""
    assert imgpack_here("inspect", "a.tar", "--html", "one.html").ok() == b""
    imgpack_here("inspect", "a.tar", "--html", "two.html").ok()

    page = (here / "one.html").read_bytes()
    assert page == (here / "two.html").read_bytes()
    assert page.startswith(b"<!doctype html>")
    assert b'"name":"foo:1"' in page
    assert b'"before":null' in page


def test_another_image_is_compared_by_its_location(here: Path, imgpack_here: InProcess) -> None:
    """A name of the one is not looked for in the other."""
    options = ("--image", "foo:1", "--html", "page.html", "--compare")
    imgpack_here("inspect", "a.tar", *options, "old.tar:localhost:5000/bar/foo:v2").ok()

    assert b'"changes":[[1,"y",2,33188,1]]' in (here / "page.html").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--compare", "old.tar"), 2, "--html"),
        (("--html", "-"), 2, "/dev/stdout"),
        (("--html", "p.html", "--json"), 2, "--json"),
        (("--html", "p.html", "--verify"), 2, "--verify"),
        (("--html", "p.html", "--image", "no:1"), 20, "no image 'no:1'"),
        (("--html", "p.html", "--compare", "missing.tar"), 3, "missing.tar"),
        (("--html", "no/p.html"), 14, "no/p.html"),
        (("--html", "a.tar"), 14, "a.tar"),
        (("--html", "old.tar", "--compare", "old.tar:foo:1"), 14, "old.tar"),
    ],
)
def test_what_fails_leaves_no_page(
    here: Path, imgpack_here: InProcess, arguments: tuple[str, ...], code: int, said: str
) -> None:
    """One line says what to do."""
    assert said in imgpack_here("inspect", "a.tar", *arguments).failed(code)
    assert [one.name for one in here.iterdir() if "html" in one.name] == []


def test_an_artifact_has_no_files(here: Path, imgpack_here: InProcess) -> None:
    """It is said in one line what it is."""
    from tests.store.samples import make_artifact

    write_image(here / "chart/", make_artifact(Memory()))
    outcome = imgpack_here("inspect", "chart/", "--html", "p.html")
    assert "chart" in outcome.failed(outcome.code)
    assert not (here / "p.html").exists()
