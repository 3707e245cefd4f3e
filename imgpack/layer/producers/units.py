"""A walk that looks at directories alone, and divides their names into units of work.

What it meets is told where the walk of one process would tell it: after the unit before.
"""

import os
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Final

from imgpack.errors import ImgpackError
from imgpack.layer.producers.framed import MESSAGE, MOST_BYTES, MOST_DIRECTORIES, MOST_NAMES, Work
from imgpack.tree.disk.walk import Siblings, siblings
from imgpack.tree.entry import OpenDirectory
from imgpack.tree.problems import Problems
from imgpack.tree.tree import Stamps

_FULL: Final = 3
"""Of a unit: names, bytes of them, directories."""


@dataclass(slots=True)
class _Later(Problems):
    """Problems that are told later: each is a call."""

    met: list[tuple[bytes, OSError | None]] = field(default_factory=list)

    def add(self, path: bytes, error: OSError) -> None:
        self.met.append((path, error))

    def collides(self, directory: bytes) -> None:
        self.met.append((directory, None))


class Unit:
    """Names in the order of a tree, and what the walk met behind them."""

    def __init__(self) -> None:
        self.siblings: list[Siblings] = []
        self.count = 0
        self.error: ImgpackError | None = None
        self._met: list[tuple[bytes, OSError | None]] = []
        self._bytes = 0
        self._directories: dict[int, tuple[OpenDirectory, OpenDirectory]] = {}

    def full(self, most: int) -> bool:
        """Whether nothing more is to be added to a unit of at most so many names."""
        return (
            self.count >= most
            or self._bytes >= MOST_BYTES
            or len(self._directories) >= MOST_DIRECTORIES
        )

    def add(self, run: Siblings, start: int, most: int) -> int:
        """Append names of ``run`` from ``start`` on, as far as they fit; returns where it ends.

        Raises ``OSError``.
        """
        end = start
        self._bytes += len(run.path) + len(run.source)
        while end < len(run.names) and self.count < most:
            self._bytes += len(run.names[end])
            self.count += 1
            end += 1
            if self._bytes >= MOST_BYTES:
                break
        identity = run.identity if end == len(run.names) else None
        within = self._held(run.within)
        self.siblings.append(Siblings(run.path, run.source, within, run.names[start:end], identity))
        return end

    @property
    def sendable(self) -> bool:
        """Whether a message may be as long as the request for it."""
        return self._bytes < MESSAGE // 2

    def _held(self, within: OpenDirectory) -> OpenDirectory:
        """``within`` for as long as the unit is there."""
        known = self._directories.get(id(within))
        if known is None:
            held = OpenDirectory(within.identity)
            held.descriptor = os.dup(within.descriptor)
            known = self._directories[id(within)] = within, held
        return known[1]

    def work(self, slot: int) -> tuple[Work, list[int]]:
        """What to ask another process for, and the descriptors that go with it."""
        held = [one for _, one in self._directories.values()]
        numbers = {id(one): number for number, one in enumerate(held)}
        groups = [
            (run.path, run.source, numbers[id(run.within)], run.names, run.identity)
            for run in self.siblings
        ]
        work = Work(slot, [one.identity for one in held], groups)
        return work, [one.descriptor for one in held]

    def some(self, numbers: range | list[int]) -> Iterator[Siblings]:
        """The names of these numbers, which rise."""
        first, wanted = 0, iter(numbers)
        number = next(wanted, None)
        for run in self.siblings:
            names, last = [], -1
            while number is not None and number - first < len(run.names):
                last = number - first
                names.append(run.names[last])
                number = next(wanted, None)
            first += len(run.names)
            if names:
                identity = run.identity if last == len(run.names) - 1 else None
                yield Siblings(run.path, run.source, run.within, names, identity)

    def meet(self, met: list[tuple[bytes, OSError | None]]) -> None:
        """Remember what the walk met behind the names."""
        self._met += met

    def end(self, problems: Problems) -> None:
        """All of it is done: tell what the walk met. Raises what ended the walk."""
        self.close()
        for path, error in self._met:
            if error is None:
                problems.collides(path)
            else:
                problems.add(path, error)
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Close the directories."""
        for _, held in self._directories.values():
            held.close()


class Planner:
    """The units of a tree on disk; ``most`` is how many names the next one may have."""

    def __init__(self, stamps: Stamps, problems: Problems, root: os.stat_result) -> None:
        self.most = MOST_NAMES
        self._later = _Later(problems.outputs, left_out=problems.left_out)
        self._siblings = siblings(stamps, self._later, (root.st_dev, root.st_ino))

    def units(self) -> Generator[Unit, None, None]:
        """Each unit, to be ended or closed by whoever asked for it."""
        unit = Unit()
        try:
            with closing(self._siblings):
                while (run := self._next(unit)) is not None:
                    if self._met(unit):
                        yield unit
                        unit = Unit()
                    if run.identity is not None:
                        run.identity = _identity(run)
                    at = 0
                    while at < len(run.names):
                        try:
                            at = unit.add(run, at, self.most)
                        except OSError as error:
                            unit.meet([(run.source, error)])
                            yield unit
                            return
                        if unit.full(self.most):
                            yield unit
                            unit = Unit()
            self._met(unit)
            yield unit
        except BaseException:
            unit.close()
            raise

    def _next(self, unit: Unit) -> Siblings | None:
        try:
            return next(self._siblings, None)
        except ImgpackError as error:
            unit.error = error
            return None

    def _met(self, unit: Unit) -> bool:
        met, self._later.met = self._later.met, []
        unit.meet(met)
        return bool(met)


def _identity(run: Siblings) -> tuple[int, int] | None:
    """Device and inode of the directory that ends ``run``; ``None`` if there is nothing."""
    with suppress(OSError):
        found = os.lstat(run.names[-1], dir_fd=run.within.descriptor)
        return found.st_dev, found.st_ino
    return None
