"""Building layers: what is reused, what is read again, and why."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import imgpack
from imgpack.api import Change, Codec, Directory, SegmentCache, SetOwner, SetTime
from imgpack.errors import Hint, SourceError
from imgpack.events import Silent
from imgpack.layer import build
from imgpack.layer.build import Built, LayerBuilder, Options
from imgpack.layer.stages import Stages
from imgpack.tree.destination import place
from imgpack.tree.disk import snapshot
from imgpack.tree.disk.mounts import Mount
from imgpack.tree.disk.snapshot import RACY_NS
from tests.layer.trees import MIB, Blob, fill, noise
from tests.tree.stacks import over

LATER_NS = 10**12
"""Nanoseconds after the tree was made: nothing is racy then."""


class Bench:
    """A tree, a cache, and builds of the one with the other."""

    def __init__(self, tmp_path: Path) -> None:
        self.root = fill(tmp_path / "tree", files=160)
        self.cache = tmp_path / "cache"
        self.blob = Blob()
        self.reasons: list[str] = []
        self.changes: list[Change] = []
        self.warnings: list[str] = []

    def options(self) -> Options:
        """As the command line has them by default, long after every change."""
        cache = SegmentCache(str(self.cache), self.warnings.append)
        return Options((), Codec.parse("gzip"), 2, cache, time.time_ns() + LATER_NS)

    def explain(self, reason: str, changes: Iterator[Change] | None, built: Built) -> None:
        self.reasons.append(reason)
        self.changes = list(changes or ())

    def build(self, options: Options | None = None, dest: bytes = b"") -> Built:
        """Build the layer."""
        builder = LayerBuilder(options or self.options(), explain=self.explain)
        self.blob = Blob()
        built = builder.build(place(Directory(bytes(self.root)), b"/" + dest), self.blob.opening)
        written = built.record.written
        assert self.blob.committed == (written.digest, written.size)
        assert len(self.blob.data.getvalue()) == written.size
        return built


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A tree of several segments and an empty cache."""
    return Bench(tmp_path)


def test_an_unchanged_tree_is_taken_from_the_cache(bench: Bench) -> None:
    """The same bytes, the same digests, and it says so."""
    first = bench.build()
    data = bench.blob.data.getvalue()
    second = bench.build()

    assert bench.blob.data.getvalue() == data
    assert (first.unchanged, second.unchanged) == (False, True)
    assert replace(second, unchanged=False, reused=0, made=first.made) == first
    assert bench.reasons == ["not built before", "reused: nothing changed"]


OPENS = """
import os, sys
opened = []
def hook(event, arguments):
    if event in ("open", "os.listxattr", "os.getxattr", "os.readlink"):
        path = arguments[0]
        opened.append(os.fsdecode(path) if isinstance(path, (str, bytes)) else str(path))
sys.addaudithook(hook)
from imgpack.cli.main import cli
cli(sys.argv[1:], standalone_mode=False)
print(sum(os.path.basename(path).startswith("file0") for path in opened), file=sys.stderr)
"""


def test_an_unchanged_tree_is_not_read(bench: Bench, tmp_path: Path) -> None:
    """No file is opened, counted by an audit hook; ``--check-contents`` opens them all."""
    time.sleep(2.2)  # until nothing is racy any more
    arguments = [sys.executable, "-c", OPENS, "build", str(bench.root), "-o", "out.tar"]
    arguments += ["--cache-dir", str(bench.cache)]

    def opened(*more: str) -> int:
        done = subprocess.run(
            [*arguments, *more], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return int(done.stderr.splitlines()[-1])

    first = opened()
    assert first >= 160
    assert opened() == 0
    assert opened("--check-contents") == first


def rewrite(root: Path) -> None:
    (root / "d0/file0000").write_bytes(b"new")


def chmod(root: Path) -> None:
    (root / "d0/file0000").chmod(0o600)


def retime(root: Path) -> None:
    os.utime(root / "d0/file0000", (5, 5))


def link(root: Path) -> None:
    os.link(root / "d0/file0000", root / "zlink")


def symlink(root: Path) -> None:
    (root / "d0/file0000").unlink()
    (root / "d0/file0000").symlink_to("x")


def remove(root: Path) -> None:
    (root / "d0/file0000").unlink()


def top_mode(root: Path) -> None:
    (root / "d0").chmod(0o711)


@pytest.mark.parametrize("change", [rewrite, chmod, retime, link, symlink, remove, top_mode])
def test_a_change_is_found_and_only_its_segments_are_made(
    bench: Bench, change: Callable[[Path], None]
) -> None:
    """The result is what a build without a cache makes."""
    bench.build()
    change(bench.root)
    second = bench.build()
    fresh = bench.build(replace(bench.options(), cache=None))

    assert not second.unchanged
    assert second.record.written == fresh.record.written
    assert second.reused >= len(second.record.segments) - 3
    assert second.reused > 0
    assert bench.reasons[1] == "changed"


def test_the_paths_that_changed_are_told(bench: Bench) -> None:
    """By their names in the image."""
    bench.build(dest=b"opt/app")
    (bench.root / "d0/file0000").chmod(0o600)
    (bench.root / "new").touch()
    bench.build(dest=b"opt/app")

    assert [(change.path, change.how) for change in bench.changes] == [
        (b"opt/app", "changed: mtime"),
        (b"opt/app/d0/file0000", "changed: type or mode"),
        (b"opt/app/new", "added"),
    ]


def test_other_options_are_another_layer(bench: Bench) -> None:
    """Transforms, codec and destination are part of what is remembered."""
    bench.build()
    others = [
        replace(bench.options(), transforms=(SetOwner(5, 5),)),
        replace(bench.options(), transforms=(SetTime(7),)),
        replace(bench.options(), codec=Codec.parse("gzip:9")),
        replace(bench.options(), codec=Codec.parse("zstd")),
    ]
    for options in others:
        assert not bench.build(options).unchanged
    assert not bench.build(dest=b"opt").unchanged
    assert bench.build().unchanged


def test_contents_are_read_again_on_request(bench: Bench) -> None:
    """For file systems that lie about their times."""
    first = bench.build()
    second = bench.build(replace(bench.options(), check_contents=True))

    assert not second.unchanged
    assert second.record.written.digest == first.record.written.digest
    assert second.reused == len(second.record.segments)
    assert bench.reasons[1] == "contents are checked"


def test_a_young_tree_is_read_again(bench: Bench) -> None:
    """A change in the same tick would have left no trace."""
    # By the tree's own clock: however slow the machine is, it does not age.
    born = max(path.lstat().st_ctime_ns for path in bench.root.rglob("*"))
    young = replace(bench.options(), started_ns=born)
    bench.build(young)
    second = bench.build(replace(young, started_ns=born + RACY_NS))
    third = bench.build()
    fourth = bench.build()

    assert (second.unchanged, third.unchanged, fourth.unchanged) == (False, False, True)
    assert bench.reasons[1:3] == ["changed", "changed"]


def test_a_cache_that_cannot_be_written_is_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was filled once and lies on a read-only disk: no file of the tree is opened."""
    first = bench.build()
    monkeypatch.setattr(SegmentCache, "temporary", lambda cache: None)

    assert bench.build().unchanged
    assert not bench.build(replace(bench.options(), check_contents=True)).unchanged
    rewrite(bench.root)
    changed = bench.build()

    assert not changed.unchanged
    assert changed.reused == len(first.record.segments) - 1
    assert bench.reasons[1:] == ["reused: nothing changed"] + ["the cache cannot be written"] * 2


@pytest.mark.parametrize("change", ["distrusted", "mounted again"])
def test_a_tree_whose_times_prove_nothing_is_read_and_said_to_be(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Another image of squashfs may lie there by now, with the same times."""
    bench.build()
    mount = Mount("squashfs", 0) if change == "distrusted" else Mount("ext4", 5)
    monkeypatch.setattr(snapshot, "mount_of", lambda *_: mount)
    again = bench.build()

    assert not again.unchanged
    told = {"distrusted": "read, for the times of squashfs prove nothing"}
    assert bench.reasons[-1] == told.get(change, "changed")
    assert bench.build().unchanged is (change != "distrusted")


class Ear(Silent):
    """A reporter that keeps warnings."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def warn(self, message: str, hint: Hint = "") -> None:
        self.told.append(message)


def test_warnings_are_told_again_when_a_layer_is_reused(bench: Bench) -> None:
    """What was written otherwise is so still."""
    os.utime(bench.root / "d0/file0000", (-5, -5))
    ear = Ear()
    for _ in range(2):
        LayerBuilder(bench.options(), ear).build(Directory(bytes(bench.root)), Blob().opening)

    assert len(ear.told) == 2
    assert ear.told[0] == ear.told[1]
    assert "before 1970" in ear.told[0]


@pytest.mark.parametrize("kind", ["segments", "layers", "everything"])
@pytest.mark.parametrize("damage", [b"", b"garbage" * 30, None])
def test_a_damaged_cache_costs_time_and_nothing_else(
    bench: Bench, kind: str, damage: bytes | None
) -> None:
    """Every file of it cut, overwritten or gone."""
    first = bench.build()
    place = bench.cache if kind == "everything" else bench.cache / kind
    for file in place.rglob("*"):
        if file.is_file() and damage is None:
            file.unlink()
        elif file.is_file():
            file.write_bytes(damage or b"")

    second = bench.build()
    third = bench.build()

    assert second.record.written == first.record.written
    assert not second.unchanged
    assert third.unchanged
    assert bool(bench.warnings) is (damage is not None)


def test_a_damaged_snapshot_is_no_snapshot(bench: Bench) -> None:
    """Overwritten within: the layer is read as if it had not been built before."""
    first = bench.build()
    (file,) = (bench.cache / "layers").glob("*/*")
    data = file.read_bytes()
    file.write_bytes(data[:-700] + b"\xff" * 700)

    assert bench.build().record.written.digest == first.record.written.digest
    assert bench.warnings == [f"the cache entry {file} is damaged; it is made anew"]
    assert bench.reasons == ["not built before"] * 2
    assert bench.build().unchanged


def test_a_failed_build_commits_and_remembers_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here a disk that cannot be read any more."""
    bench.build()
    (bench.root / "d0/file0000").write_bytes(b"new")

    def broken(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "readv", broken)
    blob = Blob()

    for _ in range(2):
        with pytest.raises(SourceError, match="Input/output error"):
            LayerBuilder(bench.options()).build(Directory(bytes(bench.root)), blob.opening)
        assert blob.committed is None
        assert blob.data.getvalue() == b""


MEMORY = """
import re, sys
from imgpack.cli.main import cli
cli(sys.argv[1:], standalone_mode=False)
# Not getrusage: its maximum is inherited from whoever started this process.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
print(int(peak[1]) // 1024, file=sys.stderr)
"""


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_memory_does_not_follow_the_size_of_a_layer(tmp_path: Path, compression: str) -> None:
    """A layer of 300 MiB stays far below its size in resident memory."""
    (tmp_path / "tree").mkdir()
    with (tmp_path / "tree/large").open("wb") as file:
        for number in range(20):
            file.seek(number * 15 * MIB)
            file.write(noise(MIB))
        file.truncate(300 * MIB)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, "build", "tree", "--jobs", "2", "--format", "oci",
         "--compression", compression, "-o", "/dev/null"],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip

    assert int(done.stderr.splitlines()[-1]) < (160 if compression == "zstd" else 120)


def test_a_record_under_another_layers_key_is_not_believed(bench: Bench) -> None:
    """Whoever mixed them up: another owner, say, would be in the image."""
    mine = replace(bench.options(), transforms=(SetOwner(0, 0),))
    other = replace(bench.options(), transforms=(SetOwner(7, 7),))
    layers = bench.cache / "layers"
    right = bench.build(mine).record.written.digest
    (record,) = layers.glob("*/*")
    bench.build(other)
    (wrong,) = set(layers.glob("*/*")) - {record}
    record.write_bytes(wrong.read_bytes())

    built = bench.build(mine)

    assert (built.record.written.digest, built.unchanged) == (right, False)


def test_a_layer_is_made_again_when_a_lower_layer_brings_its_parents(
    bench: Bench, tmp_path: Path
) -> None:
    """``app:/opt/app`` alone makes /opt up; above a base it has the base's /opt."""
    (tmp_path / "base/opt").mkdir(parents=True, mode=0o700)
    tree = place(Directory(bytes(bench.root)), b"/opt/app")
    alone = Stages((), over(tree, []))
    above = Stages((), replace(over(tree, [Directory(bytes(tmp_path / "base"))]), chain="the base"))
    builder = LayerBuilder(bench.options())
    first = builder.build(tree, Blob().opening, alone)
    built = builder.build(tree, Blob().opening, above)
    fresh = LayerBuilder(replace(bench.options(), cache=None)).build(tree, Blob().opening, above)

    assert built.record.written.digest != first.record.written.digest
    assert built.record.written == fresh.record.written
    assert builder.build(tree, Blob().opening, alone).unchanged


def test_a_layer_of_another_format_version_is_not_reused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later imgpack may frame the same tree in another way."""
    bench.build()
    monkeypatch.setattr(build, "LAYER_FORMAT_VERSION", imgpack.LAYER_FORMAT_VERSION + 1)

    assert not bench.build().unchanged
    assert bench.reasons[1] == "not built before"
