"""How anything that fails is told: one line on standard error, and an exit code.

Invariant: every exception has one. Where too little memory or too few descriptors are
at the bottom of it, that is what is told, whatever it looked like on its way up.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from imgpack import errors
from imgpack.cli.output.advice import line
from imgpack.cli.output.usage import worded

if TYPE_CHECKING:
    from imgpack.cli.output.terminal import Terminal

_NO_MEMORY: Final = errors.Remedy.MORE_MEMORY()
_NO_FILES: Final = "raise the limit of open files (ulimit -n)"
_SHORTAGES: Final[dict[int, errors.Hint]] = {
    errno.ENOMEM: _NO_MEMORY,
    errno.EMFILE: _NO_FILES,
    errno.ENFILE: _NO_FILES,
}


def tell(problem: BaseException, terminal: Terminal) -> int:
    """Say what failed, in one line; returns the exit code."""
    if isinstance(problem, click.exceptions.NoArgsIsHelpError):
        problem.show()
        return problem.exit_code
    if isinstance(problem, click.ClickException):
        terminal.fail(worded(problem))
        return problem.exit_code
    if isinstance(problem, click.Abort | KeyboardInterrupt):
        terminal.fail("interrupted")
        return errors.INTERRUPTED_EXIT_CODE
    if isinstance(problem, OSError) and problem.errno == errno.EPIPE:
        return errors.CLOSED_PIPE_EXIT_CODE
    told = _error(problem)
    terminal.fail(line(told.message, told.hint or told.advice, terminal.options))
    return told.exit_code


def _error(problem: BaseException) -> errors.ImgpackError:
    """The error of ours that says what ``problem`` comes of."""
    for one in _chain(problem):
        hint = _SHORTAGES.get(one.errno or 0) if isinstance(one, OSError) else None
        if isinstance(one, MemoryError):
            hint = _NO_MEMORY
        if hint is not None:
            return errors.ResourceError(_message(problem), hint)
    if isinstance(problem, errors.ImgpackError):
        return problem
    if isinstance(problem, OSError):
        full = problem.errno == errno.ENOSPC
        hint = "free some space or choose another place" if full else ""
        return errors.OutputError(_message(problem), hint)
    return errors.ImgpackError(
        f"an unexpected {type(problem).__name__}: {problem}",
        "this is a mistake in imgpack: please report it, with what --debug shows",
    )


def _chain(problem: BaseException | None) -> Iterator[BaseException]:
    """``problem`` and what it comes of, told or not."""
    seen: set[int] = set()
    while problem is not None and id(problem) not in seen:
        seen.add(id(problem))
        yield problem
        problem = problem.__cause__ or problem.__context__


def _message(problem: BaseException) -> str:
    if isinstance(problem, errors.ImgpackError):
        return problem.message
    if isinstance(problem, OSError):
        # A call on a descriptor has its number for a name, which says nothing.
        known = isinstance(problem.filename, str | bytes) and problem.filename
        named = f"{os.fsdecode(known)}: " if known else ""
        return f"{named}{problem.strerror or problem}"
    return "there is not enough memory"
