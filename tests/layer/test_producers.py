"""Several processes that read a tree: nothing of what comes out tells that there were any."""

import itertools
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpack.api import ClampTime, SetOwner, SetTime, Transform
from imgpack.compression.algorithm import SMALL as SEGMENTS
from imgpack.errors import ImgpackError, SourceChangedError, SourceError, TreeError
from imgpack.layer.producers import process, units
from imgpack.layer.producers.framed import FRAMES, MOST_NAMES, SMALL, Span, Work
from imgpack.layer.producers.production import Production, can_divide
from imgpack.layer.segments import Segments
from imgpack.layer.stages import NO_STAGES, Stages
from imgpack.tree.disk import snapshot
from imgpack.tree.disk.walk import Siblings
from imgpack.tree.problems import Problems
from imgpack.tree.tree import Stamps
from tests.cli_runner import InProcess
from tests.layer.trees import noise, settle

NOW = 2_000_000_000_000_000_000
Started = list[process.Producer]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """The processes that were started: each is waited for, so that it does all that it can."""
    known: Started = []

    class Waiting(process.Producer):
        def __init__(self, *given: object) -> None:
            super().__init__(*given)  # type: ignore[arg-type]
            known.append(self)
            while not self.ready:
                time.sleep(0.001)

    monkeypatch.setattr(process, "Producer", Waiting)
    return known


class Made:
    """All that comes out of one pass over a tree, but for how it is divided among processes."""

    def __init__(
        self,
        root: Path,
        producers: int | None,
        stages: Stages = NO_STAGES,
        dest: bytes = b"",
        outputs: frozenset[tuple[int, int]] = frozenset(),
    ) -> None:
        stamps, problems = Stamps(bytes(root), (os.getuid(), 7), dest), Problems(outputs)
        self.snapshot = BytesIO()
        recorder = snapshot.Recorder(self.snapshot, NOW)
        segments = Segments(stages, problems)
        self.error = ""
        self.segments: list[tuple[bytes, bytes]] = []
        if producers is None:
            cut = segments.cut(snapshot.recording(stamps, problems, recorder))
        else:
            production = Production(stamps, problems, stages, recorder, producers, start=0)
            cut = segments.joined(production.batches())
        try:
            for segment in cut:
                self.segments.append((bytes(segment.data), b"".join(segment.stamps)))
                segment.release()
        except ImgpackError as error:
            self.error = repr((type(error), str(error)))
        recorder.flush()
        self.newest, self.warnings = segments.newest, segments.warnings
        self.problems = problems.unreadable, problems.colliding, problems.collisions

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Made) and self.what == other.what

    @property
    def what(self) -> tuple[object, ...]:
        """To be compared."""
        return (
            self.error,
            self.warnings,
            self.problems,
            # What was read before an error depends on how far ahead the walk was.
            (self.segments, self.newest, self.snapshot.getvalue()) if not self.error else None,
        )


_NAMES = st.sampled_from(["a", "B", "b", "a.b", "c-", "é", "x" * 120, ".env", "id_rsa", "k.pem"])
_SIZES = st.sampled_from([0, 1, 511, 512, 513, 20_000, SMALL - 1, SMALL, SMALL + 1, 2_000_000])
_KINDS = st.sampled_from(["file", "file", "file", "link", "hard", "fifo", "socket", "directory"])
_ENTRIES = st.lists(
    st.tuples(st.lists(_NAMES, min_size=1, max_size=4), _KINDS, _SIZES, st.integers(0, 5)),
    max_size=25,
)
_TRANSFORMS = st.sampled_from(
    [(), (SetOwner(1, 2),), (SetTime(5), SetOwner(70_000, 3)), (ClampTime(1_500_000_000),)]
)


def grow(root: Path, entries: list[tuple[list[str], str, int, int]]) -> None:
    """Make what can be made of ``entries``; times, modes and attributes vary with their numbers."""
    files: list[Path] = []
    for parts, kind, size, number in entries:
        path = root.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.path.lexists(path):
            continue
        if kind == "file":
            path.write_bytes(noise(size, number))
            files.append(path)
        elif kind == "link":
            path.symlink_to("target" * (1 + 30 * number))
        elif kind == "hard":
            if not files:
                continue
            path.hardlink_to(files[number % len(files)])
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "socket":
            os.mknod(path, stat.S_IFSOCK | 0o600)
        else:
            path.mkdir()
        is_file = os.path.lexists(path) and stat.S_ISREG(path.lstat().st_mode)
        if number == 1 and is_file:
            os.setxattr(path, "user.key", b"value")
        if number == 2:
            os.utime(path, (-5, -5), follow_symlinks=False)
        if number == 3 and is_file:
            os.setxattr(path, "user.empty", b"")
        if number == 4 and is_file:
            path.chmod(0o4751)
        if number == 5:
            os.chown(path, 70_000, 7, follow_symlinks=False) if os.getuid() == 0 else None


@settings(max_examples=6)
@given(_ENTRIES, _TRANSFORMS, st.sampled_from([b"", b"opt/app"]))
def test_any_tree_is_the_same_by_any_number(
    tmp_path: Path,
    started: Started,
    entries: list[tuple[list[str], str, int, int]],
    transforms: tuple[Transform, ...],
    dest: bytes,
) -> None:
    """Segments, stamps, the snapshot, warnings and the newest time."""
    with tempfile.TemporaryDirectory(dir=tmp_path) as place:
        grow(Path(place), entries)
        stages = Stages(transforms)
        alone = Made(Path(place), None, stages, dest)

        assert not alone.error
        for number in (0, 2):
            assert Made(Path(place), number, stages, dest) == alone
        assert all(one._process.poll() is not None for one in started)


def wide(root: Path) -> Path:
    """A tree of many units, whose small files pass the largest segment and any slot."""
    for number in range(6 * MOST_NAMES):
        directory = root / f"d{number // 97:03}"
        directory.mkdir(parents=True, exist_ok=True)
        size = SMALL - number if 500 < number < 900 else number % 700
        (directory / f"f{number}").write_bytes(noise(size, number % 10))
    settle(root)
    return root


def test_a_large_tree_is_the_same_by_any_number(tmp_path: Path, started: Started) -> None:
    """Where a unit does not fit its slot as well, and where cuts are made for the size."""
    alone = Made(wide(tmp_path), None)

    assert Made(tmp_path, 1) == Made(tmp_path, 2) == alone
    assert len(started) == 3
    assert sum(len(data) for data, _ in alone.segments) > 2 * SEGMENTS.largest > 2 * FRAMES


def test_the_largest_segment_is_the_same_by_any_number(tmp_path: Path, started: Started) -> None:
    """Where no path makes a cut: what was encoded elsewhere is then cut for its size."""
    names = (f"{number:05}" for number in itertools.count())
    size = SMALL - 1000
    uncut = (name for name in names if zlib.crc32(name.encode()) * SEGMENTS.mean >= size * 2 << 32)
    for name in itertools.islice(uncut, 3 * SEGMENTS.largest // size):
        (tmp_path / name).write_bytes(noise(size))
    settle(tmp_path)
    alone = Made(tmp_path, None)

    assert Made(tmp_path, 2) == alone
    assert len(alone.segments) == 4
    assert all(len(data) > SEGMENTS.largest - 2 * SMALL for data, _ in alone.segments[:3])


@pytest.mark.parametrize("after", [0, 1, 4])
def test_a_process_that_is_killed_is_missed_by_nobody(
    tmp_path: Path, started: Started, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """The first one does its work, whatever was in flight."""
    alone, send, sent = Made(wide(tmp_path), None), process.Producer.send, 0

    def killing(self: process.Producer, work: Work, descriptors: list[int]) -> bool:
        nonlocal sent
        sent += 1
        if sent > after:
            self._process.send_signal(signal.SIGKILL)
        return send(self, work, descriptors)

    monkeypatch.setattr(process.Producer, "send", killing)

    assert Made(tmp_path, 2) == alone
    assert sent > after


def test_where_none_can_be_started_one_process_reads_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit of processes, or an interpreter that is none."""
    alone = Made(wide(tmp_path), None)

    for program in ("/nowhere/python3", "/bin/false", "", sys.executable + "-no"):
        monkeypatch.setattr(sys, "executable", program)
        assert Made(tmp_path, 2) == alone


def test_what_is_wrong_is_told_as_by_one_process(tmp_path: Path, started: Started) -> None:
    """The first thing, in the tree's order, that no layer can hold; whoever meets it."""
    wide(tmp_path)
    for name in ("d020/.wh.gone", "d010/.wh.gone", "d004/.wh.first"):
        (tmp_path / name).touch()

        made = Made(tmp_path, 2)
        assert made.error == Made(tmp_path, None).error
        assert name in made.error and TreeError.__name__ in made.error


@pytest.mark.parametrize("after", [0, 5, 25])
def test_what_ends_the_walk_ends_the_pass(
    tmp_path: Path, started: Started, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Behind what was met before, whoever encodes that."""
    walk = units.siblings

    def failing(*given: Any) -> Iterator[Siblings]:
        with closing(walk(*given)) as runs:
            yield from itertools.islice(runs, after)
        raise SourceChangedError("somebody is at work")

    monkeypatch.setattr(units, "siblings", failing)
    made = Made(wide(tmp_path), 2)
    assert made.error == repr((SourceChangedError, "somebody is at work"))


def test_names_that_collide_are_told_as_by_one_process(tmp_path: Path, started: Started) -> None:
    """In how many directories, and the first of them."""
    wide(tmp_path)
    for directory in ("d020", "d004", "d031"):
        for name in ("same", "Same"):
            (tmp_path / directory / name).touch()

    made = Made(tmp_path, 2)
    assert made == Made(tmp_path, None)
    assert made.problems == ([], bytes(tmp_path / "d004"), 3)


@pytest.mark.parametrize("recorded", [True, False])
def test_what_is_ordinary_is_encoded_by_the_others(
    tmp_path: Path, started: Started, recorded: bool
) -> None:
    """All but the first unit, which was planned before they were there."""
    for number in range(3 * MOST_NAMES):
        directory = tmp_path / f"d{number // 97:03}"
        directory.mkdir(exist_ok=True)
        if number % 9:
            (directory / f"f{number}").write_bytes(noise(number % 700))
        else:
            (directory / f"f{number}").symlink_to("target")
    settle(tmp_path)
    recorder = snapshot.Recorder(BytesIO(), NOW) if recorded else None
    stamps, stages = Stamps(bytes(tmp_path), None), Stages((SetOwner(1, 2),))
    production = Production(stamps, Problems(), stages, recorder, 2, start=0)
    here = there = 0
    for batch in production.batches():
        if isinstance(batch, Span):
            there += batch.end - batch.first
        else:
            here += sum(1 for _ in batch)

    assert (here, there) == (MOST_NAMES, 2 * MOST_NAMES + 3 * MOST_NAMES // 97 + 1)


def test_an_output_in_the_tree_is_met(tmp_path: Path, started: Started) -> None:
    """By its device and inode."""
    found = (wide(tmp_path) / "d020/f1950").stat()
    outputs = frozenset({(found.st_dev, found.st_ino)})

    made = Made(tmp_path, 2, outputs=outputs)
    assert made.error == Made(tmp_path, None, outputs=outputs).error
    assert "d020/f1950" in made.error


@pytest.mark.parametrize("kind", ["gone", "link", "directory"])
def test_what_changes_under_way_is_met(
    tmp_path: Path, started: Started, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A file, or a directory that was replaced by another once it was planned."""
    wide(tmp_path)
    send = process.Producer.send
    victim = tmp_path / "d020/f1950"

    def changing(self: process.Producer, work: Work, descriptors: list[int]) -> bool:
        asked = {name for group in work.groups for name in group[3]}
        if (b"d020" if kind == "directory" else b"f1950") in asked:
            if kind == "directory":
                victim.parent.rename(tmp_path / "elsewhere")
                victim.parent.mkdir()
            else:
                victim.unlink()
            if kind == "link":
                victim.symlink_to("/etc/passwd")
        return send(self, work, descriptors)

    monkeypatch.setattr(process.Producer, "send", changing)
    made = Made(tmp_path, 1)

    if kind == "directory":
        assert SourceChangedError.__name__ in made.error
    elif kind == "gone":
        assert SourceError.__name__ in made.error and "f1950" in made.error
    else:  # it was never anything else to whoever looked
        assert not made.error and not any(b"root:" in data for data, _ in made.segments)


def test_only_what_knows_of_no_other_entry_is_divided() -> None:
    """Transforms of one entry are; one that nobody knows, and rules, are not."""
    assert can_divide(Stages())
    assert can_divide(Stages((SetOwner(0, 0), SetTime(0), ClampTime(0))))
    assert not can_divide(Stages((lambda entry: entry,)))  # type: ignore[arg-type]


def test_the_cache_knows_nothing_of_how_many_there_were(
    tmp_path: Path, started: Started, imgpack_here: InProcess
) -> None:
    """What one made is taken by two, unread or after a change; what is excluded stays out."""
    tree = wide(tmp_path / "tree")
    time.sleep(2.2)  # until times tell one change from the next

    def built(jobs: int, cache: str) -> tuple[bytes, str]:
        outcome = imgpack_here(
            "build", "tree", "-o", f"{jobs}.tar", "-t", "x", f"-j{jobs}", "--explain",
            "--cache-dir", cache, "--owner", "3:4", "--exclude", "**/f19[0-4]*",
        )  # fmt: skip
        outcome.ok()
        return (tmp_path / f"{jobs}.tar").read_bytes(), outcome.err

    first, _ = built(1, "one")
    assert (first, 0) == (built(2, "two")[0], len(started) - 2)
    for jobs, cache in ((1, "two"), (2, "one")):
        again, told = built(jobs, cache)
        assert again == first and "nothing changed" in told
    (tree / "d031/f3050").write_bytes(b"changed")
    changed, _ = built(1, "one")
    again, told = built(2, "two")
    assert again == changed != first
    assert "d031/f3050: changed" in told and "f3049" not in told


_CHILDREN = "/proc/{0}/task/{0}/children"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left(tmp_path: Path, number: signal.Signals) -> None:
    """Whatever ends the first one in the middle."""
    for index in range(6000):
        (tmp_path / f"{index // 300:03}").mkdir(exist_ok=True)
        (tmp_path / f"{index // 300:03}/{index}").write_bytes(b"x" * 700)
    command = [sys.executable, "-m", "imgpack", "build", "-q", "-j2", "--no-cache"]
    with subprocess.Popen(
        [*command, "--compression", "none", "-o", "-", "-t", "x", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as build:
        children = Path(_CHILDREN.format(build.pid))
        deadline = time.monotonic() + 60
        while not (pids := children.read_text().split()) and time.monotonic() < deadline:
            time.sleep(0.005)
        assert pids
        assert build.stdout is not None
        os.killpg(build.pid, number) if number == signal.SIGINT else build.send_signal(number)
        build.stdout.read()
        build.wait()
    while any(is_running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert not any(is_running(pid) for pid in pids)


def is_running(pid: str) -> bool:
    """Whether a process of that number is there and has not ended."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
