"""Small servers on loopback that answer as a test says and remember what they were sent."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from imgpack.errors import Hint
from imgpack.registry.http import message
from imgpack.registry.http.message import Body, Handler, Response
from imgpack.registry.http.url_policy import Reach
from tests.servers.certificates import KeyPair


def send(
    transport: Handler, method: str, url: str, body: Body | None = None, reach: Reach | None = None
) -> Response:
    """The answer to a request without headers of its own."""
    return transport.send(message.Request(method, url, body=body, reach=reach))


@dataclass
class Request:
    """What a server was sent."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        """The target without its query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        """The parsed query."""
        return parse_qs(urlsplit(self.target).query)

    @property
    def form(self) -> dict[str, list[str]]:
        """The parsed form body."""
        return parse_qs(self.body.decode())

    @property
    def authorization(self) -> str | None:
        """The credentials that came along."""
        return self.headers.get("authorization")


@dataclass
class Reply:
    """What a server answers; ``headers`` may name one twice."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def error(status: int, code: str, message: str = "refused", *headers: tuple[str, str]) -> Reply:
    """An answer with the distribution specification's errors document."""
    document = {"errors": [{"code": code, "message": message}]}
    return Reply(
        status,
        (("Content-Type", "application/json"), *headers),
        json.dumps(document).encode(),
    )


def token(value: str, **fields: Any) -> Reply:
    """A token server's answer."""
    return Reply(200, (), json.dumps({"token": value, **fields}).encode())


Answer = Callable[[Request], Reply]


@dataclass
class Loopback:
    """One running server: ``answer`` may be replaced; ``seen`` is in order."""

    answer: Answer
    scheme: str = "http"
    seen: list[Request] = field(default_factory=list)
    port: int = 0
    address: str = "127.0.0.1"

    @property
    def host(self) -> str:
        """``host:port``."""
        return f"{self.address}:{self.port}"

    @property
    def url(self) -> str:
        """The origin."""
        return f"{self.scheme}://{self.host}"

    def targets(self) -> list[str]:
        """``METHOD path`` of what was seen."""
        return [f"{request.method} {request.path}" for request in self.seen]


@contextlib.contextmanager
def serving(
    answer: Answer,
    *,
    pair: KeyPair | None = None,
    client_authority: str | None = None,
    address: str = "127.0.0.1",
) -> Iterator[Loopback]:
    """Run a server for the time of a test, with TLS if there is a key pair."""
    state = Loopback(answer, "https" if pair else "http", address=address)
    server = ThreadingHTTPServer((address, 0), _handler(state))
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        if client_authority is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_authority)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(state: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def handle(self) -> None:
            with contextlib.suppress(OSError):
                super().handle()

        def serve(self) -> None:
            length = int(self.headers.get("content-length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, self.rfile.read(length))
            state.seen.append(request)
            reply = state.answer(request)
            self.send_response(reply.status)
            for name, value in reply.headers:
                self.send_header(name, value)
            if not any(name.lower() == "content-length" for name, _ in reply.headers):
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = serve

    return Handler


@contextlib.contextmanager
def raw_serving(*scripts: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server of bare sockets: one script a connection, the last for all further ones."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)
    stop = threading.Event()
    workers: list[threading.Thread] = []

    def run(script: Callable[[socket.socket], None], connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            script(connection)

    def accept() -> None:
        number = 0
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            if stop.is_set():
                connection.close()
                return
            script = scripts[min(number, len(scripts) - 1)]
            worker = threading.Thread(target=run, args=(script, connection))
            worker.start()
            workers.append(worker)
            number += 1

    thread = threading.Thread(target=accept)
    thread.start()
    port = listener.getsockname()[1]
    try:
        yield port
    finally:
        stop.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
        thread.join()
        listener.close()
        for worker in workers:
            worker.join()


def head(connection: socket.socket) -> bytes:
    """Read a request's head, up to the empty line."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            break
        data += piece
    return data


def reset(connection: socket.socket) -> None:
    """End a connection with RST."""
    import struct

    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@dataclass
class Notes:
    """A reporter that keeps what it is told."""

    warnings: list[str] = field(default_factory=list)
    hints: list[Hint] = field(default_factory=list)
    details: list[str] = field(default_factory=list)

    def begin(self, label: str, total: int | None) -> Any:
        """No progress is expected here."""
        raise AssertionError

    def warn(self, message: str, hint: Hint = "") -> None:
        """Keep a warning, and what to do about it."""
        self.warnings.append(message)
        self.hints.append(hint)

    def detail(self, message: str) -> None:
        """Keep a detail."""
        self.details.append(message)

    @property
    def everything(self) -> str:
        """All of it in one text."""
        return "\n".join([*self.warnings, *self.details])


@dataclass
class Clock:
    """Time that passes when somebody sleeps."""

    time: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        """The time in seconds."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.time += seconds
