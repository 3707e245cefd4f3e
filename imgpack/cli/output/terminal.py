"""What people see while imgpack works: progress bars on a terminal, warnings, details."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TextIO

import click

from imgpack.cli.output.advice import line
from imgpack.cli.output.display import clipped, one_line

if TYPE_CHECKING:
    from imgpack.errors import Hint
    from imgpack.events import Meter

_LABEL: Final = 24
"""Columns of a bar's label, where the terminal is wide enough for thrice as many."""

_NARROW: Final = "{desc} {n_fmt}/{total_fmt} {rate_fmt}"
_USER = re.compile(r"(\w://)\S*@(?!sha(?:256|512):)")
"""A user name and password in a URL, wherever it comes from."""


class Terminal:
    """The reporter of the command line; a context manager that leaves the terminal clean.

    Bars are drawn on standard error, only when it is a terminal and not under
    ``--quiet``. Safe to call from any thread.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self._bars: list[Any] = []
        self._lock = threading.Lock()
        self._warned: set[str] = set()
        self._hiding: list[Callable[[str], str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            for bar in self._bars:
                bar.close()
            self._bars.clear()
            sys.stderr.flush()

    def hide(self, hiding: Callable[[str], str]) -> None:
        """From now on nothing is shown but what ``hiding`` leaves of it."""
        self._hiding.append(hiding)

    def begin(self, label: str, total: int | None) -> Meter:
        """A bar of ``total`` bytes, or a meter that draws nothing."""
        if self.quiet or not sys.stderr.isatty():
            return _Bar(self, None)
        from tqdm import tqdm

        tqdm.monitor_interval = 0  # no thread of its own
        columns, rows = _screen(sys.stderr)
        width = min(_LABEL, columns // 3)
        with self._lock:
            bar = tqdm(
                desc=clipped(one_line(label), width).ljust(width),
                total=total,
                unit="B",
                unit_scale=True,
                unit_divisor=1024,
                leave=False,
                file=sys.stderr,
                ncols=columns,
                nrows=rows,
                bar_format=_NARROW if columns < 3 * _LABEL else None,
            )
            bar.dynamic_ncols = _screen  # type: ignore[assignment]  # asked again at each line
            self._bars.append(bar)
        return _Bar(self, bar)

    def warn(self, message: str, hint: Hint = "") -> None:
        """One line on standard error, the same one never twice."""
        self.remark(f"warning: {line(message, hint)}")

    def remark(self, message: str) -> None:
        """As ``warn``, of what is no reason to worry."""
        with self._lock:
            if self.quiet or message in self._warned:
                return
            self._warned.add(message)
        self._line(f"imgpack: {message}")

    def detail(self, message: str) -> None:
        """One line on standard error under ``--verbose``."""
        if self.verbose and not self.quiet:
            self._line(f"imgpack: {message}")

    def note(self, message: str) -> None:
        """One line for who sits at a terminal, and knows how it went without."""
        if not self.quiet and sys.stderr.isatty():
            self.say(message)

    def say(self, message: str) -> None:
        """One line on standard error that was asked for, even under ``--quiet``."""
        self._line(message, indent=len(message) - len(message.lstrip()))

    def fail(self, message: str) -> None:
        """The one line of a failure."""
        self._line(f"imgpack: error: {message}")

    def trace(self, problem: BaseException) -> None:
        """Every line of a traceback, and of those that it comes of."""
        import traceback

        # What a usage error comes of is click's, and quotes what may be a password.
        chain = not isinstance(problem, click.UsageError)
        for part in traceback.format_exception(problem, chain=chain):
            for text in part.splitlines():
                self._line(text, indent=len(text) - len(text.lstrip()))

    def result(self, text: str, *, err: bool = False) -> None:
        """One line of what the command was called for, on standard output unless ``err``."""
        with self._lock:
            self._beside_bars(text, err=err)

    def _line(self, text: str, *, indent: int = 0) -> None:
        # It may quote an archive or a registry: no control sequence of theirs goes out.
        for hiding in self._hiding:
            text = hiding(text)
        text = _USER.sub(r"\1***@", text)
        with self._lock:
            self._beside_bars(" " * indent + one_line(" ".join(text.split())), err=True)

    def _beside_bars(self, text: str, *, err: bool) -> None:
        if not self._bars:
            click.echo(text, err=err)
            return
        # Bars are off the screen before the line is written, whichever stream it goes to.
        with self._bars[-1].external_write_mode(file=sys.stderr):
            click.echo(text, err=err)

    def forget(self, bar: Any) -> None:
        """A bar is done: take it off the screen before anything else is written there."""
        with self._lock:
            if bar in self._bars:
                self._bars.remove(bar)
                bar.close()
                sys.stderr.flush()


def _screen(stream: TextIO) -> tuple[int, int]:
    """The columns and rows that bars may take; a terminal that knows no size has 80 and 24."""
    columns, rows = os.get_terminal_size(stream.fileno())
    return (columns or 80) - 1, (rows or 24) - 1


class _Bar:
    def __init__(self, terminal: Terminal, bar: Any) -> None:
        self._terminal = terminal
        self._bar = bar

    def advance(self, count: int) -> None:
        """``count`` more bytes."""
        if self._bar is not None:
            self._bar.update(count)

    def end(self) -> None:
        """Take the bar off the screen."""
        if self._bar is not None:
            self._terminal.forget(self._bar)
