"""A blob as a request body: read again as often as an attempt needs, and checked every time.

Invariants: the last piece is handed out only after the whole blob's size and
digest were found right, so a wrong blob is never sent to its end; nothing is
kept in memory but one piece and a hash state.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from imgpack.errors import DigestError
from imgpack.events import Meter
from imgpack.files.pool import Stop
from imgpack.image.image import BlobSource
from imgpack.spec.descriptor import Descriptor

if TYPE_CHECKING:
    import hashlib


class BlobBody:
    """One blob, or the part of it that was chosen last; sent by one thread at a time."""

    def __init__(
        self, descriptor: Descriptor, source: BlobSource, meter: Meter, stop: Stop
    ) -> None:
        self.descriptor = descriptor
        self._source = source
        self._meter = meter
        self._stop = stop
        self._shown = 0
        self._start, self._end = 0, descriptor.size
        # What was hashed last: up to where, and the state there.
        self._mark: tuple[int, hashlib._Hash] = (0, descriptor.digest.hasher())
        if descriptor.size == 0:
            self._check(self._mark[1])

    def part(self, start: int, end: int) -> "BlobBody":
        """The bytes from ``start`` to ``end`` are the body from now on."""
        self._start, self._end = start, end
        return self

    @property
    def size(self) -> int:
        """Bytes, exactly."""
        return self._end - self._start

    def open(self) -> Iterator[bytes]:
        """The bytes. Raises ``DigestError`` before the last piece of a wrong blob."""
        start, end = self._start, self._end
        if start >= end:
            return
        position, known = self._mark
        if position > start:
            position, known = 0, self.descriptor.digest.hasher()
        hasher = known.copy()
        for piece in self._source.read_blob(self.descriptor, position):
            self._stop.check()
            if position + len(piece) > end:
                if end == self.descriptor.size:
                    raise self._wrong("is longer than that")
                piece = piece[: end - position]
            hasher.update(piece)
            position += len(piece)
            if position == end:
                if end == self.descriptor.size:
                    self._check(hasher)
                self._mark = (end, hasher)
            # What comes before the part is read for its hash only.
            if position > start:
                yield piece[start - position :]
                self._meter.advance(position - self._shown)
                self._shown = position
            if position == end:
                return
        raise self._wrong(f"ends after {position} bytes")

    def _check(self, hasher: "hashlib._Hash") -> None:
        if hasher.hexdigest() != self.descriptor.digest.hex:
            raise self._wrong(f"is {self.descriptor.digest.algorithm}:{hasher.hexdigest()}")

    def _wrong(self, found: str) -> DigestError:
        return DigestError(
            f"the blob {self.descriptor.digest} of {self.descriptor.size} bytes {found}",
            "the image is damaged; build or fetch it again",
        )
