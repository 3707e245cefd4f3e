"""What is written otherwise than a tree has it: owners and times.

Values only: what the environment says of them is read in the CLI and given here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from imgpack.errors import ConfigError
from imgpack.tree.entry import Entry, Pair

MAX_TIME: Final = 0o77777777777
"""Seconds: the last time that a ustar header can say; loaders reset later ones."""
MAX_OWNER: Final = 2**32 - 2
"""The largest id that a file system can hold: the next means "no change" to ``chown``."""

_NS: Final = 1_000_000_000
_new = tuple.__new__


class Transform(Protocol):
    """Changes the entries of a layer, one by one, once all that they record is known."""

    @property
    def identity(self) -> str:
        """A text that differs whenever other entries may come out."""

    def __call__(self, entry: Entry) -> Entry | None:
        """``entry`` as it is to be written, or ``None`` to leave it out, with all below it.

        Its path stays, and whether it is a directory. Content may be replaced by content
        that is not on disk.
        """


class Arrangement(Protocol):
    """Decides, once everything is transformed, which entries of one layer are written where."""

    @property
    def identity(self) -> str:
        """A text that differs whenever other entries may come out."""

    def __call__(self, pairs: Iterator[Pair]) -> Iterator[Pair]:
        """The pairs to be written, each as soon as it is known, parents first.

        The path of what is written may be another one than what was seen.
        """


@dataclass(frozen=True, slots=True)
class SetOwner:
    """Gives every entry one owner. Raises ``ConfigError`` for ids that no file can have."""

    uid: int
    gid: int

    def __post_init__(self) -> None:
        if not (0 <= self.uid <= MAX_OWNER and 0 <= self.gid <= MAX_OWNER):
            raise ConfigError(f"{self.uid}:{self.gid} is above the largest id, {MAX_OWNER}")

    @property
    def identity(self) -> str:
        """The owner."""
        return repr(self)

    def __call__(self, entry: Entry) -> Entry:
        """``entry`` with the owner."""
        # Not _replace, which takes four times as long: this runs for every file.
        return _new(Entry, (*entry[:6], self.uid, self.gid, *entry[8:]))


@dataclass(frozen=True, slots=True)
class SetTime:
    """Gives every entry one time, in seconds. Raises ``ConfigError`` if no header holds it."""

    seconds: int

    def __post_init__(self) -> None:
        if not 0 <= self.seconds <= MAX_TIME:
            raise ConfigError(
                f"the time {self.seconds} cannot be written",
                "a layer's times lie between 1970 and 2242",
            )

    @property
    def identity(self) -> str:
        """The time."""
        return repr(self)

    def __call__(self, entry: Entry) -> Entry:
        """``entry`` with the time."""
        return _new(Entry, (*entry[:9], self.seconds * _NS, *entry[10:]))


@dataclass(frozen=True, slots=True)
class ClampTime:
    """Lowers times after ``seconds`` to it, and brings those that no header holds into range."""

    seconds: int

    @property
    def identity(self) -> str:
        """The latest time."""
        return repr(self)

    def __call__(self, entry: Entry) -> Entry:
        """``entry`` with a time that can be written and is not later."""
        seconds = entry.mtime_ns // _NS
        wanted = max(min(seconds, self.seconds, MAX_TIME), 0)
        return entry if wanted == seconds else entry._replace(mtime_ns=wanted * _NS)
