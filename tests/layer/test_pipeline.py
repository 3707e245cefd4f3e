"""The pipeline: the same bytes with any number of threads, and an end to every failure."""

import functools
import hashlib
import itertools
import os
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgpack.api import Codec, SegmentCache
from imgpack.compression.algorithm import SMALL
from imgpack.compression.checksum import fingerprint
from imgpack.compression.codec import decompress
from imgpack.errors import OutputError, SourceError
from imgpack.events import SILENT
from imgpack.layer.pipeline import Pipeline
from imgpack.layer.segments import Segment
from tests.layer.trees import Blob, noise, text

CODECS = [Codec.parse(name) for name in ("gzip", "zstd", "none")]
METER = SILENT.begin("layer", None)


def segments(count: int = 20) -> list[Segment]:
    """Segments of different sizes, made of one entry each, in memory that can be written to."""
    return [
        Segment(
            memoryview(bytearray(text(3000, seed) + noise(seed * 100, seed))),
            [b"record %d" % seed],
            last=seed == count - 1,
        )
        for seed in range(count)
    ]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    """However a run ends, its threads end with it."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left


@pytest.mark.parametrize("codec", CODECS)
def test_what_comes_out_is_what_went_in(codec: Codec) -> None:
    """Both digests and both sizes are those of the streams."""
    blob = Blob()
    run = Pipeline(codec, None, 2).run(iter(segments()), blob, METER)
    raw = b"".join(segment.data for segment in segments())
    data = blob.data.getvalue()

    assert b"".join(decompress(iter([data]), codec.compression)) == raw
    assert run.written.diff_id.hex == hashlib.sha256(raw).hexdigest()
    assert run.written.digest.hex == hashlib.sha256(data).hexdigest()
    assert (run.written.raw_size, run.written.size) == (len(raw), len(data))
    assert (run.reused, run.segments) == (0, ())


@pytest.mark.parametrize("codec", CODECS)
def test_the_bytes_do_not_depend_on_the_threads(codec: Codec, tmp_path: Path) -> None:
    """One, two or sixteen; with and without a cache, full or empty."""
    cache = SegmentCache(str(tmp_path))
    outputs = set()
    for jobs, store in ((1, None), (2, None), (16, None), (2, cache), (16, cache)):
        blob = Blob()
        Pipeline(codec, store, jobs).run(iter(segments()), blob, METER)
        outputs.add(blob.data.getvalue())

    assert len(outputs) == 1


@pytest.mark.parametrize("codec", CODECS[:2])
def test_segments_that_were_seen_are_not_compressed_again(codec: Codec, tmp_path: Path) -> None:
    """Those of one level say nothing about another's."""
    pipeline = Pipeline(codec, SegmentCache(str(tmp_path)), 2)
    first = pipeline.run(iter(segments()), Blob(), METER)
    changed = segments()
    changed[7] = Segment(b"changed", [b"new record"])
    second = pipeline.run(iter(changed), Blob(), METER)
    other = Pipeline(Codec(codec.compression, 9), SegmentCache(str(tmp_path)), 2)

    # zstd looks back at the segment before: the next one is another one too.
    assert (first.reused, second.reused) == (0, 18 if codec.reach else 19)
    assert other.run(iter(segments()), Blob(), METER).reused == 0


@pytest.mark.parametrize("way", ["run", "replay"])
def test_what_a_layer_consists_of_was_used_now(tmp_path: Path, way: str) -> None:
    """Whether it was looked up or the whole layer copied: the cache keeps it longest."""
    pipeline = Pipeline(CODECS[0], SegmentCache(str(tmp_path)), 2)
    pieces = pipeline.run(iter(segments()), Blob(), METER).segments
    files = [tmp_path / "segments" / piece.key[:2] / piece.key[2:] for piece in pieces]
    for file in files:
        os.utime(file, (1000, 1000))

    if way == "run":
        pipeline.run(iter(segments()), Blob(), METER, pieces)
    else:
        assert pipeline.replay(pieces, b"", Blob(), METER)

    assert all(file.stat().st_mtime > 1000 for file in files)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("full", [True, False])
def test_a_segment_is_released_once_and_not_looked_at_again(
    codec: Codec, full: bool, tmp_path: Path
) -> None:
    """Its memory holds something else from then on."""
    cache = SegmentCache(str(tmp_path)) if full else None
    clean, blob = Blob(), Blob()
    before = Pipeline(codec, cache, 2).run(iter(segments()), clean, METER).segments
    released = []

    def release(segment: Segment) -> None:
        segment.data[:] = b"\xff" * len(segment.data)  # type: ignore[index]
        released.append(segment.stamps)

    guarded = [
        segment._replace(release=functools.partial(release, segment)) for segment in segments()
    ]
    Pipeline(codec, cache, 2).run(iter(guarded), blob, METER, before)

    assert blob.data.getvalue() == clean.data.getvalue()
    assert released == [segment.stamps for segment in guarded]


def test_nothing_uncompressed_is_cached(tmp_path: Path) -> None:
    """Copying it would cost more than reading it."""
    cache = SegmentCache(str(tmp_path))
    Pipeline(CODECS[2], cache, 2).run(iter(segments()), Blob(), METER)

    assert cache.usage().segments == 0


@pytest.mark.parametrize("codec", CODECS[:2])
def test_an_entry_of_other_bytes_is_never_used(codec: Codec, tmp_path: Path) -> None:
    """Whole and under the right key, but of another segment: a collision, or a mix-up."""
    warnings: list[str] = []
    cache = SegmentCache(str(tmp_path), warnings.append)
    pipeline, clean = Pipeline(codec, cache, 2), Blob()
    keys = [piece.key for piece in pipeline.run(iter(segments()), clean, METER).segments]
    assert fingerprint(segments()[4].data) in keys[4]
    one, two = (tmp_path / "segments" / key[:2] / key[2:] for key in (keys[4], keys[5]))
    two.write_bytes(one.read_bytes())

    again = Blob()
    run = pipeline.run(iter(segments()), again, METER)

    assert again.data.getvalue() == clean.data.getvalue()
    assert run.reused == 19
    assert warnings == [f"the cache entry {two} is damaged; it is made anew"]
    assert pipeline.run(iter(segments()), Blob(), METER).reused == 20


@pytest.mark.parametrize("damage", [b"", b"x", None])
def test_a_layer_is_replayed_whole_or_not_at_all(tmp_path: Path, damage: bytes | None) -> None:
    """A segment that is gone, damaged or another one makes it false."""
    cache = SegmentCache(str(tmp_path))
    pipeline, first, again = Pipeline(CODECS[0], cache, 2), Blob(), Blob()
    run = pipeline.run(iter(segments()), first, METER)

    assert pipeline.replay(run.segments, b"", again, METER)
    assert again.data.getvalue() == first.data.getvalue()

    piece = run.segments[10]
    file = tmp_path / "segments" / piece.key[:2] / piece.key[2:]
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    assert not pipeline.replay(run.segments, b"", Blob(), METER)
    cache.store(piece.key, b"another segment, whole")
    assert not pipeline.replay(run.segments, b"", Blob(), METER)


@pytest.mark.parametrize("codec", CODECS[:2])
def test_the_same_records_are_believed_only_with_the_same_bytes(
    codec: Codec, tmp_path: Path
) -> None:
    """A stat that did not change saves comparing; the fingerprint still has to agree."""
    pipeline = Pipeline(codec, SegmentCache(str(tmp_path)), 2)
    before = pipeline.run(iter(segments()), Blob(), METER).segments
    changed = segments()
    changed[7] = Segment(b"changed behind its stat", changed[7].stamps)
    again, clean = Blob(), Blob()

    run = pipeline.run(iter(changed), again, METER, before)
    Pipeline(codec, None, 2).run(iter(changed), clean, METER)

    assert run.reused == (18 if codec.reach else 19)
    assert again.data.getvalue() == clean.data.getvalue()


def test_a_change_costs_no_more_than_what_looks_back_at_it(tmp_path: Path) -> None:
    """A segment and those that begin within ``reach`` bytes behind it: here, one."""
    codec = CODECS[1]
    layer = [Segment(bytes(512) + text(codec.reach, seed), [b"%d" % seed]) for seed in range(6)]
    pipeline = Pipeline(codec, SegmentCache(str(tmp_path)), 2)
    before = pipeline.run(iter(layer), Blob(), METER).segments
    layer[2] = Segment(bytes(512) + text(codec.reach, 9), [b"9"])

    assert pipeline.run(iter(layer), Blob(), METER, before).reused == 4


def _alike(size: int) -> tuple[bytes, bytes]:
    """Different bytes of one length, Adler-32 and CRC-32, as whoever wants some makes them.

    Four bytes that become one more, less, less and more change no sum of Adler-32; what they
    change in a CRC-32 is linear, so some of 33 such places change nothing there together.
    """
    first = bytearray(text(size))
    places = [size - 1000 + 10 * number for number in range(33)]
    for place in places:
        first[place : place + 4] = b"2332"

    def changed(mask: int) -> bytes:
        other = bytearray(first)
        for number, place in enumerate(places):
            if mask >> number & 1:
                other[place : place + 4] = b"3223"
        return bytes(other)

    basis: dict[int, tuple[int, int]] = {}
    for number in range(33):
        mask = 1 << number
        value = zlib.crc32(changed(mask)) ^ zlib.crc32(first)
        while value and value.bit_length() in basis:
            by, of = basis[value.bit_length()]
            value, mask = value ^ by, mask ^ of
        if not value:
            return bytes(first), changed(mask)
        basis[value.bit_length()] = value, mask
    raise AssertionError


def test_a_segment_is_not_believed_behind_others_that_are_alike(tmp_path: Path) -> None:
    """What it looks back at is known by more than a check sum, whose like anybody can make."""
    codec = CODECS[1]
    one, other = _alike(5_000)
    assert (one != other, fingerprint(one)) == (True, fingerprint(other))
    pipeline, wrong = Pipeline(codec, SegmentCache(str(tmp_path)), 2), Blob()
    layer = [Segment(one, [b"1"]), Segment(bytes(512) + one, [b"2"], last=True)]
    before = pipeline.run(iter(layer), Blob(), METER).segments
    layer[0] = Segment(other, [b"changed"])

    pipeline.run(iter(layer), wrong, METER, before)

    raw = b"".join(segment.data for segment in layer)
    assert b"".join(decompress(iter([wrong.data.getvalue()]), codec.compression)) == raw


def test_an_entry_replaced_under_the_same_key_is_not_believed(tmp_path: Path) -> None:
    """A piece says what its bytes were, not only where they lay."""
    warnings: list[str] = []
    cache = SegmentCache(str(tmp_path), warnings.append)
    pipeline, clean, again = Pipeline(CODECS[0], cache, 2), Blob(), Blob()
    before = pipeline.run(iter(segments()), clean, METER).segments
    cache.store(before[3].key, CODECS[0].compress(b"of another tree, by a collision"))

    run = pipeline.run(iter(segments()), again, METER, before)

    assert again.data.getvalue() == clean.data.getvalue()
    assert (run.reused, len(warnings)) == (19, 1)


def failing(at: int, error: BaseException) -> Iterator[Segment]:
    """A producer that fails, as a walk does."""
    for number, segment in enumerate(segments()):
        if number == at:
            raise error
        yield segment


class Full(Blob):
    """An output on a disk that fills up after some writes."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self._left = writes

    def write(self, data: bytes) -> None:
        self._left -= 1
        if self._left < 0:
            raise OutputError("cannot write out.tar: No space left on device")
        super().write(data)


@pytest.mark.parametrize("jobs", [1, 2, 16])
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("at", [0, 1, 19])
def test_an_error_of_the_producer_ends_the_run(codec: Codec, jobs: int, at: int) -> None:
    """Also Ctrl-C, wherever it strikes."""
    for error in (SourceError("cannot read x"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            Pipeline(codec, None, jobs).run(failing(at, error), Blob(), METER)


@pytest.mark.parametrize("jobs", [1, 2, 16])
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("writes", [0, 1, 19])
def test_an_error_of_the_output_ends_the_run(codec: Codec, jobs: int, writes: int) -> None:
    """It is told as it is, and the producer is not driven to its end."""
    made = 0

    def endless() -> Iterator[Segment]:
        nonlocal made
        for segment in itertools.cycle(segments()):
            made += 1
            yield segment

    with pytest.raises(OutputError, match="No space left"):
        Pipeline(codec, None, jobs).run(endless(), Full(writes), METER)
    assert made < 100


@pytest.mark.parametrize("jobs", [1, 16])
def test_an_error_of_a_codec_ends_the_run(jobs: int) -> None:
    """Something that is no segment, as no producer makes it."""
    with pytest.raises(TypeError):
        Pipeline(CODECS[0], None, jobs).run(
            iter([Segment(b"fine", []), Segment(None, [])]),  # type: ignore[arg-type]
            Blob(), METER,
        )  # fmt: skip


def test_an_error_of_the_output_ends_a_replay(tmp_path: Path) -> None:
    """As in a run."""
    pipeline = Pipeline(CODECS[0], SegmentCache(str(tmp_path)), 2)
    run = pipeline.run(iter(segments()), Blob(), METER)

    with pytest.raises(OutputError, match="No space left"):
        pipeline.replay(run.segments, b"", Full(3), METER)


def test_few_segments_are_held_at_once() -> None:
    """A producer is never far ahead of a slow output, so memory is bounded."""
    made = taken = ahead = 0

    class Slow(Blob):
        def write(self, data: bytes) -> None:
            nonlocal taken, ahead
            time.sleep(0.002)
            taken += 1
            ahead = max(ahead, made - taken)

    def counted() -> Iterator[Segment]:
        nonlocal made
        for _ in range(60):
            made += 1
            yield Segment(b"data", [])

    Pipeline(CODECS[0], None, 2).run(counted(), Slow(), METER)

    assert taken == made == 60
    assert ahead <= 2 + SMALL.ahead + 3
