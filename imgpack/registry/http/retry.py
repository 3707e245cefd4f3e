"""Which failures are worth another attempt, and how long to wait before it.

RFC 9110, section 10.2.3 (Retry-After, both forms). Invariants: the decision is
by status and registry error code; a wait is never longer than the ceiling,
whatever a registry asks for; clock, sleep and randomness are given.
"""

import datetime
import email.utils
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from imgpack.errors import Answer

TRANSIENT_STATUSES: Final = frozenset({408, 425, 429, 499, 500, 502, 503, 504, *range(520, 525)})
PERMANENT_CODES: Final = frozenset(
    {
        "BLOB_UNKNOWN",
        "BLOB_UPLOAD_INVALID",
        "BLOB_UPLOAD_UNKNOWN",
        "DENIED",
        "DIGEST_INVALID",
        "MANIFEST_BLOB_UNKNOWN",
        "MANIFEST_INVALID",
        "MANIFEST_UNKNOWN",
        "MANIFEST_UNVERIFIED",
        "NAME_INVALID",
        "NAME_UNKNOWN",
        "SIZE_INVALID",
        "TAG_INVALID",
        "UNAUTHORIZED",
        "UNSUPPORTED",
    }
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """``attempts`` in all; waits of ``first`` seconds, doubled up to ``ceiling``, with jitter.

    ``retry_after_ceiling`` bounds, in seconds, a wait that the registry asks for.
    """

    attempts: int = 5
    first: float = 0.5
    ceiling: float = 30.0
    retry_after_ceiling: float = 60.0

    def limit(self, method: str, url: str, answer: Answer | None) -> int:
        """How many attempts a failure is worth in all; 1: it is permanent.

        ``answer`` is ``None`` for a lost connection. A 500 for a manifest can
        be permanent (schema1 switched off, a foreign layer refused), and is
        tried once more only. A success that proves nothing may pass as well.
        """
        if answer is None or "TOOMANYREQUESTS" in answer.codes:
            return self.attempts
        passing = answer.status == 200 or answer.status in TRANSIENT_STATUSES
        if not passing or PERMANENT_CODES.intersection(answer.codes):
            return 1
        if answer.status == 500 and method == "PUT" and "/manifests/" in url:
            return min(2, self.attempts)
        return self.attempts

    def wait(self, attempt: int, answer: Answer | None, random: Callable[[], float]) -> float:
        """Seconds to wait after the failed ``attempt`` (the first is 1)."""
        backoff = min(self.first * 2.0 ** min(attempt - 1, 32), self.ceiling)
        jittered = backoff * (0.75 + random() / 2)
        if answer is None or answer.retry_after is None:
            return jittered
        # A little more than was asked for, so that many clients do not come back at once.
        return min(answer.retry_after, self.retry_after_ceiling) + random() * self.first


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Seconds until the time of a ``Retry-After`` header; ``None`` if it says nothing usable.

    ``now`` is seconds since 1970, for the date form.
    """
    if not value:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) < 10 else float(10**9)
    try:
        when = email.utils.parsedate_to_datetime(text)
        if when.tzinfo is None:
            when = when.replace(tzinfo=datetime.UTC)
        return max(0.0, when.timestamp() - now)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
