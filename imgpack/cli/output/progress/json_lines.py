"""Progress for a program: one JSON object a line, as ``docs/output.schema.json`` says."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from imgpack.events import Meter

_EVERY: Final = 0.25
"""Seconds between two events of the same piece of work: often enough to draw."""


class JsonLines:
    """Writes events as lines; ``clock`` counts seconds."""

    def __init__(
        self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self.clock = clock
        self._numbers = itertools.count(1)

    def begin(self, label: str, total: int | None) -> Meter:
        """As ``Progress.begin``."""
        piece = _EventMeter(self, next(self._numbers))
        self.tell("begin", id=piece.number, label=label, total=total)
        return piece

    def beside(self, write: Callable[[], None]) -> None:
        """As ``Progress.beside``."""
        write()

    def close(self) -> None:
        """As ``Progress.close``."""

    def tell(self, event: str, **fields: str | int | None) -> None:
        """One line, in ASCII: what would not be printed is escaped."""
        self._write(json.dumps({"event": event, **fields}))


class _EventMeter:
    """One piece of work, of which some advances are told, and the end."""

    def __init__(self, lines: JsonLines, number: int) -> None:
        self.number = number
        self._lines = lines
        self._lock = threading.Lock()
        self._done = 0
        self._told = lines.clock()

    def advance(self, count: int) -> None:
        """``count`` more bytes."""
        with self._lock:
            self._done += count
            now = self._lines.clock()
            if now - self._told < _EVERY:
                return
            self._told = now
            self._lines.tell("advance", id=self.number, done=self._done)

    def expect(self, total: int) -> None:
        """It will be of ``total`` bytes."""
        self._lines.tell("total", id=self.number, total=total)

    def end(self) -> None:
        """It is over."""
        with self._lock:
            self._lines.tell("end", id=self.number, done=self._done)
