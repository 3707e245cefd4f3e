"""``imgpack cache``, and the options that say which cache and how large."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from imgpack.cli.options.cache import parse_size, usable_cpus
from tests.cli_runner import Imgpack, InProcess
from tests.privileges import OBEYING_MODES


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


@pytest.mark.parametrize(
    "arguments", [("cache", "info"), ("cache", "prune"), ("build", "rootfs", "-o", "1.tar")]
)
def test_an_empty_cache_directory_is_a_usage_error(
    imgpack_here: InProcess, tree: Path, arguments: tuple[str, ...]
) -> None:
    """It is a variable that is not set, and not the default."""
    assert "--cache-dir is empty" in imgpack_here(*arguments, "--cache-dir=").failed(2)


def test_people_see_what_the_cache_holds(imgpack_here: InProcess, tree: Path) -> None:
    """Seven lines."""
    imgpack_here("build", "rootfs").ok()

    lines = imgpack_here("cache", "info").ok().decode().splitlines()
    assert [line.split()[0] for line in lines] == [
        "directory", "segments", "layers", "trees", "fetched", "unfinished", "size",
    ]  # fmt: skip
    assert lines[6].endswith("MB") or lines[6].endswith("MiB")


def test_pruning_drops_everything_or_down_to_a_size(imgpack_here: InProcess, tree: Path) -> None:
    """And a build after it works as before."""
    imgpack_here("build", "rootfs").ok()
    assert b"dropped 0 entries" in imgpack_here("cache", "prune", "--keep", "1GiB").ok()

    imgpack_here("cache", "prune").ok()

    assert info(imgpack_here)["size"] == 0
    assert "layer 1: not built before\n" in imgpack_here("build", "rootfs", "--explain").err


def test_pruning_drops_what_killed_builds_left(imgpack_here: InProcess, tmp_path: Path) -> None:
    """After minutes; a build of its own accord waits for a day."""
    imgpack_here("cache", "prune", "--cache-dir", "mine").ok()
    for name in ("segments", "layers", "tmp"):
        (tmp_path / "mine" / name).mkdir(parents=True)
    young, old = (tmp_path / "mine/tmp" / (digit * 32) for digit in "01")
    for file in (young, old):
        file.write_bytes(b"x")
    os.utime(old, (time.time() - 1000,) * 2)
    assert info(imgpack_here, "--cache-dir", "mine")["unfinished"] == 2

    assert b"dropped 1 entries" in imgpack_here("cache", "prune", "--cache-dir", "mine").ok()

    assert list((tmp_path / "mine/tmp").iterdir()) == [young]


def test_looking_at_a_cache_makes_none(imgpack_here: InProcess, tmp_path: Path) -> None:
    """One that is not there is empty."""
    for command in ("info",), ("prune",), ("trim", "--max-size", "0"):
        imgpack_here("cache", *command, "--cache-dir", "none").ok()
    assert info(imgpack_here, "--cache-dir", "none") == {
        "directory": "none", "segments": 0, "layers": 0, "trees": 0, "fetched": 0,
        "unfinished": 0, "size": 0,
    }  # fmt: skip
    assert not (tmp_path / "none").exists()


def test_a_read_only_cache_can_be_looked_at(tmp_path: Path) -> None:
    """Also one of before, which has no tag."""
    for name in ("segments", "layers", "tmp"):
        (tmp_path / "mine" / name).mkdir(parents=True)
    (tmp_path / "mine").chmod(0o555)
    command = [*OBEYING_MODES, sys.executable, "-m", "imgpack", "cache", "info"]
    done = subprocess.run(
        [*command, "--cache-dir", str(tmp_path / "mine")], capture_output=True, text=True
    )
    (tmp_path / "mine").chmod(0o755)

    assert (done.returncode, done.stderr) == (0, "")
    assert "segments   0" in done.stdout


def test_a_directory_of_something_else_is_left_alone(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """By every command, with the usual code."""
    (tmp_path / "project/tmp/work").mkdir(parents=True)
    precious = tmp_path / "project/tmp/work/precious.txt"
    precious.write_text("precious")
    os.utime(precious, (1000, 1000))

    for command in (["build", "rootfs"], ["cache", "prune"], ["cache", "info"]):
        line = imgpack_here(*command, "--cache-dir", "project").failed(15)
        assert "project is no cache of imgpack: it holds other files" in line

    assert precious.exists()
    assert [path.name for path in (tmp_path / "project").iterdir()] == ["tmp"]


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
    with pytest.raises(click.UsageError, match="--keep"):
        parse_size(text, "--keep")
    assert "--keep" in imgpack_here("cache", "prune", f"--keep={text}").failed(2)


def test_a_missing_home_is_told(imgpack_here: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache is made in the root directory, or in one called ``~``."""
    monkeypatch.setenv("HOME", "")
    monkeypatch.delenv("XDG_CACHE_HOME")

    line = imgpack_here("cache", "info").failed(15)
    assert "there is no home directory for a cache; name one with --cache-dir" in line


def test_there_is_at_least_one_cpu() -> None:
    """And no more than this process may use."""
    assert 1 <= usable_cpus() <= len(os.sched_getaffinity(0))


def test_pruning_follows_no_symbolic_link(imgpack_here: InProcess, tree: Path, home: Path) -> None:
    """Nothing outside of the cache is dropped, although it has the names of segments."""
    imgpack_here("build", "rootfs").ok()
    shard = next((home / "cache/imgpack/segments").iterdir())
    shard.rename(home / "outside")
    shard.symlink_to(home / "outside")
    before = sorted((home / "outside").iterdir())

    imgpack_here("cache", "prune").ok()

    assert sorted((home / "outside").iterdir()) == before != []
    assert info(imgpack_here)["segments"] == 0


def trim(imgpack: InProcess, *arguments: str) -> dict[str, object]:
    """What a trim says that it did."""
    told: dict[str, object] = json.loads(imgpack("cache", "trim", "--json", *arguments).ok())
    return told


def test_a_job_keeps_what_this_run_used(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """By the mtime of a file that it made at its start; what is kept hits next time."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_bytes(os.urandom(100_000))
    imgpack_here("build", "rootfs", "--mtime", "0").ok()
    imgpack_here("build", "other").ok()
    time.sleep(0.05)
    (tmp_path / "started").touch()
    imgpack_here("build", "rootfs", "--mtime", "0").ok()

    before = info(imgpack_here)
    would = trim(imgpack_here, "--used-since", "started", "--dry-run")
    assert info(imgpack_here) == before
    done = trim(imgpack_here, "--used-since", "started")

    assert {**would, "dry_run": False} == done
    assert done["dropped"] == 2  # a segment and a record, of the other
    after = info(imgpack_here)
    assert after["size"] == done["size"]
    assert after["layers"] == 1
    said = imgpack_here("build", "rootfs", "--mtime", "0", "--explain").err
    assert "compressed" not in said


def test_a_trim_goes_by_time_and_then_by_size(imgpack_here: InProcess, home: Path) -> None:
    """Durations, times and files are times; the least recently used go down to the size."""
    imgpack_here("build", "--from", "scratch", "-o", "x.tar", "-t", "x").ok()
    place = home / "cache/imgpack/segments/ab"
    place.mkdir(parents=True)
    now = time.time()
    for number, age in enumerate((86_400 * 8, 86_400 * 3, 7200, 60)):
        file = place / f"{number:014}3e8-{'7' * 16}"
        file.write_bytes(bytes(1000))
        os.utime(file, (now - age, now - age))

    assert trim(imgpack_here, "--used-since", "2w")["dropped"] == 0
    assert trim(imgpack_here, "--used-since", "7d")["dropped"] == 1
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 86_400))
    assert trim(imgpack_here, "--used-since", since, "--max-size", "10k")["dropped"] == 1
    assert trim(imgpack_here, "--max-size", "1000", "--used-since", "12h")["dropped"] == 1
    assert [file.name[:14] for file in place.iterdir()] == [f"{3:014}"]
    assert imgpack_here("cache", "trim", "--max-size", "0", "--dry-run").ok() == (
        b"would drop 1 entries, 1000 B; 0 B left\n"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "say what to keep: --max-size SIZE, --used-since TIME, or both"),
        (("--max-size", "much"), "--max-size 'much' is not a size"),
        (("--used-since", "7 days"), "--used-since '7 days' is neither a time nor a file"),
        (("--used-since", ""), "--used-since '' is neither a time nor a file"),
        (("--used-since", "2026-13-01"), "is neither a time nor a file"),
        (("--used-since", "2999-01-01"), "--used-since '2999-01-01' is in the future"),
    ],
)
def test_a_trim_without_a_sound_measure_drops_nothing(
    imgpack_here: InProcess, tree: Path, arguments: tuple[str, ...], told: str
) -> None:
    """One line says what to write."""
    imgpack_here("build", "rootfs").ok()
    before = info(imgpack_here)

    assert told in imgpack_here("cache", "trim", *arguments).failed(2)
    assert info(imgpack_here) == before


def test_a_read_only_cache_is_not_trimmed_and_told(
    imgpack: Imgpack, tree: Path, tmp_path: Path
) -> None:
    """With a warning: what is there stays."""
    imgpack("build", "rootfs", "--cache-dir", "c").ok()
    places = [tmp_path / "c", *(tmp_path / "c").rglob("*")]
    for place in places:
        place.chmod(0o555)
    done = imgpack("cache", "trim", "--max-size", "0", "--cache-dir", "c", prefix=OBEYING_MODES)
    for place in places:
        place.chmod(0o755)

    assert done.ok().startswith(b"dropped 0 entries, 0 B; ")
    assert "cannot write to the cache c: Permission denied" in done.err
