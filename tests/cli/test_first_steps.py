"""What somebody who does not know ``imgpack`` types first, and what is said to it."""

from pathlib import Path

import pytest

from tests.cli_runner import InProcess


@pytest.fixture
def here(imgpack_here: InProcess, tmp_path: Path) -> InProcess:
    """The command, where ``base.tar`` is a base, ``base.lock`` its lock, ``app`` a tree."""
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "passwd").write_text("www:x:5:6::/:/bin/sh\n")
    imgpack_here("build", "root", "-o", "base.tar", "-t", "base:1").ok()
    imgpack_here("base", "lock", "base.tar", "-o", "base.lock").ok()
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "run").write_text("run")
    return imgpack_here


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["-e", "A=1"], "nothing goes into the image; name a directory, or a base with --from"),
        (["--squash"], "nothing goes into the image"),
        (["--dry-run"], "nothing goes into the image"),
        (["--from", "", "app"], "--from is empty; name the image to build on, or leave it out"),
        (["--diff-from", "", "app"], "--diff-from is empty"),
    ],
)
def test_an_image_of_nothing_is_refused(
    here: InProcess, tmp_path: Path, arguments: list[str], problem: str
) -> None:
    """Also where it is said what the image is called, and what it is to say."""
    assert problem in here("build", *arguments, "-o", "x.tar").failed(2)
    assert not (tmp_path / "x.tar").exists()
