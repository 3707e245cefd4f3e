"""Several tasks at once: all of them are done, or the first failure ends the rest."""

import contextlib
import threading
from collections.abc import Callable

import pytest

from imgpack.files.pool import Cancelled, Stop, TaskPool, run_all


@pytest.mark.parametrize("jobs", [1, 2, 7])
def test_every_task_is_run_once(jobs: int) -> None:
    """With more jobs than tasks, and fewer."""
    done: list[int] = []
    run_all([lambda n=n: done.append(n) for n in range(5)], jobs, Stop())  # type: ignore[misc]
    assert sorted(done) == list(range(5))


@pytest.mark.parametrize(("tasks", "jobs"), [(1, 4), (3, 1)])
def test_what_needs_no_thread_gets_none(tasks: int, jobs: int) -> None:
    """An interrupt strikes where the work is."""
    ran: list[threading.Thread] = []
    run_all([lambda: ran.append(threading.current_thread())] * tasks, jobs, Stop())
    assert ran == [threading.current_thread()] * tasks


@pytest.mark.usefixtures("no_threads")
def test_without_a_thread_to_be_had_the_caller_does_the_work() -> None:
    """All of it, up to the first failure."""
    ran: list[threading.Thread] = []
    run_all([lambda: ran.append(threading.current_thread())] * 3, 4, Stop())
    assert ran == [threading.current_thread()] * 3

    def fails() -> None:
        raise ValueError("second")

    with pytest.raises(ValueError, match="second"):
        run_all([lambda: None, fails, lambda: ran.clear()], 4, Stop())
    assert ran


def test_the_first_failure_stops_the_others() -> None:
    """Running ones are told, which is no failure of theirs; no other starts."""
    stop = Stop()
    started = threading.Event()
    told: list[bool] = []
    late: list[bool] = []

    def waits() -> None:
        started.set()
        for _ in range(1000):
            try:
                stop.check()
            except Cancelled:
                told.append(True)
                raise
            threading.Event().wait(0.01)

    def fails() -> None:
        started.wait(10)
        raise ValueError("first")

    tasks: list[Callable[[], None]] = [waits, fails, lambda: late.append(True)]
    with pytest.raises(ValueError, match="first"):
        run_all(tasks, 2, stop)
    assert (told, late) == ([True], [])


@pytest.mark.parametrize("jobs", [1, 2])
def test_nothing_starts_when_nobody_waits(jobs: int) -> None:
    """A command that was stopped before begins no work."""
    stop = Stop()
    stop.set()
    done: list[bool] = []
    with contextlib.suppress(Cancelled):
        run_all([lambda: done.append(True)] * 3, jobs, stop)
    assert done == []


def test_tasks_run_while_more_are_added() -> None:
    """Up to as many at once as there are jobs; at the end all of them are done."""
    begun, done = threading.Event(), list[int]()

    def first() -> None:
        begun.set()
        done.append(1)

    with TaskPool(2, Stop()) as pool:
        pool.add(first)
        assert begun.wait(10)
        pool.add(lambda: done.append(2))
        pool.wait()
        pool.add(lambda: done.append(3))
        pool.wait()
    assert sorted(done) == [1, 2, 3]


def test_a_failure_is_met_by_whoever_looks_next() -> None:
    """By a look, by the next task, and by the end, each time."""
    stop, failed = Stop(), threading.Event()
    late: list[bool] = []

    def fails() -> None:
        failed.set()
        raise ValueError("first")

    with TaskPool(2, stop) as pool:
        pool.add(fails)
        with pytest.raises(ValueError, match="first"):
            pool.wait()
        for look in (pool.check, pool.wait, lambda: pool.add(lambda: late.append(True))):
            with pytest.raises(ValueError, match="first"):
                look()
    assert failed.is_set()
    with pytest.raises(Cancelled):
        stop.check()
    assert late == []


def test_an_error_where_tasks_are_added_stops_those_that_run() -> None:
    """They are told; those that wait never begin."""
    stop, begun = Stop(), threading.Event()
    told, late = list[bool](), list[bool]()

    def runs() -> None:
        begun.set()
        for _ in range(1000):
            try:
                stop.check()
            except Cancelled:
                told.append(True)
                raise
            threading.Event().wait(0.01)

    with pytest.raises(KeyboardInterrupt), TaskPool(1, stop) as pool:
        pool.add(runs)
        pool.add(lambda: late.append(True))
        assert begun.wait(10)
        raise KeyboardInterrupt
    assert (told, late) == ([True], [])
