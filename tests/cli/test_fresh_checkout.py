"""What a CI job sees: another checkout of the same files, and the cache of the run before."""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cli_runner import InProcess

WAYS = {
    "a directory": ("app", "--mtime", "0"),
    "no later than a time": ("app",),
    "a stated owner": ("app", "--mtime", "0", "--owner", "1:1", "--chmod", "bin=700"),
    "under a path": ("app:/opt/app", "--mtime", "0"),
    "a tar": ("app.tar", "--mtime", "0"),
    "squashed": ("app", "app:/opt", "--squash", "--mtime", "0"),
    "in parts": ("app", "--split", "lib=lib", "--mtime", "0"),
    "over a base": ("app:/opt", "--from", "base.tar", "--mtime", "0"),
    "zstd": ("app", "--mtime", "0", "--compression", "zstd", "--format", "oci"),
}


def checkout(place: Path, when: float) -> None:
    """The same files as ever, written at a time."""
    for name in ("bin/run", "lib/one", "lib/two", "etc/app.conf"):
        file = place / "app" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name * 50)
        os.utime(file, (when, when))
    for directory in (place / "app", *(place / "app").iterdir()):
        os.utime(directory, (when, when))
    subprocess.run(["tar", "-C", place / "app", "-cf", place / "app.tar", "."], check=True)


def restored(saved: Path, place: Path) -> None:
    """A cache as a CI service moves it: by tar."""
    place.mkdir(parents=True)
    archive = saved.with_suffix(".tar")
    subprocess.run(["tar", "--posix", "-C", saved, "-cf", archive, "."], check=True)
    subprocess.run(["tar", "-C", place, "-xf", archive], check=True)


@pytest.mark.parametrize("way", WAYS)
def test_a_fresh_checkout_hits_by_its_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Wherever it lies: nothing is compressed, and the bytes are the same."""
    outputs, says = [], []
    if "time" in way:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for number in (1, 2):
        work = tmp_path / f"run{number}" / ("x" * number)
        checkout(work, time.time() - 1000 * number)
        imgpack = InProcess(work, monkeypatch)
        (work / "root").mkdir()
        imgpack("build", "root", "--mtime", "0", "--no-cache", "-o", "base.tar").ok()
        if number == 2:
            restored(tmp_path / "run1/x/cache", work / "cache")
        done = imgpack("build", *WAYS[way], "-o", "o.tar", "--cache-dir", "cache", "--explain")
        done.ok()
        outputs.append((work / "o.tar").read_bytes())
        says.append(done.err)

    assert "compressed" in says[0]
    assert "compressed" not in says[1]
    assert "from the cache by content" in says[1]
    assert outputs[0] == outputs[1]


def explained(imgpack_here: InProcess, *options: str) -> Sequence[str]:
    """What is said of a second build in the same place, of files that were written anew."""
    lines: Sequence[str] = ()
    for number in (1, 2):
        shutil.rmtree(imgpack_here.directory / "app", ignore_errors=True)
        checkout(imgpack_here.directory, time.time() - 1000 * number)
        done = imgpack_here("build", "app", "-o", "o.tar", "--explain", *options)
        done.ok()
        lines = done.err.splitlines()
    return lines


def test_it_is_told_that_times_alone_made_a_layer_anew(imgpack_here: InProcess) -> None:
    """And what to give, so that the next checkout hits."""
    lines = explained(imgpack_here)

    assert lines[:2] == ["layer 1: changed", "  1 segment: 1 compressed, from bin"]
    assert any(line.startswith("  bin/run: changed: ") for line in lines)
    assert lines[-1].startswith("  7 may have another time alone: with --mtime TIME")


def test_it_is_not_told_where_times_are_given(imgpack_here: InProcess) -> None:
    """There is nothing to do: what changed was read, and found."""
    lines = explained(imgpack_here, "--mtime", "0")

    assert lines[:2] == ["layer 1: changed", "  1 segment: 1 from the cache by content"]
    assert not any("SOURCE_DATE_EPOCH" in line for line in lines)
