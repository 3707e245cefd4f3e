"""What one thread makes and another takes."""

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.files.ahead import ahead, joined


def test_items_come_in_their_order() -> None:
    """Made by another thread, which is gone at the end."""
    makers = set()

    def make() -> Iterator[int]:
        for number in range(1000):
            makers.add(threading.current_thread())
            yield number

    assert list(ahead(make(), 3)) == list(range(1000))
    assert makers.isdisjoint({threading.current_thread()})
    assert not any(thread.is_alive() for thread in makers)


def test_no_more_are_made_than_may_wait() -> None:
    """However slow the taker is."""
    made: list[int] = []

    def make() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    for number in ahead(make(), 4):
        assert len(made) <= number + 4 + 2  # those that wait, the one taken, the next


def test_an_error_comes_after_what_was_made_before_it() -> None:
    """As it was raised."""

    def make() -> Iterator[int]:
        yield 1
        raise EOFError("cut")

    taken: list[int] = []
    with pytest.raises(EOFError, match="cut"):
        taken.extend(ahead(make(), 3))
    assert taken == [1]


def test_a_taker_that_stops_ends_the_maker() -> None:
    """Its thread is not left behind, and what it reads from is closed."""
    closed = threading.Event()
    makers = set()

    def make() -> Iterator[int]:
        try:
            while True:
                makers.add(threading.current_thread())
                yield 1
        finally:
            closed.set()

    items = ahead(make(), 2)
    assert next(items) == 1
    items.close()

    assert closed.wait(5)
    assert not any(thread.is_alive() for thread in makers)


def test_without_threads_the_taker_does_the_work(no_threads: None) -> None:
    """Where the system has none left."""
    assert list(ahead(iter("abc"), 2)) == ["a", "b", "c"]


@given(st.lists(st.binary(max_size=5)), st.integers(1, 8))
def test_pieces_are_joined_to_a_size(chunks: list[bytes], size: int) -> None:
    """The same bytes; only the last piece may be smaller."""
    pieces = list(joined(chunks, size))

    assert b"".join(pieces) == b"".join(chunks)
    assert all(len(piece) >= size for piece in pieces[:-1])
    assert b"" not in pieces
