"""Several blobs at once, and a prompt end when one fails or the user interrupts.

Invariants: tasks start in their order; after the first failure no task starts
and the running ones are told to stop; the first real failure is what is raised;
the threads are daemons, so that nothing that hangs in a socket keeps the
process alive; where there can be no thread at all, the caller's does the work.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

GRACE: Final = 2.0
"""Seconds that running tasks get to notice that they should stop."""


class Cancelled(Exception):
    """Raised inside a task whose result nobody waits for any more."""


class Stop:
    """Says whether work should go on; shared by all tasks of one command."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Nobody waits any more."""
        self._event.set()

    def check(self) -> None:
        """Raise ``Cancelled`` if nobody waits any more."""
        if self._event.is_set():
            raise Cancelled


def start_threads(count: int, work: Callable[[], None], name: str) -> list[threading.Thread]:
    """Start ``count`` daemon threads, or as many as the system lets us have."""
    threads: list[threading.Thread] = []
    for number in range(count):
        thread = threading.Thread(target=work, name=f"{name}-{number}", daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError):
            break  # a limit of processes; fewer threads are better than none
        threads.append(thread)
    return threads


def run_all(tasks: Sequence[Callable[[], object]], jobs: int, stop: Stop) -> None:
    """Run every task, at most ``jobs`` at once; raise the first failure.

    One task, or one job, runs in the calling thread.
    """
    if len(tasks) < 2 or jobs < 2:
        for task in tasks:
            stop.check()
            task()
        return
    with TaskPool(min(jobs, len(tasks)), stop) as pool:
        for task in tasks:
            pool.add(task)
        pool.wait()


class TaskPool:
    """Tasks that are run while more of them come, at most ``jobs`` at once.

    A context manager: who leaves it by an error tells what is running to stop.
    """

    def __init__(self, jobs: int, stop: Stop) -> None:
        self._jobs = jobs
        self._stop = stop
        self._todo: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._ended = threading.Condition()
        # Under the lock: tasks that were added and have not ended, and what went wrong first.
        self._left = 0
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._stop.set()
        for _ in self._threads:
            self._todo.put(None)
        deadline = time.monotonic() + GRACE
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def add(self, task: Callable[[], object]) -> None:
        """Append a task. Raises the first failure."""
        self.check()
        with self._ended:
            self._left += 1
            wanted = min(self._jobs, self._left) - len(self._threads)
        self._threads += start_threads(max(0, wanted), self._work, "blob")
        if self._threads:
            self._todo.put(task)
        else:
            self._run(task)

    def check(self) -> None:
        """Raise the first failure, if there is one."""
        if self._failure is not None:
            raise self._failure

    def wait(self) -> None:
        """Return when every task has ended. Raises the first failure, as soon as it is known."""
        with self._ended:
            self._ended.wait_for(lambda: self._failure is not None or not self._left)
        self.check()

    def _work(self) -> None:
        while (task := self._todo.get()) is not None:
            self._run(task)

    def _run(self, task: Callable[[], object]) -> None:
        failure: BaseException | None = None
        try:
            self._stop.check()
            task()
        except Cancelled:
            pass
        except BaseException as error:  # handed to the thread that adds, or waits
            failure = error
            self._stop.set()
        with self._ended:
            self._left -= 1
            self._failure = self._failure or failure
            self._ended.notify_all()
