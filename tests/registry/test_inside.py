"""A name that leads inside: a public registry cannot send us there, and nothing is connected to.

The registry of these tests is on loopback, and is taken for a public one.
"""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from imgpack.api import TransportOptions
from imgpack.errors import UnsafeError
from imgpack.registry.http import handlers
from imgpack.registry.http.message import BytesBody
from imgpack.registry.http.transport import Transport
from imgpack.registry.http.url_policy import Reach
from tests.registry.loopback import Reply, Request, head, raw_serving, send, serving
from tests.registry.test_auth import PUSH, USER, challenge, connect


@pytest.fixture(autouse=True)
def _public(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every registry's own address is public, as far as a session can tell."""
    monkeypatch.setattr(handlers, "reach_of_host", lambda host: Reach.PUBLIC)


@dataclass
class Inside:
    """A server that nobody should meet: one item for each connection, the bytes that came."""

    port: int = 0
    met: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its name resolves to a loopback address; the spelling alone would be let through."""
        return f"http://localhost:{self.port}"


@contextlib.contextmanager
def inside() -> Iterator[Inside]:
    """A server inside, which would answer with a token."""
    found = Inside()

    def answer(connection: socket.socket) -> None:
        found.met.append(b"")
        found.met[-1] = head(connection)
        connection.sendall(b'HTTP/1.0 200 OK\r\nContent-Length: 13\r\n\r\n{"token":"t"}')

    with raw_serving(answer) as found.port:
        yield found


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_redirect_to_a_name_that_leads_inside_is_not_followed(method: str) -> None:
    """Not even a connection is made."""
    with (
        inside() as server,
        serving(lambda _: Reply(307, (("Location", f"{server.url}/blob"),))) as registry,
    ):
        here = connect(registry)
        with here.transport, pytest.raises(UnsafeError, match="local address"):
            here.session.request(method, "/v2/x")
    assert server.met == []
    assert len(registry.seen) == 1


@pytest.mark.parametrize("trusted", [(), ("localhost",)], ids=["untrusted", "trusted"])
def test_a_token_realm_whose_name_leads_inside_is_not_asked(trusted: tuple[str, ...]) -> None:
    """To trust it with the credentials is not to let a registry lead us there."""
    with (
        inside() as server,
        serving(lambda _: challenge(f"{server.url}/token")) as registry,
    ):
        here = connect(registry, USER, *trusted)
        with here.transport, pytest.raises(UnsafeError, match="local address"):
            here.session.request("GET", "/v2/x", scopes=(PUSH,))
    assert server.met == []


def test_an_upload_location_whose_name_leads_inside_gets_nothing() -> None:
    """The session is opened, and the blob stays here."""
    with (
        inside() as server,
        serving(lambda _: Reply(202, (("Location", f"{server.url}/up"),))) as registry,
    ):
        here = connect(registry)
        with here.transport:
            with here.session.request("POST", "/v2/u", expected=frozenset({202})) as opened:
                location = here.session.location(opened)
            with pytest.raises(UnsafeError, match="local address"):
                here.session.request("PUT", location, body=BytesBody(b"blob"))
    assert server.met == []


def test_the_registrys_own_host_stays_within_reach_at_any_port() -> None:
    """What is inside for others is where this registry itself is."""

    def answer(request: Request) -> Reply:
        if request.path == "/blob":
            return Reply(200, (), b"stored")
        return Reply(307, (("Location", f"{storage.url}/blob"),))

    with serving(answer) as storage, serving(answer) as registry:
        here = connect(registry)
        with here.transport:
            assert here.session.request("GET", "/v2/x").read() == b"stored"


def test_a_name_that_leads_inside_only_when_connected_to_gets_no_byte(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The name server answers differently the second time."""
    resolve = socket.getaddrinfo
    asked: list[str] = []

    def changing(host: str, port: Any, *arguments: Any, **options: Any) -> Any:
        if host != "rebound.test":
            return resolve(host, port, *arguments, **options)
        asked.append(host)
        return resolve("8.8.8.8" if len(asked) == 1 else "127.0.0.1", port, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    options = TransportOptions(connect_timeout=3, silence_timeout=3)
    with inside() as server, Transport(options) as transport:
        url = f"http://rebound.test:{server.port}/"
        with pytest.raises(UnsafeError, match=r"local address 127\.0\.0\.1"):
            send(transport, "GET", url, reach=Reach.PUBLIC)
    assert len(asked) == 2
    assert server.met in ([], [b""])
