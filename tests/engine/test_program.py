"""How the command of an engine is run: what goes in and comes out, and how it ends."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpack.engine import program
from imgpack.engine.program import EngineProgram
from imgpack.errors import EngineError

ENVIRONMENT = (("PATH", os.environ["PATH"]),)


def shell(script: str) -> EngineProgram:
    """A program that does what ``script`` says; its arguments follow."""
    return EngineProgram("/bin/sh", ENVIRONMENT, ("-c", script, "sh"))


@settings(max_examples=20)
@given(st.lists(st.sampled_from([b"", b"a", b"\0" * 511, bytes(range(256)) * 1000]), max_size=6))
def test_what_it_is_fed_arrives_and_what_it_prints_comes_back(chunks: list[bytes]) -> None:
    """Byte for byte, also where both pipes are full at once."""
    assert shell("cat").feed(iter(chunks)) == b"".join(chunks)


def test_it_may_end_before_it_has_read_all() -> None:
    """How it ended is what counts; whoever gave it something is told to stop."""
    closed = []

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(1 << 16)
        finally:
            closed.append(True)

    assert shell("echo done").feed(endless()) == b"done\n"
    with pytest.raises(EngineError, match=r"^sh load failed: full$"):
        shell("echo full >&2; exit 3").feed(endless(), "load", "--quiet")
    assert closed == [True, True]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 3", "sh load image failed: status 3"),
        ("kill -9 $$", "sh load image failed: SIGKILL"),
        ("printf 'a\\n  b\\n' >&2; exit 1", "sh load image failed: a b"),
    ],
)
def test_how_it_failed_is_told(script: str, said: str) -> None:
    """By what it said, or by its status or signal; options are not named."""
    with pytest.raises(EngineError) as caught:
        shell(script).ask("load", "image", "more")
    assert caught.value.message == said
    with pytest.raises(EngineError, match=r"^sh load failed: "):
        shell("exit 1").ask("load", "--secret", "x")


def test_of_a_long_complaint_the_end_is_told() -> None:
    """A program says last why it failed."""
    script = "head -c 300000 /dev/zero | tr '\\0' x >&2; echo ' at the end' >&2; exit 1"
    end = shell(script).end()
    assert (end.status, len(end.complaint)) == (1, 1 << 16)
    with pytest.raises(EngineError) as caught:
        shell(script).work()
    assert caught.value.message.endswith("xxx at the end")
    assert len(caught.value.message) < 600


def test_an_answer_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that goes on for ever ends with an error."""
    monkeypatch.setattr(program, "ANSWER_LIMIT", 1000)
    assert len(shell("head -c 1000 /dev/zero").ask()) == 1000
    with pytest.raises(EngineError, match=r"^sh info answered too much$"):
        shell("head -c 1001 /dev/zero").ask("info")
    with pytest.raises(EngineError, match="answered too much"):
        shell("yes").ask("info")


@pytest.mark.parametrize("before", ["", "exec <&- >&- 2>&-;", "trap '' TERM;"])
def test_one_that_does_not_answer_is_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: str
) -> None:
    """With all that it started, whether or not it keeps its pipes, or wants to go on."""
    monkeypatch.setattr(program, "_PATIENCE", 0.2)
    monkeypatch.setattr(program, "_GRACE", 0.2)
    note = tmp_path / "pids"
    script = f"{before} sleep 600 & echo $$ $! > {note}; wait; sleep 600"
    with pytest.raises(EngineError, match=r"^sh info did not answer in 0 s;"):
        shell(script).ask("info")
    deadline = time.monotonic() + 60
    pids = note.read_text().split()
    while any(is_running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(pids) == 2
    assert not any(is_running(pid) for pid in pids)


def test_one_that_is_ended_may_clean_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is told to end before it is killed."""
    monkeypatch.setattr(program, "_PATIENCE", 0.2)
    note = tmp_path / "note"
    script = f"trap 'sleep 0.2; echo clean > {note}; exit' TERM; sleep 600 & wait"
    with pytest.raises(EngineError, match="did not answer"):
        shell(script).ask("info")
    assert note.read_text() == "clean\n"


def is_running(pid: str) -> bool:
    """Whether a process of that number is there and has not ended."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_may_take_as_long_as_it_likes_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A load has no bound, and a question has one."""
    monkeypatch.setattr(program, "_PATIENCE", 0.05)
    assert shell("sleep 0.3; echo done").work() == b"done\n"
    assert shell("sleep 0.3; cat").feed([b"x"]) == b"x"


def test_one_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    """As a file that is no program."""
    path = tmp_path / "docker"
    path.write_bytes(b"")
    path.chmod(0o755)
    with pytest.raises(EngineError, match=r"docker cannot be started: Exec format error$"):
        EngineProgram(str(path)).ask("info")


def test_one_that_complains_without_end_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Though there is always something to read."""
    monkeypatch.setattr(program, "_PATIENCE", 0.2)
    with pytest.raises(EngineError, match="did not answer"):
        shell("while :; do echo on >&2; done").ask("version")


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGRTMIN + 1, "signal 35")]
)
def test_the_signal_that_ended_it_is_told(number: int, name: str) -> None:
    """One without a name as well."""
    with pytest.raises(EngineError) as caught:
        shell(f"kill -{int(number)} $$").ask("version")
    assert caught.value.message == f"sh version failed: {name}"
