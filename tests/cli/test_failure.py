"""What is told of a failure, and with which exit code: its cause, not what it looks like."""

import errno
import os

import pytest

from imgpack.cli.output.failure import tell
from imgpack.cli.output.terminal import Terminal
from imgpack.errors import ArchiveError, OutputError, ResourceError
from imgpack.files.writing import output_errors


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

    assert code == 1
    assert line.startswith(r"imgpack: error: an unexpected ZeroDivisionError: what\x1b[2J is this;")
    assert line.count("\n") == 1
