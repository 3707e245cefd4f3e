"""``imgpack cache``, and the options that say which cache and how large."""

import json
import os
from pathlib import Path

import pytest

from imgpack.cli.caching import parse_size, usable_cpus
from imgpack.errors import ConfigError
from tests.cli_runner import InProcess


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of about 3 MB that does not compress."""
    root = tmp_path / "rootfs"
    root.mkdir()
    for number in range(30):
        (root / f"f{number}").write_bytes(os.urandom(100_000))
    return root


def info(imgpack: InProcess, *arguments: str) -> dict[str, object]:
    """What a cache holds."""
    found: dict[str, object] = json.loads(imgpack("cache", "info", "--json", *arguments).ok())
    return found


def test_the_default_cache_is_in_the_xdg_directory(
    imgpack_here: InProcess, tree: Path, home: Path
) -> None:
    """``XDG_CACHE_HOME``, else ``~/.cache``."""
    imgpack_here("build", "rootfs").ok()

    found = info(imgpack_here)
    assert found["directory"] == str(home / "cache/imgpack")
    assert found["layers"] == 1
    assert isinstance(found["segments"], int)
    assert found["segments"] >= 1


def test_a_relative_xdg_directory_is_ignored(
    imgpack_here: InProcess, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its specification wants it."""
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")

    assert info(imgpack_here)["directory"] == str(home / ".cache/imgpack")


def test_a_cache_can_be_elsewhere_or_nowhere(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """``--cache-dir`` and ``--no-cache``; the bytes are the same."""
    imgpack_here("build", "rootfs", "--cache-dir", "mine", "-o", "1.tar").ok()
    imgpack_here("build", "rootfs", "--no-cache", "-o", "2.tar").ok()

    assert info(imgpack_here, "--cache-dir", "mine")["layers"] == 1
    assert info(imgpack_here)["layers"] == 0
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


def test_people_see_what_the_cache_holds(imgpack_here: InProcess, tree: Path) -> None:
    """Four lines."""
    imgpack_here("build", "rootfs").ok()

    lines = imgpack_here("cache", "info").ok().decode().splitlines()
    assert [line.split()[0] for line in lines] == ["directory", "segments", "layers", "size"]
    assert lines[3].endswith("MB") or lines[3].endswith("MiB")


def test_pruning_drops_everything_or_down_to_a_size(imgpack_here: InProcess, tree: Path) -> None:
    """And a build after it works as before."""
    imgpack_here("build", "rootfs").ok()
    assert b"dropped 0 entries" in imgpack_here("cache", "prune", "--keep", "1GiB").ok()

    imgpack_here("cache", "prune").ok()

    assert info(imgpack_here)["size"] == 0
    assert imgpack_here("build", "rootfs", "--explain").err == "layer 1: not built before\n"


def test_a_build_keeps_the_cache_below_its_limit(imgpack_here: InProcess, tree: Path) -> None:
    """What was used last stays."""
    imgpack_here("build", "rootfs", "--cache-limit", "1MiB").ok()

    size = info(imgpack_here)["size"]
    assert isinstance(size, int)
    assert size <= 1 << 20


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("10", 10), ("2k", 2048), ("1.5MiB", 3 << 19), ("10GB", 10 << 30), ("1 T", 1 << 40)],
)
def test_a_size_is_a_number_and_a_unit(text: str, size: int) -> None:
    """Units are powers of 1024, however they are spelled."""
    assert parse_size(text, "--keep") == size


@pytest.mark.parametrize("text", ["", "x", "-1", "1X", "1.2.3", "9" * 400, "99999999T", "10 G B"])
def test_an_impossible_size_is_told(imgpack_here: InProcess, text: str) -> None:
    """With the option that has it."""
    with pytest.raises(ConfigError, match="--keep"):
        parse_size(text, "--keep")
    assert "--keep" in imgpack_here("cache", "prune", f"--keep={text}").failed(7)


def test_a_missing_home_is_told(imgpack_here: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache is made in the root directory, or in one called ``~``."""
    monkeypatch.setenv("HOME", "")
    monkeypatch.delenv("XDG_CACHE_HOME")

    line = imgpack_here("cache", "info").failed(15)
    assert "there is no home directory for a cache; name one with --cache-dir" in line


def test_there_is_at_least_one_cpu() -> None:
    """And no more than this process may use."""
    assert 1 <= usable_cpus() <= len(os.sched_getaffinity(0))
