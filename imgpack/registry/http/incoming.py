"""An answer as it comes in, bounded in every part that http.client does not bound.

RFC 9110, section 5.5; RFC 9112, section 7.1. Invariants: nobody keeps us busy for ever
with a byte now and then: the head has a deadline, a body a least pace, trailers and
provisional answers a number; a header's value has no blanks around it; lengths that
contradict each other end the answer.
"""

import http.client
import io
import re
import time
from typing import Any, Final

MAX_PROVISIONAL: Final = 16
"""Answers such as ``100 Continue`` that may come before the real one."""
MAX_TRAILERS: Final = 100
MAX_LINE: Final = 65536
CRAWL: Final = 256
"""Bytes a second below which a connection counts as silent."""
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[^\r\n]*)?\r?\n")


class _Incoming(io.RawIOBase):
    """A socket's raw file that ends what is too slow; ``prefix`` was read before.

    The head of an answer has a deadline; what follows has to bring some bytes in
    every ``silence`` seconds that are spent waiting for it.
    """

    def __init__(self, prefix: bytes, rest: io.RawIOBase, silence: float) -> None:
        self._prefix = prefix
        self._rest = rest
        self._silence = silence
        self._deadline: float | None = time.monotonic() + 2 * silence
        self._waited, self._moved = 0.0, 0

    def head_is_read(self) -> None:
        """The deadline is met; now the pace counts."""
        self._deadline = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if not self._prefix:
            began = time.monotonic()
            count = self._rest.readinto(buffer)
            self._check(began, count or 0)
            return count
        piece = self._prefix[: len(buffer)]
        buffer[: len(piece)] = piece
        self._prefix = self._prefix[len(piece) :]
        return len(piece)

    def _check(self, began: float, count: int) -> None:
        now = time.monotonic()
        if self._deadline is not None:
            if now > self._deadline:
                raise TimeoutError("timed out")
            return
        self._waited += now - began
        self._moved += count
        if self._waited > self._silence:
            if self._moved < CRAWL * self._waited:
                raise TimeoutError("timed out")
            self._waited, self._moved = 0.0, 0

    def close(self) -> None:
        self._rest.close()
        super().close()


class _Lines(io.BufferedReader):
    """An answer's bytes, its head without the blanks at the end of lines (RFC 9110, 5.5)."""

    in_head = True

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        kept = line.rstrip(b" \t\r\n")
        # A line of blanks continues the one before it, and must not become the head's end.
        return kept + b"\r\n" if self.in_head and kept and line.endswith(b"\n") else line


class IncomingAnswer(http.client.HTTPResponse):
    """An answer whose provisional ones (100 to 199) are bounded: there may be a few.

    The sizes of its chunks are hexadecimal digits and nothing else.
    ``early`` are bytes of it that were read while the body was being sent.
    """

    _provisional = 0

    def __init__(self, sock: Any, *args: Any, early: bytes = b"", **options: Any) -> None:
        super().__init__(sock, *args, **options)
        this: Any = self
        self._incoming = _Incoming(early, this.fp.detach(), sock.gettimeout() or 60.0)
        self._lines = this.fp = _Lines(self._incoming)

    def begin(self) -> None:
        super().begin()
        self._incoming.head_is_read()
        self._lines.in_head = False
        lengths = ",".join(self.headers.get_all("Content-Length", ())).split(",")
        if len({length.strip() for length in lengths}) > 1:
            raise http.client.HTTPException("it has several lengths")

    def _read_status(self) -> Any:
        self._provisional += 1
        if self._provisional > MAX_PROVISIONAL:
            raise http.client.HTTPException("too many provisional answers")
        version, status, reason = super()._read_status()  # type: ignore[misc]
        # http.client passes over 100 only; 101 would be the end of HTTP.
        return version, 100 if 101 < status < 200 else status, reason

    def _line(self, what: str) -> bytes:
        this: Any = self
        line: bytes = this.fp.readline(MAX_LINE + 1)
        if len(line) > MAX_LINE:
            raise http.client.LineTooLong(what)
        return line

    def _read_next_chunk_size(self) -> int:
        this: Any = self
        line = self._line("chunk size")
        found = _CHUNK_SIZE.fullmatch(line)
        if found:
            return int(found[1], 16)
        this._close_conn()
        if not line.endswith(b"\n"):
            raise http.client.IncompleteRead(b"")
        # http.client takes what int() takes: after a negative size it reads without end.
        raise http.client.HTTPException("the size of a chunk is malformed")

    def _read_and_discard_trailer(self) -> None:
        for _ in range(MAX_TRAILERS):
            if self._line("trailer line") in (b"\r\n", b"\n", b""):
                return
        raise http.client.HTTPException("too many trailers")
