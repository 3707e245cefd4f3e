"""Progress in a log: now and then one line that sums up what is at work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imgpack.events import human_size

if TYPE_CHECKING:
    from imgpack.events import Meter

_EVERY: Final = 10.0
"""Seconds between two lines: whoever waits sees that it goes on, and the log stays short."""


@dataclass(slots=True, eq=False)
class _Summand:
    label: str
    total: int | None
    done: int = 0


class Log:
    """Says what is at work, one line every ten seconds; ``clock`` counts seconds.

    Nothing is said of what is over before.
    """

    def __init__(
        self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say = say
        self._clock = clock
        self._lock = threading.Lock()
        self._running: list[_Summand] = []
        self._moved = 0  # bytes since the last line, which was written at that time:
        self._last = clock()

    def begin(self, label: str, total: int | None) -> Meter:
        """As ``Progress.begin``."""
        piece = _Summand(label, total)
        with self._lock:
            self._running.append(piece)
        return _Logged(self, piece)

    def beside(self, write: Callable[[], None]) -> None:
        """As ``Progress.beside``."""
        write()

    def close(self) -> None:
        """As ``Progress.close``."""

    def advance(self, piece: _Summand, count: int) -> None:
        """``count`` more bytes of ``piece``."""
        with self._lock:
            piece.done += count
            self._moved += count
            seconds = self._clock() - self._last
            if seconds < _EVERY:
                return
            text = _summed(self._running, max(self._moved, 0) / seconds)
            self._moved, self._last = 0, self._last + seconds
        self._say(text)

    def end(self, piece: _Summand) -> None:
        """``piece`` is over."""
        with self._lock:
            self._running.remove(piece)


class _Logged:
    def __init__(self, log: Log, piece: _Summand) -> None:
        self._log = log
        self._piece = piece

    def advance(self, count: int) -> None:
        """``count`` more bytes."""
        self._log.advance(self._piece, count)

    def expect(self, total: int) -> None:
        """It will be of ``total`` bytes."""
        self._piece.total = total

    def end(self) -> None:
        """It is over."""
        self._log.end(self._piece)


def _summed(running: list[_Summand], rate: float) -> str:
    """What is at work, as one line; ``rate`` is bytes a second."""
    more = f" and {len(running) - 1} more" if len(running) > 1 else ""
    done = sum(piece.done for piece in running)
    total = sum(piece.total or 0 for piece in running)
    said = [f"{running[0].label}{more}: {human_size(done)}"]
    # More than was foreseen: what the whole will be is not known.
    if all(piece.total and piece.done <= piece.total for piece in running):
        said[0] += f" of {human_size(total)}"
        said.append(f"{100 * done // total}%")
    else:
        total = 0
    said.append(f"{human_size(int(rate))}/s")
    if total and rate:
        said.append(f"{_duration(int((total - done) / rate))} left")
    return ", ".join(said)


def _duration(seconds: int) -> str:
    """``42s``, ``3m05s``, ``2h07m``."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{seconds:02}s" if minutes else f"{seconds}s"
