"""Requests to one registry: where they go, with which credentials, and how often.

OCI distribution-spec v1.1 with the token specification. Invariants:
``Authorization`` goes to the registry's own origin and nowhere else, redirects
are followed for GET and HEAD only and at most five times, a 401 of another
origin is never answered; what is not expected is an error with the registry's
own words, bounded and without secrets.
"""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from imgpack.credentials.lookup import Credential, CredentialSource, NoCredentials
from imgpack.errors import ImgpackError, RegistryError, UnauthorizedError, UnsafeError
from imgpack.events import SILENT, Reporter
from imgpack.registry.auth.tokens import Authenticator, wants_more
from imgpack.registry.auth.tokens import Scope as Scope
from imgpack.registry.http.errors import (
    ERROR_LIMIT,
    Failure,
    failure_of,
    is_connection_loss,
    is_final,
    is_unconnected,
    make_error,
    mark_final,
    parse_failure,
)
from imgpack.registry.http.redaction import DiscreetReporter, Secrets
from imgpack.registry.http.retry import RetryPolicy, parse_retry_after
from imgpack.registry.http.transport import Body, Response, Transport
from imgpack.registry.http.url_policy import (
    Origin,
    Reach,
    check_link,
    check_location,
    check_redirect,
    is_loopback,
    reach_of_host,
)

MAX_REDIRECTS: Final = 5
_MAX_TURNS: Final = 4
_MAX_WARNINGS: Final = 10
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_API_HOSTS: Final = {"docker.io": "registry-1.docker.io"}
_KEPT: Final = ("range", "location", "docker-upload-uuid", "oci-chunk-min-length")
# What may go to another origin than the registry's: nothing that the caller made up for it.
_FOREIGN_HEADERS: Final = frozenset({"accept", "range", "content-type", "content-range"})


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How to talk to registries. ``clock`` counts seconds, ``now`` is seconds since 1970.

    ``plain_http``: http or https for every registry; ``None``: as ``registry_origin`` says.
    ``creds_option``, which hints name, is where the caller takes credentials for
    ``creds_registry`` (``None``: for any); empty if it does not.
    """

    plain_http: bool | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    trusted_realms: tuple[str, ...] = ()
    creds_option: str = ""
    creds_registry: str | None = None
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random


def registry_origin(registry: str, *, plain_http: bool | None = None) -> Origin:
    """The API's origin of ``host[:port]``: https, and http for loopback hosts or on request."""
    host = _API_HOSTS.get(registry, registry)
    secure = Origin.of(f"https://{host}")
    if plain_http is None:
        plain_http = is_loopback(secure.host)
    return Origin.of(f"http://{host}") if plain_http else secure


@dataclass(frozen=True, slots=True)
class _Ask:
    """A request, as it is made again after a challenge, a redirect or a failure."""

    method: str
    url: str
    scopes: tuple[Scope, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    expected: frozenset[int] = frozenset({200})


class Session:
    """One registry. Safe to call from many threads; closing it closes nothing shared."""

    def __init__(
        self,
        transport: Transport,
        registry: str,
        credentials: CredentialSource | None = None,
        options: SessionOptions | None = None,
        reporter: Reporter = SILENT,
        secrets: Secrets | None = None,
    ) -> None:
        self.registry = registry
        self.options = options or SessionOptions()
        self.secrets = secrets or Secrets()
        plain_http = self.options.plain_http
        if plain_http is None and transport.knows(registry_origin(registry, plain_http=False)):
            plain_http = False
        self.origin = registry_origin(registry, plain_http=plain_http)
        self._transport = transport
        self._reporter = self.discreet(reporter)
        self._lock = threading.Lock()
        self._own_reach: Reach | None = None
        self._met = False
        self._introduced = False
        self._introduction = threading.RLock()
        self._warnings: set[str] = set()
        source = credentials or NoCredentials()
        self._auth = Authenticator(
            self.origin,
            lambda repository: source.find(registry, repository),
            self._exchange,
            clock=self.options.clock,
            warn=self._reporter.warn,
            trusted_realms=self.options.trusted_realms,
            reach=self._reach,
            secrets=self.secrets,
        )

    def discreet(self, reporter: Reporter) -> Reporter:
        """``reporter``, for messages that this session's server may have a part in."""
        return DiscreetReporter(reporter, self.secrets)

    def url(self, target: str) -> str:
        """The absolute URL of a path of the API, or an absolute URL as it is."""
        return f"{self.origin}{target}" if target.startswith("/") else target

    def request(
        self,
        method: str,
        target: str,
        *,
        scopes: tuple[Scope, ...] = (),
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        expected: frozenset[int] = frozenset({200}),
        retry: bool = True,
        limit: int | None = None,
    ) -> Response:
        """Send a request and return its answer, whose status is in ``expected``.

        ``target`` is a path under ``/v2/`` or an absolute URL that
        ``location`` returned. ``body`` may be sent several times. With
        ``limit`` the body is read at once, at most so many bytes, as part of the
        retried attempt; without, it is left to be streamed. With ``retry``
        false only a challenge is answered, and nothing else is tried again.

        Raises the leaf of ``imgpack.errors`` that fits; ``failure_of(error)``
        tells what the registry answered, ``is_connection_loss`` that it did not.
        """
        url = self.url(target)
        ask = _Ask(method, url, scopes, headers or {}, body, expected)

        def attempt() -> Response:
            response = self._authorized(ask)
            if limit is not None:
                with response:
                    response.preload(limit)
            return response

        with self._covered(scopes):
            return self._retried(method, url, attempt, retry=retry)

    def location(self, response: Response) -> str:
        """The checked, absolute ``Location`` of an upload's answer (``safety.check_location``)."""
        location = response.headers.get("location")
        if not location:
            raise RegistryError(
                f"{self.secrets.redact(response.url)}: the registry's answer has no Location",
                "is this a registry?",
            )
        with self._covered():
            return check_location(location, response.url, self.origin)

    def link(self, link: str, url: str) -> str:
        """The checked target of a page link in the answer from ``url`` (``safety.check_link``)."""
        with self._covered():
            return check_link(link, url)

    def check_credentials(self) -> bool:
        """Ask ``/v2/`` with the credentials; whether the registry wanted some at all.

        Raises ``UnauthorizedError`` when they are refused, or were not sent.
        """
        self.request("GET", "/v2/", limit=ERROR_LIMIT)
        if self._auth.withheld:
            raise UnauthorizedError(
                f"{self.registry}: the credentials were not sent to its token server",
                f"if you trust it, give --trust-realm {self._auth.withheld}",
            )
        return self._auth.challenged

    def credential(self) -> Credential | None:
        """The credential for the registry as a whole. Raises ``CredentialError``."""
        return self._auth.credential(())

    @contextlib.contextmanager
    def _covered(self, scopes: tuple[Scope, ...] = ()) -> Iterator[None]:
        """Errors leave without secrets, and with the repository if nobody answered at all."""
        try:
            yield
        except ImgpackError as error:
            if scopes and is_unconnected(error):
                named = f"{self.registry}/{scopes[0].repository}: {error.message}"
                error = error.reworded(named)
            raise self.secrets.cover(error) from error.__cause__

    def _retried(
        self, method: str, url: str, attempt: Callable[[], Response], *, retry: bool
    ) -> Response:
        policy, number = self.options.retry, 0
        while True:
            number += 1
            try:
                return attempt()
            except ImgpackError as error:
                failure = failure_of(error)
                if not (retry and (failure or is_connection_loss(error))) or is_final(error):
                    raise
                # A first contact that fails is more likely a wrong name than a passing fault.
                hopeless = not self._met and is_unconnected(error)
                if hopeless or number >= policy.limit(method, url, failure):
                    raise mark_final(error) from error.__cause__
                pause = policy.wait(number, failure, self.options.random)
                self._reporter.detail(f"{error.message}; trying again in {pause:.1f} s")
            self.options.sleep(pause)

    def _authorized(self, ask: _Ask) -> Response:
        if not self._introduced:
            with self._introduction:
                # The first request learns the challenge for all that are made at the same time.
                if not self._introduced:
                    try:
                        return self._answered(ask)
                    finally:
                        self._introduced = True
        return self._answered(ask)

    def _answered(self, ask: _Ask) -> Response:
        """The expected answer to a request, made again with what its challenge asks for."""
        own = Origin.of(ask.url) == self.origin
        for turn in range(_MAX_TURNS):
            authorization = self._auth.authorization(ask.scopes) if own else None
            response, at_home = self._followed(ask, authorization)
            if response.status in ask.expected:
                return response
            with response:
                challenges = response.header_values("www-authenticate")
                failure = self._failure(response)
            asked = failure.status == 401 or wants_more(failure, challenges)
            if not (asked and at_home and turn + 1 < _MAX_TURNS):
                break
            if not challenges and not self._auth.challenged:
                challenges = self._ping()
            if not self._auth.answer(challenges, ask.scopes, authorization, again=turn > 0):
                break
        raise self._refused(ask, response, failure, at_home=at_home)

    def _refused(
        self, ask: _Ask, response: Response, failure: Failure, *, at_home: bool
    ) -> ImgpackError:
        hint = ""
        if not at_home:
            hint = f"{self.registry} sent us to this other server, which gets no credentials"
        elif failure.status == 401 and self._auth.credential(ask.scopes) is not None:
            hint = f"check the credentials for {self.registry} (imgpack login {self.registry})"
        elif failure.status == 401 or (failure.status == 403 and self._is_anonymous(ask.scopes)):
            hint = f"log in with imgpack login {self.registry}{self._or_creds()}"
        shown = self.secrets.hide(response.url)
        return make_error(failure, ask.method, shown, hint=hint)

    def _or_creds(self) -> str:
        options = self.options
        ours = options.creds_option and options.creds_registry in (None, self.registry)
        return f", or give {options.creds_option}" if ours else ""

    def _is_anonymous(self, scopes: tuple[Scope, ...]) -> bool:
        return self._auth.challenged and self._auth.credential(scopes) is None

    def _ping(self) -> tuple[str, ...]:
        """The challenge of ``/v2/``, for registries whose other 401 answers have none."""
        ask = _Ask("GET", f"{self.origin}/v2/")
        with self._send(ask, ask.url, None, at_home=True) as response:
            if response.status == 401:
                return response.header_values("www-authenticate")
        return ()

    def _followed(self, ask: _Ask, authorization: str | None) -> tuple[Response, bool]:
        """The answer after redirects, and whether every hop was the registry's own origin.

        Once a redirect has left that origin, nothing brings the credentials back.
        """
        at_home, url = True, ask.url
        for _ in range(MAX_REDIRECTS + 1):
            at_home = at_home and Origin.of(url) == self.origin
            response = self._send(ask, url, authorization, at_home=at_home)
            location = response.headers.get("location")
            readable = ask.method in ("GET", "HEAD")
            if response.status not in _REDIRECTS or not readable or not location:
                return response, at_home
            response.close()
            url = check_redirect(location, url, self.origin)
        raise RegistryError(f"{self.secrets.redact(url)}: more than {MAX_REDIRECTS} redirects")

    def _send(self, ask: _Ask, url: str, authorization: str | None, *, at_home: bool) -> Response:
        """Send ``ask`` to ``url``, which is its own or where a redirect led."""
        sent, reach = dict(ask.headers), None
        if not at_home:
            sent = {k: v for k, v in sent.items() if k.lower() in _FOREIGN_HEADERS}
            if Origin.of(url).host != self.origin.host:
                reach = self._reach()
        elif authorization is not None:
            sent["Authorization"] = authorization  # here and nowhere else
        response = self._transport.send(ask.method, url, headers=sent, body=ask.body, reach=reach)
        self._met = True
        self._reporter.detail(f"{ask.method} {self.secrets.redact(url)} -> {response.status}")
        self._show_warnings(response)
        return response

    def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | None, reach: Reach
    ) -> Response:
        """A token request: retried, never redirected, never answered when it is refused."""
        inside = None if Origin.of(url).host == self.origin.host else reach

        def attempt() -> Response:
            response = self._transport.send(method, url, headers=headers, body=body, reach=inside)
            shown = self.secrets.redact(url.partition("?")[0])
            self._reporter.detail(f"{method} {shown} -> {response.status}")
            if response.status == 200:
                return response
            if response.status in _REDIRECTS:
                response.close()
                raise UnsafeError(
                    f"{shown}: the token server redirects, which is not followed",
                    "credentials would go to where it points",
                )
            with response:
                failure = self._failure(response)
            raise make_error(failure, method, shown, hint="this is the registry's token server")

        return self._retried(method, url, attempt, retry=True)

    def _failure(self, response: Response) -> Failure:
        try:
            body = response.read_at_most(ERROR_LIMIT)
        except ImgpackError:
            body = b""
        kept = [(name, response.headers.get(name)) for name in _KEPT]
        return parse_failure(
            response.status,
            body,
            response.headers.get("content-type", ""),
            retry_after=parse_retry_after(response.headers.get("retry-after"), self.options.now()),
            headers=tuple((name, value) for name, value in kept if value is not None),
            secrets=self.secrets,
        )

    def _reach(self) -> Reach:
        """How far inside the registry itself is: it may send us no further."""
        with self._lock:
            if self._own_reach is None:
                self._own_reach = min(reach_of_host(self.origin.host), Reach.LOOPBACK)
            return self._own_reach

    def _show_warnings(self, response: Response) -> None:
        """``Warning: 299 - "text"`` (distribution-spec, "Warnings"), each text once."""
        for value in response.header_values("warning"):
            if not value.startswith("299 "):
                continue
            text = self.secrets.quote(value.partition('"')[2].rpartition('"')[0], 300)
            with self._lock:
                if not text or text in self._warnings or len(self._warnings) >= _MAX_WARNINGS:
                    continue
                self._warnings.add(text)
            self._reporter.warn(f"{self.registry}: {text}")
