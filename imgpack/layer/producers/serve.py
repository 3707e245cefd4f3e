"""What a process that encodes entries runs, until the one that started it closes the socket.

It has nothing but what it is sent: no argument, no variable of the environment, no terminal.
"""

import gc
import mmap
import os
import pickle
import signal
import socket

from imgpack.layer.producers.framed import MESSAGE, MOST_DIRECTORIES, SLOT, Work
from imgpack.layer.producers.framing import Framer, Framing


def serve(connection: int, memory: int) -> None:
    """Answer requests that come by a socket; both are descriptors. Does not return."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's is for the other process
    gc.disable()  # nothing here refers to itself, and there is much of it
    try:
        with socket.socket(fileno=connection) as peer:
            peer.send(b"ready")
            framing = pickle.loads(peer.recv(MESSAGE))
            assert isinstance(framing, Framing)
            _answer(peer, Framer(framing), memoryview(mmap.mmap(memory, 0)))
    finally:
        # What is left undone, the other process does: no word of anything that went wrong.
        os._exit(0)


def _answer(peer: socket.socket, framer: Framer, slots: memoryview) -> None:
    while True:
        message, descriptors, _, _ = socket.recv_fds(peer, MESSAGE, MOST_DIRECTORIES)
        if not message:
            return
        work = Work.load(message)
        start = work.slot * SLOT
        reply = framer.frame(work, descriptors, slots[start : start + SLOT])
        for descriptor in descriptors:
            os.close(descriptor)
        peer.send(reply.dump())
