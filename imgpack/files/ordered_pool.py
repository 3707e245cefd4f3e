"""Work done by several threads in any order, and taken in the order it came."""

import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from imgpack.files.pool import start_threads

AHEAD: Final = 6
"""Items that usually may wait beside those being worked on: with fewer, cores wait for a large
one."""

_Item = TypeVar("_Item")
_Done = TypeVar("_Done")


class OrderedPool(Generic[_Item, _Done]):
    """``jobs`` threads that ``work`` on the items put, and ``take`` them with what came out.

    Items are taken one at a time and in order, by whichever thread has just finished
    what was due: none waits for the result of another, and what is taken is still in
    the cache of the core that made it. At most ``jobs + ahead`` items are in the pool;
    ``put`` waits. The first error, wherever it strikes, is the last thing that happens:
    it is raised by the next ``put`` or at the end of the block. Where the system has
    no thread left, ``put`` does the work.
    """

    def __init__(
        self,
        jobs: int,
        work: Callable[[_Item], _Done],
        take: Callable[[_Item, _Done], None],
        ahead: int = AHEAD,
    ) -> None:
        self._work = work
        self._take = take
        self._room = threading.Semaphore(jobs + ahead)
        self._todo: queue.SimpleQueue[tuple[int, _Item] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._count = 0
        # Under the lock: what is finished by number, the number due, and whether it is being taken.
        self._finished: dict[int, tuple[_Item, _Done]] = {}
        self._due = 0
        self._taking = False
        self._failure: BaseException | None = None
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
            self._finish(number, item, self._work(item))

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._failure = self._failure or error

    def _run(self) -> None:
        while (found := self._todo.get()) is not None:
            try:
                if self._failure is None:
                    number, item = found
                    self._finish(number, item, self._work(item))
            except BaseException as error:  # handed to the thread that puts
                self._fail(error)
            if self._failure is not None:
                self._room.release()  # so that put does not wait for good

    def _finish(self, number: int, item: _Item, done: _Done) -> None:
        """Take everything that is due, unless another thread is at it."""
        with self._lock:
            self._finished[number] = (item, done)
            if self._taking:
                return
            self._taking = True
        while (found := self._next()) is not None:
            self._take(*found)
            self._room.release()

    def _next(self) -> tuple[_Item, _Done] | None:
        with self._lock:
            found = self._finished.pop(self._due, None) if self._failure is None else None
            self._taking = found is not None
            self._due += self._taking
            return found
