"""Asking a registry's token server, by GET or OAuth2 POST.

Docker registry token specification (token, oauth); RFC 6749 and 6750.
Invariants: credentials go to a token realm that is trusted (see
``realm_is_trusted``), over https unless the registry is http; token requests are
never redirected.
"""

import json
import re
import threading
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from imgpack.credentials.lookup import TOKEN_USER, Credential, encode_auth
from imgpack.errors import ImgpackError, RegistryError, Remedy, UnauthorizedError, UnsafeError
from imgpack.registry.auth.challenge import Challenge
from imgpack.registry.auth.trust import realm_is_trusted
from imgpack.registry.http.endpoint import Endpoint
from imgpack.registry.http.handlers import REDIRECTS
from imgpack.registry.http.message import BytesBody, Handler, Request
from imgpack.registry.http.url_policy import check_realm

TOKEN_LIMIT: Final = 256 << 10
"""Bytes of a token server's answer that are read at most."""
MIN_LIFE: Final = 60.0
"""Seconds that a token counts as living at least, as the specification allows."""
MAX_LIFE: Final = 86400.0
_MARGIN: Final = 10.0
_CLIENT_ID: Final = "imgpack"
_TOKEN = re.compile(r"[!-~]{1,65536}")
_POST_REFUSED: Final = frozenset({400, 401, 404, 405})
_ASK: Final = Request(
    "GET",
    "",
    {"Accept": "application/json"},
    expected=REDIRECTS | {200},
    limit=TOKEN_LIMIT,
    private=True,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token, the clock's time at which it is replaced, and what renews it, if told."""

    value: str = field(repr=False)
    renew_at: float
    refresh: str = field(default="", repr=False)


class TokenServer:
    """The token servers that one registry's challenges name. Safe to call from any thread.

    ``withheld`` is an untrusted one that did not get the credentials, or empty.
    """

    def __init__(self, inner: Handler, endpoint: Endpoint) -> None:
        self._inner = inner
        self._endpoint = endpoint
        self._refreshed: dict[str, str] = {}
        self._refreshing = threading.Lock()
        self.withheld = ""

    def fetch(
        self, challenge: Challenge, scopes: tuple[str, ...], credential: Credential | None
    ) -> Token:
        """A token for ``scopes``.

        Raises ``UnauthorizedError``, ``UnsafeError``, ``RegistryError``, or a
        connection's error.
        """
        registry = self._endpoint.origin
        target = check_realm(challenge.get("realm"), registry)
        trusted = self._endpoint.options.trusted_realms
        if credential and not realm_is_trusted(target, registry, trusted):
            self._endpoint.reporter.warn(
                f"{registry.netloc} wants the credentials sent to {target}, which is"
                " not trusted; going on without them",
                Remedy.TRUST_REALM(target.host),
            )
            credential, self.withheld = None, target.host
        if credential and credential.identity_token:
            try:
                return self._post(challenge, scopes, credential.identity_token)
            except ImgpackError as error:
                if error.answer is None or error.answer.status not in _POST_REFUSED:
                    raise
        return self._get(challenge, scopes, credential)

    def _get(
        self, challenge: Challenge, scopes: tuple[str, ...], credential: Credential | None
    ) -> Token:
        parts, service = urlsplit(challenge.get("realm")), challenge.get("service")
        query = parse_qsl(parts.query, keep_blank_values=True)
        query += [("service", service)] if service else []
        query += [("scope", scope) for scope in scopes]
        if credential and credential.username:
            query.append(("account", credential.username))
        url = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))
        request = replace(_ASK, url=url)
        return self._asked(request.authorized(basic(credential) if credential else None))

    def _post(self, challenge: Challenge, scopes: tuple[str, ...], stored: str) -> Token:
        # A server may replace the identity token with each answer (RFC 6749, section 6), and take
        # the old one no more: one request at a time. What is stored stays as it is.
        with self._refreshing:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": self._refreshed.get(stored, stored),
                "service": challenge.get("service"),
                "client_id": _CLIENT_ID,
                "scope": " ".join(scopes),
            }
            headers = {**_ASK.headers, "Content-Type": "application/x-www-form-urlencoded"}
            body, url = BytesBody(urlencode(form).encode()), challenge.get("realm")
            token = self._asked(replace(_ASK, method="POST", url=url, headers=headers, body=body))
            if token.refresh:
                self._refreshed[stored] = token.refresh
            return token

    def _asked(self, request: Request) -> Token:
        shown = self._endpoint.secrets.redact(request.shown)
        try:
            with self._inner.send(request) as response:
                status, data = response.status, response.read_document(TOKEN_LIMIT)
        except UnauthorizedError as error:
            trust, login = Remedy.TRUST_REALM, Remedy.CHECK_LOGIN
            advice = trust(self.withheld) if self.withheld else login(self._endpoint.registry)
            raise error.reworded(f"the token server refused: {error.message}", advice) from None
        except ImgpackError as error:
            if error.answer is None:
                raise
            hint = "this is the registry's token server"
            raise error.reworded(error.message, hint) from error.__cause__
        if status in REDIRECTS:
            raise UnsafeError(
                f"{shown}: the token server redirects, which is not followed",
                "credentials would go to where it points",
            )
        return self._read(data, shown)

    def _read(self, data: bytes, shown: str) -> Token:
        try:
            document: Any = json.loads(data)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise RegistryError(f"{shown}: the token server's answer is not JSON")
        value = document.get("token") or document.get("access_token")
        if not isinstance(value, str) or not _TOKEN.fullmatch(value):
            raise RegistryError(f"{shown}: the token server's answer has no usable token")
        life = document.get("expires_in")
        if not isinstance(life, int | float) or life != life:
            life = MIN_LIFE
        # Between the bounds first: JSON has integers that no float holds.
        life = float(min(max(life, MIN_LIFE), MAX_LIFE))
        refresh = document.get("refresh_token")
        if not isinstance(refresh, str) or not _TOKEN.fullmatch(refresh):
            refresh = ""
        self._endpoint.secrets.add(value, refresh)
        now = self._endpoint.options.clock()
        return Token(value, now + life - max(_MARGIN, life * 0.1), refresh)


def basic(credential: Credential) -> str:
    """The ``Authorization`` of user name and password, or of an identity token."""
    secret = credential.password or credential.identity_token
    return f"Basic {encode_auth(credential.username or TOKEN_USER, secret)}"
