"""Work of two threads in a row: one makes what the other takes, a bounded number in advance.

Invariants: what comes out is what goes in, in its order, and then the error that ended it; when
the taker stops early, the maker is told and waited for; where there can be no thread, the taker
does the work.
"""

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import Final, TypeVar

from imgpack.files.pool import GRACE, start_threads

_Item = TypeVar("_Item")
_END: Final = object()


def ahead(items: Iterable[_Item], count: int) -> Generator[_Item]:
    """``items``, of which another thread makes up to ``count`` in advance."""
    room = threading.Semaphore(count)
    made: queue.SimpleQueue[tuple[_Item | None, BaseException | object]] = queue.SimpleQueue()
    stop = threading.Event()

    def make() -> None:
        ended: BaseException | object = _END
        try:
            for item in items:
                room.acquire()
                if stop.is_set():
                    break
                made.put((item, None))
        except BaseException as error:  # handed to the thread that takes
            ended = error
        made.put((None, ended))

    threads = start_threads(1, make, "ahead")
    if not threads:
        yield from items
        return
    try:
        while True:
            item, ended = made.get()
            if isinstance(ended, BaseException):
                raise ended
            if ended is _END:
                return
            room.release()
            yield item  # type: ignore[misc]  # only the end has none
    finally:
        stop.set()
        room.release()
        for thread in threads:
            thread.join(GRACE)


def joined(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes, at least ``size`` at a time but for the last."""
    parts: list[bytes] = []
    there = 0
    for chunk in chunks:
        parts.append(chunk)
        there += len(chunk)
        if there >= size:
            yield parts[0] if len(parts) == 1 else b"".join(parts)
            parts, there = [], 0
    if there:
        yield b"".join(parts)
