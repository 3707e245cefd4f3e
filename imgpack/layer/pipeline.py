"""The layer pipeline: segments in order, compressed on all cores, hashed and written in order.

One thread (the caller's) makes segments, ``jobs`` threads compress them or take
them from the cache, and one thread hashes both streams and writes. Queues hold a
few segments, so memory does not depend on the layer's size; the order of
everything that is written is the order of the segments, so the bytes do not
depend on timing or on ``jobs``.
"""

import contextlib
import hashlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from imgpack.layer.cache import Piece, SegmentCache
from imgpack.layer.codec import Codec, Kind, crc32, fingerprint
from imgpack.layer.segments import Segment
from imgpack.report import Meter
from imgpack.spec.digest import Digest

AHEAD: Final = 6
"""Segments that may wait beside those being compressed: with fewer, cores wait for a large one."""


class Output(Protocol):
    """Where a layer's bytes go."""

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes, whose memory is used again afterwards."""


@dataclass(frozen=True, slots=True)
class Written:
    """What came out: digests and sizes (bytes) of the raw and the compressed stream."""

    diff_id: Digest
    digest: Digest
    raw_size: int
    size: int
    pieces: tuple[Piece, ...]
    reused: int


@dataclass(frozen=True, slots=True)
class _Compressed:
    data: bytes | memoryview
    piece: Piece | None
    reused: bool


class Pipeline:
    """Compresses segments into an output; one object may run any number of layers."""

    def __init__(self, codec: Codec, cache: SegmentCache | None, jobs: int) -> None:
        self._codec = codec
        self._cache = cache if codec.kind is not Kind.NONE else None
        self._jobs = jobs
        self._codec_key = hashlib.sha256(codec.identity().encode()).hexdigest()[:16]

    def run(
        self,
        segments: Iterable[Segment],
        output: Output,
        meter: Meter,
        before: Sequence[Piece] = (),
    ) -> Written:
        """Drive ``segments`` to their end. Raises what they and the output raise.

        ``before`` are the pieces of the layer when it was last built: those whose
        records are the same still are not compared with their bytes again.
        """
        known = {piece.records: piece for piece in before if piece.records}
        sink = _Sink(output, meter, raw_is_output=self._codec.kind is Kind.NONE)
        if self._codec.kind is Kind.NONE:
            with _ordered(sink.plain, 2 * AHEAD) as put:
                for segment in segments:
                    put(segment)
            return sink.result()
        with (
            ThreadPoolExecutor(self._jobs, "imgpack-codec") as pool,
            _cancelling(pool),
            _ordered(sink.compressed, self._jobs + AHEAD) as put,
        ):
            for segment in segments:
                put((segment, pool.submit(self._compress, segment, known)))
        return sink.result()

    def replay(self, pieces: Iterable[Piece], output: Output, meter: Meter) -> bool:
        """Write a whole layer from the cache; ``False`` if a segment is gone or damaged."""
        assert self._cache is not None
        cache = self._cache
        failed = threading.Event()

        def write(item: Future[memoryview | None]) -> None:
            data = item.result()
            if data is None:
                failed.set()
            elif not failed.is_set():
                output.write(data)
                meter.advance(len(data))

        with (
            ThreadPoolExecutor(self._jobs, "imgpack-cache") as pool,
            _cancelling(pool),
            _ordered(write, self._jobs + AHEAD) as put,
        ):
            for piece in pieces:
                if failed.is_set():
                    return False
                put(pool.submit(_load_piece, cache, piece))
        return not failed.is_set()

    def _compress(self, segment: Segment, known: Mapping[str, Piece]) -> _Compressed:
        raw = segment.data
        if self._cache is None:
            return _Compressed(self._codec.compress(raw), None, reused=False)
        # A cheap fingerprint finds the entry. It is believed if the same entries, by
        # their stat, made it last time, or else if it decompresses to these very bytes:
        # no dearer than a strong hash, and a first build does neither.
        crc = crc32(raw)
        key = f"{fingerprint(raw, crc)}-{self._codec_key}"
        origin = _origin(segment.records)
        found = self._cache.load(key)
        if found is not None:
            piece = Piece(key, found.check, origin)
            if known.get(origin) == piece or self._codec.restores(found.data, raw):
                return _Compressed(found.data, piece, reused=True)
            self._cache.distrust(key)
        data = self._codec.compress(raw, crc)
        return _Compressed(data, Piece(key, self._cache.store(key, data), origin), reused=False)


def _origin(records: list[bytes]) -> str:
    """The hash of a segment's records; empty if an entry has none."""
    return hashlib.sha256(b"".join(records)).hexdigest() if all(records) else ""


def _load_piece(cache: SegmentCache, piece: Piece) -> memoryview | None:
    found = cache.load(piece.key)
    return found.data if found is not None and found.check == piece.check else None


class _Sink:
    """The ordered end of the pipeline: both hashes, the sizes, the output."""

    def __init__(self, output: Output, meter: Meter, *, raw_is_output: bool) -> None:
        self._output = output
        self._meter = meter
        self._raw = hashlib.sha256()
        self._out = self._raw if raw_is_output else hashlib.sha256()
        self._raw_size = 0
        self._size = 0
        self._pieces: list[Piece] = []
        self._reused = 0

    def plain(self, segment: Segment) -> None:
        data = segment.data
        self._raw.update(data)
        self._output.write(data)
        self._raw_size += len(data)
        self._size = self._raw_size
        self._meter.advance(len(data))
        segment.release()

    def compressed(self, item: tuple[Segment, "Future[_Compressed]"]) -> None:
        segment, future = item
        size = len(segment.data)
        self._raw.update(segment.data)
        self._raw_size += size
        done = future.result()
        segment.release()
        self._out.update(done.data)
        self._output.write(done.data)
        self._size += len(done.data)
        if done.piece is not None:
            self._pieces.append(done.piece)
        self._reused += done.reused
        self._meter.advance(size)

    def result(self) -> Written:
        return Written(
            Digest("sha256", self._raw.hexdigest()),
            Digest("sha256", self._out.hexdigest()),
            self._raw_size,
            self._size,
            tuple(self._pieces),
            self._reused,
        )


@contextlib.contextmanager
def _cancelling(pool: ThreadPoolExecutor) -> Iterator[None]:
    """Whatever ends the block, do not wait for work that nobody will use."""
    try:
        yield
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


_T = TypeVar("_T")


@contextlib.contextmanager
def _ordered(take: Callable[[_T], None], ahead: int) -> Iterator[Callable[[_T], None]]:
    """A thread that calls ``take`` for each item put, in order, at most ``ahead`` behind.

    An error in ``take`` is raised by the next put or at the end of the block.
    """
    waiting: queue.Queue[_T | None] = queue.Queue(ahead)
    failure: list[BaseException] = []

    def work() -> None:
        while (item := waiting.get()) is not None:
            if failure:
                continue  # keep taking, so that put never blocks for good
            try:
                take(item)
            except BaseException as error:  # handed to the caller's thread
                failure.append(error)

    def put(item: _T) -> None:
        if failure:
            raise failure[0]
        waiting.put(item)

    thread = threading.Thread(target=work, name="imgpack-ordered", daemon=True)
    thread.start()
    try:
        yield put
    except BaseException as error:
        failure.append(error)
        raise
    finally:
        waiting.put(None)
        thread.join()
    if failure:
        raise failure[0]
