"""Times: the clock, ``SOURCE_DATE_EPOCH``, and times that people write."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Final

from imgpack.errors import ConfigError

LAST_SECOND: Final = 253402300799
"""The last second of the year 9999, which is the last that RFC 3339 can say."""

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


_RECORDED: Final[ContextVar[tuple[int | None] | None]] = ContextVar("recorded", default=None)
"""What stands for ``SOURCE_DATE_EPOCH``, if anything does."""


def now_ns() -> int:
    """The time now, in nanoseconds since 1970."""
    return time.time_ns()


def source_date_epoch() -> int | None:
    """The value of ``SOURCE_DATE_EPOCH`` in seconds, ``None`` if unset or empty.

    Within ``recorded_epoch`` that one. Source: the Reproducible Builds specification. Raises
    ``ConfigError``.
    """
    if (recorded := _RECORDED.get()) is not None:
        return recorded[0]
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if text.isascii() and text.isdigit() and int(text[:13]) <= LAST_SECOND and len(text) <= 12:
        return int(text)
    raise ConfigError(f"SOURCE_DATE_EPOCH is {text!r}", "set it to a number of seconds since 1970")


@contextmanager
def recorded_epoch(epoch: int | None) -> Iterator[None]:
    """Make what is built inside the ``with`` with the ``SOURCE_DATE_EPOCH`` of another time."""
    token = _RECORDED.set((epoch,))
    try:
        yield
    finally:
        _RECORDED.reset(token)


def parse_time(text: str, option: str) -> datetime:
    """A time that a person wrote: RFC 3339 with a zone, a date (in UTC), or seconds since 1970."""
    try:
        if text.isascii() and text.isdigit() and len(text) <= 12:
            return datetime.fromtimestamp(int(text), UTC)
        found = datetime.fromisoformat(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)
        moment = found.astimezone(UTC) if found.tzinfo is not None else None
    except (ValueError, OverflowError, OSError):
        moment = None
    if moment is None:
        raise ConfigError(
            f"{option} {text!r} is not a time",
            "write RFC 3339, as 2026-01-31T12:00:00Z, a date, or seconds since 1970",
        )
    return moment


def whole_seconds(moment: datetime) -> int:
    """Seconds since 1970, rounded down also before it, as a file's time is."""
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(seconds=1)


def whole_nanoseconds(moment: datetime) -> int:
    """Nanoseconds since 1970, as a file's time is."""
    since = moment - datetime.fromtimestamp(0, UTC)
    return since // timedelta(microseconds=1) * 1000
