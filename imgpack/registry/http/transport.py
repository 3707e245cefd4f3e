"""HTTP/1.1 with bounds, over urllib3.

RFC 9110 and 9112; the connections are those of ``connection``. Invariants: nothing
is retried, redirected, decompressed or remembered here (no cookies); a request body
goes out with an exact Content-Length, from an iterator that the body can open
again; a TLS failure never becomes plain HTTP. Behind a proxy it is the proxy that
resolves, so a ``reach`` bounds only the spelling of an address.
"""

import base64
import re
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

import urllib3
from urllib3.exceptions import HTTPError

from imgpack import __version__
from imgpack.errors import ImgpackError, UnreachableError, UnsafeError
from imgpack.registry.http.connection import GuardedHTTPPool, GuardedHTTPSPool, connection_error
from imgpack.registry.http.message import BLOCK, Body, Closing, Request, Response
from imgpack.registry.http.no_proxy import is_bypassed
from imgpack.registry.http.tls import TlsOptions, host_certificates, make_context
from imgpack.registry.http.url_policy import Origin, Reach, is_loopback, redact

_MAX_POOLS: Final = 64


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """How to connect. Times in seconds; ``proxies`` are (scheme, URL) pairs.

    ``silence_timeout`` is the longest wait for one read or write to make any
    progress. ``no_proxy`` is the value of ``NO_PROXY``.
    """

    jobs: int = 4
    connect_timeout: float = 30.0
    silence_timeout: float = 60.0
    tls: TlsOptions = field(default_factory=TlsOptions)
    proxies: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    no_proxy: str = ""
    user_agent: str = f"imgpack/{__version__}"


class _SourceFailed(Exception):
    """The body's own source raised; kept apart from the errors of the connection."""


def _pieces(body: Body) -> Generator[bytes]:
    """The body's bytes in blocks, exactly as many as it promised."""
    left = body.size
    source = body.open()
    try:
        for piece in source:
            left -= len(piece)
            if left < 0:
                break
            for start in range(0, len(piece), BLOCK):
                yield piece[start : start + BLOCK]
        if left:
            raise ValueError(f"a body is not {body.size} bytes long")
    except (OSError, ValueError) as error:
        raise _SourceFailed from error
    finally:
        if isinstance(source, Generator):
            source.close()


class Transport(Closing):
    """Connections to any number of hosts; a context manager that closes them.

    To ``send`` after that is a mistake of the program: ``RuntimeError``.
    """

    def __init__(self, options: TransportOptions) -> None:
        self.options = options
        self._managers: dict[tuple[Origin, Reach | None], urllib3.PoolManager] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._proxies = {scheme: url for scheme, url in options.proxies if url}

    def close(self) -> None:
        """Close every idle connection; no other is made."""
        with self._lock:
            self._closed = True
            for manager in self._managers.values():
                _close(manager)
            self._managers.clear()

    def send(self, request: Request) -> Response:
        """Send one request and return its answer, whatever its status.

        Raises ``UnreachableError``, ``TlsError``, ``UnsafeError``, ``RegistryError``
        (an answer that is not HTTP), or whatever the body's source raises.
        """
        pool, target = self._pool(request)
        sent = {"User-Agent": self.options.user_agent, "Accept-Encoding": "identity"}
        sent.update(request.headers)
        pieces = None
        if request.body is not None:
            sent["Content-Length"] = str(request.body.size)
            pieces = _pieces(request.body)
        try:
            raw = pool.urlopen(
                request.method,
                target,
                body=pieces,
                headers=urllib3.HTTPHeaderDict(sent),
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
            )
        except _SourceFailed as error:
            raise error.__cause__ or error from None
        except ImgpackError:
            raise
        except (HTTPError, OSError, ValueError) as error:
            raise connection_error(error, request.url) from error
        finally:
            if pieces is not None:
                pieces.close()
        return Response(raw, request.url, self.options.silence_timeout)

    def knows(self, origin: Origin) -> bool:
        """Whether there are certificates for this very host, so that it is meant to use TLS."""
        found = host_certificates(self.options.tls.certs_directories, origin)
        return bool(found.authorities or found.clients)

    def proxy_of(self, origin: Origin) -> str | None:
        """The proxy that requests to ``origin`` go through; loopback hosts never have one."""
        proxy = self._proxies.get(origin.scheme) or self._proxies.get("all")
        if proxy is None or is_loopback(origin.host):
            return None
        return None if is_bypassed(origin, self.options.no_proxy) else proxy

    def _pool(self, request: Request) -> tuple[urllib3.HTTPConnectionPool, str]:
        origin, reach, parts = request.origin, request.reach, urlsplit(request.url)
        target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        with self._lock:
            if self._closed:
                raise RuntimeError("the connections to registries are closed")
            manager = self._managers.get((origin, reach))
            if manager is None:
                if len(self._managers) >= _MAX_POOLS:
                    _close(self._managers.pop(next(iter(self._managers))))
                manager = self._managers[origin, reach] = self._make_manager(origin)
            pool: Any = manager.connection_from_host(origin.host, origin.port, origin.scheme)
            pool.reach, pool.silence = reach, self.options.silence_timeout
        if manager.proxy is not None and origin.scheme == "http":
            target = urlunsplit((parts.scheme, origin.netloc, parts.path or "/", parts.query, ""))
        return pool, target

    def _make_manager(self, origin: Origin) -> urllib3.PoolManager:
        options: dict[str, Any] = {
            "num_pools": 1,
            "maxsize": self.options.jobs + 2,
            "block": False,
            "blocksize": BLOCK,
            "timeout": urllib3.Timeout(
                connect=self.options.connect_timeout, read=self.options.silence_timeout
            ),
        }
        if origin.scheme == "https":
            options["ssl_context"] = make_context(self.options.tls, origin)
            if not self.options.tls.verify:
                options["cert_reqs"] = "CERT_NONE"
                options["assert_hostname"] = False
        if (proxy := self.proxy_of(origin)) is not None:
            manager: urllib3.PoolManager = _proxy_manager(proxy, options, self.options.tls)
        else:
            manager = urllib3.PoolManager(**options)
        manager.pool_classes_by_scheme = {"http": GuardedHTTPPool, "https": GuardedHTTPSPool}
        return manager


def _close(manager: urllib3.PoolManager) -> None:
    """Close the idle connections now; urllib3's ``clear`` leaves that to the garbage collector."""
    for key in manager.pools.keys():  # noqa: SIM118 - iterating the container itself is refused
        pool = manager.pools.get(key)
        if pool is not None:
            pool.close()
    manager.clear()


def proxy_secrets(proxy: str) -> tuple[str, str]:
    """The password in a proxy's URL, whether or not that can be parsed."""
    user = proxy.rpartition("@")[0]
    password = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://", "", user).partition(":")[2]
    return password, unquote(password)


def _proxy_manager(proxy: str, options: dict[str, Any], tls: TlsOptions) -> urllib3.ProxyManager:
    """Raises ``UnreachableError`` for what is no address of a proxy, or one of another kind."""
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    refused = UnreachableError(
        "the proxy cannot be used",  # its URL may be a password as long as it cannot be parsed
        "check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY: http://HOST:PORT or https://HOST:PORT",
    )
    try:
        parts = urlsplit(proxy)
        usable = parts.hostname and parts.port != 0
        origin = Origin.of(f"http://{parts.netloc.rpartition('@')[2]}")
    except (ValueError, UnsafeError):
        raise refused from None
    if not usable:
        raise refused
    if parts.scheme not in ("http", "https"):
        raise refused.reworded(
            f"the proxy {redact(f'{parts.scheme}://{origin.netloc}')} cannot be used",
            "only http:// and https:// proxies are supported; check HTTP_PROXY and HTTPS_PROXY",
        )
    user, at, host = parts.netloc.rpartition("@")
    headers = {}
    if at:
        token = base64.b64encode(unquote(user).encode()).decode()
        headers["Proxy-Authorization"] = f"Basic {token}"
    if parts.scheme == "https":
        options["proxy_ssl_context"] = make_context(tls, Origin.of(f"https://{host}"))
    return urllib3.ProxyManager(f"{parts.scheme}://{host}", proxy_headers=headers, **options)
