"""In which mode a registry takes a blob's bytes, learned from its answers.

The modes, best first: one PUT (monolithic); one PATCH and an empty PUT
(streamed); many PATCHes and an empty PUT (chunked). Invariants: what a host
refused is not tried again in the same run; chunks never leave the bounds that
are known for the host; Amazon's ECR, which drops every PATCH body but the
first, never gets a second one.
"""

import enum
import threading
from typing import Final

from imgpack.registry.push.upload_session import UploadSession

MIB: Final = 1 << 20
DEFAULT_CHUNK: Final = 16 * MIB
SMALLEST_CHUNK: Final = 256 * 1024
MAX_MINIMUM: Final = 1 << 30
"""Bytes; an ``OCI-Chunk-Min-Length`` above this is not believed."""


class UploadMode(enum.IntEnum):
    """How the bytes go."""

    MONOLITHIC = 0
    STREAMED = 1
    CHUNKED = 2


class UploadModes:
    """What one host takes; ``mode`` is the best that it did not refuse. Safe in many threads."""

    def __init__(self, registry: str, chunk: int | None = None) -> None:
        host = registry.partition(":")[0].lower()
        ecr = ".dkr.ecr." in host or host == "public.ecr.aws" or ".dkr-ecr." in host
        self._last = UploadMode.STREAMED if ecr else UploadMode.CHUNKED
        wanted = chunk or DEFAULT_CHUNK
        self._ceiling = min(wanted, 4 * MIB) if host == "ghcr.io" else wanted
        self._floor = 5 * MIB if host.endswith(".amazonaws.com") else SMALLEST_CHUNK
        self._lock = threading.Lock()
        self._cancels = True
        self.mode = UploadMode.MONOLITHIC

    def chunk(self, minimum: int = 0) -> int:
        """The bytes of one PATCH, for a session whose ``OCI-Chunk-Min-Length`` is ``minimum``."""
        return max(self._ceiling, self._floor, minimum if minimum <= MAX_MINIMUM else 0)

    def refused(self, mode: UploadMode) -> bool:
        """``mode`` does not work here; whether there is another (or a smaller chunk) to try."""
        with self._lock:
            if mode is not self.mode:
                return True  # another thread has found out before
            if mode < self._last:
                self.mode = UploadMode(mode + 1)
                return True
            if mode is UploadMode.CHUNKED and self._ceiling > self._floor:
                self._ceiling = max(self._floor, self._ceiling // 4)
                return True
            return False

    def cancel(self, session: UploadSession) -> None:
        """Give a session up, best effort; a registry that refused once is not asked again."""
        if self._cancels and not session.cancel():
            self._cancels = False
