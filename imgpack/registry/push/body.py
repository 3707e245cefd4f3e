"""A blob on its way out: read again as often as an attempt needs, and checked every time.

Invariants: the last piece is handed out only after the whole blob's size and
digest were found right, so a wrong blob is never sent to its end; nothing is
kept in memory but one piece and a hash state.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgpack.errors import DigestError
from imgpack.events import Meter
from imgpack.files.pool import Stop
from imgpack.image.image import BlobSource
from imgpack.spec.descriptor import Descriptor

if TYPE_CHECKING:
    import hashlib


class Outgoing:
    """One blob that is being sent, by one thread at a time."""

    def __init__(
        self, descriptor: Descriptor, source: BlobSource, meter: Meter, stop: Stop
    ) -> None:
        self.descriptor = descriptor
        self._source = source
        self._meter = meter
        self._stop = stop
        self._shown = 0
        self._mark: tuple[int, hashlib._Hash] = (0, descriptor.digest.hasher())
        if descriptor.size == 0:
            self._check(self._mark[1])

    def part(self, start: int, end: int) -> "Part":
        """The bytes from ``start`` to ``end``, as a request body."""
        return Part(self, start, end)

    def pieces(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes themselves. Raises ``DigestError`` before the last piece of a wrong blob."""
        if start >= end:
            return
        hasher, position = self._hashed(start), start
        for piece in self._source.read_blob(self.descriptor, start):
            self._stop.check()
            if position + len(piece) > end:
                if end == self.descriptor.size:
                    raise self._wrong("is longer than that")
                piece = piece[: end - position]
            hasher.update(piece)
            position += len(piece)
            if position == end:
                self._finish(hasher, end)
            yield piece
            self._show(position)
            if position == end:
                return
        if position < end:
            raise self._wrong(f"ends after {position} bytes")

    def _finish(self, hasher: "hashlib._Hash", end: int) -> None:
        if end == self.descriptor.size:
            self._check(hasher)
        self._mark = (end, hasher)

    def _check(self, hasher: "hashlib._Hash") -> None:
        if hasher.hexdigest() != self.descriptor.digest.hex:
            raise self._wrong(f"is {self.descriptor.digest.algorithm}:{hasher.hexdigest()}")

    def _wrong(self, found: str) -> DigestError:
        return DigestError(
            f"the blob {self.descriptor.digest} of {self.descriptor.size} bytes {found}",
            "the image is damaged; build or fetch it again",
        )

    def _hashed(self, position: int) -> "hashlib._Hash":
        """The hash state after ``position`` bytes, read again unless it is known."""
        at, hasher = self._mark
        if at == position:
            return hasher.copy()
        hasher, left = self.descriptor.digest.hasher(), position
        chunks = self._source.read_blob(self.descriptor)
        while left > 0:
            self._stop.check()
            piece = next(chunks, b"")[:left]
            if not piece:
                raise self._wrong(f"ends after {position - left} bytes")
            hasher.update(piece)
            left -= len(piece)
        return hasher

    def _show(self, position: int) -> None:
        self._meter.advance(position - self._shown)
        self._shown = position


@dataclass(frozen=True, slots=True)
class Part:
    """A request body: the bytes of a blob from ``start`` to ``end``."""

    blob: Outgoing
    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes, exactly."""
        return self.end - self.start

    def open(self) -> Iterator[bytes]:
        """The bytes of the part."""
        return self.blob.pieces(self.start, self.end)
