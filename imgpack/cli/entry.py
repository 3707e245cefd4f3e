"""Where the process starts.

Invariant: nothing is imported before ``run`` that takes time, not even ``signal``:
an interrupt is met from there on, and prints no traceback.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from typing import NoReturn


def run() -> None:
    """Run the command line and exit the process."""
    sys.unraisablehook = _ignore
    try:
        from imgpack.cli import signals

        signals.run()
    except KeyboardInterrupt:
        _leave("interrupted", 130)
    except (OSError, MemoryError, ImportError) as problem:  # it cannot even read itself
        _leave(f"cannot start: {ascii(str(problem) or 'out of memory')[1:-1]}", 24)


def _leave(message: str, code: int) -> "NoReturn":
    try:
        os.write(2, f"imgpack: error: {message}\n".encode())
    finally:  # whatever else comes
        os._exit(code)


def _ignore(lost: "UnraisableHookArgs", /) -> None:
    """Say nothing of what a finaliser or a callback raised: no user could act on it."""
