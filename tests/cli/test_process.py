"""``imgpack`` as a process: its streams, its signals, and what it says when it is told nothing."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from imgpack.errors import OutputError, SourceError
from tests.cli_runner import Imgpack, InProcess, Outcome


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of one file."""
    root = tmp_path / "t"
    root.mkdir()
    (root / "file").write_bytes(b"content")
    return root


def shell(redirection: str) -> tuple[str, ...]:
    """What goes before a command to run it with a redirection."""
    return ("sh", "-c", f'exec "$@" {redirection}', "sh")


def at_a_terminal(*arguments: str | Path, cwd: Path) -> bytes:
    """What a command shows whose standard output is a terminal."""
    master, slave = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-m", "imgpack", *arguments],
            stdout=slave, cwd=cwd, check=True, timeout=60,
        )  # fmt: skip
        return os.read(master, 1 << 16)
    finally:
        os.close(master)
        os.close(slave)


# Streams


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("build", "t", "-o", "new.tar"),
        ("inspect", "old.tar"),
        ("manifest", "old.tar"),
        ("cache", "info"),
        ("--help",),
        ("push", "--help"),
    ],
    ids=" ".join,
)
def test_closed_streams_are_the_null_device(
    imgpack: Imgpack, tree: Path, closed: str, arguments: tuple[str, ...]
) -> None:
    """No file is opened in their place; what is written to a closed output is not lost silently."""
    imgpack("build", "t", "-o", "old.tar").ok()
    done = imgpack(*arguments, prefix=shell(closed))

    assert "Traceback" not in done.err
    if ">&-" in closed.replace("2>&-", ""):
        assert done.code == OutputError.exit_code
        assert ("standard output" in done.err) == ("2>&-" not in closed)
    else:
        done.ok()
        assert done.err == ""
    if "new.tar" in arguments:
        assert (tree.parent / "new.tar").read_bytes() == (tree.parent / "old.tar").read_bytes()


def test_what_an_encoding_cannot_say_is_escaped(imgpack: Imgpack, tree: Path) -> None:
    """A label in any script is no failure of inspect."""
    imgpack("build", "t", "-l", "mood=\u2603", "-o", "t.tar").ok()

    out = imgpack("inspect", "t.tar", env={"PYTHONIOENCODING": "latin-1"}).ok()

    assert b"mood=\\u2603" in out


def test_a_document_at_a_terminal_holds_no_control_sequences(imgpack: Imgpack, tree: Path) -> None:
    """And anywhere else every byte of it."""
    imgpack("build", "t", "--author", "\x9b31m", "-o", "t.tar").ok()
    command = ("manifest", "--config", "t.tar")
    assert b'"author":"\xc2\x9b31m"' in imgpack(*command).ok()

    shown = at_a_terminal(*command, cwd=tree.parent)

    assert b'"author":"\\x9b31m"' in shown
    assert b"\x9b" not in shown


@pytest.mark.parametrize("closed", ["2>/dev/full", "2>&-"])
def test_an_error_that_cannot_be_told_keeps_its_exit_code(imgpack: Imgpack, closed: str) -> None:
    """Only the message is lost."""
    assert imgpack("build", "nope", prefix=shell(closed)).code == SourceError.exit_code
    assert imgpack("--nonsense", prefix=shell(closed)).code == 2
    assert imgpack("inspect", "no.tar", prefix=shell(closed)).code == SourceError.exit_code


def test_a_warning_that_cannot_be_told_is_no_failure(imgpack: Imgpack, tree: Path) -> None:
    """Nor are names that go to standard error."""
    arguments = ("build", "t", "-o", "/dev/null", "--cache-dir", "/dev/null")
    assert imgpack(*arguments, prefix=shell("2>/dev/full")).code == 15
    assert imgpack("build", "t", "-v", "-o", "-", prefix=shell("2>/dev/full")).code == 0


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("inspect", "a.tar"), ("manifest", "a.tar"), ("build", "t", "-o", "-")],
    ids=" ".join,
)
def test_a_full_standard_output_is_named(
    imgpack: Imgpack, tree: Path, arguments: tuple[str, ...]
) -> None:
    """With what to do."""
    imgpack("build", "t", "-o", "a.tar").ok()
    line = imgpack(*arguments, prefix=shell(">/dev/full")).failed(OutputError.exit_code)
    assert "standard output: No space left on device; " in line
    assert "free some space" in line


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("cache", "info")])
def test_a_closed_pipe_ends_every_command_quietly(
    imgpack: Imgpack, arguments: tuple[str, ...]
) -> None:
    """``imgpack --help | true``: options that print and end, too."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "imgpack", *arguments]
    done = subprocess.run(
        command, stdout=writing, stderr=subprocess.PIPE, cwd=imgpack.directory, check=False
    )
    os.close(writing)

    assert (done.returncode, done.stderr) == (141, b"")


# Signals


@pytest.mark.parametrize(
    ("number", "words"),
    [("SIGINT", "interrupted"), ("SIGTERM", "terminated"), ("SIGHUP", "hung up")],
)
def test_a_signal_is_one_line_from_the_start(
    imgpack: Imgpack, tmp_path: Path, number: str, words: str
) -> None:
    """While modules are still being imported."""
    done = importing(imgpack, tmp_path, f"os.kill(os.getpid(), signal.{number})")

    assert done.code == 128 + signal.Signals[number]
    assert done.err == f"imgpack: error: {words}\n"


def importing(imgpack: Imgpack, tmp_path: Path, code: str) -> Outcome:
    """What becomes of an imgpack that runs ``code`` while it starts, and then waits."""
    place = tmp_path / "modules"
    place.mkdir()
    (place / "click.py").write_text(f"import os, signal\n{code}\nimport time\ntime.sleep(60)\n")
    return imgpack("--version", env={"PYTHONPATH": str(place)}, timeout=50)


@pytest.mark.parametrize(
    "swallowed",
    [
        "import weakref\nclass Thing: pass\nthing = Thing()\n"
        "r = weakref.ref(thing, lambda _: end())\ndel thing",
        "class Thing:\n    def __del__(self): end()\nThing()",
        "try: end()\nexcept BaseException: pass",
    ],
    ids=["by a weak reference", "by a finaliser", "by somebody's except"],
)
@pytest.mark.parametrize(("number", "words"), [("INT", "interrupted"), ("TERM", "terminated")])
def test_a_signal_is_not_lost_with_its_exception(
    imgpack: Imgpack, tmp_path: Path, swallowed: str, number: str, words: str
) -> None:
    """Python drops what some callbacks raise; the process ends all the same."""
    code = f"def end(): os.kill(os.getpid(), signal.SIG{number})\n{swallowed}"
    done = importing(imgpack, tmp_path, code)

    assert (done.code, done.err) == (
        128 + signal.Signals[f"SIG{number}"],
        f"imgpack: error: {words}\n",
    )


def test_a_storm_of_signals_disturbs_no_cleaning_up(imgpack: Imgpack, tmp_path: Path) -> None:
    """Which may take long."""
    storm = "    for n in (signal.SIGTERM, signal.SIGHUP) * 100: os.kill(os.getpid(), n)\n"
    code = (
        "try:\n    os.kill(os.getpid(), signal.SIGTERM)\nfinally:\n"
        f"{storm}    import time\n    time.sleep(0.3)\n{storm}    os.write(2, b'clean\\n')"
    )
    done = importing(imgpack, tmp_path, code)

    assert (done.code, done.err) == (143, "clean\nimgpack: error: terminated\n")


def test_a_signal_after_the_end_prints_nothing(imgpack: Imgpack, tmp_path: Path) -> None:
    """While the interpreter clears up."""
    code = (
        "import atexit\natexit.register(os.kill, os.getpid(), signal.SIGTERM)\nraise SystemExit(0)"
    )
    done = importing(imgpack, tmp_path, code)

    assert (done.code, done.err) == (-signal.SIGTERM, "")


def test_an_ignored_hangup_stays_ignored(imgpack: Imgpack) -> None:
    """``nohup imgpack …``: it goes on when its terminal closes."""
    command = ["login", "localhost:1", "-u", "me", "--password-stdin"]
    with subprocess.Popen(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", sys.executable, "-m", "imgpack", *command],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGHUP)
        _, err = process.communicate(b"", timeout=20)

    assert process.returncode == 2
    assert b"the password is empty" in err


# What is said


@pytest.mark.parametrize("arguments", [(), ("cache",), ("index",)], ids=" ".join)
def test_a_command_that_needs_another_shows_its_help(
    imgpack_here: InProcess, arguments: tuple[str, ...]
) -> None:
    """The whole of it, on standard error, as a usage error."""
    done = imgpack_here(*arguments)

    assert (done.code, done.out) == (2, b"")
    assert done.err.encode() == imgpack_here(*arguments, "--help").ok()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("build", "nope"), SourceError.exit_code),
        (("build",), 2),
        (("inspect", "no.tar"), SourceError.exit_code),
    ],
)
def test_debug_shows_the_traceback_and_changes_nothing_else(
    imgpack_here: InProcess, arguments: tuple[str, ...], code: int
) -> None:
    """The line and the exit code are those that there are without it."""
    plain = imgpack_here(*arguments)
    done = imgpack_here("--debug", *arguments)

    assert done.code == plain.code == code
    assert done.err.startswith("Traceback")
    assert done.err.splitlines()[-1] == plain.failed(code)


# What is loaded


@pytest.mark.parametrize(
    "arguments",
    [
        ("build", "t", "-o", "-"),
        ("inspect", "old.tar", "--verify"),
        ("manifest", "old.tar"),
        ("copy", "old.tar", "./new/"),
    ],
    ids=" ".join,
)
def test_what_talks_to_no_registry_loads_no_network(
    imgpack: Imgpack, tree: Path, arguments: tuple[str, ...]
) -> None:
    """An image is built, read and copied from file to file without it."""
    imgpack("build", "t", "-o", "old.tar").ok()
    done = imgpack(*arguments, env={"PYTHONPROFILEIMPORTTIME": "1"})

    done.ok()
    loaded = {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    assert "imgpack.cli.main" in loaded
    assert not loaded & {"urllib3", "ssl", "imgpack.registry", "imgpack.registry.session"}


@pytest.mark.parametrize("output", ["-", "/dev/stdout"])
def test_an_archive_for_a_closed_output_is_not_lost_silently(
    imgpack: Imgpack, tree: Path, output: str
) -> None:
    """It went nowhere, so this is a failure."""
    line = imgpack("build", "t", "-o", output, prefix=shell(">&-")).failed(14)

    assert "standard output" in line or "/dev/stdout" in line


@pytest.mark.parametrize("number", ["99999999999", "9" * 5000])
def test_a_descriptor_of_an_impossible_number_is_an_output_that_cannot_be_written(
    imgpack: Imgpack, tree: Path, number: str
) -> None:
    """No integer of any language's overflows."""
    imgpack("build", "t", "-o", f"/dev/fd/{number}").failed(14)


def test_metadata_may_go_where_everything_goes(imgpack: Imgpack, tree: Path) -> None:
    """/dev/null is no file that anything could be harmed in."""
    imgpack("build", "t", "-o", "/dev/null", "--metadata-file", "/dev/null").ok()


def test_metadata_at_a_terminal_holds_no_control_sequences(imgpack: Imgpack, tree: Path) -> None:
    """And is the same document there as anywhere."""
    command = ("build", "t", "--author", "\x9b31m\u202e☃", "-o", "t.tar", "--metadata-file")
    imgpack(*command, "m.json").ok()
    written = (tree.parent / "m.json").read_text()
    shown = at_a_terminal(*command, "/dev/stdout", cwd=tree.parent).decode()

    assert shown.replace("\r\n", "\n") == written
    assert written.replace("\n", "").isprintable()
    assert json.loads(written)["images"]
