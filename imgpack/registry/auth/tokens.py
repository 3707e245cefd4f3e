"""Answering a registry's challenge: Basic, and Bearer tokens by GET or OAuth2 POST.

Docker registry token specification (token, oauth, scope); RFC 6749 and 6750.
Invariants: credentials go to the registry's own origin and to a token realm that
is trusted (see ``realm_is_trusted``), over https unless the registry is http;
token requests are never redirected; one fetch is in flight for one set of
scopes; a token is replaced before it ends.
"""

import base64
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from imgpack.credentials.lookup import Credential
from imgpack.errors import ImgpackError, RegistryError, UnauthorizedError
from imgpack.registry.auth.challenge import Challenge, parse_challenges
from imgpack.registry.auth.realm import realm_is_trusted
from imgpack.registry.http.errors import Failure, attach, failure_of
from imgpack.registry.http.redaction import Secrets
from imgpack.registry.http.transport import Body, BytesBody, Response
from imgpack.registry.http.url_policy import Origin, Reach, check_realm, redact

TOKEN_LIMIT: Final = 256 << 10
"""Bytes of a token server's answer that are read at most."""
MIN_LIFE: Final = 60.0
"""Seconds that a token counts as living at least, as the specification allows."""
MAX_LIFE: Final = 86400.0
_MARGIN: Final = 10.0
_CLIENT_ID: Final = "imgpack"
_TOKEN = re.compile(r"[!-~]{1,65536}")
_SCOPE = re.compile(r"[a-z0-9()]+:[!-~]{1,512}:[a-z*,]+")
_POST_REFUSED: Final = frozenset({400, 401, 404, 405})
_SCOPE_REFUSED: Final = frozenset({400, 401, 403, 404})
_MAX_GROWN: Final = 8


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token may do in one repository: ``repository:NAME:pull,push``."""

    repository: str
    actions: tuple[str, ...]

    def __str__(self) -> str:
        return f"repository:{self.repository}:{','.join(self.actions)}"


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token, the clock's time at which it is replaced, and what renews it, if told."""

    value: str = field(repr=False)
    renew_at: float
    refresh: str = field(default="", repr=False)


class Exchange(Protocol):
    """How the authenticator sends a token request: retried, never redirected."""

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | None, reach: Reach
    ) -> Response:
        """Send; return a 200 answer. Raises the leaf for anything else."""


class Authenticator:
    """The ``Authorization`` headers for one registry. Safe to call from any thread.

    ``find`` looks up the credential for a repository; ``clock`` counts seconds;
    ``secrets`` gets to know every one that is used.
    """

    def __init__(
        self,
        registry: Origin,
        find: Callable[[str], Credential | None],
        exchange: Exchange,
        *,
        clock: Callable[[], float],
        warn: Callable[[str], None],
        trusted_realms: tuple[str, ...] = (),
        reach: Callable[[], Reach],
        secrets: Secrets,
    ) -> None:
        self._registry = registry
        self._find = find
        self._exchange = exchange
        self._clock = clock
        self._warn = warn
        self._trusted = trusted_realms
        self._reach = reach
        self._challenge: Challenge | None = None
        self._tokens: dict[tuple[str, ...], Token] = {}
        self._grown: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._flights: dict[tuple[str, ...], threading.Lock] = {}
        self._credentials: dict[str, Credential | None] = {}
        self._secrets = secrets
        self._withheld = ""
        self._refreshed: dict[str, str] = {}
        self._refreshing = threading.Lock()
        self._lock = threading.RLock()

    @property
    def withheld(self) -> str:
        """The untrusted token server that did not get the credentials, or the empty string."""
        return self._withheld

    @property
    def challenged(self) -> bool:
        """Whether the registry has said how to authenticate."""
        return self._challenge is not None

    def authorization(self, scopes: tuple[Scope, ...]) -> str | None:
        """The header value for a request, or ``None`` (nothing known, or nothing wanted).

        May fetch a token. Raises ``UnauthorizedError``, ``UnsafeError``,
        ``CredentialError``, or a connection's error.
        """
        challenge = self._challenge
        if challenge is None:
            return None
        credential = self.credential(scopes)
        if challenge.scheme == "basic":
            return _basic(credential) if credential and credential.username else None
        if credential and credential.registry_token:
            return f"Bearer {credential.registry_token}"
        return f"Bearer {self._token(challenge, _key(scopes), credential).value}"

    def credential(self, scopes: tuple[Scope, ...]) -> Credential | None:
        """The credential for the first scope's repository; looked up once."""
        repository = scopes[0].repository if scopes else ""
        with self._lock:
            if repository not in self._credentials:
                found = self._find(repository)
                self._credentials[repository] = found
                if found is not None:
                    self._secrets.add(*found.secrets)
            return self._credentials[repository]

    def answer(
        self,
        headers: Iterable[str],
        scopes: tuple[Scope, ...],
        refused: str | None,
        *,
        again: bool = False,
    ) -> bool:
        """Take a 401 (or an ``insufficient_scope``) of the registry's own origin.

        ``refused`` is the ``Authorization`` that was sent; ``again`` says that it
        is the answer to an earlier challenge, so that a token in it is fresh.
        Returns whether another attempt can differ from the one that failed.
        """
        chosen = _choose(parse_challenges(headers))
        if chosen is None:
            return False
        key = _key(scopes)
        with self._lock:
            self._challenge = chosen
            grew = self._grow(key, chosen)
            token = self._tokens.get(key)
            if token is not None and refused == f"Bearer {token.value}":
                del self._tokens[key]
        if refused is None or grew:
            return True
        credential = self.credential(scopes)
        if chosen.scheme == "basic":
            return credential is not None and refused != _basic(credential)
        return not again and not (credential and credential.registry_token)

    def _grow(self, key: tuple[str, ...], challenge: Challenge) -> bool:
        """Add the scopes that a challenge asks for to those of ``key``."""
        asked = [scope for scope in challenge.get("scope").split(" ") if _SCOPE.fullmatch(scope)]
        have = self._grown.get(key, ())
        known = merge_scopes((*key, *have))
        merged = merge_scopes((*known, *asked))
        if merged == known or len(merged) > _MAX_GROWN:
            return False
        self._grown[key] = tuple(asked) + have
        self._tokens.pop(key, None)
        return True

    def _token(
        self, challenge: Challenge, key: tuple[str, ...], credential: Credential | None
    ) -> Token:
        with self._lock:
            flight = self._flights.setdefault(key, threading.Lock())
        with flight:
            with self._lock:
                token = self._tokens.get(key)
                scopes = merge_scopes((*key, *self._grown.get(key, ())))
            if token is not None and self._clock() < token.renew_at:
                return token
            try:
                token = self._fetch_some(challenge, scopes, credential)
            except ImgpackError:
                with self._lock:
                    # What was wanted beyond the key must not spoil the requests that did without.
                    self._grown.pop(key, None)
                raise
            with self._lock:
                self._tokens[key] = token
            return token

    def _fetch_some(
        self, challenge: Challenge, scopes: tuple[str, ...], credential: Credential | None
    ) -> Token:
        """One token for all scopes, or, if that is refused, for the first scope alone.

        Some servers refuse the whole request when a mount's source is unknown to them.
        """
        try:
            return self._fetch(challenge, scopes, credential)
        except ImgpackError as error:
            failure = failure_of(error)
            if len(scopes) < 2 or failure is None or failure.status not in _SCOPE_REFUSED:
                raise
            return self._fetch(challenge, scopes[:1], credential)

    def _fetch(
        self, challenge: Challenge, scopes: tuple[str, ...], credential: Credential | None
    ) -> Token:
        realm = challenge.get("realm")
        target = check_realm(realm, self._registry)
        service = challenge.get("service")
        if credential and not realm_is_trusted(target, self._registry, self._trusted):
            self._warn(
                f"{self._registry.netloc} wants the credentials sent to {target}, which is"
                f" not trusted; going on without them (--trust-realm {target.host} trusts it)"
            )
            credential, self._withheld = None, target.host
        reach = self._reach()
        if credential and credential.identity_token:
            try:
                return self._post(realm, service, scopes, credential, reach)
            except ImgpackError as error:
                failure = failure_of(error)
                if failure is None or failure.status not in _POST_REFUSED:
                    raise
        return self._get(realm, service, scopes, credential, reach)

    def _get(
        self,
        realm: str,
        service: str,
        scopes: tuple[str, ...],
        credential: Credential | None,
        reach: Reach,
    ) -> Token:
        parts = urlsplit(realm)
        query = parse_qsl(parts.query, keep_blank_values=True)
        query += [("service", service)] if service else []
        query += [("scope", scope) for scope in scopes]
        headers = {"Accept": "application/json"}
        if credential:
            headers["Authorization"] = _basic(credential)
            query.append(("account", credential.username)) if credential.username else None
        url = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))
        return self._asked("GET", url, headers, None, reach)

    def _post(
        self,
        realm: str,
        service: str,
        scopes: tuple[str, ...],
        credential: Credential,
        reach: Reach,
    ) -> Token:
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        # A server may replace the identity token with each answer (RFC 6749, section 6), and take
        # the old one no more: one request at a time. What is stored stays as it is.
        with self._refreshing:
            stored = credential.identity_token
            form = {
                "grant_type": "refresh_token",
                "refresh_token": self._refreshed.get(stored, stored),
                "service": service,
                "client_id": _CLIENT_ID,
                "scope": " ".join(scopes),
            }
            body = BytesBody(urlencode(form).encode())
            token = self._asked("POST", realm, headers, body, reach)
            if token.refresh:
                self._refreshed[stored] = token.refresh
            return token

    def _asked(
        self, method: str, url: str, headers: dict[str, str], body: Body | None, reach: Reach
    ) -> Token:
        try:
            with self._exchange(method, url, headers, body, reach) as response:
                return self._read(response.read(TOKEN_LIMIT), url)
        except UnauthorizedError as error:
            refused = UnauthorizedError(
                f"the token server refused: {error.message}",
                "check the user name and password (imgpack login)",
            )
            raise attach(refused, failure_of(error)) from None

    def _read(self, data: bytes, url: str) -> Token:
        try:
            document: Any = json.loads(data)
        except (ValueError, RecursionError):
            document = None
        shown = redact(url.partition("?")[0])
        if not isinstance(document, dict):
            raise RegistryError(f"{shown}: the token server's answer is not JSON")
        value = document.get("token") or document.get("access_token")
        if not isinstance(value, str) or not _TOKEN.fullmatch(value):
            raise RegistryError(f"{shown}: the token server's answer has no usable token")
        life = document.get("expires_in")
        if isinstance(life, bool) or not isinstance(life, int | float) or life != life:
            life = MIN_LIFE
        # Between the bounds first: JSON has integers that no float holds.
        life = float(min(max(life, MIN_LIFE), MAX_LIFE))
        refresh = document.get("refresh_token")
        if not isinstance(refresh, str) or not _TOKEN.fullmatch(refresh):
            refresh = ""
        self._secrets.add(value, refresh)
        return Token(value, self._clock() + life - max(_MARGIN, life * 0.1), refresh)


def _key(scopes: tuple[Scope, ...]) -> tuple[str, ...]:
    return merge_scopes(str(scope) for scope in scopes)


def merge_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """One string a repository, in the order of first mention, the actions united."""
    merged: dict[str, list[str]] = {}
    for scope in scopes:
        resource, _, actions = scope.rpartition(":")
        merged.setdefault(resource, []).extend(actions.split(","))
    return tuple(f"{name}:{','.join(sorted(set(actions)))}" for name, actions in merged.items())


def _choose(challenges: tuple[Challenge, ...]) -> Challenge | None:
    """Bearer before Basic; a Bearer without a realm is of no use."""
    for challenge in challenges:
        if challenge.scheme == "bearer" and challenge.get("realm"):
            return challenge
    return next((c for c in challenges if c.scheme == "basic"), None)


def _basic(credential: Credential) -> str:
    secret = credential.password or credential.identity_token
    text = f"{credential.username or '<token>'}:{secret}"
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def wants_more(failure: Failure, headers: Iterable[str]) -> bool:
    """Whether a 403 is a challenge for a wider token (``insufficient_scope``)."""
    return failure.status == 403 and any(
        challenge.get("error") == "insufficient_scope" for challenge in parse_challenges(headers)
    )
