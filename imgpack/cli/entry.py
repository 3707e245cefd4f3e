"""Where the process starts, and where a signal ends it: one line and an exit code.

Invariant: what takes time to import (click above all) is imported inside ``run``,
where a signal is met already.
"""

import signal
import sys
from types import FrameType
from typing import NoReturn

from imgpack.cli.output import streams

_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(SystemExit):
    """A signal asks the process to end: everything that is open is cleaned up on the way."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = signal.Signals(number)


def run() -> None:
    """Run the command line and exit the process."""
    try:
        streams.secure()
        for number in _ENDING:
            # What was ignored at the start (nohup) stays so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, end)
        from imgpack.cli import main

        main.run()
    except KeyboardInterrupt:
        _leave(signal.SIGINT)
    except Ended as ended:
        _leave(ended.number)


def end(number: int, frame: FrameType | None) -> NoReturn:
    """Handle a signal: leave, and let no further one disturb the cleaning up.

    But whoever presses Ctrl-C again does not want to wait for it.
    """
    for other in _ENDING:
        signal.signal(other, signal.SIG_IGN)
    if number == signal.SIGINT:
        signal.signal(number, signal.SIG_DFL)
    raise Ended(number)


def _leave(number: signal.Signals) -> NoReturn:
    print(f"imgpack: error: {_WORDS[number]}", file=sys.stderr)
    streams.drop_output()  # nobody may wait now for a reader that has stopped reading
    sys.exit(128 + number)
