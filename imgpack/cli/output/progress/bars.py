"""Progress bars: one line of the terminal for each piece of work, drawn by tqdm.

Invariants: between two writes the cursor is at the start of the first bar's line. So
whatever comes next starts a line, even a shell's prompt after a kill; and a terminal
that is resized moves the cursor along with that line, from which everything is erased
and drawn anew. No line is as wide as the terminal. A terminal that is gone ends no work.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final, TextIO

from tqdm import tqdm

from imgpack.cli.output.display import clipped, padded

if TYPE_CHECKING:
    from imgpack.events import Meter

_LABEL: Final = 40
"""Columns of a bar's label at most; of a narrow terminal it has three tenths."""
_NARROW: Final = 64
"""Columns from which on there is room for a bar beside its numbers."""

_BAR: Final = (
    "{desc} {percentage:3.0f}% {bar} {n_fmt:>5}/{total_fmt:<5} {speed:>8} {remaining:>5} left"
)
_NUMBERS: Final = "{desc} {n_fmt:>5}/{total_fmt:<5} {speed:>8} {remaining:>5}"
_OPEN: Final = "{desc} {n_fmt:>5}B {speed:>8} {elapsed:>5}"

_TO_THE_END_OF_LINE: Final = "\x1b[K"
_TO_THE_END_OF_SCREEN: Final = "\x1b[J"


class _Screen:
    """The columns and rows that bars may take; a terminal that knows no size has 80 and 24."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.size = (79, 23)
        self.resized()

    def resized(self) -> bool:
        """Whether it has another size than when this was asked last."""
        before = self.size
        try:
            columns, rows = os.get_terminal_size(self._stream.fileno())
        except OSError:  # it was closed, and whoever ignores that (nohup) goes on
            return False
        self.size = ((columns or 80) - 1, max((rows or 24) - 1, 2))
        return self.size != before


class _DrawnBar(tqdm):  # type: ignore[type-arg]
    """One bar."""

    monitor_interval = 0  # no thread of its own

    def __init__(self, screen: _Screen, label: str, total: int | None) -> None:
        self.screen = screen
        super().__init__(
            desc=label,
            total=total,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            miniters=1,
            leave=False,
            file=sys.stderr,
            ncols=screen.size[0],
            nrows=screen.size[1],
        )

    @staticmethod
    def status_printer(file: Any) -> Callable[[str], None]:
        """What writes a line over the one where the cursor is."""

        def write(text: str) -> None:
            file.write(f"\r{text}{_TO_THE_END_OF_LINE}\r")
            file.flush()

        return write

    @property
    def format_dict(self) -> MutableMapping[str, Any]:
        """What a line is made of, for the terminal as it is now."""
        found = super().format_dict
        columns, _ = self.screen.size
        width = min(_LABEL, columns * 3 // 10)
        found["prefix"] = padded(clipped(self.desc, width), width)
        found["speed"] = tqdm.format_sizeof(found["rate"] or 0, "B/s", 1024)
        # More than was foreseen: what the whole will be is not known.
        if not self.total or self.n > self.total:
            found["bar_format"] = _OPEN
        else:
            found["bar_format"] = _BAR if columns >= _NARROW else _NUMBERS
        return found

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:  # type: ignore[override]
        """Draw it, and all the others if the terminal was resized."""
        if self.screen.resized():
            self.fp.write(f"\r{_TO_THE_END_OF_SCREEN}")
            for other in list(self._instances):  # type: ignore[attr-defined]
                if other is not self and not other.disable:
                    other.display()
        self.ncols, self.nrows = self.screen.size
        return super().display(msg, pos)  # type: ignore[return-value]


class Bars:
    """The bars of a terminal, which standard error is."""

    def __init__(self) -> None:
        self._screen = _Screen(sys.stderr)
        self._lines: list[_DrawnBar] = []
        self._lock = threading.Lock()

    def begin(self, label: str, total: int | None) -> Meter:
        """As ``Progress.begin``."""
        with self._lock:
            line = _DrawnBar(self._screen, label, total)
            self._lines.append(line)
        return _Bar(self, line)

    def beside(self, write: Callable[[], None]) -> None:
        """As ``Progress.beside``: whichever stream it goes to, no bar is on the screen."""
        with self._lock:
            if self._lines:
                with tqdm.external_write_mode(file=sys.stderr):
                    write()
            else:
                write()

    def close(self) -> None:
        """As ``Progress.close``."""
        with self._lock:
            for line in self._lines:
                line.close()
            self._lines.clear()
            sys.stderr.flush()

    def end(self, line: _DrawnBar) -> None:
        """A piece is done: those below it move up."""
        with self._lock, tqdm.external_write_mode(file=sys.stderr):
            if line in self._lines:
                self._lines.remove(line)
                line.close()
                for number, other in enumerate(self._lines):
                    other.pos = number


class _Bar:
    def __init__(self, bars: Bars, line: _DrawnBar) -> None:
        self._bars = bars
        self._line = line

    def advance(self, count: int) -> None:
        """``count`` more bytes."""
        self._line.update(count)

    def expect(self, total: int) -> None:
        """It will be of ``total`` bytes; drawn when more of it is done."""
        self._line.total = total

    def end(self) -> None:
        """Take the bar off the screen."""
        self._bars.end(self._line)
