"""The entries of a tree on disk in order, most of them encoded by other processes.

One process plans, and takes what comes back in the order of the tree; what is not ordinary,
and all of it as long as no other process is ready, it does itself. So neither the bytes nor
what is told depend on how many processes there are, on when they start, or on their end.
"""

import itertools
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Final, TypeGuard

from imgpack.compression.algorithm import SMALL, Cutting
from imgpack.layer.producers.framed import FRAMES, MOST_NAMES, Framed, Span
from imgpack.layer.producers.units import Planner, Unit
from imgpack.layer.stages import Stages
from imgpack.tree.disk.directory import entry_of
from imgpack.tree.disk.snapshot import Recorder, recorded
from imgpack.tree.disk.walk import Seen, looked, root_of
from imgpack.tree.entry import Entry
from imgpack.tree.problems import Problems
from imgpack.tree.transform import ClampTime, SetOwner, SetTime
from imgpack.tree.tree import Stamps

if TYPE_CHECKING:  # a small tree needs no other process
    from imgpack.layer.producers.process import Producer
    from imgpack.layer.squash import Squash

START: Final = 2000
"""Entries of a tree after which other processes are started: these cost as much as it takes."""
MOST: Final = 4
"""Processes beside this one: what it does for each entry is a quarter of what they do."""
_PAUSE: Final = 15
"""Units that this process does alone when most of one came back undone: a tree of large files,
or of hard links, mostly goes on like that."""
_ALONE: Final = (SetOwner, SetTime, ClampTime)
"""Transforms of one entry that know of no other."""

Batch = Span | Iterator[Entry]
"""Entries that are encoded, or some that are not."""


class Production:
    """One pass over a tree on disk by several processes; ``problems`` are those that it meets."""

    def __init__(
        self,
        stamps: Stamps,
        problems: Problems,
        stages: Stages,
        recorder: Recorder | None,
        producers: int,
        cutting: Cutting = SMALL,
        start: int = START,
    ) -> None:
        self._stamps = stamps
        self.problems = problems
        self._stages = stages
        self._recorder = recorder
        self._start = start
        self._cutting = cutting
        self._wanted = min(producers, MOST)
        self._producers: list[Producer] = []
        self._pause = 0
        self._waiting: deque[tuple[Unit, Producer | None, int]] = deque()

    def batches(self) -> Generator[Batch, None, None]:
        """All of the tree, each part to be used up before the next is asked for.

        Raises as a walk does.
        """
        stamps = self._stamps
        root = root_of(stamps, self.problems)
        if stamps.dest:
            yield self._entries(iter([(stamps.dest, stamps.root, root, None)]))
        plan, count = Planner(stamps, self.problems, root), 0
        try:
            with closing(plan.units()) as units:
                for unit in units:
                    self._hand_out(unit)
                    count += unit.count
                    if count >= self._start and self._wanted:
                        self._start_producers()
                    while self._waiting and self._next_is_due():
                        yield from self._taken(plan)
            while self._waiting:
                yield from self._taken(plan)
        finally:
            for producer in self._producers:
                producer.close()
            for unit, _, _ in self._waiting:
                unit.close()

    def _start_producers(self) -> None:
        from imgpack.layer.producers.framing import Framing
        from imgpack.layer.producers.process import Producer, can_start

        recorder = self._recorder
        framing = Framing(
            self._stages,
            self._cutting.mean,
            self._stamps.caller,
            frozenset(inode for _, inode in self.problems.outputs),
            None if recorder is None else recorder.started_ns,
            {} if recorder is None else recorder.proofs,
        )
        try:
            while self._wanted and can_start():
                self._wanted -= 1
                self._producers.append(Producer(framing))
        except OSError:
            pass  # with those that there are
        self._wanted = 0

    def _hand_out(self, unit: Unit) -> None:
        """Append ``unit`` to what is waited for, and give it to a process that has room."""
        able = self._producers if unit.sendable and not self._pause else ()
        self._pause -= self._pause > 0
        for producer in sorted(able, key=lambda one: -len(one.free)):
            if producer.ready:
                slot = producer.free[0]
                if producer.send(*unit.work(slot)):
                    self._waiting.append((unit, producer, slot))
                    return
        self._waiting.append((unit, None, 0))

    def _next_is_due(self) -> bool:
        """Whether to take a unit before the next one is planned."""
        return self._waiting[0][1] is None or not any(one.ready for one in self._producers)

    def _taken(self, plan: Planner) -> Iterator[Batch]:
        unit, producer, slot = self._waiting[0]
        reply = None if producer is None else producer.receive()
        if producer is None or reply is None:
            yield self._looked_at(unit, range(unit.count))
        else:
            framed = Framed(reply, producer.slot(slot))
            if 2 * len(reply.left) > unit.count:
                self._pause = _PAUSE
            plan.most = _next_most(unit.count, len(framed.data(0, unit.count)))
            if self._recorder is not None:
                self._recorder.distrusted = self._recorder.distrusted or reply.distrusted
            yield from self._mixed(unit, framed, reply.left)
            producer.free.append(slot)
        self._waiting.popleft()
        unit.end(self.problems)

    def _mixed(self, unit: Unit, framed: Framed, left: list[int]) -> Iterator[Batch]:
        """What was encoded, and between that what was not."""
        at = 0
        for _, group in itertools.groupby(enumerate(left), lambda pair: pair[1] - pair[0]):
            numbers = [number for _, number in group]
            yield from self._span(framed, at, numbers[0])
            yield self._looked_at(unit, numbers)
            at = numbers[-1] + 1
        yield from self._span(framed, at, unit.count)

    def _span(self, framed: Framed, first: int, end: int) -> Iterator[Batch]:
        if first < end:
            if self._recorder is not None:
                self._recorder.append(framed.records(first, end))
            yield Span(framed, first, end)

    def _looked_at(self, unit: Unit, numbers: range | list[int]) -> Iterator[Entry]:
        return self._entries(
            seen for run in unit.some(numbers) for seen in looked(run, self.problems)
        )

    def _entries(self, found: Iterator[Seen]) -> Iterator[Entry]:
        if self._recorder is not None:
            return recorded(found, self._stamps, self._recorder)
        caller = self._stamps.caller
        return (
            entry_of(path, where, status, caller, b"", within)
            for path, where, status, within in found
        )


def _next_most(count: int, size: int) -> int:
    """Names that the next unit may have, so that what they make most likely fits a slot."""
    return max(16, min(MOST_NAMES, count * FRAMES // 2 // max(size, 1)))


def can_divide(stages: "Stages | Squash") -> TypeGuard[Stages]:
    """Whether what is done to an entry has nothing to do with any other."""
    return (
        isinstance(stages, Stages)
        and stages.arrangement is None
        and stages.additions is None
        and not stages.treatment.rules
        and all(type(one) in _ALONE for one in stages.transforms)
    )
