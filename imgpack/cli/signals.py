"""How a signal ends the process: what is open is cleaned up, then one line and an exit code.

Invariant: that a signal came is known here and not only by the exception that says
so. One that gets lost on its way (Python drops what a finaliser or the callback of a
weak reference raises, and importing has such) is raised again until it arrives.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType, TracebackType
from typing import Final, NoReturn, Self

from imgpack.cli.output import streams

_WORDS: Final = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "hung up",
}
_AGAIN: Final = 0.05
"""Seconds after which an exception that is not on its way any more is raised again."""


class Ended(SystemExit):
    """A signal asks the process to end: everything that is open is cleaned up on the way."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(128 + number)
        self.number = number


class Handlers:
    """Turn signals into ``Ended``, which leaves the block at the latest at its end.

    What was ignored at the start (nohup) stays so. After the block a signal ends the
    process at once: there is nothing left to clean up.
    """

    def __init__(self) -> None:
        self._came: signal.Signals | None = None
        self._met: tuple[signal.Signals, ...] = ()

    def __enter__(self) -> Self:
        signal.signal(signal.SIGALRM, self._raise_again)
        self._met = tuple(n for n in _WORDS if signal.getsignal(n) is not signal.SIG_IGN)
        for number in self._met:
            signal.signal(number, self._end)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self._came is not None:
            raise Ended(self._came)
        for number in self._met:
            signal.signal(number, signal.SIG_DFL)

    def _end(self, number: int, frame: FrameType | None) -> NoReturn:
        """Leave, and let no further signal disturb the cleaning up.

        But whoever presses Ctrl-C again does not want to wait for it.
        """
        self._came = signal.Signals(number)
        for other in self._met:
            signal.signal(other, signal.SIG_IGN)
        if number == signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
        raise Ended(self._came)

    def _raise_again(self, number: int, frame: FrameType | None) -> None:
        if self._came is None:
            return
        error = sys.exception()
        while error is not None:
            if isinstance(error, Ended):
                return  # it is on its way, and what is running cleans up
            error = error.__context__
        raise Ended(self._came)


def run() -> None:
    """Run the command line and exit the process; what takes time is imported in here."""
    try:
        with Handlers():
            streams.secure()
            from imgpack.cli import main

            main.run()
    except Ended as ended:
        _leave(ended.number)


def _leave(number: signal.Signals) -> NoReturn:
    print(f"imgpack: error: {_WORDS[number]}", file=sys.stderr)
    streams.drop_output()  # nobody may wait now for a reader that has stopped reading
    sys.exit(128 + number)
