"""Entries that another process encoded, and the messages about them.

A *unit* of work is some names in the order of a tree, in a few directories. Its entries come
back behind each other in a *slot* of memory that both processes have, with a table that says
where each ends. Messages are of ``marshal``: between two processes of one interpreter, of
which one started the other.
"""

import marshal
from array import array
from collections.abc import Iterator
from typing import Final, NamedTuple

from imgpack.layer.encoder import Tally

FRAMES: Final = 2 << 20
"""Bytes of encoded entries that a slot has room for: most units need half of it."""
RECORDS: Final = 128 << 10
"""Bytes of a snapshot's records that it has room for behind them."""
SLOT: Final = FRAMES + RECORDS
MOST_NAMES: Final = 512
"""Names in one unit."""
MOST_BYTES: Final = 16 << 10
"""Bytes of names in one unit, and of what stands before them, but for the last. With what is
in flight to one process, this must fit into a socket's buffer, so that neither end waits for
the other to read."""
MOST_DIRECTORIES: Final = 32
"""Directories of one unit, each an open descriptor; a message takes 253."""
SMALL: Final = 32 << 10
"""Bytes of a file that another process reads. Of a larger one, reading is all that it costs."""
MESSAGE: Final = 128 << 10
"""Bytes that a message may have."""

Group = tuple[bytes, bytes, int, list[bytes], tuple[int, int] | None]
"""What stands before names in the image, and on disk; the number of their directory among
those of the unit; the names; the device and inode of the last one, if it is a directory."""


class Work(NamedTuple):
    """What a process is to encode into the slot of this number.

    ``directories`` are devices and inodes: their descriptors come beside the message.
    """

    slot: int
    directories: list[tuple[int, int]]
    groups: list[Group]

    def dump(self) -> bytes:
        """As a message."""
        return marshal.dumps(tuple(self))

    @classmethod
    def load(cls, message: bytes) -> "Work":
        """The work in a message."""
        return cls(*marshal.loads(message))


class Reply(NamedTuple):
    """What became of a unit.

    Of each entry: where its bytes end in the slot, its weight (layer-format section 5), and
    where its record ends. Before those of ``cuts`` the path says that there is a cut; those of
    ``left`` are not encoded, for whoever asked has to look at them.
    """

    ends: bytes
    weights: bytes
    record_ends: bytes
    cuts: list[int]
    left: list[int]
    newest: int
    tally: tuple[int, int, int, bytes]
    distrusted: str

    def dump(self) -> bytes:
        """As a message."""
        return marshal.dumps(tuple(self))

    @classmethod
    def load(cls, message: bytes) -> "Reply":
        """The reply in a message."""
        return cls(*marshal.loads(message))


class Framed:
    """The entries of a unit that are encoded, as they lie in ``slot``."""

    def __init__(self, reply: Reply, slot: memoryview) -> None:
        self._slot = slot
        self.newest = reply.newest
        self._tally = Tally(*reply.tally)
        self.weights = _numbers(reply.weights)
        self._ends = _numbers(reply.ends)
        self._records = _numbers(reply.record_ends)
        self._cuts = reply.cuts

    def tally(self) -> Tally:
        """What is told of the unit in numbers; nothing when it was asked for before."""
        tally, self._tally = self._tally, Tally()
        return tally

    def data(self, first: int, end: int) -> memoryview:
        """The bytes of entries."""
        return self._slot[_start(self._ends, first) : _start(self._ends, end)]

    def records(self, first: int, end: int) -> bytes:
        """Their records; empty if none are made."""
        start, stop = _start(self._records, first), _start(self._records, end)
        return bytes(self._slot[FRAMES + start : FRAMES + stop])

    def cut(self, first: int, end: int) -> Iterator[int]:
        """Those of these entries before which there is a cut by their paths."""
        return (number for number in self._cuts if first <= number < end)


class Span(NamedTuple):
    """Entries of a unit that follow each other, all of them encoded."""

    framed: Framed
    first: int
    end: int


def _numbers(data: bytes) -> "array[int]":
    numbers = array("I")
    numbers.frombytes(data)
    return numbers


def _start(ends: "array[int]", number: int) -> int:
    return ends[number - 1] if number else 0
