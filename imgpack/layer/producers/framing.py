"""What a process does with a unit: ordinary entries are encoded, all others are left.

Ordinary are directories, symbolic links and small files of one name each, of which nothing
is to be said: they are looked at, staged and encoded by the same code as anywhere. What is
left, the process that asked does again in its place, so links, warnings and problems come in
their order; and nothing that goes wrong here needs a word.
"""

import os
import stat
import zlib
from array import array
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from imgpack.layer.buffer import Buffer
from imgpack.layer.encoder import FILE_TYPE, TYPE, Encoder, Tally
from imgpack.layer.producers.framed import FRAMES, RECORDS, SMALL, Reply, Work
from imgpack.layer.stages import Stages
from imgpack.layer.suspects import is_suspect
from imgpack.tar.header import BLOCK
from imgpack.tree.disk.directory import entry_of
from imgpack.tree.disk.snapshot import Recorder
from imgpack.tree.entry import Entry, OpenDirectory
from imgpack.tree.problems import Problems
from imgpack.tree.secrets.names import SUSPECT_ENDS
from imgpack.tree.tree import WHITEOUT_PREFIX

_MARGIN: Final = 16 << 10
"""Bytes that an entry may need beside its content; one that needs more is left."""


@dataclass(frozen=True, slots=True)
class Framing:
    """What all units have in common.

    ``mean`` is how large a segment is meant to be. ``inodes`` are those that must not be met.
    ``started_ns`` is when the walk began, and ``proofs`` what is known of devices, if a snapshot
    is made.
    """

    stages: Stages
    mean: int
    caller: tuple[int, int] | None
    inodes: Set[int]
    started_ns: int | None
    proofs: dict[int, int]


class Framer:
    """Encodes unit after unit."""

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._recorder: Recorder | None = None
        if framing.started_ns is not None:
            self._recorder = Recorder(BytesIO(), framing.started_ns, framing.proofs)

    def frame(self, work: Work, descriptors: Sequence[int], slot: memoryview) -> Reply:
        """Encode what is ordinary into ``slot``; ``descriptors`` are of the directories."""
        count = sum(len(names) for _, _, _, names, _ in work.groups)
        unit = _Encoding(self._framing, slot, self._recorder)
        if len(descriptors) == len(work.directories):
            opened = []
            for identity, descriptor in zip(work.directories, descriptors, strict=True):
                directory = OpenDirectory(identity)
                directory.descriptor = descriptor
                opened.append(directory)
            unit.encode(unit.entries(work, opened))
        return unit.reply(count)


class _Encoding:
    """One unit, up to the entry of number ``_at``."""

    def __init__(self, framing: Framing, slot: memoryview, recorder: Recorder | None) -> None:
        self._framing = framing
        self._slot = slot
        self._recorder = recorder
        self._view = slot[:FRAMES]
        self._buffer = Buffer(self._view)
        self._problems = Problems()
        self._encoder = Encoder(self._problems, self._buffer, recorded=bool(framing.stages))
        self._at = -1
        self._ends, self._weights, self._record_ends = array("I"), array("I"), array("I")
        self._records: list[bytes] = []
        self._recorded = 0
        self._cuts: list[int] = []
        self._left: list[int] = []

    def entries(self, work: Work, opened: list[OpenDirectory]) -> Iterator[Entry]:
        """The ordinary ones, as long as there is room for them."""
        caller, inodes = self._framing.caller, self._framing.inodes
        lstat, buffer = os.lstat, self._buffer
        recorder, record = self._recorder, b""
        for path, source, number, names, identity in work.groups:
            within, last = opened[number], names[-1]
            descriptor = within.descriptor
            for name in names:
                self._at += 1
                try:
                    found = lstat(name, dir_fd=descriptor)
                except OSError:
                    continue
                mode, inode, device, links, _, _, size, _, _, _ = found
                kind = mode & TYPE
                if kind == FILE_TYPE:
                    ordinary = links == 1 and size <= SMALL
                elif kind == stat.S_IFDIR:
                    ordinary, size = name is last and (device, inode) == identity, 0
                else:
                    ordinary = links == 1 and kind == stat.S_IFLNK
                if not ordinary or inode in inodes or name.startswith(WHITEOUT_PREFIX):
                    continue
                where = source + name
                if recorder is not None:
                    record = recorder.record(path + name, where, found, within)
                room = FRAMES - buffer.filled - size
                if room < _MARGIN or self._recorded + len(record) > RECORDS:
                    return
                yield entry_of(path + name, where, found, caller, record, within)

    def encode(self, entries: Iterator[Entry]) -> None:
        """Encode what the stages make of ``entries``."""
        buffer, encoder, view = self._buffer, self._encoder, self._view
        try:
            for seen, entry in self._framing.stages.pairs(entries, self._problems):
                filled, tally = buffer.filled, encoder.tally
                try:
                    if entry.path[-3:] in SUSPECT_ENDS and is_suspect(entry):
                        continue
                    is_file = entry.mode & TYPE == FILE_TYPE
                    encode = encoder.file if is_file else encoder.other
                    encode(entry, seen)
                except Exception:  # told where it is met again
                    self._undo(filled, tally)
                    continue
                if self._problems.count or encoder.warnings or buffer.view is not view:
                    self._undo(filled, tally)
                    continue
                self._done(entry, BLOCK + entry.size if is_file else BLOCK)
        except Exception:  # of a stage; what is left of the unit stays so
            return

    def _undo(self, filled: int, tally: Tally) -> None:
        self._buffer.filled = filled
        self._buffer.view = self._view
        self._encoder.tally = tally
        self._encoder.warnings.clear()
        self._problems.count = 0

    def _done(self, entry: Entry, weight: int) -> None:
        ends, at = self._ends, self._at
        if len(ends) < at:
            self._leave(at)
        if zlib.crc32(entry.path) * self._framing.mean < weight << 32:
            self._cuts.append(at)
        ends.append(self._buffer.filled)
        self._weights.append(weight)
        if entry.stamp:
            self._records.append(entry.stamp)
            self._recorded += len(entry.stamp)
        self._record_ends.append(self._recorded)

    def _leave(self, end: int) -> None:
        """Leave the entries from the next one up to this."""
        end_before = self._ends[-1] if self._ends else 0
        for number in range(len(self._ends), end):
            self._left.append(number)
            self._ends.append(end_before)
            self._weights.append(0)
            self._record_ends.append(self._recorded)

    def reply(self, count: int) -> Reply:
        """What became of the unit's ``count`` entries; the records are put into the slot."""
        self._leave(count)
        self._slot[FRAMES : FRAMES + self._recorded] = b"".join(self._records)
        return Reply(
            self._ends.tobytes(),
            self._weights.tobytes(),
            self._record_ends.tobytes(),
            self._cuts,
            self._left,
            self._encoder.newest,
            tuple(self._encoder.tally),  # type: ignore[arg-type]
            "" if self._recorder is None else self._recorder.distrusted,
        )
