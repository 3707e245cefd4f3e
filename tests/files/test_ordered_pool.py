"""The pool: everything is done once, taken in order, and an error is the last thing."""

import random
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.files.ordered_pool import OrderedPool

AHEAD = 6
JOBS = [1, 2, 16]


@given(st.integers(1, 6), st.lists(st.integers(0, 3), max_size=40))
def test_results_are_taken_in_order_one_at_a_time(jobs: int, naps: list[int]) -> None:
    """However long each piece of work takes."""
    taken: list[tuple[int, int]] = []
    at_it = threading.Lock()

    def work(item: tuple[int, int]) -> int:
        time.sleep(item[1] / 5000)
        return item[0] * 2

    def take(item: tuple[int, int], done: int) -> None:
        assert at_it.acquire(blocking=False)
        taken.append((item[0], done))
        at_it.release()

    with OrderedPool(jobs, AHEAD, work, take) as pool:
        for number, nap in enumerate(naps):
            pool.put((number, nap))

    assert taken == [(number, 2 * number) for number in range(len(naps))]


@given(st.integers(1, 6), st.lists(st.integers(0, 3), max_size=40))
def test_an_item_is_looked_at_in_order_before_it_is_taken(jobs: int, naps: list[int]) -> None:
    """However long each look and each piece of work takes."""
    seen: list[int] = []
    at_it = threading.Lock()

    def first(item: tuple[int, int]) -> None:
        assert at_it.acquire(blocking=False)
        time.sleep(item[1] / 5000)
        seen.append(item[0])
        at_it.release()

    def take(item: tuple[int, int], done: int) -> None:
        taken.append((item[0], item[0] in seen))

    taken: list[tuple[int, bool]] = []
    with OrderedPool(jobs, AHEAD, lambda item: item[0], take, first) as pool:
        for number, nap in enumerate(naps):
            pool.put((number, nap))

    assert seen == list(range(len(naps)))
    assert taken == [(number, True) for number in range(len(naps))]


@pytest.mark.usefixtures("no_threads")
def test_without_a_thread_to_be_had_put_does_the_work() -> None:
    """In order, and what it raises is the end."""
    taken: list[int] = []
    with OrderedPool(4, AHEAD, lambda n: 60 // n, lambda n, done: taken.append(done)) as pool:
        for number in range(1, 31):
            pool.put(number)
        assert taken == [60 // n for n in range(1, 31)]
    with pytest.raises(ZeroDivisionError), pool:
        pool.put(0)


@pytest.mark.parametrize("jobs", JOBS)
@pytest.mark.parametrize("at", [0, 1, 30, 59])
@pytest.mark.parametrize("where", ["first", "work", "take", "put"])
def test_the_first_error_is_the_last_thing_that_happens(jobs: int, at: int, where: str) -> None:
    """Nothing is taken after it, and no put waits for good."""
    taken: list[int] = []

    def first(item: int) -> None:
        if where == "first" and item == at:
            raise ValueError(item)

    def work(item: int) -> int:
        if where == "work" and item == at:
            raise ValueError(item)
        time.sleep(random.random() / 2000)
        return item

    def take(item: int, done: int) -> None:
        if where == "take" and item == at:
            raise ValueError(item)
        taken.append(done)

    with (
        pytest.raises(ValueError, match=str(at)),
        OrderedPool(jobs, AHEAD, work, take, first) as pool,
    ):
        for number in range(60):
            if where == "put" and number == at:
                raise ValueError(number)
            pool.put(number)

    assert taken == list(range(len(taken)))
    assert len(taken) <= at


@pytest.mark.parametrize("jobs", JOBS)
def test_a_slow_item_holds_up_only_as_many_as_the_pool_has_room_for(jobs: int) -> None:
    """Then put waits."""
    release = threading.Event()
    put = 0

    def work(item: int) -> None:
        if item == 0:
            assert release.wait(10)

    def fill() -> None:
        nonlocal put
        with OrderedPool(jobs, AHEAD, work, lambda item, done: None) as pool:
            for number in range(100):
                pool.put(number)
                put += 1

    filler = threading.Thread(target=fill)
    filler.start()
    deadline = time.monotonic() + 5
    while put < jobs + AHEAD and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    held = put
    release.set()
    filler.join(10)

    assert held == jobs + AHEAD
    assert put == 100


def test_an_interrupt_waits_for_no_work_in_the_pool() -> None:
    """What was put is thrown away, not done."""
    done: list[int] = []

    def work(item: int) -> None:
        time.sleep(0.05)
        done.append(item)

    with (
        pytest.raises(KeyboardInterrupt),
        OrderedPool(1, AHEAD, work, lambda item, out: None) as pool,
    ):
        for number in range(5):
            pool.put(number)
        raise KeyboardInterrupt

    assert len(done) <= 2


def test_the_first_error_is_the_one_that_is_raised() -> None:
    """What goes wrong after it, in work that was under way, is often its consequence."""
    both, known = threading.Barrier(2), threading.Event()

    def work(item: int) -> None:
        if item < 2:
            both.wait(10)
        if item == 1:
            assert known.wait(10)
        raise ValueError("second" if item else "first")

    def fill() -> None:
        with OrderedPool(2, AHEAD, work, lambda item, done: None) as pool:
            pool.put(0)
            pool.put(1)
            with pytest.raises(ValueError, match="first"):
                while True:
                    pool.put(2)
            known.set()

    with pytest.raises(ValueError, match="first"):
        fill()
