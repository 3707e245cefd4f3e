"""HTTP with bounds: framing, early answers, silence, endless answers, proxies, addresses."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from imgpack.api import Registries, RetryPolicy, SessionOptions, TransportOptions
from imgpack.errors import (
    ImgpackError,
    RegistryError,
    SourceChangedError,
    UnreachableError,
    UnsafeError,
)
from imgpack.registry.http import message
from imgpack.registry.http.connection import GuardedHTTPConnection
from imgpack.registry.http.message import BytesBody
from imgpack.registry.http.transport import Transport
from imgpack.registry.http.url_policy import Origin, Reach
from tests.registry.loopback import Reply, Request, head, raw_serving, reset, send, serving

MIB = 1 << 20


@dataclass
class Pieces:
    """A body that is made when it is sent, and counts how far it got."""

    size: int
    piece: bytes = b"x" * MIB
    sent: int = 0

    def open(self) -> Iterator[bytes]:
        """The bytes, from the first one."""
        left = self.size
        while left > 0:
            piece = self.piece[:left]
            left -= len(piece)
            self.sent += len(piece)
            yield piece


def short(**options: object) -> Transport:
    """A transport that is not patient."""
    values = {"connect_timeout": 2.0, "silence_timeout": 2.0, **options}
    return Transport(TransportOptions(**values))  # type: ignore[arg-type]


def test_a_request_goes_out_as_given_and_nothing_is_added_in_secret() -> None:
    """Identity encoding, our user agent, no cookies, and the answer's body as it was sent."""

    def answer(request: Request) -> Reply:
        return Reply(
            200, (("Set-Cookie", "a=b"), ("Content-Encoding", "gzip"), ("X-Two", "1")), b"raw"
        )

    with serving(answer) as server, short() as transport:
        for _ in range(2):
            with transport.send(
                message.Request("GET", f"{server.url}/v2/?a=%2F", {"X-A": "b"})
            ) as response:
                assert (response.status, response.headers["x-two"]) == (200, "1")
                assert response.read() == b"raw"
    request = server.seen[1]
    assert request.target == "/v2/?a=%2F"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"].startswith("imgpack/")
    assert "cookie" not in request.headers
    assert request.headers["x-a"] == "b"


@pytest.mark.parametrize("size", [0, 1, MIB, 3 * MIB + 7])
def test_a_body_has_an_exact_length_and_is_never_chunked(size: int) -> None:
    """The body comes from an iterator, and still has a Content-Length."""
    with serving(lambda _: Reply(201)) as server, short() as transport:
        body = Pieces(size)
        with send(transport, "PUT", f"{server.url}/x", body=body) as response:
            assert response.status == 201
    request = server.seen[0]
    assert request.headers["content-length"] == str(size)
    assert "transfer-encoding" not in request.headers
    assert len(request.body) == size


def test_a_post_without_a_body_says_so() -> None:
    """An upload is opened with ``Content-Length: 0``."""
    with serving(lambda _: Reply(202)) as server, short() as transport:
        send(transport, "POST", f"{server.url}/x").close()
    assert server.seen[0].headers["content-length"] == "0"


def test_a_body_of_another_length_than_promised_is_an_error() -> None:
    """Neither too few bytes nor too many go out as a whole body."""

    @dataclass
    class Lying:
        size: int

        def open(self) -> Iterator[bytes]:
            yield b"four"

    with serving(lambda _: Reply(201)) as server, short() as transport:
        for size in (3, 5):
            with pytest.raises(ValueError, match="bytes long"):
                send(transport, "PUT", f"{server.url}/x", body=Lying(size))


def test_an_error_of_the_source_is_told_as_it_is() -> None:
    """A file that fails while it is sent is not mistaken for a lost connection."""

    @dataclass
    class Failing:
        error: Exception
        size: int = 10

        def open(self) -> Iterator[bytes]:
            yield b"x"
            raise self.error

    with serving(lambda _: Reply(201)) as server, short() as transport:
        for error in (OSError(5, "input/output error"), SourceChangedError("a: changed")):
            with pytest.raises(type(error)) as caught:
                send(transport, "PUT", f"{server.url}/x", body=Failing(error))
            assert caught.value is error


EARLY = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"


def _answer_early(connection: socket.socket) -> None:
    head(connection)
    connection.sendall(EARLY)
    time.sleep(0.5)


def _answer_early_and_reset(connection: socket.socket) -> None:
    head(connection)
    connection.sendall(EARLY)
    time.sleep(0.2)
    reset(connection)


def _answer_early_and_close(connection: socket.socket) -> None:
    head(connection)
    connection.sendall(EARLY)
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1000)


@pytest.mark.parametrize(
    "script", [_answer_early, _answer_early_and_reset, _answer_early_and_close]
)
def test_an_answer_that_comes_before_the_body_is_sent_is_read(script: object) -> None:
    """An early refusal stops the sending and is told, however the connection ends."""
    body = Pieces(256 * MIB)
    with raw_serving(script) as port, short() as transport:  # type: ignore[arg-type]
        with send(transport, "PUT", f"http://127.0.0.1:{port}/x", body=body) as response:
            assert (response.status, response.read()) == (413, b"big")
        assert body.sent < body.size


def test_a_connection_that_was_cut_short_is_not_used_again() -> None:
    """The request after an early answer has a connection of its own."""

    def second(connection: socket.socket) -> None:
        head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with raw_serving(_answer_early, second) as port, short() as transport:
        url = f"http://127.0.0.1:{port}/x"
        with send(transport, "PUT", url, body=Pieces(64 * MIB)) as response:
            assert response.read() == b"big"
        with send(transport, "GET", url) as response:
            assert response.read() == b"ok"


def test_connections_are_kept_and_used_again() -> None:
    """Two requests after each other, the bodies read, need one connection."""
    connections = []

    def script(connection: socket.socket) -> None:
        connections.append(1)
        while head(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with raw_serving(script) as port, short() as transport:
        for _ in range(3):
            with send(transport, "GET", f"http://127.0.0.1:{port}/") as response:
                assert response.read() == b"ok"
    assert len(connections) == 1


def test_an_answer_without_a_body_keeps_its_connection() -> None:
    """HEAD, 201 and 202 are closed without reading; many of them need one connection."""
    connections = []
    none = b"Content-Length: 0\r\n\r\n"

    def script(connection: socket.socket) -> None:
        connections.append(1)
        while data := head(connection):
            length = b"Content-Length: 77\r\n\r\n" if data.startswith(b"HEAD") else none
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + length)

    with raw_serving(script) as port, short() as transport:
        for method in ("HEAD", "POST", "PUT", "HEAD"):
            send(transport, method, f"http://127.0.0.1:{port}/").close()
    assert len(connections) == 1


def test_a_body_above_the_limit_fails_and_is_not_cut() -> None:
    """``read`` has no half results."""
    with serving(lambda _: Reply(200, (), b"x" * 1000)) as server, short() as transport:
        with send(transport, "GET", server.url) as response:
            assert response.read(1000) == b"x" * 1000
        with (
            send(transport, "GET", server.url) as response,
            pytest.raises(RegistryError, match="longer than 999 bytes"),
        ):
            response.read(999)


def test_an_endless_body_ends() -> None:
    """A body without a length that never ends costs the limit and no more."""

    def script(connection: socket.socket) -> None:
        head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with raw_serving(script) as port, short() as transport:
        response = send(transport, "GET", f"http://127.0.0.1:{port}/")
        with response, pytest.raises(RegistryError):
            response.read(MIB)


@pytest.mark.parametrize(
    "piece",
    [b"X-Header: " + b"x" * 70000 + b"\r\n", b"X: y\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"],
    ids=["long", "many", "continues"],
)
def test_endless_headers_end(piece: bytes) -> None:
    """Headers too long, too many, or provisional answers without end are given up."""

    def script(connection: socket.socket) -> None:
        head(connection)
        if not piece.startswith(b"HTTP"):
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(piece)

    with raw_serving(script) as port, short() as transport, pytest.raises(ImgpackError):
        send(transport, "GET", f"http://127.0.0.1:{port}/")


def test_what_does_not_speak_http_is_no_lost_connection() -> None:
    """Trying again does not help, another port may."""

    def script(connection: socket.socket) -> None:
        connection.sendall(b"SSH-2.0-x\r\n")
        head(connection)

    with (
        raw_serving(script) as port,
        short() as transport,
        pytest.raises(UnreachableError, match="not proper HTTP") as caught,
    ):
        send(transport, "GET", f"http://127.0.0.1:{port}/")
    assert "the port" in str(caught.value)


def test_an_endless_chunk_size_line_ends() -> None:
    """The chunked coding's lines are bounded as well."""

    def script(connection: socket.socket) -> None:
        head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"0" * 65536)

    with raw_serving(script) as port, short() as transport:
        response = send(transport, "GET", f"http://127.0.0.1:{port}/")
        with response, pytest.raises(ImgpackError):
            response.read(MIB)


@pytest.mark.parametrize(
    "size", [b"-1", b"-5", b"+1", b"0x10", b"1_0", b" 5", b"5 ", b"\x0b5", b"", b"f" * 17, b"g"]
)
@pytest.mark.parametrize("all_at_once", [False, True])
def test_a_chunk_size_is_hexadecimal_digits_only(size: bytes, *, all_at_once: bool) -> None:
    """A negative one would be a read without end, and so memory without end."""
    sent = 0

    def script(connection: socket.socket) -> None:
        nonlocal sent
        head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(size + b"\r\n")
        while sent < 256 * MIB:
            connection.sendall(bytes(MIB))
            sent += MIB

    with raw_serving(script) as port, short() as transport:
        response = send(transport, "GET", f"http://127.0.0.1:{port}/")
        with response, pytest.raises(UnreachableError, match="the size of a chunk"):
            response.read(MIB) if all_at_once else list(response.stream())
    assert sent < 64 * MIB


def answered(head_lines: bytes) -> tuple[str, bytes]:
    """The header ``X`` and the body of an answer with these header lines."""

    def script(connection: socket.socket) -> None:
        head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head_lines)

    with (
        raw_serving(script) as port,
        short() as transport,
        send(transport, "GET", f"http://127.0.0.1:{port}/") as response,
    ):
        return response.headers.get("X", ""), response.read()


@pytest.mark.parametrize("blanks", [b" ", b"\t", b" \t  ", b""])
def test_blanks_around_a_value_are_no_part_of_it(blanks: bytes) -> None:
    """Whatever the header is for: framing as well as what others read."""
    lines = (b"X:" + blanks + b"a b" + blanks, b"Transfer-Encoding: chunked" + blanks, b"", b"")
    body = b"3\r\nabc\r\n0\r\n\r\n"
    assert answered(b"\r\n".join(lines) + body) == ("a b", b"abc")


def test_a_line_of_blanks_does_not_end_a_head() -> None:
    """It goes on with the header before it; what follows is no body."""
    found, body = answered(b"X: a\r\n \t\r\nContent-Length: 1\r\n\r\nb")
    assert (found.split(), body) == (["a"], b"b")


@pytest.mark.parametrize("other", [b"2", b"x", b"-1", b"", b"99999999999999999999999", b"1, 2"])
def test_lengths_that_contradict_each_other_are_an_error(other: bytes) -> None:
    """However absurd one of them is."""
    for lines in ((b"1", other), (other, b"1"), (b"1, " + other,)):
        text = b"".join(b"Content-Length: " + line + b"\r\n" for line in lines)
        with pytest.raises(ImgpackError):
            answered(text + b"\r\n1")


def test_one_length_may_be_said_twice() -> None:
    """A proxy that repeats what the registry said contradicts nobody."""
    assert answered(b"Content-Length: 1\r\nContent-Length: 1 , 1\r\n\r\n1") == ("", b"1")


def test_a_chunked_answer_is_read() -> None:
    """Not every registry knows the length of what it sends."""

    def script(connection: socket.socket) -> None:
        head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"3\r\nabc\r\n02;a=b\r\nde\r\n0\r\n\r\n")

    with (
        raw_serving(script) as port,
        short() as transport,
        send(transport, "GET", f"http://127.0.0.1:{port}/") as response,
    ):
        assert b"".join(response.stream(2)) == b"abcde"


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_a_body_shorter_than_promised_is_a_lost_connection(sent: bytes) -> None:
    """A truncated answer is never taken for a whole one."""

    def script(connection: socket.socket) -> None:
        head(connection)
        connection.sendall(sent)

    with raw_serving(script) as port, short() as transport:
        response = send(transport, "GET", f"http://127.0.0.1:{port}/")
        with response, pytest.raises(UnreachableError):
            response.read()
        response = send(transport, "GET", f"http://127.0.0.1:{port}/")
        with response, pytest.raises(UnreachableError):
            list(response.stream())


def test_silence_has_an_end() -> None:
    """A server that stops talking, in the head or in the body, is given up."""

    def quiet(connection: socket.socket) -> None:
        head(connection)
        connection.recv(1)

    def halfway(connection: socket.socket) -> None:
        head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        connection.recv(1)

    with raw_serving(quiet, halfway) as port, short(silence_timeout=0.3) as transport:
        url = f"http://127.0.0.1:{port}/"
        with pytest.raises(UnreachableError, match="silent"):
            send(transport, "GET", url)
        with (
            send(transport, "GET", url) as response,
            pytest.raises(UnreachableError, match="silent"),
        ):
            response.read()


DRIPS = {
    "head": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 90,
    "body": b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + b"x" * 9000,
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1000,
    "trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 90,
}


@pytest.mark.parametrize("kind", DRIPS)
def test_a_byte_now_and_then_keeps_nobody_busy(kind: str) -> None:
    """A head has a deadline and a body a least pace, whatever trickles in to feign life."""
    gone = threading.Event()

    def drip(connection: socket.socket) -> None:
        head(connection)
        try:
            for byte in DRIPS[kind]:
                connection.sendall(bytes([byte]))
                if gone.wait(0.02):
                    return
        finally:
            gone.set()

    with raw_serving(drip) as port, short(silence_timeout=0.4) as transport:
        started = time.monotonic()
        try:
            with (
                pytest.raises(UnreachableError),
                send(transport, "GET", f"http://127.0.0.1:{port}/") as response,
            ):
                list(response.stream())
        finally:
            gone.set()
        assert time.monotonic() - started < 5


def test_a_document_has_to_come_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small answer that comes fast enough for a blob, but in tiny chunks without end, is slow."""
    monkeypatch.setattr(message, "DOCUMENT_PATIENCE", 1)
    gone = threading.Event()

    def pad(connection: socket.socket) -> None:
        head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not gone.wait(0.01):
            connection.sendall(b"1;" + b"x" * 1000 + b"\r\nx\r\n")

    with raw_serving(pad) as port, short(silence_timeout=1.5) as transport:
        try:
            with (
                send(transport, "GET", f"http://127.0.0.1:{port}/") as response,
                pytest.raises(UnreachableError, match="slow"),
            ):
                response.read(MIB)
        finally:
            gone.set()


def test_trailers_end() -> None:
    """Trailers without end are given up."""

    def endless(connection: socket.socket) -> None:
        head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        while True:
            connection.sendall(b"X: y\r\n" * 1000)

    with raw_serving(endless) as port, short() as transport:
        response = send(transport, "GET", f"http://127.0.0.1:{port}/")
        with response, pytest.raises(ImgpackError):
            list(response.stream())


def test_provisional_answers_are_passed_over() -> None:
    """An early hint or two are no answer."""

    def hint(connection: socket.socket) -> None:
        head(connection)
        for status in (b"100 Continue", b"102 Processing", b"103 Early Hints"):
            connection.sendall(b"HTTP/1.1 " + status + b"\r\nLink: </x>\r\n\r\n")
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with (
        raw_serving(hint) as port,
        short() as transport,
        send(transport, "GET", f"http://127.0.0.1:{port}/") as response,
    ):
        assert (response.status, response.read()) == (200, b"ok")


def test_a_server_that_does_not_take_the_body_is_given_up() -> None:
    """The time-out for silence holds for sending, too."""
    done = threading.Event()

    def stuck(connection: socket.socket) -> None:
        head(connection)
        done.wait(10)

    with raw_serving(stuck) as port, short(silence_timeout=0.4) as transport:
        started = time.monotonic()
        with pytest.raises(UnreachableError):
            send(transport, "PUT", f"http://127.0.0.1:{port}/", body=Pieces(256 * MIB))
        assert time.monotonic() - started < 8
        done.set()


@pytest.mark.parametrize(
    "junk", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\nabc"]
)
def test_what_is_not_http_is_an_error_of_imgpack(junk: bytes) -> None:
    """Neither an empty answer nor another protocol gives a traceback."""

    def script(connection: socket.socket) -> None:
        head(connection)
        connection.sendall(junk)

    with raw_serving(script) as port, short() as transport, pytest.raises(ImgpackError):
        send(transport, "GET", f"http://127.0.0.1:{port}/").read()


def test_a_refused_connection_names_the_server() -> None:
    """Nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with short() as transport, pytest.raises(UnreachableError, match=f"127.0.0.1:{port}: cannot"):
        send(transport, "GET", f"http://127.0.0.1:{port}/")


def test_a_name_that_does_not_resolve_is_said_to() -> None:
    """The top-level domain ``invalid`` never exists."""
    with short() as transport, pytest.raises(UnreachableError, match=r"registry\.invalid"):
        send(transport, "GET", "https://registry.invalid/")


def test_an_address_further_inside_than_the_registry_is_not_spoken_to() -> None:
    """A name is judged by where it leads; the server sees no request."""
    with serving(lambda _: Reply(200)) as server, short() as transport:
        for host in ("localhost", "127.0.0.1"):
            url = f"http://{host}:{server.port}/"
            with pytest.raises(UnsafeError, match="local"):
                send(transport, "GET", url, reach=Reach.PRIVATE)
        send(transport, "GET", server.url, reach=Reach.LOOPBACK).close()
    assert len(server.seen) == 1


def test_a_guarded_and_an_unguarded_connection_are_never_mixed() -> None:
    """A connection that was opened without a bound is not lent to a bounded request."""
    with serving(lambda _: Reply(200)) as server, short() as transport:
        send(transport, "GET", server.url).read()
        with pytest.raises(UnsafeError):
            send(transport, "GET", server.url, reach=Reach.PUBLIC)


def proxied(no_proxy: str = "") -> Transport:
    """A transport with proxies for both schemes."""
    proxies = (("https", "http://user:pa%40ss@proxy.test:3128"), ("http", "proxy.test:3128"))
    return Transport(TransportOptions(proxies=proxies, no_proxy=no_proxy))


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("", "https://registry.test", False),
        ("*", "https://registry.test", True),
        ("registry.test", "https://registry.test", True),
        ("other.test, registry.test", "https://registry.test", True),
        ("test", "https://registry.test", True),
        (".test", "https://registry.test", True),
        ("*.test", "https://registry.test", True),
        ("gistry.test", "https://registry.test", False),
        ("registry.test:444", "https://registry.test", False),
        ("registry.test:443", "https://registry.test", True),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("", "http://127.0.0.1:5000", True),
        ("", "http://localhost:5000", True),
        ("", "http://registry.test", False),
    ],
)
def test_no_proxy_is_heeded(no_proxy: str, url: str, direct: bool) -> None:
    """Names, suffixes, ports, networks and the star; loopback hosts never have a proxy."""
    with proxied(no_proxy) as transport:
        assert (transport.proxy_of(Origin.of(url)) is None) is direct


def test_a_plain_request_goes_through_the_proxy_with_its_credentials() -> None:
    """The proxy gets the absolute URL, and its own credentials only."""
    with serving(lambda _: Reply(200, (), b"via")) as proxy:
        options = TransportOptions(proxies=(("http", f"http://me:p%40ss@{proxy.host}"),))
        with Transport(options) as transport:
            response = send(transport, "GET", "http://registry.test/v2/?n=1", reach=Reach.PUBLIC)
            with response:
                assert response.read() == b"via"
    assert proxy.seen[0].target == "http://registry.test/v2/?n=1"
    assert proxy.seen[0].headers["proxy-authorization"] == "Basic bWU6cEBzcw=="


def test_a_tunnel_that_the_proxy_refuses_is_told() -> None:
    """The proxy is named as the culprit, without its password."""

    def script(connection: socket.socket) -> None:
        assert head(connection).startswith(b"CONNECT registry.test:443 ")
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")

    with raw_serving(script) as port:
        options = TransportOptions(proxies=(("https", f"http://me:hushhush@127.0.0.1:{port}"),))
        with (
            Transport(options) as transport,
            pytest.raises(UnreachableError, match="proxy") as caught,
        ):
            send(transport, "GET", "https://registry.test/v2/")
    assert "407" in str(caught.value)
    assert "credentials" in str(caught.value.hint)
    assert "hushhush" not in str(caught.value)


def test_a_proxy_of_an_unknown_kind_is_refused() -> None:
    """SOCKS needs what is not installed; that is said, not guessed around."""
    options = TransportOptions(proxies=(("https", "socks5://u:hushhush@127.0.0.1:1"),))
    with Transport(options) as transport, pytest.raises(UnreachableError, match="proxy") as caught:
        send(transport, "GET", "https://registry.test/v2/")
    assert "hushhush" not in str(caught.value)


@pytest.mark.parametrize(
    "proxy",
    [
        "http://[::1",
        "http://u:hushhush@h:99999/",
        "http://u:hushhush",
        "http://\udcff/",
        "http://",
        "http://a b/",
        "::",
    ],
)
def test_a_proxy_that_is_no_address_is_told(proxy: str) -> None:
    """Whatever the environment says, it is an error of ours and without the password."""
    options = TransportOptions(proxies=(("https", proxy),))
    with Transport(options) as transport, pytest.raises(UnreachableError, match="proxy") as caught:
        send(transport, "GET", "https://registry.test/v2/")
    assert "hushhush" not in str(caught.value)


@pytest.mark.parametrize("char", [*"#/?@: \\[", "://", "%zz"])
@pytest.mark.parametrize("scheme", ["http://", "", "socks5://"])
def test_a_proxy_that_cannot_be_used_is_told_without_its_password(scheme: str, char: str) -> None:
    """Whatever the password has in it, and wherever parsers think that the host begins."""
    proxy = f"{scheme}user:hush{char}hush@127.0.0.1:1"
    options = TransportOptions(proxies=(("https", proxy),), connect_timeout=1)
    once = SessionOptions(retry=RetryPolicy(attempts=1))
    with Registries(options, once) as registries, pytest.raises(UnreachableError) as caught:
        registries.session("registry.test").request("GET", "/v2/")
    assert "hush" not in str(caught.value)
    assert registries.secrets.hide(f"<hush{char}hush>") == "<***>"


def test_a_transport_is_used_by_many_threads() -> None:
    """Every thread gets its own answer."""
    answers: list[bytes] = []

    def answer(request: Request) -> Reply:
        return Reply(200, (), request.path.encode())

    with serving(answer) as server, short() as transport:

        def work(number: int) -> None:
            for step in range(5):
                url = f"{server.url}/{number}/{step}"
                with send(transport, "GET", url, body=BytesBody(b"x")) as response:
                    answers.append(response.read())

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answers) == sorted(f"/{n}/{s}".encode() for n in range(8) for s in range(5))


def test_a_server_that_talks_without_end_gets_no_more_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is no answer, as TLS has it, may come in as fast as it likes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                ours.send(bytes(65536))  # until there is no more room
        theirs.send(b"x")
        connection = GuardedHTTPConnection("localhost")
        connection.sock, connection.silence = ours, 0.01
        monkeypatch.setattr(connection, "_answered", lambda: False)
        with pytest.raises(TimeoutError):
            connection._await_room()
