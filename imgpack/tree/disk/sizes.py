"""How large the layer of a tree will be, found out while it is built.

A walk of its own that looks at every entry and opens no file. Invariants: it goes on in a
thread that is idle most of the time, and only beside a build that takes long; whatever it
meets ends it in silence, for the build meets the same and tells of it.
"""

import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from types import TracebackType
from typing import Final, Self

from imgpack.errors import ImgpackError
from imgpack.files.pool import start_threads
from imgpack.tar.header import BLOCK, END
from imgpack.tree.disk.walk import scan
from imgpack.tree.problems import Problems
from imgpack.tree.tree import Stamps

AFTER: Final = 4.0
"""Seconds before it begins: what is built sooner needs no total."""
MOST: Final = 100_000
"""Entries that it looks at, some tenths of a second; of a larger tree nothing is told."""
_STRETCH: Final = 256
"""Entries looked at before a pause, a millisecond or two."""
_IDLE: Final = 3
"""How many times longer than that the pause is: the build needs the processor."""
_LONGEST_NAME: Final = 100
"""Bytes; of a longer path there is a header more (POSIX.1-2017 ``pax``, "ustar")."""
_FILE: Final = 0o100000
_TYPE: Final = 0o170000


class SizeWalk:
    """Tells ``expect``, from a thread, how many bytes the tar stream of ``stamps`` has, roughly.

    ``AFTER`` the beginning of the ``with`` block; it is over when that is left.
    """

    def __init__(self, stamps: Stamps, expect: Callable[[int], None]) -> None:
        self._stamps = stamps
        self._expect = expect
        self._ended = threading.Event()
        self.threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.threads = start_threads(1, self._run, "imgpack-size")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        for thread in self.threads:
            thread.join()

    def _run(self) -> None:
        if self._ended.wait(AFTER):
            return
        with suppress(ImgpackError, OSError, MemoryError):
            total = self._walked()
            if total is not None:
                self._expect(total)

    def _walked(self) -> int | None:
        """The bytes; ``None`` if the build ended before, or there is too much to look at."""
        total, linked = len(END), set[tuple[int, int]]()
        began = time.thread_time()
        with closing(scan(self._stamps, Problems(), lambda name, shown: None)) as seen:
            for count, (path, _, found, _) in enumerate(seen, 1):
                total += BLOCK if len(path) <= _LONGEST_NAME else 3 * BLOCK
                mode, inode, device, links, *_ = found
                if mode & _TYPE == _FILE and (device, inode) not in linked:
                    total += found.st_size + -found.st_size % BLOCK
                    if links > 1:
                        linked.add((device, inode))
                if count % _STRETCH == 0:
                    pause = _IDLE * (time.thread_time() - began)
                    if count > MOST or self._ended.wait(pause):
                        return None
                    began = time.thread_time()
        return total
