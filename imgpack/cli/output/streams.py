"""Standard input, output and error, so that everything else can rely on them.

Invariants: descriptors 0 to 2 are open, so no file that is opened later becomes one
of them; a failure to write standard output names it; standard error takes every
message, and one that cannot be written is lost without a further failure.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any


class _StandardOutput(io.FileIO):
    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = "standard output"
            raise


class _Messages(io.FileIO):
    def write(self, data: Any) -> int:
        written = None
        with contextlib.suppress(OSError):
            written = super().write(data)
        return memoryview(data).nbytes if written is None else written


def secure() -> None:
    """Make the three streams of this process whole, whatever they are connected to."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, and so this one; programs that we start need it, too.
            # For reading only: what is written to a closed output fails, and is not lost.
            os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")
    sys.stdout = _text(_StandardOutput(1, "w", closefd=False), sys.stdout)
    sys.stderr = _text(_Messages(2, "w", closefd=False), sys.stderr)


def _text(raw: io.FileIO, old: Any) -> io.TextIOWrapper:
    """A stream over ``raw`` with the settings of ``old``, if there was one."""
    buffer = io.BufferedWriter(raw)
    if old is None:
        return io.TextIOWrapper(buffer, "utf-8", "backslashreplace", line_buffering=True)
    # What the encoding cannot say (an image's label, in Latin-1) is escaped, and no failure.
    errors = "backslashreplace" if old.errors == "strict" else old.errors
    return io.TextIOWrapper(
        buffer,
        old.encoding,
        errors,
        line_buffering=old.line_buffering,
        write_through=old.write_through,
    )


def drop_output() -> None:
    """Let standard output, and what is still to be written there, go nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
