"""The bearer tokens for one registry, by the scopes that they are for.

Docker registry token specification (scope). Invariants: one fetch is in flight
for one set of scopes; a token is replaced before it ends.
"""

import re
import threading
from collections.abc import Callable, Iterable
from typing import Final

from imgpack.credentials.lookup import Credential
from imgpack.errors import ImgpackError
from imgpack.registry.auth.challenge import Challenge
from imgpack.registry.auth.token_server import Token, TokenServer
from imgpack.registry.http.message import Scope

_SCOPE = re.compile(r"[a-z0-9()]+:[!-~]{1,512}:[a-z*,]+")
_SCOPE_REFUSED: Final = frozenset({400, 401, 403, 404})
_MAX_GROWN: Final = 8


class Tokens:
    """Tokens that ``server`` gives. Safe to use from many threads; ``clock`` counts seconds."""

    def __init__(self, server: TokenServer, clock: Callable[[], float]) -> None:
        self._server = server
        self._clock = clock
        self._tokens: dict[tuple[str, ...], Token] = {}
        self._grown: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._flights: dict[tuple[str, ...], threading.Lock] = {}
        self._lock = threading.Lock()

    def get(
        self, challenge: Challenge, scopes: tuple[Scope, ...], credential: Credential | None
    ) -> Token:
        """A token for ``scopes`` that is good for a while; fetched, if there is none."""
        key = _key(scopes)
        with self._lock:
            flight = self._flights.setdefault(key, threading.Lock())
        with flight:
            with self._lock:
                token = self._tokens.get(key)
                wanted = merge_scopes((*key, *self._grown.get(key, ())))
            if token is None or self._clock() >= token.renew_at:
                try:
                    token = self._fetch(challenge, wanted, credential)
                except ImgpackError:
                    with self._lock:
                        # What was wanted beyond the key must not spoil those that did without.
                        self._grown.pop(key, None)
                    raise
                with self._lock:
                    self._tokens[key] = token
            return token

    def grow(self, scopes: tuple[Scope, ...], challenge: Challenge) -> bool:
        """Add the scopes that a challenge asks for to ``scopes``; whether there are more now."""
        key = _key(scopes)
        asked = [scope for scope in challenge.get("scope").split(" ") if _SCOPE.fullmatch(scope)]
        with self._lock:
            have = self._grown.get(key, ())
            known = merge_scopes((*key, *have))
            merged = merge_scopes((*known, *asked))
            if merged == known or len(merged) > _MAX_GROWN:
                return False
            self._grown[key] = tuple(asked) + have
            self._tokens.pop(key, None)
            return True

    def drop(self, scopes: tuple[Scope, ...], authorization: str | None) -> bool:
        """Forget a token that was refused in ``authorization``; whether its time was over."""
        key = _key(scopes)
        with self._lock:
            token = self._tokens.get(key)
            if token is None or authorization != f"Bearer {token.value}":
                return False
            del self._tokens[key]
            return self._clock() >= token.renew_at

    def _fetch(
        self, challenge: Challenge, scopes: tuple[str, ...], credential: Credential | None
    ) -> Token:
        """One token for all scopes, or, if that is refused, for the first scope alone.

        Some servers refuse the whole request when a mount's source is unknown to them.
        """
        try:
            return self._server.fetch(challenge, scopes, credential)
        except ImgpackError as error:
            if len(scopes) < 2 or error.answer is None or error.answer.status not in _SCOPE_REFUSED:
                raise
            return self._server.fetch(challenge, scopes[:1], credential)


def _key(scopes: tuple[Scope, ...]) -> tuple[str, ...]:
    return merge_scopes(str(scope) for scope in scopes)


def merge_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """One string a repository, in the order of first mention, the actions united."""
    merged: dict[str, list[str]] = {}
    for scope in scopes:
        resource, _, actions = scope.rpartition(":")
        merged.setdefault(resource, []).extend(actions.split(","))
    return tuple(f"{name}:{','.join(sorted(set(actions)))}" for name, actions in merged.items())
