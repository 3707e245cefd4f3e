"""Reading gzip: what zlib reads of any stream, faster or not."""

import gzip
import struct
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imgpack.api import Codec
from imgpack.compression import inflate as reading
from imgpack.compression.inflate import GZIP_HEADER, inflate
from tests.layer.trees import MIB, noise, text

TRAILER = struct.Struct("<II")


def pieces(data: bytes, step: int) -> Iterator[bytes]:
    """The data in chunks."""
    return (data[at : at + step] for at in range(0, len(data), step))


def reference(data: bytes) -> bytes | None:
    """What zlib reads of ``data``, or ``None`` where it refuses it."""
    found = b""
    try:
        while data:
            member = zlib.decompressobj(wbits=31)
            found += member.decompress(data)
            if not member.eof:
                return None
            data = member.unused_data
    except zlib.error:
        return None
    return found


def read(data: bytes, step: int = 1 << 16) -> bytes | None:
    """What is read of ``data``, or ``None`` where it is refused."""
    try:
        return b"".join(inflate(pieces(data, step)))
    except (zlib.error, EOFError):
        return None


def ours(data: bytes, level: int | None = None) -> bytes:
    """A member as segments have it."""
    return Codec.parse("gzip" if level is None else f"gzip:{level}").compress(data)


def theirs(data: bytes) -> bytes:
    """A member with a time in its header."""
    return gzip.compress(data, mtime=1)


def trailer(data: bytes) -> bytes:
    """The last bytes of a member."""
    return TRAILER.pack(zlib.crc32(data), len(data))


CONTENTS = st.binary(max_size=200) | st.builds(
    lambda before, after: before + GZIP_HEADER + after,
    st.binary(max_size=20),
    st.binary(max_size=20),
)
MEMBERS = st.one_of(
    CONTENTS.map(ours),
    CONTENTS.map(lambda data: ours(data, 1)),
    CONTENTS.map(theirs),
    CONTENTS.map(lambda data: ours(data)[:-1]),
    CONTENTS.map(lambda data: ours(data)[:-8] + TRAILER.pack(0, 1 << 31)),
    CONTENTS.map(trailer),
    st.just(GZIP_HEADER),
    st.just(ours(b"")),
    st.binary(max_size=30),
)


@given(parts=st.lists(MEMBERS, max_size=6), step=st.integers(1, 300))
@example(parts=[ours(b"abc"), b"junk", trailer(b"abc")], step=7)
@example(parts=[ours(b"abc"), theirs(b"abc")], step=100)
@example(parts=[ours(GZIP_HEADER * 3), ours(b""), ours(b"")], step=1)
def test_any_stream_is_read_as_zlib_reads_it(parts: list[bytes], step: int) -> None:
    """Of any makers, with headers in their contents, damaged, cut, with something between them."""
    stream = b"".join(parts)

    assert read(stream, step) == reference(stream)


@pytest.mark.parametrize(
    "stream",
    [
        ours(text(4 * MIB)) + ours(noise(4 * MIB)),
        ours(text(5 * MIB)) + ours(b"small"),
        gzip.compress(noise(5 * MIB), mtime=0) + ours(text(MIB)),
        theirs(text(MIB)) * 3,
    ],
    ids=["ours", "too large", "large, stored", "theirs"],
)
def test_large_members_are_read_as_zlib_reads_them(stream: bytes) -> None:
    """Larger than what is read at once, or not."""
    assert read(stream) == reference(stream)


def test_members_of_segments_do_not_go_through_zlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """However the stream is cut, and whatever they hold."""
    stream = ours(text(MIB)) + ours(noise(MIB)) + ours(b"") + ours(b"x")
    monkeypatch.setattr(reading, "_streamed", None)

    assert read(stream, 1 << 18) == text(MIB) + noise(MIB) + b"x"


def test_a_size_that_is_a_lie_takes_no_memory() -> None:
    """Neither the claim of a member nor what comes of it is at hand at once."""
    bomb = ours(bytes(64 * MIB))[:-4]
    liars = ours(b"x" * 5000)[:-4] + struct.pack("<I", 0xFFFFFFFF)
    tracemalloc.start()
    try:
        found = 0
        with pytest.raises(zlib.error):
            for part in inflate(pieces(bomb + struct.pack("<I", 4 * MIB), 1 << 16)):
                found += len(part)
        assert read(liars) is None
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert found > 63 * MIB
    assert peak < 16 * MIB


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=4))
def test_a_cut_stream_is_refused(contents: list[bytes]) -> None:
    """At whatever byte."""
    stream = b"".join(map(ours, contents))
    starts = {sum(len(ours(data)) for data in contents[:n]) for n in range(len(contents) + 1)}

    for end in range(len(stream)):
        assert (read(stream[:end]) is None) == (end not in starts)
