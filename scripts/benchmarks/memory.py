"""The memory of all the processes of a command together, looked at while it runs.

The sum of the proportional set sizes (PSS): what several processes share is counted
once. A look costs about a millisecond, and what comes and goes between two looks is
not seen; the largest single process is known exactly besides (``wait4``).
"""

import contextlib
import os
import re
import subprocess
import time

INTERVAL = 0.1
_PSS = re.compile(rb"^Pss:\s+(\d+) kB", re.MULTILINE)


class Session:
    """The processes of a session but its leader, and the largest sum of memory seen."""

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self._members: dict[int, bool] = {leader: False}
        self.peak = 0

    def wait(self, process: "subprocess.Popen[bytes]", timeout: float) -> None:
        """Look at it until the leader ends; raises ``TimeoutExpired`` if that takes too long."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                process.wait(INTERVAL)
            except subprocess.TimeoutExpired:
                if time.monotonic() > deadline:
                    raise
                self.look()
            else:
                return

    def look(self) -> None:
        """Add up what all use now."""
        found = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
        for pid in found:
            if pid not in self._members:
                self._members[pid] = self._belongs(pid)
        self.peak = max(self.peak, sum(_pss(pid) for pid in found if self._members[pid]))

    def _belongs(self, pid: int) -> bool:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
            # After the name, which may hold anything: state, parent, group, session.
            return int(file.read().rpartition(b")")[2].split()[3]) == self._leader
        return False


def _pss(pid: int) -> int:
    # It may have ended, or be another user's.
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        if match := _PSS.search(file.read()):
            return int(match[1]) * 1024
    return 0
