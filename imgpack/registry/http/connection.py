"""Connections that look where they go and listen while they send (RFC 9112, 7.1 and 9.5).

Invariants: with a ``reach`` no byte goes to an address that is further inside, whatever a
name resolved to before; an answer that
arrives while a body is being sent stops the sending; a connection whose request
was cut short is not used again; the silence time-out holds for sending too.
"""

import contextlib
import functools
import http.client
import ipaddress
import select
import socket
import ssl
import time
from typing import Any, Final

from urllib3 import exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from imgpack.errors import (
    ImgpackError,
    RegistryError,
    Remedy,
    TlsError,
    UnreachableError,
    UnsafeError,
)
from imgpack.registry.http.incoming import IncomingAnswer
from imgpack.registry.http.url_policy import Origin, Reach, clean, reach_of_address, redact

PLAIN_SLICE: Final = 256 << 10
TLS_SLICE: Final = 64 << 10


def _check(host: str, text: str, reach: Reach) -> None:
    """Refuse ``host`` if its address lies further inside than ``reach``."""
    if reach_of_address(ipaddress.ip_address(text.partition("%")[0])) > reach:
        raise UnsafeError(
            f"{host}: the registry sent us there, and it is the private or local address {text}",
            "nothing was sent to it",
        )


class _Guarded:
    """What both kinds of connection add to urllib3's."""

    reach: Reach | None = None
    silence: float = 60.0
    sock: Any
    timeout: Any
    response_class: Any = IncomingAnswer
    _sending: bool = False
    _cut: bool = False

    def _new_conn(self) -> socket.socket:
        this: Any = self
        host, reach = this._dns_host, self.reach if this.proxy is None else None
        if reach is not None:
            # A name that does not resolve fails below, with urllib3's own error.
            with contextlib.suppress(OSError, UnicodeError):
                for info in socket.getaddrinfo(host, this.port, type=socket.SOCK_STREAM):
                    _check(host, str(info[4][0]), reach)
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]
        if reach is not None:
            try:
                # The name may resolve differently each time; this is where it led.
                _check(host, str(sock.getpeername()[0]), reach)
            except BaseException:
                sock.close()
                raise
        return sock

    def connect(self) -> None:
        self._cut = False
        self.response_class = IncomingAnswer
        super().connect()  # type: ignore[misc]
        self.sock.settimeout(self.silence)

    def request(self, method: str, url: str, *args: Any, **options: Any) -> None:
        if self.sock is not None:
            self.timeout = self.silence
        self._sending = options.get("body") is not None
        try:
            super().request(method, url, *args, **options)  # type: ignore[misc]
        except OSError:
            self._cut = True
            raise
        finally:
            self._sending = False

    def send(self, data: Any) -> None:
        if not self._sending or self.sock is None:
            super().send(data)  # type: ignore[misc]
            return
        # Small enough that a slice fits where there is room, so that no send blocks for long
        # while an answer waits: after a reset, TLS can no longer read what came before it.
        step = TLS_SLICE if isinstance(self.sock, ssl.SSLSocket) else PLAIN_SLICE
        view = memoryview(data)
        for start in range(0, len(view), step):
            self._await_room()
            try:
                # One slice has the silence time-out in all, so this cannot crawl either.
                super().send(view[start : start + step])  # type: ignore[misc]
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError):
                # TLS's word for a broken pipe; there may be an answer all the same.
                self._cut = True
                raise BrokenPipeError from None

    def _await_room(self) -> None:
        """Wait until something can be sent; raises ``BrokenPipeError`` when an answer came."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN | select.POLLOUT)
        deadline = time.monotonic() + self.silence
        while True:
            # TLS messages that are no answer come in as well, and bring nobody more time.
            found = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            if not found:
                raise TimeoutError("timed out")
            events = found[0][1]
            if events & select.POLLIN and self._answered():
                self._cut = True
                # urllib3 takes this as the server's word that it has answered.
                raise BrokenPipeError
            if events & ~select.POLLIN:
                return
            if time.monotonic() >= deadline:  # poll() finds what comes in without an end
                raise TimeoutError("timed out")

    def _answered(self) -> bool:
        """Whether an answer waits. TLS has messages of its own, so there some of it is read."""
        sock = self.sock
        if not isinstance(sock, ssl.SSLSocket):
            return self._readable()
        if not sock.pending() and not self._readable():
            return False
        sock.settimeout(0)
        try:
            early = sock.recv(16384)
        except ssl.SSLWantReadError:
            return False
        finally:
            sock.settimeout(self.silence)
        self.response_class = functools.partial(IncomingAnswer, early=early)
        return True

    def _readable(self) -> bool:
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(0))

    @property
    def is_connected(self) -> bool:
        connected: bool = super().is_connected  # type: ignore[misc]
        return connected and not self._cut


class GuardedHTTPConnection(_Guarded, HTTPConnection):
    """A plain connection."""


class GuardedHTTPSConnection(_Guarded, HTTPSConnection):
    """A TLS connection."""


class _Pool:
    reach: Reach | None = None
    silence: float = 60.0

    def _new_conn(self) -> Any:
        connection: Any = super()._new_conn()  # type: ignore[misc]
        connection.reach, connection.silence = self.reach, self.silence
        return connection


class GuardedHTTPPool(_Pool, HTTPConnectionPool):
    """Plain connections."""

    ConnectionCls = GuardedHTTPConnection


class GuardedHTTPSPool(_Pool, HTTPSConnectionPool):
    """TLS connections."""

    ConnectionCls = GuardedHTTPSConnection

    def _validate_conn(self, conn: Any) -> None:
        """Connect. urllib3 would also warn when certificates are not verified; we do that once."""
        if conn.is_closed:
            conn.connect()


PROXY_CREDENTIALS: Final = (
    "the proxy wants credentials: HTTPS_PROXY (or HTTP_PROXY) is http://USER:PASSWORD@HOST:PORT"
)
_TLS_ALERT: Final = "\x15\x03"
_EXPIRED: Final = frozenset({9, 10})
"""OpenSSL's codes for a certificate that is not valid yet, and for one no longer valid."""
_MISNAMED: Final = frozenset({62, 64})
_PLAIN_ANSWERS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH")


def connection_error(error: Exception, url: str) -> ImgpackError:
    """The imgpack error for what urllib3 or a socket raised while talking to ``url``."""
    origin, shown = Origin.of(url), redact(url)
    cause = _root(error)
    lost = isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError)
    if isinstance(cause, ssl.SSLError | ssl.CertificateError) and not lost:
        return _tls_error(cause, origin)
    if isinstance(error, exceptions.ProxyError):
        said = clean(str(cause), 200)
        return UnreachableError(
            f"{origin}: the proxy does not let us through ({said})",
            PROXY_CREDENTIALS if " 407" in said else "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
        )
    if isinstance(cause, http.client.BadStatusLine) and str(cause).startswith(_TLS_ALERT):
        return RegistryError(f"{shown}: the server speaks TLS only", Remedy.USE_HTTPS())
    if isinstance(error, exceptions.ConnectTimeoutError):
        return UnreachableError(*_unconnected(error, cause, origin), unconnected=str(origin))
    if isinstance(error, exceptions.TimeoutError) or isinstance(cause, TimeoutError):
        return UnreachableError(f"{shown}: the registry fell silent", Remedy.LONGER_TIMEOUT())
    if isinstance(cause, http.client.HTTPException) and not isinstance(
        cause, http.client.IncompleteRead | http.client.RemoteDisconnected
    ):
        return UnreachableError(
            f"{shown}: the answer is not proper HTTP ({_loss(cause)})",
            "it may be no registry: check the name and the port",
        )
    if lost or isinstance(error, exceptions.IncompleteRead | exceptions.ProtocolError | OSError):
        return UnreachableError(f"{shown}: the connection was lost ({_loss(cause)})", "try again")
    # The text of a ValueError may quote a header, and with it a secret.
    what = type(cause).__name__ if isinstance(cause, ValueError) else clean(str(cause), 200)
    return RegistryError(f"{shown}: the answer is not proper HTTP ({what})")


def _unconnected(error: Exception, cause: BaseException, origin: Origin) -> tuple[str, str]:
    if isinstance(error, exceptions.NameResolutionError):
        return f"{origin.host}: the name does not resolve", "check its spelling"
    if isinstance(error, exceptions.NewConnectionError):
        reason = (cause.strerror if isinstance(cause, OSError) else None) or type(cause).__name__
        return f"{origin}: cannot connect ({reason})", "check the name, the port and the network"
    return f"{origin}: no connection in time", "check the name and the network"


def _root(error: BaseException) -> BaseException:
    """The innermost error: urllib3 wraps them as arguments, ``reason`` and causes."""
    for _ in range(8):
        inner = getattr(error, "reason", None) or error.__cause__
        if not isinstance(inner, BaseException):
            inner = next((a for a in error.args if isinstance(a, BaseException)), None)
        if inner is None or isinstance(error, ssl.SSLError):
            return error
        error = inner
    return error


def _loss(cause: BaseException) -> str:
    if isinstance(cause, exceptions.IncompleteRead):
        return "the answer is shorter than promised"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return clean(str(cause), 100) or type(cause).__name__


def _tls_error(cause: ssl.SSLError | ssl.CertificateError, origin: Origin) -> TlsError:
    reason = getattr(cause, "reason", None) or ""
    if any(word in reason for word in _PLAIN_ANSWERS):
        return TlsError(f"{origin}: the server does not speak TLS", Remedy.USE_HTTP())
    if isinstance(cause, ssl.SSLCertVerificationError):
        said = clean(cause.verify_message, 200)
        if cause.verify_code in _EXPIRED:
            return TlsError(
                f"{origin}: the certificate is not valid now ({said})",
                "the server needs a new one, or this machine's clock is wrong",
            )
        if cause.verify_code in _MISNAMED:
            return TlsError(
                f"{origin}: the certificate is for another name ({said})",
                "use the name that it is for",
            )
        return TlsError(
            f"{origin}: the certificate is not trusted ({said})", Remedy.TRUST_AUTHORITY()
        )
    return TlsError(f"{origin}: TLS failed ({clean(reason or str(cause), 200)})")
