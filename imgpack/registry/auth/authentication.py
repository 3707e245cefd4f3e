"""Showing a registry who asks: Basic, or Bearer tokens of its token server.

RFC 9110, section 11; RFC 6750; Docker registry token specification.
Invariants: ``Authorization`` goes to the registry's own origin and nowhere else,
and nowhere unasked; a 401 of another origin is never answered.
"""

import threading
from typing import Final

from imgpack.credentials.lookup import Credential, CredentialSource
from imgpack.errors import Answer, ImgpackError, Remedy
from imgpack.registry.auth.challenge import Challenge, parse_challenges
from imgpack.registry.auth.token_server import TokenServer, basic
from imgpack.registry.auth.tokens import Tokens
from imgpack.registry.http.endpoint import Endpoint
from imgpack.registry.http.message import Handler, Request, Response, Scope

_MAX_TURNS: Final = 4


class Authentication:
    """Answers the challenges of one registry, with the credentials of ``source``.

    ``challenge`` is the last one; ``None`` until the registry has said how to authenticate.
    """

    def __init__(self, inner: Handler, endpoint: Endpoint, source: CredentialSource) -> None:
        self._inner = inner
        self._registry = endpoint.registry
        self._origin = endpoint.origin
        self._secrets = endpoint.secrets
        self._source = source
        self.server = TokenServer(inner, endpoint)
        self._tokens = Tokens(self.server, endpoint.options.clock)
        self.challenge: Challenge | None = None
        self._credentials: dict[str, Credential | None] = {}
        self._lock = threading.Lock()
        self._introduced = False
        self._introduction = threading.RLock()

    def send(self, request: Request) -> Response:
        """The answer. Raises ``UnauthorizedError`` if it is refused for good."""
        if request.origin != self._origin:
            return self._inner.send(request.harmless())
        if not self._introduced:
            with self._introduction:
                # The first request learns the challenge for all that are made at the same time.
                if not self._introduced:
                    try:
                        return self._answered(request)
                    finally:
                        self._introduced = True
        return self._answered(request)

    def credential(self, scopes: tuple[Scope, ...]) -> Credential | None:
        """The credential for the first scope's repository; looked up once."""
        repository = scopes[0].repository if scopes else ""
        with self._lock:
            if repository not in self._credentials:
                found = self._source.find(self._registry, repository)
                self._credentials[repository] = found
                if found is not None:
                    self._secrets.add(*found.secrets)
            return self._credentials[repository]

    def _answered(self, request: Request) -> Response:
        """The answer to a request, made again with what its challenge asks for."""
        turn, stale, bare = 0, False, False
        while True:
            turn += 1
            try:
                authorization = self._authorization(request.scopes)
            except ImgpackError:
                # A challenge to a token that went stale may name a token server that is gone;
                # one to no token at all names the one that counts.
                if not stale or bare:
                    raise
                authorization, bare = None, True
            try:
                return self._inner.send(request.authorized(authorization))
            except ImgpackError as error:
                answer = error.answer
                if answer is None or answer.foreign:
                    raise
                if turn == _MAX_TURNS or not self._takes(answer, request, authorization, turn):
                    raise self._advised(error, answer, request.scopes) from error.__cause__
                stale = authorization is not None

    def _authorization(self, scopes: tuple[Scope, ...]) -> str | None:
        """The header value for a request, or ``None`` (nothing known, or nothing wanted).

        May fetch a token. Raises ``UnauthorizedError``, ``UnsafeError``,
        ``CredentialError``, or a connection's error.
        """
        challenge = self.challenge
        if challenge is None:
            return None
        credential = self.credential(scopes)
        if challenge.scheme == "basic":
            return basic(credential) if credential and credential.username else None
        if credential and credential.registry_token:
            return f"Bearer {credential.registry_token}"
        return f"Bearer {self._tokens.get(challenge, scopes, credential).value}"

    def _takes(self, answer: Answer, request: Request, refused: str | None, turn: int) -> bool:
        """Take a 401 (or an ``insufficient_scope``); whether another attempt can differ.

        ``refused`` is the ``Authorization`` that was sent. After the first ``turn`` a
        token in it is fresh, unless it has ended meanwhile.
        """
        challenges = parse_challenges(answer.challenges)
        wider = any(challenge.get("error") == "insufficient_scope" for challenge in challenges)
        if answer.status != 401 and not (answer.status == 403 and wider):
            return False
        if not answer.challenges and self.challenge is None:
            challenges = self._ping()
        chosen = _choose(challenges)
        if chosen is None:
            return False
        self.challenge = chosen
        grew = self._tokens.grow(request.scopes, chosen)
        ended = self._tokens.drop(request.scopes, refused)
        credential = self.credential(request.scopes)
        if chosen.scheme == "basic":
            return bool(credential and credential.username and refused != basic(credential))
        if refused is None or grew:
            return True
        return (turn == 1 or ended) and not (credential and credential.registry_token)

    def _ping(self) -> tuple[Challenge, ...]:
        """The challenge of ``/v2/``, for registries whose other 401 answers have none."""
        url = f"{self._origin}/v2/"
        with self._inner.send(Request("GET", url, expected=range(600), private=True)) as response:
            headers = response.header_values("www-authenticate") if response.status == 401 else ()
        return parse_challenges(headers)

    def _advised(
        self, error: ImgpackError, answer: Answer, scopes: tuple[Scope, ...]
    ) -> ImgpackError:
        if answer.status != 401 and (answer.status != 403 or self.challenge is None):
            return error
        if self.credential(scopes) is None:
            advice = Remedy.LOG_IN(self._registry)
        elif self.server.withheld:
            advice = Remedy.TRUST_REALM(self.server.withheld)
        elif answer.status == 401:
            advice = Remedy.CHECK_LOGIN(self._registry)
        else:
            return error
        return error.reworded(error.message, advice)


def _choose(challenges: tuple[Challenge, ...]) -> Challenge | None:
    """Bearer before Basic; a Bearer without a realm is of no use."""
    bearers = [c for c in challenges if c.scheme == "bearer" and c.get("realm")]
    basics = [c for c in challenges if c.scheme == "basic"]
    return next(iter(bearers + basics), None)
