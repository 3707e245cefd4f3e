"""Several tasks at once: all of them are done, or the first failure ends the rest."""

import contextlib
import threading
from collections.abc import Callable

import pytest

from imgpack.files.pool import Cancelled, Stop, run_all


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
