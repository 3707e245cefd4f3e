"""A process that encodes entries, as the one that starts it sees it.

Started by ``subprocess`` with the interpreter and the paths of this one: nothing of the
program that called is run again, and no process with threads is forked. Whatever goes wrong
with it, the answer is that there is none, and the caller does the work itself.
"""

import mmap
import os
import pickle
import resource
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import imgpack
from imgpack.layer.producers.framed import MESSAGE, SLOT, Reply, Work

if TYPE_CHECKING:
    from imgpack.layer.producers.framing import Framing

SLOTS: Final = 3
"""Units in flight to one process: one that it works at, one that waits, one being looked at."""
_FILES: Final = 1024
"""Files that a process may have open, at least: some hundreds are directories in flight."""
_PROGRAM: Final = """
import sys
sys.path[:] = {paths!r}
from imgpack.layer.producers.serve import serve
serve({connection}, {memory})
"""


def can_start() -> bool:
    """Whether this platform has what it takes, and the interpreter is one by its name."""
    program = os.path.basename(sys.executable or "")
    named = program.startswith(("python", "pypy")) and not getattr(sys, "frozen", False)
    if not named or not hasattr(os, "memfd_create") or not os.path.isdir("/proc/self/fd"):
        return False
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= _FILES


class Producer:
    """One process; ``free`` are the numbers of slots that nothing is in."""

    def __init__(self, framing: "Framing") -> None:
        """Start it. Raises ``OSError``."""
        self.free = [*range(SLOTS)]
        self._framing = framing
        self._ready = False
        self._peer, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            memory = os.memfd_create("imgpack")
            try:
                os.ftruncate(memory, SLOTS * SLOT)
                self._slots = memoryview(mmap.mmap(memory, SLOTS * SLOT))
                self._process = _started(theirs.fileno(), memory)
            except BaseException:
                self._peer.close()
                raise
            finally:
                os.close(memory)

    @property
    def ready(self) -> bool:
        """Whether it runs and has a free slot."""
        return bool(self.free) and (self._ready or self._greeted())

    def _greeted(self) -> bool:
        try:
            if self._peer.recv(MESSAGE, socket.MSG_DONTWAIT):
                self._peer.send(pickle.dumps(self._framing))
                self._ready = True
            else:
                self.free.clear()
        except BlockingIOError:
            pass
        except OSError:
            self.free.clear()
        return self._ready

    def slot(self, number: int) -> memoryview:
        """The memory of a slot."""
        return self._slots[number * SLOT : (number + 1) * SLOT]

    def send(self, work: Work, descriptors: list[int]) -> bool:
        """Give it work; ``False`` if it does not take it."""
        try:
            socket.send_fds(self._peer, [work.dump()], descriptors)
        except OSError:
            self.free.clear()
            return False
        self.free.remove(work.slot)
        return True

    def receive(self) -> Reply | None:
        """What became of the first of the units that it was sent; ``None`` if it is gone."""
        try:
            message = self._peer.recv(MESSAGE)
        except OSError:
            message = b""
        if not message:
            self.free.clear()
            return None
        return Reply.load(message)

    def close(self) -> None:
        """End it: it has nothing to lose."""
        self._peer.close()
        self._process.kill()
        self._process.wait()


def _started(connection: int, memory: int) -> "subprocess.Popen[bytes]":
    # The package may have been found by other means.
    paths = [*sys.path, os.path.dirname(imgpack.__path__[0])]
    program = _PROGRAM.format(paths=paths, connection=connection, memory=memory)
    return subprocess.Popen(
        # Without the user's environment, site packages and ways to change what is imported.
        [sys.executable, "-I", "-S", "-X", "utf8", "-c", program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(connection, memory),
        env={},
    )
