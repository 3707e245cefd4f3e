"""Starts one command and says what it took; run by a bare interpreter, so it is small.

A child inherits, for a moment, the memory of whoever starts it, and the kernel
counts that into its peak. So nothing is imported here that need not be.

Usage: launch.py REPORT PROGRAM [ARGUMENT...]
"""

import os
import sys
import time


def main(report: str, argv: list[str]) -> None:
    """Write wall seconds, CPU seconds, peak KiB and exit code as one line into ``report``."""
    started = time.monotonic()
    child = os.posix_spawnp(argv[0], argv, os.environ)
    _, status, usage = os.wait4(child, 0)
    wall = time.monotonic() - started
    code = os.waitstatus_to_exitcode(status)
    with open(report, "w") as file:
        file.write(f"{wall} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss} {code}\n")


main(sys.argv[1], sys.argv[2:])
