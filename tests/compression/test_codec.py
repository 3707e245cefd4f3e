"""Codecs: one contract for all, and what damaged or hostile layers get."""

import gzip
import io
import threading
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import Codec
from imgpack.compression.algorithm import Surroundings
from imgpack.compression.checksum import fingerprint
from imgpack.compression.codec import decompress
from imgpack.compression.inflate import GZIP_HEADER
from imgpack.errors import ArchiveError, ConfigError, LimitError
from imgpack.spec.format import Compression
from tests.layer.trees import MIB, noise, text

GZIP, ZSTD, NONE = (Codec.parse(name) for name in ("gzip", "zstd", "none"))
ALL = [GZIP, ZSTD, NONE, Codec.parse("gzip:12"), Codec.parse("zstd:1")]
COMPRESSED = [GZIP, ZSTD]


def pieces(data: bytes, step: int = 1000) -> Iterator[bytes]:
    """The data in chunks."""
    for at in range(0, len(data), step):
        yield data[at : at + step]


def unpacked(codec: Codec, data: bytes, step: int = 1000, limit: int = 1 << 30) -> bytes:
    """A layer's raw bytes."""
    return b"".join(decompress(pieces(data, step), codec.compression, limit=limit))


@pytest.mark.parametrize("codec", ALL)
@given(parts=st.lists(st.binary(max_size=300), max_size=5), step=st.integers(1, 400))
def test_segments_compressed_apart_are_one_stream(
    codec: Codec, parts: list[bytes], step: int
) -> None:
    """Members and frames one after another, in chunks of any size."""
    data = b"".join(codec.compress(part) for part in parts)

    assert unpacked(codec, data, step) == b"".join(parts)


@pytest.mark.parametrize("codec", ALL)
def test_a_large_segment_comes_back(codec: Codec) -> None:
    """Noise and text, larger than any buffer inside."""
    raw = noise(2 * MIB) + text(3 * MIB) + bytes(2 * MIB)

    assert unpacked(codec, codec.compress(raw) * 2, 1 << 16) == raw * 2


@pytest.mark.parametrize("codec", ALL)
def test_compressing_is_deterministic_in_every_thread(codec: Codec) -> None:
    """The same bytes, whichever thread does it and what it did before."""
    raw = text(300_000)
    first = codec.compress(raw)
    results: list[bytes] = []

    def work(seed: int) -> None:
        codec.compress(noise(1000, seed))
        results.append(codec.compress(raw))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [first] * 4


def test_other_readers_accept_gzip_members() -> None:
    """Python's gzip reads the concatenation; each header is the ten fixed bytes."""
    parts = [b"one", b"", text(100_000)]
    members = [GZIP.compress(part) for part in parts]

    assert gzip.decompress(b"".join(members)) == b"".join(parts)
    assert all(member.startswith(GZIP_HEADER) for member in members)
    assert bytes.fromhex("1f8b08000000000000ff") == GZIP_HEADER
    assert all(member[4:10] == b"\0\0\0\0\0\xff" for member in members)


def test_other_readers_accept_zstd_frames() -> None:
    """Each says its content's size and carries a checksum."""
    parts = [b"one", b"", text(100_000)]
    frames = [ZSTD.compress(part) for part in parts]

    reader = zstandard.ZstdDecompressor().stream_reader(
        io.BytesIO(b"".join(frames)), read_across_frames=True
    )
    assert reader.read() == b"".join(parts)
    for part, frame in zip(parts, frames, strict=True):
        found = zstandard.get_frame_parameters(frame)
        assert (found.content_size, found.has_checksum) == (len(part), True)


def places(parts: list[bytes]) -> list[Surroundings]:
    """What is around each segment of a zstd layer."""
    found, before = [], b""
    for number, part in enumerate(parts):
        found.append(Surroundings(before, number == len(parts) - 1))
        before = ZSTD.tail(part, before)
    return found


def layer_of(codec: Codec, parts: list[bytes]) -> list[bytes]:
    """What becomes of the segments of one layer."""
    placed = zip(parts, places(parts), strict=True)
    return [codec.compress(part, None, around) for part, around in placed]


HEADER = b"name" + bytes(508)
SEGMENT = st.builds(
    lambda head, seed, size, rest: head + text(size, seed) + rest,
    st.sampled_from([HEADER, b"", b"x" * 600, b"x" * 494 + bytes(30), bytes(17)]),
    st.integers(1, 3),
    st.integers(0, 5000),
    st.binary(max_size=300),
).filter(bool)


@pytest.mark.parametrize("level", [1, 3, 7, 19])
@given(parts=st.lists(SEGMENT, min_size=1, max_size=6))
def test_zstd_segments_are_one_stream_together(level: int, parts: list[bytes]) -> None:
    """Whether they join the frame before or begin one; each is known again where it stands."""
    codec = Codec(Compression.ZSTD, level)
    blobs = layer_of(codec, parts)

    assert unpacked(codec, b"".join(blobs)) == b"".join(parts)
    for blob, part, around in zip(blobs, parts, places(parts), strict=True):
        assert codec.restores(blob, part, around)
        assert not codec.restores(blob, part, around._replace(last=not around.last))
        assert not codec.restores(blob[:-1], part, around)
        assert not codec.restores(blob, part + b"!", around)


def test_a_segment_that_joins_finds_what_stands_before_it() -> None:
    """The same noise once more costs nearly nothing; where a frame begins, all of it."""
    same = noise(200_000)
    first, joined = layer_of(ZSTD, [HEADER + same, HEADER + same])
    assert len(first) > 200_000
    assert len(joined) < 1000
    assert len(layer_of(ZSTD, [HEADER + same, same])[1]) > 200_000


def test_a_zstd_layer_of_several_segments_needs_a_small_window() -> None:
    """Its frames say 5.5 MiB, less than any decoder has (RFC 8878, section 3.1.1.1.2)."""
    data = b"".join(layer_of(ZSTD, [HEADER + noise(9 * MIB), HEADER + noise(MIB), noise(1000)]))

    found = zstandard.get_frame_parameters(data)
    assert (found.window_size, found.has_checksum) == (11 * MIB // 2, False)
    assert unpacked(ZSTD, data, 1 << 16) == (
        HEADER + noise(9 * MIB) + HEADER + noise(MIB) + noise(1000)
    )


def test_a_segment_repeats_no_offset_of_the_one_before() -> None:
    """Records of one length, whose offsets every block would like to repeat."""

    def records(seed: int) -> bytes:
        return b"".join(
            noise(6, seed * 999 + number) + b"the same in all" for number in range(3000)
        )

    parts = [HEADER + bytes(seed * 3) + records(seed) for seed in range(5)]
    for level in (1, 3, 5, 9, 16, 19):
        codec = Codec(Compression.ZSTD, level)
        assert unpacked(codec, b"".join(layer_of(codec, parts))) == b"".join(parts)


@pytest.mark.parametrize("codec", COMPRESSED)
def test_a_truncated_layer_is_told(codec: Codec) -> None:
    """Wherever it ends, but between two members."""
    one = codec.compress(text(3000))
    for length in (1, 5, 15, len(one) // 2, len(one) - 1, len(one) + 3):
        with pytest.raises(ArchiveError, match="damaged"):
            unpacked(codec, (one + one)[:length])
    assert unpacked(codec, one) == text(3000)


@pytest.mark.parametrize("codec", COMPRESSED)
def test_a_flipped_bit_is_never_silent(codec: Codec) -> None:
    """An error, or (in a header's unused bits) the same bytes; never other ones."""
    raw = text(400)
    data = codec.compress(raw)
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        try:
            found = unpacked(codec, bytes(damaged))
        except ArchiveError:
            continue
        assert found == raw


@pytest.mark.parametrize("codec", COMPRESSED)
def test_garbage_behind_a_layer_is_told(codec: Codec) -> None:
    """It is neither a member nor a frame, and no number of a library's is what people read."""
    with pytest.raises(ArchiveError, match=r"stream is damaged: (?!.*Error -)"):
        unpacked(codec, codec.compress(b"x") + b"garbage and more of it")


@pytest.mark.parametrize("codec", COMPRESSED)
@given(data=st.binary(min_size=1, max_size=200))
def test_what_is_no_layer_is_told(codec: Codec, data: bytes) -> None:
    """Any bytes are read or refused, without another kind of error."""
    try:
        unpacked(codec, data)
    except (ArchiveError, LimitError):
        return


@pytest.mark.parametrize("codec", ALL)
def test_a_bomb_ends_at_the_limit(codec: Codec) -> None:
    """Little more than the limit is ever made."""
    data = codec.compress(bytes(8 * MIB))
    made = 0
    with pytest.raises(LimitError, match="more than 1048576 bytes"):
        for piece in decompress(iter([data]), codec.compression, limit=MIB):
            made += len(piece)
    assert made <= MIB


@pytest.mark.parametrize("codec", COMPRESSED)
def test_a_bomb_comes_in_bounded_pieces(codec: Codec) -> None:
    """Memory does not follow what a few bytes claim."""
    data = codec.compress(bytes(64 * MIB))

    sizes = [len(piece) for piece in decompress(iter([data]), codec.compression)]

    assert sum(sizes) == 64 * MIB
    assert max(sizes) <= 64 * MIB if codec is ZSTD else max(sizes) <= MIB


def test_what_is_behind_a_gzip_member_is_not_copied_for_each() -> None:
    """zlib hands back all that it has not used: so it is given little at a time."""
    data = gzip.compress(b"", mtime=0) * 25_000
    tracemalloc.start()
    try:
        raw = sum(map(len, decompress(iter([data]), Compression.GZIP)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert raw == 0
    assert peak < len(data) // 2


def test_a_zstd_frame_with_a_giant_window_is_refused() -> None:
    """It would make every reader allocate gigabytes."""
    big = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(
            window_log=30, enable_ldm=False, write_content_size=0
        )
    ).compressobj()
    data = big.compress(noise(1000)) + big.flush()

    with pytest.raises(ArchiveError, match="damaged"):
        unpacked(ZSTD, data)


@pytest.mark.parametrize(
    ("text_", "compression", "level"),
    [("gzip:1", Compression.GZIP, 1), ("gzip:12", Compression.GZIP, 12),
     ("zstd:19", Compression.ZSTD, 19), ("none", Compression.NONE, None),
     ("gzip", Compression.GZIP, None)],
)  # fmt: skip
def test_a_compression_is_a_name_and_a_level(
    text_: str, compression: Compression, level: int | None
) -> None:
    """As ``--compression`` takes it."""
    assert Codec.parse(text_) == Codec(compression, level)


@pytest.mark.parametrize(
    "text_",
    ["", "gz", "GZIP", "gzip:", "gzip:0", "gzip:13", "gzip:-1", "gzip:+6", "gzip: 6", "gzip:1_0",
     "zstd:20", "zstd:0", "none:1", "gzip:6:6", "gzip:" + "9" * 5000, "gzip:٣"],
)  # fmt: skip
def test_an_impossible_compression_is_told(text_: str) -> None:
    """With the ones there are."""
    with pytest.raises(ConfigError):
        Codec.parse(text_)


def test_an_identity_names_compression_level_and_release() -> None:
    """What decides the bytes, and nothing else, is in the cache's key."""
    assert len({codec.identity() for codec in ALL}) == len(ALL)
    assert GZIP.identity().startswith("gzip:adaptive-2:deflate-")
    assert Codec(Compression.GZIP, 3).identity().startswith("gzip:3:deflate-")
    assert ZSTD.identity().startswith("zstd:3:zstd-")


def test_a_member_is_what_zlib_makes_of_it() -> None:
    """The trailer is the CRC and the size of the raw bytes."""
    raw = text(5000)
    member = GZIP.compress(raw)

    assert zlib.decompress(member[10:-8], wbits=-15) == raw
    assert member[-8:] == zlib.crc32(raw).to_bytes(4, "little") + (5000).to_bytes(4, "little")


@pytest.mark.parametrize("codec", ALL)
def test_a_codec_knows_what_it_made_of_which_bytes(codec: Codec) -> None:
    """That is how an entry of the cache is believed."""
    raw = text(5000)
    data = codec.compress(raw)

    assert codec.restores(data, raw)
    assert codec.restores(codec.compress(b""), b"")
    assert not codec.restores(data, raw[:-1] + b"!")
    assert not codec.restores(data, raw[:-1])
    assert not codec.restores(data, raw + b"!")
    assert not codec.restores(data[:-1], raw)
    assert not codec.restores(b"", raw)
    assert not codec.restores(b"junk" * 10, raw)


@pytest.mark.parametrize("codec", COMPRESSED)
def test_bytes_of_another_codec_are_never_believed(codec: Codec) -> None:
    """Nor those of another writer's headers."""
    raw = text(500)

    for other in (gzip.compress(raw, mtime=0), *(c.compress(raw) for c in COMPRESSED)):
        if other != codec.compress(raw):
            assert not codec.restores(other, raw)


def test_a_fingerprint_depends_on_bytes_and_length() -> None:
    """It finds entries and proves nothing."""
    found = {fingerprint(data) for data in (b"", b"a", b"b", b"\0", b"\0\0", text(999))}

    assert len(found) == 6
    assert fingerprint(b"a") == fingerprint(b"a")
