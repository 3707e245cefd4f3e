"""What people see while imgpack works: progress, warnings, details, and the results."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import click

from imgpack.cli.output.advice import line
from imgpack.cli.output.colour import bold, echo, is_dumb, marked
from imgpack.cli.output.display import one_line
from imgpack.cli.output.progress.json_lines import JsonLines
from imgpack.cli.output.progress.log import Log
from imgpack.cli.output.progress.shown import Nothing, Progress

if TYPE_CHECKING:
    from imgpack.errors import Hint
    from imgpack.events import Meter

WAYS: Final = ("auto", "plain", "json", "none")
"""How progress is shown: ``auto`` is bars on a terminal, and elsewhere lines, as ``plain``."""

_US: Final = "imgpack: "
_USER: Final = re.compile(r"(?<!\S)((?>\S*?\w://))\S*@(?!sha(?:256|512):)")
"""A user name and password in a URL, wherever it comes from; linear in the text."""
_LONGEST: Final = 8000
"""Characters of a line; what documents and programs say may be quoted in it, and be endless."""


class Terminal:
    """The reporter of the command line; a context manager that leaves the terminal clean.

    Everything but the results is on standard error. ``progress`` is one of ``WAYS``;
    ``quiet`` shows none and no warnings; ``image`` is the one that is worked on, where a file
    has several; ``options`` those of the command that runs. Safe to call from any thread.
    """

    def __init__(
        self, *, quiet: bool = False, verbose: bool = False, progress: str = WAYS[0]
    ) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.progress = progress
        self.image = ""
        self.options: frozenset[str] | None = None
        self._shown: Progress | None = None
        self._lock = threading.Lock()
        self._warned: set[str] = set()
        self._hiding: list[Callable[[str], str]] = []
        self._worded: Callable[[str], str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._shown is not None:
            self._shown.close()

    def hide(self, hiding: Callable[[str], str]) -> None:
        """From now on nothing is shown but what ``hiding`` leaves of it."""
        self._hiding.append(hiding)

    @contextmanager
    def wording(self, worded: Callable[[str], str]) -> Iterator[None]:
        """Within the block ``worded`` says a warning in the words of whoever gave the values."""
        self._worded = worded
        try:
            yield
        finally:
            self._worded = None

    def begin(self, label: str, total: int | None) -> Meter:
        """A piece of work of ``total`` bytes, shown as ``progress`` says."""
        with self._lock:
            if self._shown is None:
                self._shown = self._way()
        return self._shown.begin(self._harmless(label), total)

    def _way(self) -> Progress:
        if self.quiet or self.progress == "none":
            return Nothing()
        if self.progress == "json":
            return JsonLines(self._write)
        if self.progress == "plain" or is_dumb() or not sys.stderr.isatty():
            return Log(lambda text: self._write(f"{_US}{text}"))
        from imgpack.cli.output.progress.bars import Bars

        return Bars()

    def warn(self, message: str, hint: Hint = "") -> None:
        """One line on standard error, the same one never twice."""
        told = line(message, hint, self.options)
        self._once("warning", f"warning: {self._worded(told) if self._worded else told}")

    def remark(self, message: str) -> None:
        """As ``warn``, of what is no reason to worry."""
        self._once("message", message)

    def _once(self, event: str, message: str) -> None:
        with self._lock:
            if self.quiet or message in self._warned:
                return
            self._warned.add(message)
        self._tell(event, f"{_US}{message}")

    def detail(self, message: str) -> None:
        """One line on standard error under ``--verbose``."""
        if self.verbose and not self.quiet:
            self._tell("detail", f"{_US}{message}")

    def note(self, message: str) -> None:
        """One line for who sits at a terminal, and knows how it went without."""
        if not self.quiet and sys.stderr.isatty():
            self.say(message)

    def say(self, message: str, **about: str | int) -> None:
        """One line on standard error that was asked for, even under ``--quiet``.

        ``about`` says to a program what it is about.
        """
        self._tell("message", message, **about)

    def fail(self, message: str) -> None:
        """The one line of a failure."""
        self._tell("error", f"{_US}error: {message}")

    def trace(self, problem: BaseException) -> None:
        """Every line of a traceback, and of those that it comes of."""
        import traceback

        # What a usage error comes of is click's, and quotes what may be a password.
        chain = not isinstance(problem, click.UsageError)
        for part in traceback.format_exception(problem, chain=chain):
            for text in part.splitlines():
                self._tell("detail", text)

    def result(self, text: str, *, err: bool = False) -> None:
        """One line of what the command was called for, on standard output unless ``err``."""
        if self.progress == "json" and not self.quiet:
            JsonLines(self._write).tell("result", text=self._harmless(text))
            if err:
                return
        stream = sys.stderr if err else sys.stdout
        name, at, digest = text.partition("@")
        shown = f"{bold(name, stream)}{at}{digest}" if at else text
        self.beside(partial(echo, shown, stream))

    def _tell(self, event: str, text: str, **about: str | int) -> None:
        harmless = self._harmless(text)
        if self.progress == "json":
            message = harmless.removeprefix(_US).removeprefix(f"{event}: ")
            if self.image:
                about["image"] = self.image
            JsonLines(self._write).tell(event, message=message, **about)
            return
        indent = " " * (len(text) - len(text.lstrip()))
        self._write(indent + marked(harmless, sys.stderr))

    def _harmless(self, text: str) -> str:
        """It may quote an archive or a registry: no control sequence of theirs goes out."""
        for hiding in self._hiding:
            text = hiding(text)
        whole = one_line(" ".join(_USER.sub(r"\1***@", text).split()))
        # What to do about it stands at the end.
        cut = f"{whole[: _LONGEST // 2]} … {whole[-_LONGEST // 2 :]}"
        return whole if len(whole) <= _LONGEST else cut

    def _write(self, text: str) -> None:
        self.beside(lambda: echo(text, sys.stderr))

    def beside(self, write: Callable[[], None]) -> None:
        """Let ``write`` write to the terminal that bars may be drawn on."""
        with self._lock:
            if self._shown is None:
                write()
            else:
                self._shown.beside(write)
