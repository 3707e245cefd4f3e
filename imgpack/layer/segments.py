"""A tree as tar segments: encoded, in order, and cut where the content itself says.

The tar stream is cut before an entry whose path hash falls below a threshold
that grows with the entry's size, and at fixed steps inside a large file. So the
mean segment has as many bytes as the codec wants, and a change in one file moves no cut but
those around it: every other segment keeps its bytes, and its place in the cache.
``docs/layer-format.md`` specifies the rule; the constants decide digests.
"""

import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from imgpack.compression.algorithm import SMALL, Cutting
from imgpack.layer.buffer import Buffers, Excerpt
from imgpack.layer.encoder import FILE_TYPE, TYPE, Encoder
from imgpack.layer.producers.framed import Framed, Span
from imgpack.layer.stages import Stages
from imgpack.layer.suspects import Suspects
from imgpack.tar import header
from imgpack.tree.entry import Entry
from imgpack.tree.problems import Problems
from imgpack.tree.secrets.names import SUSPECT_ENDS

if TYPE_CHECKING:
    from imgpack.layer.squash import Squash

_MORE: Final = 64 << 10
"""Bytes that a buffer has beyond a segment: the padding of files, and the PAX headers of most."""


class Segment(NamedTuple):
    """A part of the tar stream, and where it comes from.

    ``stamps`` are those of its entries (empty ones without a snapshot): as long as
    they are the same, so are the bytes. ``release`` is to be
    called when ``data`` was looked at for the last time: its memory is used again. ``last``
    is the one that ends the stream. ``excerpts`` are what large files have of ``data`` as well.
    """

    data: bytes | memoryview
    stamps: list[bytes]
    release: Callable[[], None] = lambda: None
    last: bool = False
    excerpts: Sequence[Excerpt] = ()


class Segments:
    """One pass over entries, which cuts them into segments as large as ``cutting`` says.

    ``matched`` are the numbers of the rules that changed something, complete in the end.
    """

    def __init__(
        self, stages: "Stages | Squash", problems: Problems, cutting: Cutting = SMALL
    ) -> None:
        self._stages = stages
        self._cutting = cutting
        self.matched: set[int] = set()
        self._problems = problems
        self._suspects = Suspects()
        self._buffers = Buffers(cutting.largest + _MORE)
        self._encoder = Encoder(problems, self._buffers.take(), recorded=bool(stages))
        self._stamps: list[bytes] = []

    @property
    def newest(self) -> int:
        """The newest time written so far, in seconds; complete when the cutting has ended."""
        return self._encoder.newest

    @property
    def warnings(self) -> list[str]:
        """The lines that the user should see; complete when the cutting has ended."""
        return self._encoder.warnings

    def cut(self, entries: Iterable[Entry]) -> Generator[Segment, None, None]:
        """Yield each segment, in order.

        Raises ``SourceError`` at the end if anything could not be read,
        ``SourceChangedError`` and ``TreeError`` at once.
        """
        return self.joined((entries,))

    def joined(self, batches: Iterable[Span | Iterable[Entry]]) -> Generator[Segment, None, None]:
        """As ``cut``, of entries of which some are encoded already."""
        encoder = self._encoder
        for batch in batches:
            yield from self._framed(batch) if isinstance(batch, Span) else self._encoded(batch)
        self._problems.check()
        encoder.buffer.append(header.END)
        yield self._take()._replace(last=True)
        encoder.finish()
        if not any(left_out.rules.file for left_out in self._problems.left_out):
            encoder.warnings += self._suspects.warnings()

    def _encoded(self, entries: Iterable[Entry]) -> Iterator[Segment]:
        encoder, crc32 = self._encoder, zlib.crc32
        cutting = self._cutting
        mean, largest, last_piece = cutting.mean, cutting.largest, cutting.last_piece
        for seen, entry in self._stages.pairs(entries, self._problems, self.matched):
            path, content, mode, _, _, links, _, _, size, _, _, _, stamp, _, _ = entry
            # A link to a file brings no content, and must not be cut as if it did.
            is_file = mode & TYPE == FILE_TYPE and (links == 1 or not encoder.is_link(entry))
            if not is_file:
                size = 0
            weight, filled = size + header.BLOCK, encoder.buffer.filled
            if filled and (filled + weight > largest or crc32(path) * mean < weight << 32):
                yield self._take()
            self._stamps.append(stamp)
            if path[-3:] in SUSPECT_ENDS:
                self._suspects.look(entry)
            if not is_file:
                encoder.other(entry, seen)
            elif size <= last_piece and type(content) is bytes:
                encoder.file(entry, seen)
            else:
                for number in encoder.steps(entry, seen, _steps(size, mean, last_piece)):
                    yield self._take()
                    self._stamps += (stamp, b"%d" % number)

    def _framed(self, span: Span) -> Iterator[Segment]:
        """The entries of ``span``, whose bytes are copied."""
        framed, at, last = span
        for end in (*framed.cut(at, last), last):
            yield from self._copied(framed, at, end)
            if end < last and self._encoder.buffer.filled:
                yield self._take()
            at = end
        self._encoder.take_over(framed.newest, framed.tally())

    def _copied(self, framed: Framed, at: int, end: int) -> Iterator[Segment]:
        """Entries between which only the largest segment makes cuts."""
        step, largest = end - at, self._cutting.largest
        if self._encoder.buffer.filled + len(framed.data(at, end)) > largest:
            step = 1
        while at < end:
            data, buffer = framed.data(at, at + step), self._encoder.buffer
            if step == 1 and buffer.filled and buffer.filled + framed.weights[at] > largest:
                yield self._take()
                buffer = self._encoder.buffer
            buffer.append(data)
            self._stamps.append(framed.records(at, at + step))
            at += step

    def _take(self) -> Segment:
        """What is in the buffer as a segment; another buffer takes its place."""
        buffer, stamps, self._stamps = self._encoder.buffer, self._stamps, []
        self._encoder.buffer = self._buffers.take()
        data = buffer.view[: buffer.filled]
        release = partial(self._buffers.give, buffer)
        return Segment(data, stamps, release, excerpts=buffer.excerpts)


def _steps(size: int, step: int, last_piece: int) -> Iterator[int]:
    """How many bytes of a large file to read at a time: it may be cut after each but the last."""
    while size > last_piece:
        yield step
        size -= step
    yield size
