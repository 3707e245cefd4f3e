"""Progress: lines in a log, events for programs, and bars on terminals that change."""

import os
import pty
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from imgpack.cli.output.progress.bars import Bars
from imgpack.cli.output.progress.json_lines import JsonLines
from imgpack.cli.output.progress.log import Log
from imgpack.events import ExpectingMeter, Meter
from tests.cli.screen import lines, shown, size
from tests.cli.test_json import check
from tests.cli_runner import Imgpack, InProcess
from tests.registry.hostile import HostileRegistry

MIB = 1 << 20


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of a few files."""
    root = tmp_path / "t"
    root.mkdir()
    for number in range(4):
        (root / str(number)).write_bytes(bytes([number]) * 300_000)
    return root


# A log


def test_a_log_has_a_line_every_ten_seconds() -> None:
    """With what is done, the rate since the last line, and the time left."""
    said: list[str] = []
    clock = Clock()
    meter = Log(said.append, clock).begin("app", 100 * MIB)
    for _ in range(8):
        clock.now += 4
        meter.advance(4 * MIB)
    meter.end()

    assert said == [
        "app: 12.0 MiB of 100.0 MiB, 12%, 1.0 MiB/s, 1m28s left",
        "app: 24.0 MiB of 100.0 MiB, 24%, 1.0 MiB/s, 1m16s left",
    ]


def test_a_log_sums_up_what_is_at_work_at_once() -> None:
    """What is over is not in it, but in the rate."""
    said: list[str] = []
    clock = Clock()
    log = Log(said.append, clock)
    first, second, third = (log.begin(name, 20 * MIB) for name in "abc")
    first.advance(20 * MIB)
    first.end()
    clock.now += 10
    second.advance(10 * MIB)
    third.end()

    assert said == ["b and 1 more: 10.0 MiB of 40.0 MiB, 25%, 3.0 MiB/s, 10s left"]


@pytest.mark.parametrize("total", [None, 0, 5 * MIB], ids=["unknown", "empty", "passed"])
def test_a_log_makes_up_no_total(total: int | None) -> None:
    """Of what has none, or became more than was foreseen."""
    said: list[str] = []
    clock = Clock()
    meter = Log(said.append, clock).begin("app", total)
    clock.now += 20
    meter.advance(10 * MIB)

    assert said == ["app: 10.0 MiB, 512.0 KiB/s"]


def test_a_total_that_is_known_later_counts_from_then_on() -> None:
    """In a log and for a program."""
    said: list[str] = []
    clock = Clock()
    meter = Log(said.append, clock).begin("app", None)
    assert isinstance(meter, ExpectingMeter)
    meter.expect(100 * MIB)
    clock.now += 10
    meter.advance(10 * MIB)
    assert said == ["app: 10.0 MiB of 100.0 MiB, 10%, 1.0 MiB/s, 1m30s left"]

    told: list[str] = []
    piece = JsonLines(told.append, clock).begin("app", None)
    assert isinstance(piece, ExpectingMeter)
    piece.expect(100)
    assert [tuple(one.values()) for one in events("\n".join(told))][1:] == [("total", 1, 100)]


def test_what_starts_again_is_no_rate_below_nothing() -> None:
    """Nor a time that is left."""
    said: list[str] = []
    clock = Clock()
    meter = Log(said.append, clock).begin("app", 10 * MIB)
    meter.advance(MIB)
    clock.now += 10
    meter.advance(-MIB)
    assert said == ["app: 0 B of 10.0 MiB, 0%, 0 B/s"]


def test_a_short_command_logs_nothing(imgpack: Imgpack, tree: Path) -> None:
    """However it is to be shown; and a dumb terminal is a log."""
    for option in ((), ("--progress", "plain"), ("--progress=none",)):
        assert imgpack("build", "t", "-o", "t.tar", *option).err == ""
    written, _ = shown(tree.parent, "build", "t", "-o", "t.tar", columns=80, env={"TERM": "dumb"})
    assert re.fullmatch(r"t:latest@sha256:[0-9a-f]{64}\r\n", written)


# Events


def events(err: str) -> list[dict[str, Any]]:
    """Every line as an event of the schema."""
    return [check("event", line.encode()) for line in err.splitlines()]


def test_events_come_four_times_a_second_at_most() -> None:
    """Of each piece of work; the last says all of it."""
    told: list[str] = []
    clock = Clock()
    shown = JsonLines(told.append, clock)
    one, other = shown.begin("a\x1b\ud800", 100), shown.begin("b", None)
    for _ in range(10):
        clock.now += 0.0625
        one.advance(10)
    other.end()
    one.end()

    assert all(line.isascii() and "\n" not in line for line in told)
    assert [tuple(event.values()) for event in events("\n".join(told))] == [
        ("begin", 1, "a\x1b\ud800", 100),
        ("begin", 2, "b", None),
        ("advance", 1, 40),
        ("advance", 1, 80),
        ("end", 2, 0),
        ("end", 1, 100),
    ]


@pytest.mark.parametrize("first", [True, False], ids=["before the command", "after it"])
def test_all_of_standard_error_is_events(
    imgpack_here: InProcess, tmp_path: Path, tree: Path, first: bool
) -> None:
    """Of a build that warns, of a push, and of a failure; results stay where they were."""
    option = ["--progress", "json"]

    def run(*words: str) -> Any:
        return imgpack_here(*option, *words) if first else imgpack_here(*words, *option)

    (tree / "a.whl").symlink_to("nowhere")
    os.mkfifo(tree / "fifo")
    with HostileRegistry() as registry:
        name = f"{registry.host}/a:1"
        built = run(
            "build", "t", "-t", name, "-o", "t.tar", "--healthcheck-cmd", "x", "--format", "oci"
        )
        pushed = run("push", "t.tar", "-v")
    failed = run("inspect", "no.tar")

    told = events(built.err)
    assert [one["event"] for one in told if one["event"] not in ("advance", "total")] == [
        "warning", "begin", "end", "result",
    ]  # fmt: skip
    assert told[0]["message"].startswith("podman ignores the health check")
    assert f"{told[-1]['text']}\n".encode() == built.ok()
    names = {one["event"] for one in events(pushed.err)}
    assert {"begin", "end", "detail", "result"} <= names <= {"advance", "message"} | names
    (error,) = events(failed.err)
    assert (failed.code, error["event"]) == (3, "error")
    assert error["message"].startswith("no.tar does not exist")


def test_quiet_is_quiet(imgpack_here: InProcess, tree: Path) -> None:
    """Only a failure is an event then."""
    done = imgpack_here("build", "t", "-o", "-", "-q", "--progress", "json")
    assert (done.code, done.err[:8]) == (0, "t:latest")
    (error,) = events(imgpack_here("inspect", "no.tar", "-q", "--progress", "json").err)
    assert error["event"] == "error"


def test_a_name_for_standard_error_is_an_event_there(imgpack_here: InProcess, tree: Path) -> None:
    """And no line beside it."""
    *_, last = events(imgpack_here("build", "t", "-o", "-", "--progress", "json").err)
    assert (last["event"], last["text"][:8]) == ("result", "t:latest")


def test_a_tree_that_changed_is_as_large_as_it_was(imgpack_here: InProcess, tree: Path) -> None:
    """The first time nobody knows."""

    def build() -> list[Any]:
        err = imgpack_here("build", "t", "-o", "t.tar", "--progress", "json").err
        return [
            one.get("total", one.get("done"))
            for one in events(err)
            if one["event"] in ("begin", "end")
        ]

    total, first = build()
    (tree / "more").write_bytes(b"x" * 70_000)
    foreseen, second = build()
    assert total is None
    assert foreseen == first < second


def test_a_raw_layer_is_as_large_as_its_file(imgpack_here: InProcess, tmp_path: Path) -> None:
    """It is copied."""
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("file"))
    raw = ("build", "--raw-layer", "t.tar", "-t", "a", "-o", "o.tar", "--progress", "json")
    begin, end, _ = events(imgpack_here(*raw).err)
    assert begin["total"] == end["done"] == (tmp_path / "t.tar").stat().st_size


# Bars


class Drawn:
    """Bars on a terminal of our own."""

    def __init__(self, patch: pytest.MonkeyPatch, columns: int, rows: int) -> None:
        self.master, self.slave = pty.openpty()
        self.columns = columns
        self.resize(columns, rows)
        self._stream = os.fdopen(self.slave, "w")
        patch.setattr(sys, "stderr", self._stream)
        self.bars = Bars()

    def resize(self, columns: int, rows: int) -> None:
        """As a user does."""
        self.columns = columns
        size(self.master, columns, rows)

    def read(self) -> str:
        """What was written since."""
        self._stream.write("\a")
        self._stream.flush()
        written = b""
        while not written.endswith(b"\a"):
            written += os.read(self.master, 1 << 16)
        return written[:-1].decode()

    def draw(self) -> None:
        """Draw what there is, now."""
        self.bars.beside(lambda: None)

    def close(self) -> None:
        """Both ends."""
        self.bars.close()
        self._stream.close()
        os.close(self.master)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, int], Drawn]]:
    """What makes a terminal with bars."""
    made: list[Drawn] = []

    def make(columns: int, rows: int) -> Drawn:
        made.append(Drawn(monkeypatch, columns, rows))
        return made[-1]

    yield make
    for one in made:
        one.close()


def begun(terminal: Drawn, *labels: str) -> list[Meter]:
    """Pieces of work, half of each done."""
    meters = [terminal.bars.begin(label, 100 * MIB) for label in labels]
    for meter in meters:
        meter.advance(50 * MIB)
    terminal.draw()
    return meters


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_bars_have_total_rate_and_time_left(
    drawn: Callable[[int, int], Drawn], columns: int
) -> None:
    """Each in a line that is not full, with the cursor at the start of the first."""
    terminal = drawn(columns, 24)
    begun(terminal, "one", "日本語の名前" * 5, "a" * 300)
    written = terminal.read()
    screen = lines(written, columns)

    assert len([line for line in screen if "50.0M/100M" in line and "B/s" in line]) == 3
    assert all(("50%" in line) == ("left" in line) == (columns > 40) for line in screen if line)
    assert max(map(len, screen)) < columns
    assert lines(written + "$", columns)[0][0] == "$"


def test_a_bar_has_its_total_when_that_is_known(drawn: Callable[[int, int], Drawn]) -> None:
    """Before there is what is done so far."""
    terminal = drawn(80, 24)
    meter = terminal.bars.begin("one", None)
    meter.advance(50 * MIB)
    terminal.draw()
    assert "%" not in terminal.read()
    assert isinstance(meter, ExpectingMeter)
    meter.expect(100 * MIB)
    terminal.draw()
    assert " 50% " in terminal.read()


def test_a_resized_terminal_is_drawn_anew(drawn: Callable[[int, int], Drawn]) -> None:
    """What the narrower one made of the old lines is gone, from the first on."""
    terminal = drawn(100, 24)
    meters = begun(terminal, "one", "two")
    terminal.read()
    terminal.resize(40, 24)
    meters[1].advance(MIB)
    terminal.draw()
    written = terminal.read()

    assert "\r\x1b[J" in written
    assert [line[:3] for line in lines(written, 40)[:2]] == ["one", "two"]
    assert max(map(len, lines(written, 40))) < 40


def test_those_that_do_not_fit_are_shown_when_others_are_done(
    drawn: Callable[[int, int], Drawn],
) -> None:
    """There is no gap between bars, and no more lines than rows."""
    terminal = drawn(80, 5)
    meters = begun(terminal, "one", "two", "three", "four", "five")
    before = written = terminal.read()
    meters[0].end()
    meters[2].end()
    written += terminal.read()
    after = [line.split()[:1] for line in lines(written, 80) if line]

    assert [line.split()[0] for line in lines(before, 80)] == ["one", "two", "three", "..."]
    assert after == [["two"], ["four"], ["five"]]
    for meter in (meters[1], meters[3], meters[4]):
        meter.end()
    assert not any(lines(written + terminal.read(), 80))


def test_a_terminal_that_knows_no_size_has_24_lines_of_80_columns(
    drawn: Callable[[int, int], Drawn],
) -> None:
    """As a serial line has: the last of each is left free."""
    terminal = drawn(0, 0)
    labels = [f"{number:02}" for number in range(25)]
    begun(terminal, *labels)
    screen = [line for line in lines(terminal.read(), 80) if line]

    assert [line.split()[0] for line in screen] == [*labels[:22], "..."]
    assert max(map(len, screen)) == 79


def test_more_than_was_foreseen_has_no_total(drawn: Callable[[int, int], Drawn]) -> None:
    """Nor a time left."""
    terminal = drawn(80, 24)
    meter = terminal.bars.begin("one", MIB)
    meter.advance(5 * MIB)
    terminal.draw()
    (line,) = lines(terminal.read(), 80)[:1]
    assert line.split()[:2] == ["one", "5.00MB"]
    assert "left" not in line


def test_a_terminal_that_is_closed_ends_no_work(tmp_path: Path) -> None:
    """Of who ignores that it hung up."""
    (tmp_path / "t").mkdir()
    with (tmp_path / "t" / "file").open("wb") as file:
        file.truncate(100 * MIB)
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "imgpack", "build", "t", "-o", "t.tar", "--no-cache"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=slave,
        cwd=tmp_path,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    ) as process:
        os.close(slave)
        assert os.read(master, 10)  # a bar
        os.close(master)
        out, _ = process.communicate(timeout=120)

    assert (process.returncode, out[:16]) == (0, b"t:latest@sha256:")


@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize("how", ["plain", "json"])
def test_progress_that_cannot_be_told_is_no_failure(
    imgpack: Imgpack, tree: Path, closed: str, how: str
) -> None:
    """The result is there."""
    prefix = ("sh", "-c", f'exec "$@" {closed}', "sh")
    done = imgpack("build", "t", "-o", "t.tar", "--progress", how, prefix=prefix)
    assert done.ok().startswith(b"t:latest@sha256:")


# Lists


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_lists_of_a_dry_run_fit_the_terminal(
    imgpack_here: InProcess, tmp_path: Path, tree: Path, columns: int
) -> None:
    """No path and no name is lost; a digest is whole where there is room."""
    below = "/".join(["日本語の名前", "a-long-name-of-a-directory", "b" * 30, "file"])
    (tree / below).parent.mkdir(parents=True)
    (tree / below).touch()
    _, screen = shown(tmp_path, "build", "t", "--dry-run", columns=columns)
    assert below in "".join(line.strip() for line in screen)
    assert all(line.strip() for line in screen[:-1])
    with HostileRegistry() as registry:
        name = f"{registry.host}/some/app:1"
        imgpack_here("build", "t", "-t", name, "-o", "t.tar").ok()
        _, screen = shown(tmp_path, "push", "t.tar", "--dry-run", columns=columns)

    text = "".join(screen)
    assert name in " ".join(screen)
    assert bool(re.search(r"sha256:[0-9a-f]{64}", text)) == (columns == 200)
    assert re.search(r"sha256:[0-9a-f]{12}", text)
