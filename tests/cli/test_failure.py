"""What is told of a failure, and with which exit code: its cause, not what it looks like."""

import errno
import os

import pytest

from imgpack.cli.output.failure import tell
from imgpack.cli.output.terminal import Terminal
from imgpack.errors import ArchiveError, OutputError, ResourceError
from imgpack.files.writing import output_errors
from imgpack.spec.mediatype import OCI_MANIFEST
from tests.cli_runner import InProcess
from tests.registry.loopback import Reply, Request, error, serving


def told(problem: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code, and what is on standard error."""
    code = tell(problem, Terminal(quiet=True))
    return code, capsys.readouterr().err


def raised(problem: BaseException, *, hidden: bool = False) -> BaseException:
    """An error of ours that comes of ``problem``."""
    try:
        try:
            raise problem
        except BaseException as error:
            raise ArchiveError("a layer is damaged") from (None if hidden else error)
    except ArchiveError as error:
        return error


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(
    "problem", [MemoryError(), OSError(errno.EMFILE, "x"), OSError(errno.ENOMEM, "x")], ids=repr
)
def test_a_shortage_is_told_as_one(
    problem: BaseException, hidden: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is called damaged because there was no memory to read it."""
    code, line = told(raised(problem, hidden=hidden), capsys)

    assert code == ResourceError.exit_code
    assert line.startswith("imgpack: error: a layer is damaged; ")
    assert "memory" in line or "open files" in line


def test_a_full_disk_is_no_shortage_of_that_kind(capsys: pytest.CaptureFixture[str]) -> None:
    """It has a code of its own."""
    with pytest.raises(OutputError) as caught, output_errors("out.tar"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert told(caught.value, capsys)[0] == OutputError.exit_code


def test_what_nobody_thought_of_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With its kind, and without a control sequence."""
    code, line = told(ZeroDivisionError("what\x1b[2J\nis this"), capsys)

    assert code == 70
    assert line.startswith(r"imgpack: error: an unexpected ZeroDivisionError: what\x1b[2J is this;")
    assert line.count("\n") == 1


ANSWERS = {
    "an error": error(400, "DENIED", "no &#104;&#117;shhush \x1b[2J%68%75%73%68hush aHVzaGh1c2g="),
    "no JSON": Reply(200, (("Content-Type", OCI_MANIFEST),), b'{"hushhush": "\x1b[2J'),
    "no manifest": Reply(200, (("Content-Type", OCI_MANIFEST),), b'{"schemaVersion": "hushhush"}'),
    "a location": Reply(307, (("Location", "https://u:hushhush@\x9b/?sig=abcdef"),), b""),
    "a type": Reply(200, (("Content-Type", "text/hushhush\x9b2J"),), b"{}"),
    "a header": Reply(
        200, (("Content-Type", OCI_MANIFEST), ("Docker-Content-Digest", "hushhush")), b"{}"
    ),
}


@pytest.mark.parametrize("flags", [("--debug",), ("-v",), ("--debug", "-v")], ids=" ".join)
@pytest.mark.parametrize("kind", ANSWERS)
def test_nothing_that_is_shown_goes_around_hiding_and_escaping(
    kind: str, flags: tuple[str, ...], imgpack_here: InProcess
) -> None:
    """Not even the errors that an error comes of, and the traceback."""

    def answer(request: Request) -> Reply:
        if request.authorization is None:
            return error(401, "UNAUTHORIZED", "who?", ("WWW-Authenticate", 'Basic realm="r"'))
        return ANSWERS[kind]

    with serving(answer) as server:
        done = imgpack_here(
            *flags, "manifest", f"{server.host}/a:1", "--creds", "u:hushhush", "--retries", "0"
        )

    assert done.code not in (0, 1)
    assert "hush" not in done.err
    assert "aHVzaGh1c2g" not in done.err
    assert "abcdef" not in done.err
    assert done.err.replace("\n", "").isprintable()
    assert ("Traceback" in done.err) == ("--debug" in flags)


@pytest.mark.parametrize("command", ["inspect", "manifest", "pull", "tags", "rm", "login", "x"])
@pytest.mark.parametrize("name", ["https://me:hushhush@h.test/app", "me:hushhush@h.test/app"])
def test_a_password_in_a_mistyped_name_is_not_echoed(
    command: str, name: str, imgpack_here: InProcess
) -> None:
    """Whichever command it was meant for, even none."""
    done = imgpack_here(*((name,) if command == "x" and "//" in name else (command, name)))

    assert done.code not in (0, 1)
    assert "hush" not in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("build", "NAME", "-o", "o.tar"),
        ("build", "t", "--output=NAME"),
        ("build", "t", "-o", "o.tar", "--base=NAME"),
        ("copy", "o.tar", "NAME"),
        ("index", "NAME"),
        ("inspect", "/NAME"),
        ("build", "t", "-o", "//NAME"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("user", ["me:hushhush@", "https://me:hush hush@"])
def test_a_password_is_not_echoed_as_a_path_or_command_either(
    arguments: tuple[str, ...], user: str, imgpack_here: InProcess
) -> None:
    """Nor in a hint, nor by a traceback."""
    given = [one.replace("NAME", f"{user}h.test/app") for one in arguments]
    done = imgpack_here("--debug", *given)

    assert done.code not in (0, 1)
    assert "hush" not in done.err


@pytest.mark.parametrize("text", ["x" * 500_000, "a://" * 500_000, "a://b@sha256:" * 100_000])
def test_what_is_quoted_without_end_is_cut_in_its_middle(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What to do about it is told, and looking for passwords takes no longer than reading."""
    _, line = told(ArchiveError(f"it holds {text}", "build it again"), capsys)

    assert line.startswith("imgpack: error: it holds ")
    assert line.endswith("; build it again\n")
    assert len(line) < 10_000


def test_no_password_of_a_long_address_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """What goes is gone before a line is cut."""
    user = "secret" * 5_000
    _, line = told(ArchiveError(f"no https://me:{user}@example.com/a://b@c, https://x"), capsys)

    assert line.startswith("imgpack: error: no https://***@c, https://x")
