"""In which way a registry takes a blob's bytes, learned from its answers.

The ways, best first: one PUT (monolithic); one PATCH and an empty PUT
(streamed); many PATCHes and an empty PUT (chunked). Invariants: what a host
refused is not tried again in the same run; chunks never leave the bounds that
are known for the host; Amazon's ECR, which drops every PATCH body but the
first, never gets a second one.
"""

import enum
import threading
from typing import Final

MIB: Final = 1 << 20
DEFAULT_CHUNK: Final = 16 * MIB
SMALLEST_CHUNK: Final = 256 * 1024
MAX_MINIMUM: Final = 1 << 30
"""Bytes; an ``OCI-Chunk-Min-Length`` above this is not believed."""


class Way(enum.IntEnum):
    """How the bytes go."""

    MONOLITHIC = 0
    STREAMED = 1
    CHUNKED = 2


class Strategy:
    """What one host takes. Safe to use from many threads."""

    def __init__(self, registry: str, chunk: int | None = None) -> None:
        host = registry.partition(":")[0].lower()
        self._last = Way.STREAMED if _is_ecr(host) else Way.CHUNKED
        wanted = chunk or DEFAULT_CHUNK
        self._ceiling = min(wanted, 4 * MIB) if host == "ghcr.io" else wanted
        self._floor = 5 * MIB if host.endswith(".amazonaws.com") else SMALLEST_CHUNK
        self._way = Way.MONOLITHIC
        self._lock = threading.Lock()
        self.cancels = True

    @property
    def way(self) -> Way:
        """The best way that was not refused."""
        return self._way

    def chunk(self, minimum: int = 0) -> int:
        """The bytes of one PATCH, for a session whose ``OCI-Chunk-Min-Length`` is ``minimum``."""
        least = max(self._floor, minimum if minimum <= MAX_MINIMUM else 0)
        return max(self._ceiling, least)

    def refused(self, way: Way) -> bool:
        """``way`` does not work here; whether there is another one (or a smaller chunk) to try."""
        with self._lock:
            if way is not self._way:
                return True  # another thread has found out before
            if way < self._last:
                self._way = Way(way + 1)
                return True
            if way is Way.CHUNKED and self._ceiling > self._floor:
                self._ceiling = max(self._floor, self._ceiling // 4)
                return True
            return False


def _is_ecr(host: str) -> bool:
    return ".dkr.ecr." in host or host == "public.ecr.aws" or ".dkr-ecr." in host
