"""The rules that turn what lies on disk into what an image holds: owners and times.

Values only: who the caller is and what ``SOURCE_DATE_EPOCH`` says is read in the
CLI and given here.
"""

from dataclasses import dataclass
from typing import Final

MAX_TIME: Final = 0o77777777777
"""Seconds: the last time that a ustar header can say; loaders reset later ones."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How owners and times are written.

    ``owner`` gives every entry one ``(uid, gid)``. Without it ids are kept, except
    that ``caller``, the ids of an invoking user who is not root, become 0:0: that
    user meant root and could not chown. ``mtime`` (seconds) sets every time,
    ``clamp`` (seconds) lowers later ones to itself.
    """

    owner: tuple[int, int] | None = None
    caller: tuple[int, int] | None = None
    mtime: int | None = None
    clamp: int | None = None

    def ids(self, uid: int, gid: int) -> tuple[int, int]:
        """The owner to write for an entry that ``uid:gid`` owns on disk."""
        if self.owner is not None:
            return self.owner
        if self.caller is not None:
            own_uid, own_gid = self.caller
            return (0 if uid == own_uid else uid), (0 if gid == own_gid else gid)
        return uid, gid

    def seconds(self, mtime_ns: int) -> int:
        """The time to write: whole seconds, rounded down, between 0 and ``MAX_TIME``."""
        seconds = mtime_ns // 1_000_000_000
        if self.mtime is not None:
            seconds = self.mtime
        elif self.clamp is not None and seconds > self.clamp:
            seconds = self.clamp
        return seconds if 0 <= seconds <= MAX_TIME else min(max(seconds, 0), MAX_TIME)

    def identity(self) -> str:
        """A text that differs whenever these rules would write other bytes."""
        return f"owner={self.owner} caller={self.caller} mtime={self.mtime} clamp={self.clamp}"
