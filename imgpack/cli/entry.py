"""Where the process starts.

Invariant: nothing is imported before ``run`` that takes time, not even ``signal``:
an interrupt is met from there on, and prints no traceback.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sys import UnraisableHookArgs


def run() -> None:
    """Run the command line and exit the process."""
    sys.unraisablehook = _ignore
    try:
        from imgpack.cli import signals

        signals.run()
    except KeyboardInterrupt:
        try:
            os.write(2, b"imgpack: error: interrupted\n")
        finally:  # whatever else comes
            os._exit(130)


def _ignore(lost: "UnraisableHookArgs", /) -> None:
    """Say nothing of what a finaliser or a callback raised: no user could act on it."""
