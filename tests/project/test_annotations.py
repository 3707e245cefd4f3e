"""What git and ``pyproject.toml`` say becomes annotations, where it is sure."""

from pathlib import Path

import pytest

from imgpack.api import project_annotations
from imgpack.errors import ConfigError
from tests.project.test_git import COMMIT, origin, repository

PROJECT = """
[project]
name = "app"
version = "1.2"
license = "MIT OR Apache-2.0"
[project.urls]
Homepage = "https://example.org/"
"Source Code" = "https://user:secret@example.org/o/app"
"""


def test_a_project_in_a_repository_says_all_of_it(tmp_path: Path) -> None:
    """Its own URL comes before the remote's, which a fork has another of; nothing of the time."""
    repository(tmp_path, f"{COMMIT}\n", origin("git@example.org:fork/app.git"))
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "src").mkdir()
    found = project_annotations(str(tmp_path / "src"))
    assert {key.removeprefix("org.opencontainers.image."): text for key, text in found.items()} == {
        "source": "https://example.org/o/app",
        "revision": COMMIT,
        "version": "1.2",
        "title": "app",
        "licenses": "MIT OR Apache-2.0",
    }


def test_what_only_a_build_finds_out_is_left_out(tmp_path: Path) -> None:
    """A dynamic version, the text of a licence, what is no text at all."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = 1\ndynamic = ["version"]\nlicense = {text = "MIT"}\nurls = 3\n'
    )
    assert project_annotations(str(tmp_path)) == {}


def test_a_project_above_the_repository_is_another_one(tmp_path: Path) -> None:
    """The nearest counts, up to where the repository begins."""
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    repository(tmp_path / "inner", f"{COMMIT}\n")
    assert list(project_annotations(str(tmp_path / "inner"))) == [
        "org.opencontainers.image.revision"
    ]


@pytest.mark.parametrize("text", ["[project", "\xff", "#" * (2 << 20), "x = [" * 20000])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, text: str) -> None:
    """Too long is as bad."""
    (tmp_path / "pyproject.toml").write_text(text, "latin-1")
    with pytest.raises(ConfigError, match=r"pyproject\.toml is not TOML"):
        project_annotations(str(tmp_path))


@pytest.mark.parametrize(
    "text",
    ["x = " + "[" * 20_000, "\r\n[a" + ".a" * 400_000 + "]", "x = {a" + ".a" * 400_000 + " = 1}"],
)
def test_a_file_that_is_nested_too_deeply_ends_soon(tmp_path: Path, text: str) -> None:
    """Whoever wrote it."""
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"pyproject\.toml:\d is nested too deeply"):
        project_annotations(str(tmp_path))
