"""Several blobs at once, and a prompt end when one fails or the user interrupts.

Invariants: tasks start in their order; after the first failure no task starts
and the running ones are told to stop; the first real failure is what is raised;
the threads are daemons, so that nothing that hangs in a socket keeps the
process alive; where there can be no thread at all, the caller's does the work.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

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


def run_all(tasks: Sequence[Callable[[], None]], jobs: int, stop: Stop) -> None:
    """Run every task, at most ``jobs`` at once; raise the first failure.

    One task, or one job, runs in the calling thread.
    """
    if len(tasks) < 2 or jobs < 2:
        for task in tasks:
            stop.check()
            task()
        return
    _Workers(tasks, stop).run(min(jobs, len(tasks)))


class _Workers:
    def __init__(self, tasks: Sequence[Callable[[], None]], stop: Stop) -> None:
        self._tasks = iter(tasks)
        self._stop = stop
        self._lock = threading.Lock()
        self._failure: BaseException | None = None

    def run(self, count: int) -> None:
        threads = start_threads(count, self._work, "blob")
        if not threads:
            self._work()
        try:
            while any(thread.is_alive() for thread in threads) and self._failure is None:
                for thread in threads:
                    thread.join(0.05)
        except BaseException:
            self._stop.set()
            _join(threads)
            raise
        if self._failure is not None:
            _join(threads)
            raise self._failure

    def _work(self) -> None:
        while True:
            try:
                self._stop.check()
                with self._lock:
                    task = next(self._tasks, None)
                if task is None:
                    return
                task()
            except Cancelled:
                return
            except BaseException as error:  # handed to the thread that waits
                with self._lock:
                    if self._failure is None:
                        self._failure = error
                self._stop.set()
                return


def _join(threads: Sequence[threading.Thread]) -> None:
    deadline = time.monotonic() + GRACE
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
