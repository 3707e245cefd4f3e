"""What stands between a request to a registry and the transport, each around the next.

RFC 9110, section 15.4 (redirects); OCI distribution-spec v1.1, "Warnings".
Invariants: redirects are followed at most five times, those of a request with a body
only where it stays the same request (307, 308), a deletion's never; what led to another
origin goes on without credentials, wherever it leads then; what is not expected is an
error with the registry's own words, bounded and without secrets.
"""

import threading
from dataclasses import replace
from typing import Final

from imgpack.errors import ImgpackError, RegistryError, Remedy, UnreachableError
from imgpack.registry.http.endpoint import Endpoint
from imgpack.registry.http.errors import read_answer, refusal
from imgpack.registry.http.message import Handler, Request, Response
from imgpack.registry.http.url_policy import Origin, Reach, check_location, reach_of_host

MAX_REDIRECTS: Final = 5
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_NONE: Final = frozenset[int]()
_SAME: Final = frozenset({307, 308})
_FOLLOWED: Final = {
    "GET": REDIRECTS,
    "HEAD": REDIRECTS,
    "POST": _SAME,
    "PATCH": _SAME,
    "PUT": _SAME,
}
_MAX_WARNINGS: Final = 10


def sending(transport: Handler, endpoint: Endpoint) -> Handler:
    """What takes requests to ``endpoint``, and to where it sends us, as they are."""
    told = Told(Bounded(transport, endpoint), endpoint)
    return Retries(Refusals(Redirects(told, endpoint), endpoint), endpoint)


class _Around:
    """A handler around ``inner``, for one endpoint."""

    def __init__(self, inner: Handler, endpoint: Endpoint) -> None:
        self._inner = inner
        self._endpoint = endpoint
        self._lock = threading.Lock()


class Bounded(_Around):
    """Bounds the addresses of other hosts: how far inside the registry is, and no further."""

    _reach: Reach | None = None

    def send(self, request: Request) -> Response:
        """The answer. Raises ``UnsafeError`` for an address that is further inside."""
        if request.origin.host != self._endpoint.origin.host:
            with self._lock:
                if self._reach is None:
                    self._reach = min(reach_of_host(self._endpoint.origin.host), Reach.LOOPBACK)
            request = replace(request, reach=self._reach)
        return self._inner.send(request)


class Told(_Around):
    """Tells of every answer in a detail, and passes on the registry's warnings, each text once."""

    def __init__(self, inner: Handler, endpoint: Endpoint) -> None:
        super().__init__(inner, endpoint)
        self._warnings: set[str] = set()

    def send(self, request: Request) -> Response:
        """The answer, whatever it is."""
        response = self._inner.send(request)
        shown = self._endpoint.secrets.redact(request.shown)
        self._endpoint.reporter.detail(f"{request.method} {shown} -> {response.status}")
        if not request.private:
            self._warn(response)
        return response

    def _warn(self, response: Response) -> None:
        """``Warning: 299 - "text"`` (distribution-spec, "Warnings")."""
        for value in response.header_values("warning"):
            if not value.startswith("299 "):
                continue
            said = value.partition('"')[2].rpartition('"')[0]
            text = self._endpoint.secrets.quote(said, 300)
            with self._lock:
                if not text or text in self._warnings or len(self._warnings) >= _MAX_WARNINGS:
                    continue
                self._warnings.add(text)
            self._endpoint.reporter.warn(f"{self._endpoint.registry}: {text}")


class Redirects(_Around):
    """Follows redirects; credentials stay with the origin they were for."""

    def send(self, request: Request) -> Response:
        """The answer that the last redirect led to. Raises ``UnsafeError``, ``RegistryError``."""
        followed = _NONE if request.private else _FOLLOWED.get(request.method, _NONE)
        home, at_home, hop = self._endpoint.origin, True, request
        for _ in range(MAX_REDIRECTS + 1):
            response = self._inner.send(hop)
            location = response.headers.get("location")
            if response.status not in followed or not location:
                response.at_home = at_home
                return response
            response.close()
            hop = replace(hop, url=check_location(location, hop.url, home, "the redirect"))
            if hop.origin != request.origin:
                # Nothing brings the credentials back, so a stranger cannot choose their use.
                at_home, hop = False, hop.harmless()
        shown = self._endpoint.secrets.redact(hop.url)
        raise RegistryError(f"{shown}: more than {MAX_REDIRECTS} redirects")


class Refusals(_Around):
    """Makes an error of an answer that was not expected, and reads what was, if it is small."""

    def send(self, request: Request) -> Response:
        """The answer whose status is expected. Raises the leaf for any other."""
        response = self._inner.send(request)
        if response.status in request.expected:
            if request.limit is not None:
                with response:
                    response.preload(request.limit)
            return response
        foreign = not response.at_home or request.origin != self._endpoint.origin
        with response:
            now = self._endpoint.options.now()
            answer = read_answer(response, self._endpoint.secrets, now, foreign=foreign)
        shown = self._endpoint.secrets.redact(replace(request, url=response.url).shown)
        hint = self._endpoint.astray(Origin.of(response.url)) if foreign else ""
        raise refusal(answer, request.method, shown, hint=hint)


class Retries(_Around):
    """Tries again what may pass: lost connections, and the answers that the policy names.

    A success that was not expected may pass where the host has ``proved`` that it does
    not say 200 to everything: a proxy before it answers such things while it restarts.
    """

    _met = False
    _proved = False

    def send(self, request: Request) -> Response:
        """The answer of the last attempt. Raises what the last attempt failed with."""
        number = 0
        while True:
            number += 1
            try:
                response = self._inner.send(request)
                self._met = True
                self._proved = self._proved or response.status != 200
                return response
            except ImgpackError as error:
                if number >= self._limit(request, error):
                    self._check_scheme(request, error)
                    raise
                self._endpoint.pause(number, error)

    def _check_scheme(self, request: Request, error: ImgpackError) -> None:
        """Raise what is wrong if it is TLS that is spoken here: some servers tell a GET only."""
        home = self._endpoint.origin
        lost = isinstance(error, UnreachableError) and not error.unconnected
        if self._proved or not lost or request.method == "GET" or home.scheme != "http":
            return
        try:
            self._inner.send(Request("GET", f"{home}/v2/", expected={200, 401})).close()
        except ImgpackError as cause:
            if cause.hint == Remedy.USE_HTTPS():
                raise cause from error

    def _limit(self, request: Request, error: ImgpackError) -> int:
        """How many attempts the request is worth, now that one has failed with ``error``."""
        unconnected = error.unconnected if isinstance(error, UnreachableError) else None
        # A first contact that fails is more likely a wrong name than a passing fault.
        if not self._met and unconnected == str(request.origin):
            return 1
        self._met = True
        answer = error.answer
        if answer is not None and answer.status == 200 and not self._proved:
            return 1
        self._proved = self._proved or answer is not None
        if not request.retry or (unconnected is None and answer is None):
            return 1
        return self._endpoint.options.retry.limit(request.method, request.url, answer)


class Redacted(_Around):
    """Lets errors leave without secrets, and with the repository if nobody answered at all."""

    def send(self, request: Request) -> Response:
        """The answer."""
        with self._endpoint.secrets.covering():
            try:
                return self._inner.send(request)
            except UnreachableError as error:
                if not (request.scopes and error.unconnected):
                    raise
                name = f"{self._endpoint.registry}/{request.scopes[0].repository}"
                origin, hint = Origin.of(error.unconnected), None
                if origin.host == self._endpoint.origin.host and origin != self._endpoint.origin:
                    hint = self._endpoint.astray(origin)
                raise error.reworded(f"{name}: {error.message}", hint) from error.__cause__
