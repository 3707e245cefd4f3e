"""A token server for a registry with token authentication, written for the tests.

It speaks both forms: ``GET`` with Basic credentials and ``POST`` as OAuth2
(password and refresh token grants). Tokens are JWTs signed with ES256, their
key named by libtrust's rule. Every request is kept, so that a test can say
which scopes were asked for, and how often.
"""

import base64
import hashlib
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.servers.certificates import Authority

SERVICE = "imgpack-tests"
ISSUER = "imgpack-tests"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One request that the token server was sent."""

    method: str
    parameters: dict[str, list[str]]
    user: str | None

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes asked for, whether in one parameter or in several."""
        return tuple(" ".join(self.parameters.get("scope", [])).split())


@dataclass(slots=True)
class Accounts:
    """Who may do what: passwords, actions, and the refresh tokens given out."""

    passwords: dict[str, str] = field(default_factory=lambda: {"alice": "correct horse"})
    anonymous: frozenset[str] = frozenset({"pull"})
    lifetime: int = 300
    oauth2: bool = True
    refresh: dict[str, str] = field(default_factory=dict)

    def allowed(self, user: str | None) -> frozenset[str]:
        """The actions of a user; ``None`` is nobody in particular."""
        return frozenset({"pull", "push", "delete", "*"}) if user else self.anonymous


class TokenServer:
    """A token server on loopback, a context manager. ``authority`` signs its certificate."""

    def __init__(self, directory: Path) -> None:
        pair = Authority(directory).issue("tokens")
        # The registry trusts exactly the keys of this bundle.
        self.bundle = pair.certificate
        key = load_pem_private_key(pair.key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        self.accounts = Accounts()
        self.requests: list[TokenRequest] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def realm(self) -> str:
        """The URL that the registry names in its challenge."""
        return f"http://127.0.0.1:{self._server.server_port}/token"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def token(self, user: str | None, scopes: tuple[str, ...]) -> str:
        """A signed token for as much of the scopes as the user may have."""
        access = []
        for scope in scopes:
            kind, rest = scope.split(":", 1)
            name, actions = rest.rsplit(":", 1)
            granted = [act for act in actions.split(",") if act in self.accounts.allowed(user)]
            access.append({"type": kind, "name": name, "actions": granted})
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": user or "",
            "aud": SERVICE,
            "exp": now + self.accounts.lifetime,
            "nbf": now - 60,
            "iat": now,
            "jti": secrets.token_hex(8),
            "access": access,
        }
        return self._sign(claims)

    def _sign(self, claims: dict[str, Any]) -> str:
        header = {"typ": "JWT", "alg": "ES256", "kid": self._key_id()}
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        pair = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64url(b''.join(part.to_bytes(32, 'big') for part in pair))}"

    def _key_id(self) -> str:
        der = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
        return ":".join(text[at : at + 4] for at in range(0, len(text), 4))

    def answer(self, request: TokenRequest, password: str | None) -> tuple[int, dict[str, Any]]:
        """The status and the document for one request."""
        self.requests.append(request)
        accounts, user = self.accounts, request.user
        refresh = request.parameters.get("refresh_token", [""])[0]
        if request.method == "POST" and not accounts.oauth2:
            return 404, {"errors": [{"code": "UNSUPPORTED", "message": "no OAuth2 here"}]}
        if refresh:
            user = accounts.refresh.get(refresh)
        if (refresh and user is None) or (
            user is not None and not refresh and accounts.passwords.get(user) != password
        ):
            return 401, {"errors": [{"code": "UNAUTHORIZED", "message": "authentication failed"}]}
        token = self.token(user, request.scopes)
        document: dict[str, Any] = {"expires_in": accounts.lifetime}
        document |= {"access_token": token} if request.method == "POST" else {"token": token}
        wanted = request.parameters
        if user and ("offline_token" in wanted or wanted.get("access_type") == ["offline"]):
            document["refresh_token"] = secrets.token_urlsafe(16)
            accounts.refresh[document["refresh_token"]] = user
        return 200, document


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _handler(tokens: TokenServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            user = password = None
            scheme, _, given = self.headers.get("Authorization", "").partition(" ")
            if scheme.lower() == "basic":
                user, _, password = base64.b64decode(given).decode().partition(":")
            parameters = parse_qs(urlsplit(self.path).query)
            self._reply(TokenRequest("GET", parameters, user), password)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            parameters = parse_qs(body.decode())
            user = parameters.get("username", [None])[0]
            password = parameters.get("password", [None])[0]
            self._reply(TokenRequest("POST", parameters, user), password)

        def _reply(self, request: TokenRequest, password: str | None) -> None:
            status, document = tokens.answer(request, password)
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    return Handler
