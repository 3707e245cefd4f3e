"""A request, its answer, and what takes the one to the other.

Everything that a request to a registry goes through is a ``Handler`` around
another one, and does one thing: telling what went by, keeping away from inner
addresses, following redirects, turning refusals into errors, trying again,
showing credentials, hiding secrets; at the bottom is the transport. Invariants:
a request is a value, so each handler makes its own from the one that it got; a
response is read once, never truncated and never without a bound.
"""

import abc
import contextlib
import io
import time
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, Self

import urllib3
from urllib3.exceptions import HTTPError

from imgpack.errors import RegistryError, UnreachableError
from imgpack.registry.http.connection import connection_error
from imgpack.registry.http.url_policy import Origin, Reach, clean, redact

BLOCK: Final = 1 << 20
"""Bytes of one read from and write to a socket; the fastest by measurement."""
DOCUMENT_LIMIT: Final = 4 << 20
"""Bytes of a manifest, index or configuration that are read at most."""
DOCUMENT_PATIENCE: Final = 10
"""Silence time-outs within which a document (not a blob) has to be there."""
# What may go to another origin than it was meant for: nothing that the caller made up.
_HARMLESS_HEADERS: Final = frozenset({"accept", "range", "content-type", "content-range"})


class Body(Protocol):
    """A request body that can be sent again."""

    @property
    def size(self) -> int:
        """The length in bytes, exactly."""

    def open(self) -> Iterator[bytes]:
        """The bytes from the first to the last, in pieces of any size."""


@dataclass(frozen=True, slots=True)
class BytesBody:
    """A small body in memory."""

    data: bytes

    @property
    def size(self) -> int:
        """The length in bytes."""
        return len(self.data)

    def open(self) -> Iterator[bytes]:
        """The bytes, in one piece."""
        yield self.data


@dataclass(frozen=True, slots=True)
class Scope:
    """What a request does in one repository: ``repository:NAME:pull,push``."""

    repository: str
    actions: tuple[str, ...]

    def __str__(self) -> str:
        return f"repository:{self.repository}:{','.join(self.actions)}"


@dataclass(frozen=True, slots=True)
class Request:
    """One request to an absolute ``url``, whose answer's status is ``expected`` to be one of these.

    ``body`` may be sent several times. ``retry`` false: nothing but a challenge makes
    it be sent again. ``limit``: the answer's body is read at once, at most so many
    bytes, as part of the attempt; without, it is left to be streamed. ``private``: it
    is never redirected, and its query not shown. ``reach`` bounds the addresses that
    the name in the URL may lead to.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Body | None = None
    scopes: tuple[Scope, ...] = ()
    expected: Container[int] = frozenset({200})
    retry: bool = True
    limit: int | None = None
    private: bool = False
    reach: Reach | None = None

    @property
    def origin(self) -> Origin:
        """Where it goes. Raises ``UnsafeError``."""
        return Origin.of(self.url)

    @property
    def shown(self) -> str:
        """The URL for messages; whoever shows it hides what is secret in it."""
        return self.url.partition("?")[0] if self.private else self.url

    def authorized(self, authorization: str | None) -> "Request":
        """The same with credentials, if there are any."""
        if authorization is None:
            return self
        return replace(self, headers={**self.headers, "Authorization": authorization})

    def harmless(self) -> "Request":
        """The same as any server may get it: without credentials."""
        kept = {k: v for k, v in self.headers.items() if k.lower() in _HARMLESS_HEADERS}
        return replace(self, headers=kept)


class Closing(abc.ABC):
    """A context manager that closes at its end."""

    @abc.abstractmethod
    def close(self) -> None:
        """Give back what is held. May be called again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.close()


class Response(Closing):
    """An answer: ``status``, ``headers``, the final ``url``; a context manager.

    The body is read once, by ``read`` or by ``stream``; closing early drops the
    connection rather than draining it. ``at_home`` is false when a redirect led to
    another origin on the way.
    """

    def __init__(self, raw: urllib3.BaseHTTPResponse, url: str, silence: float) -> None:
        self.status = raw.status
        self.headers: Mapping[str, str] = raw.headers
        self.url = url
        self._raw = raw
        self._silence = silence
        self._held: io.BytesIO | None = None
        self.at_home = True

    def header_values(self, name: str) -> tuple[str, ...]:
        """Every value of a header that may be given several times, one each."""
        return tuple(self._raw.headers.getlist(name))

    def preload(self, limit: int) -> None:
        """Read the whole body now, so that ``read`` needs no connection."""
        self._held = io.BytesIO(self.read(limit))

    def read(self, limit: int = DOCUMENT_LIMIT) -> bytes:
        """The whole body; fails, never truncates, when it is longer than ``limit`` bytes.

        Raises ``RegistryError`` above the limit, ``UnreachableError`` when the
        connection breaks or the body is shorter than promised.
        """
        data = self.read_at_most(limit + 1)
        self.close()
        if len(data) > limit:
            raise RegistryError(
                f"{redact(self.url)}: the answer is longer than {limit} bytes",
                "the registry is broken, or it is no registry",
            )
        return data

    def read_document(self, limit: int = DOCUMENT_LIMIT) -> bytes:
        """``read``, for a JSON object. Raises ``RegistryError`` for one that is compressed."""
        data = self.read(limit)
        # Some servers name an encoding that they did not use.
        encoding = self.headers.get("Content-Encoding", "").lower()
        if encoding not in ("", "identity") and not data.lstrip().startswith(b"{"):
            raise RegistryError(
                f"{redact(self.url)}: the answer has the Content-Encoding {clean(encoding, 40)!r}, "
                "which was not asked for",
                "the registry, or a proxy before it, compresses what it should not",
            )
        return data

    def read_at_most(self, limit: int) -> bytes:
        """Up to ``limit`` bytes of the body, for texts that may be cut.

        Raises ``UnreachableError`` when even this little does not come in a few minutes.
        """
        pieces: list[bytes] = []
        left, deadline = limit, time.monotonic() + DOCUMENT_PATIENCE * self._silence
        while left > 0:
            piece = self._piece(min(BLOCK, left), waits=False)
            if not piece:
                break
            if time.monotonic() > deadline:
                self.close()
                raise UnreachableError(f"{redact(self.url)}: the answer is too slow", "try again")
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def stream(self, chunk: int = BLOCK) -> Iterator[bytes]:
        """The body in pieces of up to ``chunk`` bytes.

        Raises ``UnreachableError`` when the connection breaks, falls silent or
        the body is shorter than its Content-Length. The caller bounds the sum.
        """
        try:
            while piece := self._piece(chunk):
                yield piece
        finally:
            self.close()

    def _piece(self, size: int, *, waits: bool = True) -> bytes:
        """The next ``size`` bytes or, unless it ``waits`` for them, what has come."""
        if self._held is not None:
            return self._held.read(size)
        read = self._raw.read if waits else self._raw.read1
        try:
            # Not stream(): urllib3's own chunk parser reads lines without a bound.
            return read(size, decode_content=False)
        except (HTTPError, OSError, ValueError) as error:
            self.close()
            raise connection_error(error, self.url) from error

    def close(self) -> None:
        """Give the connection back if the body was read, else drop it. May be called again."""
        if self._raw.length_remaining == 0:
            # Nothing is left to read, but urllib3 keeps a connection only once that was tried.
            with contextlib.suppress(HTTPError, OSError, ValueError):
                self._raw.read(1, decode_content=False)
        self._raw.close()
        self._raw.release_conn()


class Handler(Protocol):
    """Takes a request to its answer. Safe to call from any thread."""

    def send(self, request: Request) -> Response:
        """The answer. Raises the leaf of ``imgpack.errors`` that says why there is none."""
