"""What is stored as it is: in no cache, and made again of the files that it came from."""

import contextlib
import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpack.api import Codec, Directory, SegmentCache, SetOwner, SetTime
from imgpack.compression.checksum import fingerprint
from imgpack.errors import SourceChangedError, SourceError
from imgpack.events import SILENT
from imgpack.layer.buffer import Buffer, memory
from imgpack.layer.build import Built, LayerBuilder, Options
from imgpack.layer.cache.recipes import follow, recipe_of
from imgpack.layer.pipeline import Pipeline
from imgpack.layer.segments import Segments
from imgpack.layer.stages import NO_STAGES
from imgpack.tree.destination import place
from imgpack.tree.problems import Problems
from tests.layer.trees import MIB, Blob, noise, settle, text

LATER_NS = 1 << 62
"""Nanoseconds: nothing that was made now is racy then."""
SIZES = st.sampled_from([0, 700, 32 << 10, (32 << 10) + 1, 200_001, MIB, 3 * MIB + 5])


class Builds:
    """Builds of a tree with a cache; each has the bytes of one without."""

    def __init__(self, where: Path) -> None:
        self.root = where / "tree"
        self.root.mkdir(parents=True)
        self.cache = where / "cache"
        self.warnings: list[str] = []
        self.reasons: list[str] = []
        cache = SegmentCache(str(self.cache), self.warnings.append)
        self.options = Options((), Codec.parse("gzip"), 1, cache, LATER_NS)

    def build(self, **options: object) -> Built:
        """Build the layer with the cache."""
        chosen = replace(self.options, **options)  # type: ignore[arg-type]
        built, data = self.built(chosen)
        assert data == self.built(replace(chosen, cache=None))[1]
        return built

    def built(self, options: Options) -> tuple[Built, bytes]:
        """Build the layer as ``options`` say; returns its bytes as well."""
        blob = Blob()
        builder = LayerBuilder(options, explain=lambda why, *_: self.reasons.append(why))
        tree = place(Directory(bytes(self.root)), b"/")
        return builder.build(tree, blob.opening), blob.data.getvalue()

    def recipes(self) -> list[Path]:
        """The files of the cache that are recipes."""
        files = sorted((self.cache / "segments").glob("*/*"))
        return [file for file in files if file.read_bytes()[32:34] in (b"[[", b"[]")]

    def size(self) -> int:
        """Bytes of segments and recipes in the cache."""
        return sum(file.stat().st_size for file in (self.cache / "segments").glob("*/*"))


@pytest.fixture
def builds(tmp_path: Path) -> Builds:
    """A tree of noise and text, and an empty cache."""
    builds = Builds(tmp_path)
    for number in range(4):
        directory = builds.root / f"d{number % 2}" / "deep"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"noise{number}").write_bytes(noise(MIB + number, number))
        (directory / f"text{number}").write_bytes(text(MIB // 2, number))
    (builds.root / "large").write_bytes(noise(3 * MIB + 7))
    os.link(builds.root / "large", builds.root / "link")
    settle(builds.root)
    return builds


def test_noise_is_not_in_the_cache(builds: Builds) -> None:
    """What is stored as it is takes a few lines there; the text is compressed in it."""
    first = builds.build()

    assert first.copied >= 4
    assert len(builds.recipes()) == first.copied
    assert builds.size() < 3 * MIB


def test_an_unchanged_tree_is_made_again_of_it(builds: Builds) -> None:
    """Nothing but the noise is read, and it says that nothing changed."""
    first = builds.build()
    again = builds.build()

    assert again.unchanged
    assert again.record == first.record
    assert builds.reasons[2] == "reused: nothing changed"
    assert builds.warnings == []


def test_no_descriptor_is_left_of_it(builds: Builds) -> None:
    """Neither of a file nor of the directories on the way to it."""
    builds.build()
    before = len(os.listdir("/proc/self/fd"))

    assert builds.build().unchanged
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_change_beside_it_copies_it(builds: Builds) -> None:
    """It is neither compressed nor looked for: what hits are the other segments."""
    first = builds.build()
    (builds.root / "d0" / "deep" / "text0").write_bytes(text(MIB // 2, 99))
    second = builds.build()

    assert (second.unchanged, second.copied) == (False, first.copied)
    assert second.reused + second.copied >= len(second.record.segments) - 2
    assert builds.build().unchanged


@pytest.mark.parametrize("change", [{"transforms": (SetOwner(7, 7),)}, {"check_contents": True}])
def test_other_builds_of_it_are_right(builds: Builds, change: dict[str, object]) -> None:
    """Other headers are other recipes; contents are read when they are checked."""
    builds.build()
    other = builds.build(**change)

    assert not other.unchanged
    assert builds.build(transforms=(SetTime(1),)).copied
    assert builds.build().unchanged


def test_small_files_that_do_not_compress_stay_in_the_cache(tmp_path: Path) -> None:
    """A recipe would be no smaller; no file is opened to make such a layer again."""
    builds = Builds(tmp_path)
    for number in range(100):
        (builds.root / f"noise{number:02}").write_bytes(noise(20_000, number))
    built = builds.build()

    assert (built.copied, builds.recipes()) == (0, [])
    assert builds.build().unchanged


def test_without_times_nothing_of_it_is_kept(builds: Builds) -> None:
    """A layer that is read each time needs no recipe."""
    cache = SegmentCache(str(builds.cache))
    pipeline, tree = Pipeline(Codec.parse("gzip"), cache, 2), Directory(bytes(builds.root))
    problems = Problems()
    cut = Segments(NO_STAGES, problems).cut(tree.entries(problems))
    assert pipeline.run(cut, Blob(), SILENT.begin("layer", None)).copied >= 4
    assert builds.recipes() == []


def rewrite(file: Path) -> None:
    """Other bytes, and the times put back."""
    before = file.stat()
    with file.open("r+b") as to:
        to.write(b"changed")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def truncate(file: Path) -> None:
    """It becomes shorter."""
    os.truncate(file, 100)


def remove(file: Path) -> None:
    """It is gone."""
    file.unlink()


def link(file: Path) -> None:
    """The same file, behind a symbolic link."""
    file.rename(file.with_name("moved"))
    file.symlink_to("moved")


def link_directory(file: Path) -> None:
    """The same file, in a directory behind a symbolic link."""
    file.parent.rename(file.parent.with_name("moved"))
    file.parent.symlink_to("moved")


CHANGES = [rewrite, truncate, remove, link, link_directory]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_before_it_is_copied_ends_the_build(
    builds: Builds, change: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the walk has found nothing changed: as when any other file changes then."""
    builds.build()
    replay = Pipeline.replay

    def late(*arguments: object) -> bool:
        change(builds.root / "d1" / "deep" / "noise1")
        assert not replay(*arguments)  # type: ignore[arg-type]
        return False

    monkeypatch.setattr(Pipeline, "replay", late)
    with pytest.raises((SourceError, SourceChangedError)):
        builds.build()


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changed_between_builds_is_read_again(
    builds: Builds, change: Callable[[Path], None]
) -> None:
    """The times put back deceive nobody."""
    builds.build()
    change(builds.root / "d1" / "deep" / "noise1")

    assert not builds.build().unchanged
    assert builds.build().unchanged


@pytest.mark.parametrize("how", ["gone", "cut", "flipped", "no recipe", "other bytes"])
def test_a_damaged_recipe_costs_time_and_nothing_else(builds: Builds, how: str) -> None:
    """It counts as missing, and is made anew."""
    builds.build()
    file = builds.recipes()[0]
    whole = file.read_bytes()
    body = {"no recipe": b"[5]\n", "other bytes": whole[32:] + b"?"}.get(how, whole[32:])
    written = fingerprint(body).encode().ljust(32) + body
    if how == "gone":
        file.unlink()
    else:
        flipped = whole[:40] + bytes([whole[40] ^ 1]) + whole[41:]
        file.write_bytes({"cut": whole[:50], "flipped": flipped}.get(how, written))

    assert not builds.build().unchanged
    assert file.read_bytes() == whole
    assert builds.build().unchanged
    assert len(builds.warnings) == (how not in ("gone", "other bytes"))


@settings(max_examples=12, deadline=None)
@given(
    files=st.lists(st.tuples(SIZES, st.booleans(), st.sampled_from("abc")), max_size=6),
    links=st.sets(st.integers(0, 7)),
    jobs=st.integers(1, 2),
)
def test_replays_have_the_bytes_of_first_builds(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[tuple[int, bool, str]],
    links: set[int],
    jobs: int,
) -> None:
    """Whatever a tree holds, and whoever reads it."""
    builds = Builds(tmp_path_factory.mktemp("tree"))
    for number, (size, compresses, directory) in enumerate(files):
        file = builds.root / directory / f"{number}"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes((text if compresses else noise)(size, number))
        if number in links:
            os.link(file, builds.root / f"link{number}")
    first = builds.build(jobs=jobs)
    again = builds.build(jobs=1)

    assert again.unchanged
    assert again.record == first.record


STATUS = [stat.S_IFREG | 0o644, 1, 1, 10, 0, 0]


@pytest.mark.parametrize(
    "steps",
    [
        5, [5], [[]], [[0, "../tree/f", 0, 5, STATUS]], [[0, "/etc/passwd", 0, 5, STATUS]],
        [[0, "d/../f", 0, 5, STATUS]], [[0, "", 0, 5, STATUS]], [[0, "f", -1, 5, STATUS]],
        [[0, "f", 0, 1 << 40, STATUS]], [[-1, "f", 0, 5, STATUS]], [[0, "f", 0, 5.0, STATUS]],
        [[0, 5, 0, 5, STATUS]], [[0, "\0", 0, 5, STATUS]], [[0, "\u1234", 0, 5, STATUS]],
        [[0, "f", 0, 5, 5]], [[0, "f", 1 << 65, 5, STATUS]],
    ],
)  # fmt: skip
def test_what_is_no_recipe_is_not_followed(tmp_path: Path, steps: object) -> None:
    """No path leads out of the root, and nothing is larger than it should be."""
    (tmp_path / "f").write_bytes(b"content of f")
    recipe = memoryview(json.dumps(steps).encode() + b"\nbetween")
    with pytest.raises(ValueError):
        follow(recipe, bytes(tmp_path), 100, Buffer(memory(4096)))


@given(data=st.binary(max_size=200))
def test_any_bytes_are_followed_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    """Nothing else is raised, whatever lies in the cache."""
    root = bytes(tmp_path_factory.getbasetemp())
    with contextlib.suppress(ValueError):
        follow(memoryview(data), root, 100, Buffer(memory(4096)))


def test_a_recipe_is_small_or_none() -> None:
    """With more than a fourth of the bytes in it, the bytes are better kept."""
    buffer = Buffer(memory(4096))
    buffer.append(bytes(1000))

    assert recipe_of(buffer.view[:1000], buffer.excerpts, b"/root") is None
