"""What a registry may make imgpack do: where it may send requests, and what may be shown.

A registry is not trusted: its realms, upload locations, redirects, foreign-layer
URLs and pagination links are input. Invariants: credentials go to one origin
(scheme, host and port) only; no loopback, private, link-local or metadata
address is reached because a registry said so, in whatever spelling, unless it
is the registry's own host; nothing is downgraded from https to http; no control
character gets into a message (nor a secret: see ``redaction``, which also cuts
what is too long to be shown).

A name is judged by its spelling here and by the address it resolves to when the
connection is made (``Reach``, see ``transport``).
"""

import enum
import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from imgpack.errors import UnsafeError

MAX_URL: Final = 16384
"""Characters of a URL that a registry may send; pre-signed ones have a few thousand."""

_PORTS: Final = {"http": 80, "https": 443}
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")
_HARMLESS: Final = frozenset({"digest", "from", "mount", "n", "tag", "service", "scope", "account"})
_CLOUD_METADATA: Final = frozenset(
    map(
        ipaddress.ip_address,
        (
            "168.63.129.16",  # Azure
            "100.100.100.200",  # Alibaba
            "192.0.0.192",  # Oracle
            "fd00:ec2::254",  # Amazon
            "fd20:ce::254",  # Google
        ),
    )
)
# Not everywhere known as private to the ipaddress module: the protocols' own, site-local, NAT64.
_INSIDE: Final = tuple(
    map(ipaddress.ip_network, ("192.0.0.0/24", "fec0::/10", "64:ff9b:1::/48", "192.88.99.0/24"))
)
_METADATA_NAMES: Final = frozenset({"metadata", "metadata.google.internal", "instance-data"})
_MALFORMED = re.compile(r"[\x00-\x20\x7f\\]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Reach(enum.IntEnum):
    """How far inside an address is; a registry may only send us as far in as it is itself."""

    PUBLIC = 0
    PRIVATE = 1
    LOOPBACK = 2
    FORBIDDEN = 3


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Scheme, host (lower case, IPv6 without brackets) and port of a URL."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Origin":
        """The origin of an absolute http or https URL. Raises ``UnsafeError``."""
        parts = _split(url)
        return cls(parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme])

    @property
    def netloc(self) -> str:
        """``host`` or ``host:port``, as it stands in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"


def _split(url: str) -> SplitResult:
    """Split a URL that every parser reads in the same way, or refuse it."""
    if len(url) > MAX_URL or not url.isascii() or _MALFORMED.search(url):
        raise UnsafeError(f"a malformed URL was refused: {redact(url)}")
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
        if ":" in host:
            ipaddress.IPv6Address(host)
    except ValueError:
        raise UnsafeError(f"a malformed URL was refused: {redact(url)}") from None
    if parts.scheme not in _PORTS:
        raise UnsafeError(f"only http and https URLs are followed, not {redact(url)}")
    if port == 0 or "%" in parts.netloc or not (":" in host or _NAME.fullmatch(host.rstrip("."))):
        raise UnsafeError(f"a URL without a usable host was refused: {redact(url)}")
    return parts._replace(netloc=_netloc(parts))


def _netloc(parts: SplitResult) -> str:
    """Host and port in one spelling (no trailing dot); user information stays for the checks."""
    user = parts.netloc.rpartition("@")[0]
    host = (parts.hostname or "").rstrip(".")
    host = f"[{host}]" if ":" in host else host
    return (f"{user}@" if user else "") + host + (f":{parts.port}" if parts.port else "")


def literal_address(host: str) -> Address | None:
    """The address that ``host`` spells, in any form that a C library reads, or ``None``.

    ``127.1``, ``2130706433``, ``0x7f.0.0.1`` and ``0177.0.0.1`` are all 127.0.0.1.
    """
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host.rstrip(".")))
    except (OSError, UnicodeError):
        return None


def reach_of_address(address: Address) -> Reach:
    """How far inside an address is; IPv4 inside IPv6 (mapped, 6to4, NAT64) counts as IPv4."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in ipaddress.ip_network("64:ff9b::/96") or int(address) >> 32 == 0:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None and address != ipaddress.IPv6Address("::1"):
            return reach_of_address(inner)
    if address.is_loopback or address.is_unspecified:
        return Reach.LOOPBACK
    if address.is_link_local or address.is_multicast or address in _CLOUD_METADATA:
        return Reach.FORBIDDEN
    if address.is_reserved:
        return Reach.FORBIDDEN
    inside = not address.is_global or any(address in network for network in _INSIDE)
    return Reach.PRIVATE if inside else Reach.PUBLIC


def reach_of_name(host: str) -> Reach | None:
    """The reach that a host's spelling alone tells; ``None`` for a name to be resolved."""
    address = literal_address(host)
    if address is not None:
        return reach_of_address(address)
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return Reach.LOOPBACK
    return Reach.FORBIDDEN if name in _METADATA_NAMES else None


def reach_of_host(host: str) -> Reach:
    """The reach of the furthest inside address that ``host`` resolves to; public if it has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return Reach.PUBLIC
    return max(
        reach_of_address(ipaddress.ip_address(str(info[4][0]).partition("%")[0])) for info in found
    )


def is_loopback(host: str) -> bool:
    """Whether ``host`` is ``localhost``, a name under it, or a loopback address."""
    address = literal_address(host)
    return reach_of_name(host) is Reach.LOOPBACK and not (address and address.is_unspecified)


def _check_target(url: str, what: str, registry: Origin, *, secure: bool) -> Origin:
    parts, target = _split(url), Origin.of(url)
    shown = redact(url)
    if "@" in parts.netloc:
        raise UnsafeError(f"{what} {shown} of {registry.netloc} has a user name in it")
    if target.host == registry.host:
        if target.scheme == "http" and secure:
            raise UnsafeError(f"{what} {shown} of {registry} leaves https")
        return target
    if target.scheme != "https" and secure:
        raise UnsafeError(f"{what} {shown} of {registry} is not https")
    reach = reach_of_name(target.host)
    by_name = literal_address(target.host) is None and reach is not Reach.FORBIDDEN
    if reach and not (by_name and reach_of_name(registry.host) is Reach.LOOPBACK):
        raise UnsafeError(
            f"{what} {shown} of {registry.netloc} leads to a private or local address",
            "if you trust it, use a registry whose answers stay on its own host",
        )
    return target


def check_realm(realm: str, registry: Origin) -> Origin:
    """Check the token server that a challenge of ``registry`` names; return its origin.

    https only, unless the registry itself is http; no user information; no
    private address but the registry's own host. Raises ``UnsafeError``.
    """
    return _check_target(realm, "the token realm", registry, secure=registry.scheme == "https")


def check_location(
    location: str, request_url: str, registry: Origin, what: str = "the upload location"
) -> str:
    """Resolve and check a ``Location``, of an upload or a redirect; return an absolute URL.

    Relative ones are joined to ``request_url``. ``http`` on the registry's own
    host becomes the registry's https (a TLS proxy that its registry does not
    know). Another origin must be https and not private; the session sends it no
    credentials. Raises ``UnsafeError``.
    """
    if _MALFORMED.search(location) or not (location and location.isascii()):
        raise UnsafeError(f"{what} of {registry.netloc} is malformed: {redact(location)!r}")
    try:
        url = urljoin(request_url, location)
    except ValueError:
        raise UnsafeError(f"{what} of {registry.netloc} is malformed") from None
    parts = _split(url)
    target = Origin.of(url)
    if (target.scheme, registry.scheme) == ("http", "https") and target.host == registry.host:
        port = registry.port if target.port in (80, registry.port) else target.port
        parts = parts._replace(scheme="https", netloc=Origin("https", target.host, port).netloc)
    url = urlunsplit(parts._replace(fragment=""))
    downgrade = urlsplit(request_url).scheme == "https" or registry.scheme == "https"
    _check_target(url, what, registry, secure=downgrade)
    return url


def check_link(link: str, request_url: str) -> str:
    """The next page of a listing: only path and query are kept, on the registry's own origin.

    Raises ``UnsafeError`` for anything that does not lead under ``/v2/``.
    """
    malformed = UnsafeError(f"a malformed page link was refused: {redact(link)!r}")
    if _MALFORMED.search(link) or not link.isascii() or len(link) > MAX_URL:
        raise malformed
    try:
        parts = urlsplit(urljoin(request_url, link))
    except ValueError:
        raise malformed from None
    if not parts.path.startswith("/v2/") or "/../" in parts.path:
        raise UnsafeError(f"a page link leads out of the registry's API: {redact(link)!r}")
    return parts.path + (f"?{parts.query}" if parts.query else "")


def redact(url: str) -> str:
    """``url`` without user information and with the values of its query hidden.

    Harmless keys (digest, from, mount, n, ...) keep their value; the fragment goes.
    """
    shown = clean(url, MAX_URL)
    head, question, rest = shown.partition("?")
    head = re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*:)?//[^/?#]*@", r"\1//", head.partition("#")[0])
    if not question:
        return head
    pieces = (piece.partition("=") for piece in rest.partition("#")[0].split("&"))
    shown = "&".join(
        f"{key}={value if key.lower() in _HARMLESS else '***'}" if equals else "***"
        for key, equals, value in pieces
    )
    return f"{head}?{shown}"


def clean(text: str, limit: int = 500) -> str:
    """``text`` on one line, without control or direction characters, at most ``limit`` long."""
    line = " ".join(_CONTROL.sub(" ", text[: limit * 4]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
