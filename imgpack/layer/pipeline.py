"""The layer pipeline: segments compressed on all cores, hashed and written in order.

One thread (the caller's) makes segments; ``jobs`` threads hash them in order, compress
them or take them from the cache, and the one that has finished the segment that is due
hashes what came of it and writes. The pool between them is small, so memory does not depend
on the layer's size; whatever is written is written in the order of the segments, so
the bytes do not depend on timing or on ``jobs``.
"""

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol, TypeVar

from imgpack.compression.adaptive import STORED
from imgpack.compression.algorithm import ALONE, Bytes, Surroundings, equal
from imgpack.compression.checksum import crc32, fingerprint
from imgpack.compression.codec import Codec
from imgpack.events import Meter
from imgpack.files.ordered_pool import OrderedPool
from imgpack.layer.buffer import Buffers
from imgpack.layer.cache.recipes import follow, recipe_of
from imgpack.layer.cache.record import CachedSegment, Written
from imgpack.layer.cache.segments import SegmentCache
from imgpack.layer.segments import Segment
from imgpack.spec.digest import Digest
from imgpack.spec.format import Compression

_Item = TypeVar("_Item")
_Done = TypeVar("_Done")

MOST_MADE: Final = 10
"""Segments that were compressed and are named: more than people read."""


class Output(Protocol):
    """Where a layer's bytes go."""

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes, whose memory is used again afterwards."""


class Run(NamedTuple):
    """What came out: the bytes written, their segments in the cache, and how many were there.

    ``by_stat`` of these were not compared with their bytes; ``copied`` are in no cache, for they
    are stored as they are. ``made`` are the first stamps of those that were compressed, no more
    than ``MOST_MADE``.
    """

    written: Written
    segments: tuple[CachedSegment, ...]
    reused: int
    by_stat: int
    made: tuple[bytes, ...]
    copied: int = 0


class _Surrounded(NamedTuple):
    """A segment, and what is around it as far as that matters to the codec."""

    segment: Segment
    around: Surroundings


class _Compressed(NamedTuple):
    data: bytes | memoryview
    cached: CachedSegment | None = None
    reused: bool = False
    by_stat: bool = False


class Pipeline:
    """Compresses segments into an output; one object may run any number of layers."""

    def __init__(self, codec: Codec, cache: SegmentCache | None, jobs: int) -> None:
        if jobs < 1:
            raise ValueError(f"a pipeline has at least one job, not {jobs}")
        self._codec = codec
        self._cache = cache if codec.compression is not Compression.NONE else None
        self._jobs = jobs
        self._codec_key = _short_hash(codec.identity())
        self._buffers = Buffers(codec.cutting.largest)

    def run(
        self,
        segments: Iterable[Segment],
        output: Output,
        meter: Meter,
        before: Sequence[CachedSegment] = (),
        root: bytes | None = None,
    ) -> Run:
        """Drive ``segments`` to their end. Raises what they and the output raise.

        ``before`` are the segments of the layer when it was last built: those whose
        stamps are the same still are not compared with their bytes again. ``root`` is the
        directory that all of it comes from, if the layer is to be replayed.
        """
        known = {segment.stamps: segment for segment in before if segment.stamps}
        sink = _Sink(output, meter, raw_is_output=self._codec.compression is Compression.NONE)
        ahead = self._codec.cutting.ahead
        if self._codec.compression is Compression.NONE:
            _drive(OrderedPool(1, ahead, _as_it_is, sink.plain), segments)
        else:
            work = partial(self._compress, known, root)
            pool = OrderedPool(self._jobs, ahead, work, sink.compressed, sink.raw)
            _drive(pool, self._surrounded(segments))
        run = sink.result()
        if self._cache is not None:
            self._cache.touch(segment.key for segment in run.segments)
        return run

    def replay(
        self, segments: Sequence[CachedSegment], root: bytes, output: Output, meter: Meter
    ) -> bool:
        """Write a whole layer from the cache, and from files below ``root`` what is in none.

        ``False`` if a segment is gone or damaged, or such a file is another one by now.
        """
        assert self._cache is not None
        cache = self._cache
        missing = threading.Event()

        def load(segment: CachedSegment) -> Bytes | None:
            found = None if missing.is_set() else cache.load(segment.key)
            data: Bytes | None = None
            if found is not None and segment.copied:
                data = self._made_again(segment, found.data, root)
            elif found is not None and found.check == segment.check:
                data = found.data
            if data is None:
                missing.set()
            return data

        def write(_: CachedSegment, data: Bytes | None) -> None:
            if data is not None and not missing.is_set():
                output.write(data)
                meter.advance(len(data))

        with OrderedPool(self._jobs, self._codec.cutting.ahead, load, write) as pool:
            for segment in segments:
                if missing.is_set():
                    break
                pool.put(segment)
        if missing.is_set():
            return False
        cache.touch(segment.key for segment in segments)
        return True

    def _surrounded(self, segments: Iterable[Segment]) -> Iterator[_Surrounded]:
        """``segments`` with what is around each; their memory may be used again by then."""
        reach, before = self._codec.reach, b""
        for segment in segments:
            around = Surroundings(before, segment.last) if reach else ALONE
            before = self._codec.tail(segment.data, before)
            yield _Surrounded(segment, around)

    def _made_again(self, segment: CachedSegment, recipe: memoryview, root: bytes) -> bytes | None:
        """What is ``copied``, by its recipe; ``None`` if its files are others by now."""
        assert self._cache is not None
        buffer = self._buffers.take()
        try:
            if not follow(recipe, root, segment.raw_size, buffer):
                return None
            raw = buffer.view[: buffer.filled]
            crc = crc32(raw)
            if fingerprint(raw, crc) != segment.raw_sum:
                return None
            data = self._codec.compress(raw, crc, level=STORED)
            return data if segment.check == _copied_check(segment.raw_sum, data) else None
        except ValueError:
            self._cache.distrust(segment.key)
            return None
        finally:
            self._buffers.give(buffer)

    def _compress(
        self, known: Mapping[str, CachedSegment], root: bytes | None, placed: _Surrounded
    ) -> _Compressed:
        segment, around = placed
        raw = segment.data
        if self._cache is None:
            return _Compressed(self._codec.compress(raw, None, around))
        # A cheap fingerprint finds the entry. It is believed if the same entries, by
        # their stat, made it last time, or else if it decompresses to these very bytes:
        # no dearer than a strong hash, and a first build does neither.
        crc = crc32(raw)
        raw_sum, origin = fingerprint(raw, crc), _origin(segment.stamps, around.before)
        before = known.get(origin)
        if before is not None and before.copied and before.raw_sum == raw_sum:
            copied = self._copied(segment, root, raw_sum, crc, origin)
            if copied is not None:
                return copied
        key = f"{raw_sum}-{self._key(around)}"
        found = self._cache.load(key)
        if found is not None:
            cached = CachedSegment(key, found.check, origin)
            by_stat = before == cached
            if by_stat or self._codec.restores(found.data, raw, around):
                return _Compressed(found.data, cached, reused=True, by_stat=by_stat)
            self._cache.distrust(key)
        level = self._codec.level_of(raw)
        if level == STORED:
            copied = self._copied(segment, root, raw_sum, crc, origin)
            if copied is not None:
                return copied
        data = self._codec.compress(raw, crc, around, level)
        return _Compressed(data, CachedSegment(key, self._cache.store(key, data), origin))

    def _copied(
        self, segment: Segment, root: bytes | None, raw_sum: str, crc: int, origin: str
    ) -> _Compressed | None:
        """One that is stored as it is; ``None`` if it is better kept than made again."""
        assert self._cache is not None
        recipe = b"" if root is None else recipe_of(segment.data, segment.excerpts, root)
        if recipe is None:
            return None
        # By the recipe, not by the stamps: those of young files are others each time.
        key = f"{raw_sum}-{_short_hash(f'{self._codec_key} {fingerprint(recipe)}')}"
        found = self._cache.load(key) if recipe else None
        if recipe and (found is None or not equal(recipe, found.data)):
            self._cache.store(key, recipe)
        data = self._codec.compress(segment.data, crc, level=STORED)
        check = _copied_check(raw_sum, data)
        return _Compressed(data, CachedSegment(key, check, origin, copied=True))

    def _key(self, around: Surroundings) -> str:
        """What decides, beside a segment's bytes, what it is compressed to."""
        if around is ALONE:
            return self._codec_key
        return _short_hash(f"{self._codec_key} {fingerprint(around.before)} {around.last}")


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _origin(stamps: list[bytes], before: bytes) -> str:
    """The hash of a segment's stamps, and of what it looks back at, whose stamps may have changed.

    Empty if an entry has no stamp.
    """
    if not all(stamps):
        return ""
    hasher = hashlib.sha256(b"".join(stamps))
    hasher.update(before)
    return hasher.hexdigest()


def _copied_check(raw_sum: str, data: bytes) -> str:
    """What stands for the check sum of ``data``, which says no more than its length."""
    return f"{raw_sum[:16]}{len(data):x}"


def _drive(pool: OrderedPool[_Item, _Done], items: Iterable[_Item]) -> None:
    with pool:
        for item in items:
            pool.put(item)


def _as_it_is(segment: Segment) -> None:
    """Nothing is to be done for a segment that is not compressed."""


class _Sink:
    """The ordered end of the pipeline: both hashes, the sizes, the output."""

    def __init__(self, output: Output, meter: Meter, *, raw_is_output: bool) -> None:
        self._output = output
        self._meter = meter
        self._raw = hashlib.sha256()
        self._out = self._raw if raw_is_output else hashlib.sha256()
        self._raw_size = 0
        self._size = 0
        self._cached: list[CachedSegment] = []
        self._reused = self._by_stat = self._copied = 0
        self._made: list[bytes] = []

    def plain(self, segment: Segment, _: None) -> None:
        data = segment.data
        self._raw.update(data)
        self._output.write(data)
        self._raw_size += len(data)
        self._size = self._raw_size
        self._meter.advance(len(data))
        segment.release()

    def raw(self, placed: _Surrounded) -> None:
        self._raw.update(placed.segment.data)
        self._raw_size += len(placed.segment.data)

    def compressed(self, placed: _Surrounded, done: _Compressed) -> None:
        segment = placed.segment
        size = len(segment.data)
        segment.release()
        self._out.update(done.data)
        self._output.write(done.data)
        self._size += len(done.data)
        copied = False
        if done.cached is not None:
            copied = done.cached.copied
            self._cached.append(done.cached)
        self._reused += done.reused
        self._by_stat += done.by_stat
        self._copied += copied
        if not (done.reused or copied) and len(self._made) < MOST_MADE:
            self._made += segment.stamps[:1]
        self._meter.advance(size)

    def result(self) -> Run:
        written = Written(
            Digest("sha256", self._raw.hexdigest()),
            Digest("sha256", self._out.hexdigest()),
            self._raw_size,
            self._size,
        )
        cached, made = tuple(self._cached), tuple(self._made)
        return Run(written, cached, self._reused, self._by_stat, made, self._copied)
