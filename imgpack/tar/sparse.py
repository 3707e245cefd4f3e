"""Sparse members: which bytes are stored, and where the holes between them are.

GNU tar's manual, "Storing Sparse Files": the old GNU format (type ``S``), and the pax
formats 0.0, 0.1 and 1.0, which bsdtar and GNU tar write today. Maps are untrusted:
their length is bounded, each extent lies behind the one before, and together they are
what is stored.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from imgpack.errors import ArchiveError, LimitError
from imgpack.tar.header import BLOCK

PREFIX: Final = b"GNU.sparse."
MAX_EXTENTS: Final = 1 << 16
"""Extents of one member: those of a disk image that is badly fragmented."""
MAX_SPARSE: Final = 1 << 38
"""Bytes of an archive's sparse members: few that are stored must not keep readers busy."""

_KEYS: Final = frozenset({b"name", b"major", b"minor", b"size", b"realsize", b"map"})
_ENTRY: Final = 24
_MAX_MAP: Final = 1 << 21
_NUMBER: Final = re.compile(rb"[0-9]{1,19}")

Read = Callable[[int, int], bytes]
"""The bytes of an archive from an offset, as many as asked for, or fewer at its end."""


@dataclass(frozen=True, slots=True)
class Sparse:
    """``size`` bytes, of which ``extents`` (offset and length, ascending) are stored.

    They lie one after the other from the byte ``start`` of the archive.
    """

    size: int
    start: int
    extents: tuple[tuple[int, int], ...]

    @property
    def end(self) -> int:
        """The first byte of the archive behind what is stored."""
        return self.start + sum(length for _, length in self.extents)

    def pieces(self, offset: int) -> Iterator[tuple[int | None, int]]:
        """From ``offset``: where bytes lie in the archive (``None``: a hole), and how many."""
        start = self.start
        for at, length in (*self.extents, (self.size, 0)):
            if offset < at:
                yield None, at - offset
                offset = at
            if offset < at + length:
                yield start + offset - at, at + length - offset
                offset = at + length
            start += length


@dataclass(slots=True)
class SparseRecords:
    """The ``GNU.sparse.*`` records in front of a member."""

    values: dict[bytes, bytes] = field(default_factory=dict)
    numbers: list[bytes] = field(default_factory=list)

    def add(self, key: bytes, value: bytes) -> None:
        """Take one record; those of format 0.0 come again for each extent."""
        key = key.removeprefix(PREFIX)
        if key in (b"offset", b"numbytes"):
            # One follows the other.
            if (key == b"offset") == bool(len(self.numbers) % 2):
                raise ArchiveError("a sparse map is malformed")
            self.numbers.append(value)
            _check_count(len(self.numbers))
        elif key in _KEYS:
            self.values[key] = value

    @property
    def name(self) -> bytes | None:
        """The member's real name, where its header has one that was made up."""
        return self.values.get(b"name")

    def member(self, read: Read, start: int, stored: int) -> Sparse | None:
        """The member whose ``stored`` bytes begin at ``start``; ``None`` if it is not sparse.

        Raises ``ArchiveError``, ``LimitError``.
        """
        values = self.values
        version = values.get(b"major", b"0") + b"." + values.get(b"minor", b"0")
        if version == b"1.0":
            real = _number(values.get(b"realsize", b""))
            numbers, length = _map_in_front(read, start, stored)
            return _checked(real, start + length, stored - length, numbers)
        if version not in (b"0.0", b"0.1"):
            raise ArchiveError(f"its sparse format {version[:20].decode(errors='replace')} is new")
        if b"size" not in values and b"realsize" not in values:
            return None
        real = _number(values.get(b"size") or values.get(b"realsize", b""))
        words = self.numbers
        if text := values.get(b"map"):
            words = text.split(b",", 2 * MAX_EXTENTS + 2)
        return _checked(real, start, stored, [_number(word) for word in words])


def old_gnu(
    block: bytes, read: Read, start: int, stored: int, number: Callable[[bytes], int]
) -> Sparse:
    """The member of type ``S`` with the header ``block``, behind which ``start`` is.

    ``stored`` is the size that the header says, ``number`` reads one of its numbers.
    Raises ``ArchiveError``, ``LimitError``.
    """
    real = number(block[483:495])
    entries, more = block[386:482], block[482]
    numbers: list[int] = []
    while True:
        for at in range(0, len(entries) - _ENTRY + 1, _ENTRY):
            if entries[at] == 0:
                break
            numbers += number(entries[at : at + 12]), number(entries[at + 12 : at + _ENTRY])
        if not more:
            return _checked(real, start, stored, numbers)
        _check_count(len(numbers))
        block = read(start, BLOCK)
        if len(block) < BLOCK:
            raise ArchiveError("its sparse map is truncated")
        start += BLOCK
        entries, more = block[:504], block[504]


def _map_in_front(read: Read, start: int, stored: int) -> tuple[list[int], int]:
    """The numbers of a map of format 1.0, lines in front of the content; its padded length."""
    text = read(start, min(stored, _MAX_MAP))
    count, newline, rest = text.partition(b"\n")
    wanted = 2 * _number(count)
    _check_count(wanted)
    lines = rest.split(b"\n", wanted)
    if not newline or len(lines) <= wanted:
        raise ArchiveError("its sparse map is truncated")
    length = len(text) - len(lines[-1])
    return [_number(line) for line in lines[:-1]], -(-length // BLOCK) * BLOCK


def _checked(real: int, start: int, stored: int, numbers: list[int]) -> Sparse:
    _check_count(len(numbers))
    if len(numbers) % 2:
        raise ArchiveError("its sparse map is malformed")
    extents = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    ends = (0, 0), *extents, (real, 0)
    ordered = all(at + length <= following for (at, length), (following, _) in pairwise(ends))
    if not ordered or sum(length for _, length in extents) != stored:
        raise ArchiveError("its sparse map is malformed")
    return Sparse(real, start, extents)


def _check_count(numbers: int) -> None:
    if numbers > 2 * MAX_EXTENTS:
        raise LimitError("its sparse map is too long", f"at most {MAX_EXTENTS} extents are read")


def _number(text: bytes) -> int:
    if not _NUMBER.fullmatch(text):
        raise ArchiveError("its sparse map is malformed")
    return int(text)
