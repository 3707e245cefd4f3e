"""Buffers: they hold what was appended, grow when they must, and go round."""

from hypothesis import given
from hypothesis import strategies as st

from imgpack.layer.buffer import Buffer, Buffers, memory


@given(st.lists(st.binary(max_size=9000), max_size=20))
def test_a_buffer_holds_what_was_appended(pieces: list[bytes]) -> None:
    """Also when it is more than there was room for."""
    buffer = Buffer(memory(4096))
    for piece in pieces:
        buffer.append(piece)

    assert bytes(buffer.view[: buffer.filled]) == b"".join(pieces)


def test_room_is_made_before_it_is_filled() -> None:
    """What is there stays there."""
    buffer = Buffer(memory(4096))
    buffer.append(b"front")
    view = buffer.reserve(10_000)
    view[5:10_005] = b"x" * 10_000
    buffer.filled += 10_000

    assert bytes(buffer.view[: buffer.filled]) == b"front" + b"x" * 10_000


def test_memory_is_used_again() -> None:
    """Empty, as if it were new; but not a buffer that grew: memory would never shrink."""
    buffers = Buffers(4096)
    first, second = buffers.take(), buffers.take()
    first.append(b"something")
    second.append(bytes(5000))
    buffers.give(second)
    buffers.give(first)

    assert first is not second
    assert buffers.take() is first
    assert first.filled == 0
    assert buffers.take() is not second
