"""The registry that requests go to, and what all who take part in them share."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from imgpack.errors import ImgpackError
from imgpack.events import Reporter
from imgpack.registry.http.redaction import Secrets
from imgpack.registry.http.retry import RetryPolicy
from imgpack.registry.http.url_policy import Origin, is_loopback

_API_HOSTS: Final = {"docker.io": "registry-1.docker.io"}


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How to talk to registries. ``clock`` counts seconds, ``now`` is seconds since 1970.

    ``plain_http``: http or https for every registry; ``None``: as ``registry_origin`` says.
    """

    plain_http: bool | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    trusted_realms: tuple[str, ...] = ()
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``host[:port]`` as the user says it, where its API is, and whom to tell what is going on.

    ``reporter`` is told what servers had a part in, so it has to hide ``secrets``.
    """

    registry: str
    origin: Origin
    options: SessionOptions
    secrets: Secrets
    reporter: Reporter

    def pause(self, attempt: int, error: ImgpackError, then: str = "trying again") -> None:
        """Wait after the failed ``attempt`` (the first is 1), and tell why and what comes then."""
        seconds = self.options.retry.wait(attempt, error.answer, self.options.random)
        self.reporter.detail(f"{error.message}; {then} in {seconds:.1f} s")
        self.options.sleep(seconds)

    def astray(self, origin: Origin) -> str:
        """What to say of another ``origin`` to which the registry sent us in vain."""
        said = f"{self.registry} sent us to this other server, which gets no credentials"
        if origin.host != self.origin.host:
            return said
        # It does not know how it is reached from outside, and left its port out or made one up.
        return f"{said}: another port of the same host; does it know its own, as clients see it?"


def registry_origin(registry: str, *, plain_http: bool | None = None) -> Origin:
    """The API's origin of ``host[:port]``: https, and http for loopback hosts or on request."""
    host = _API_HOSTS.get(registry, registry)
    secure = Origin.of(f"https://{host}")
    if plain_http is None:
        plain_http = is_loopback(secure.host)
    return Origin.of(f"http://{host}") if plain_http else secure
