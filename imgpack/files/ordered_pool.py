"""Work done by several threads in any order, and taken in the order it came."""

import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from imgpack.files.pool import start_threads

_Item = TypeVar("_Item")
_Done = TypeVar("_Done")


class OrderedPool(Generic[_Item, _Done]):
    """``jobs`` threads that ``work`` on the items put, and ``take`` them with what came out.

    Items are taken one at a time and in order, by whichever thread has just finished
    what was due: none waits for the result of another, and what is taken is still in
    the cache of the core that made it. What ``first`` does with an item is done in order,
    too: before it is taken, while other items are worked on and taken. At most ``jobs +
    ahead`` items are in the pool; ``put`` waits. The first error, wherever it strikes, is the
    last thing that happens: it is raised by the next ``put`` or at the end of the block.
    Where the system has no thread left, ``put`` does the work.
    """

    def __init__(
        self,
        jobs: int,
        ahead: int,
        work: Callable[[_Item], _Done],
        take: Callable[[_Item, _Done], None],
        first: Callable[[_Item], None] = lambda _: None,
    ) -> None:
        self._work = work
        self._take = take
        self._room = threading.Semaphore(jobs + ahead)
        self._todo: queue.SimpleQueue[tuple[int, _Item] | None] = queue.SimpleQueue()
        self._count = 0
        self._came = _InOrder(first, lambda number: self._failure is None)
        self._finished = _InOrder(
            self._give, lambda number: self._failure is None and number < self._came.done
        )
        self._lock = threading.Lock()
        self._failure: BaseException | None = None  # changed under the lock
        self._jobs = jobs
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._threads = start_threads(self._jobs, self._run, "imgpack")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._fail(error)  # nobody will use what is in the pool
        for _ in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join()
        if error is None and self._failure is not None:
            raise self._failure

    def put(self, item: _Item) -> None:
        """Append an item; waits while the pool is full. Raises what a thread raised."""
        self._room.acquire()
        if self._failure is not None:
            raise self._failure
        number, self._count = self._count, self._count + 1
        if self._threads:
            self._todo.put((number, item))
        else:
            self._run_one(number, item)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._failure = self._failure or error

    def _run(self) -> None:
        while (found := self._todo.get()) is not None:
            try:
                if self._failure is None:
                    self._run_one(*found)
            except BaseException as error:  # handed to the thread that puts
                self._fail(error)
            if self._failure is not None:
                self._room.release()  # so that put does not wait for good

    def _run_one(self, number: int, item: _Item) -> None:
        self._came.put(number, item)
        self._finished.advance()  # what was finished may have waited for what came
        self._finished.put(number, (item, self._work(item)))

    def _give(self, finished: tuple[_Item, _Done]) -> None:
        self._take(*finished)
        self._room.release()


class _InOrder(Generic[_Item]):
    """Items that come in any order, given on one at a time and in order.

    The thread that comes with the one that is due gives on all that is ``ready`` (it is asked
    with the number), unless another thread is at it.
    """

    def __init__(self, give: Callable[[_Item], None], ready: Callable[[int], bool]) -> None:
        self._give = give
        self._ready = ready
        self.done = 0  # as many were given on; changed by the thread that is at it
        self._lock = threading.Lock()
        self._waiting: dict[int, _Item] = {}
        self._busy = False

    def put(self, number: int, item: _Item) -> None:
        """Append an item, whatever its number, and give on what is due."""
        with self._lock:
            self._waiting[number] = item
        self.advance()

    def advance(self) -> None:
        """Give on what is due."""
        with self._lock:
            if self._busy:
                return
            self._busy = True
        while (found := self._next()) is not None:
            self._give(*found)
            self.done += 1

    def _next(self) -> tuple[_Item] | None:
        with self._lock:
            self._busy = self._ready(self.done) and self.done in self._waiting
            return (self._waiting.pop(self.done),) if self._busy else None
