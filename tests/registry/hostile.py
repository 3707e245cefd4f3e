"""A registry for tests, on loopback and in memory: correct by default, hostile on demand.

It follows the OCI distribution-spec (blobs, uploads, mounts, ranges, tags with
pages, deletion) and, where asked, the habits of one real registry or another
(``../../docs/registry.md`` names them). Faults are actions of
``tests.registry.faults`` that take over an exchange. Every request is recorded.
"""

import base64
import hashlib
import json
import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from tests.registry.exchange import Action, Exchange, Recorded


@dataclass
class Fault:
    """``action`` for the requests that match, ``times`` times (``None``: always)."""

    method: str
    pattern: re.Pattern[str]
    action: Action
    times: int | None
    skip: int = 0

    def takes(self, request: Recorded) -> bool:
        """Whether this fault has something to do with ``request``."""
        if request.method not in self.method.split("|") or not self.pattern.search(request.target):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is None:
            return True
        self.times -= 1
        return self.times >= 0


@dataclass
class Repository:
    """What one repository holds."""

    blobs: set[str] = field(default_factory=set)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Upload:
    """One upload session."""

    repository: str
    data: bytearray = field(default_factory=bytearray)
    patches: int = 0


@dataclass
class Habits:
    """How this registry behaves; the defaults are those of a correct one."""

    strict_state: bool = False  # Distribution 2.8: a stale _state ends the session with 404
    keep_sessions: bool = True  # False: a broken upload is forgotten
    monolithic: bool = True  # False: PUT with a body is 404 BLOB_UNKNOWN (Artifactory)
    streamed: bool = True  # False: PATCH without Content-Range is refused
    body_limit: int | None = None  # bytes of one request's body; above: 413 in HTML, early
    patch_limit: int | None = None  # bytes of one PATCH; above: 416 (GHCR)
    min_chunk: int | None = None  # OCI-Chunk-Min-Length
    one_patch: bool = False  # ECR: the body of every PATCH after the first is dropped, 201
    mounts: bool = True
    deletes: bool = True
    cancels: bool = True
    ranges: bool = True
    head: bool = True  # False: HEAD is 405
    schema1: bool = True
    page: int = 100
    absolute: bool = False  # Location with scheme and host
    location: Callable[[str], str] | None = None
    auth: str = ""  # "", "basic" or "bearer"
    denied: frozenset[str] = frozenset()  # repositories that no token opens
    username: str = "user"
    password: str = "secret"


class HostileRegistry:
    """The server; a context manager. ``host`` is what goes before the repository."""

    def __init__(self, **habits: object) -> None:
        self.habits = Habits(**habits)  # type: ignore[arg-type]
        self.repositories: dict[str, Repository] = {}
        self.content: dict[str, bytes] = {}
        self.uploads: dict[str, Upload] = {}
        self.tokens: dict[str, set[tuple[str, str]]] = {}
        self.requests: list[Recorded] = []
        self.faults: list[Fault] = []
        self.lock = threading.RLock()
        registry = self

        class Handler(Exchange):
            pass

        Handler.registry = registry
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def misbehave(
        self, method: str, pattern: str, action: Action, *, times: int | None = 1, skip: int = 0
    ) -> None:
        """Let ``action`` take over requests of ``method`` (``A|B``) whose target matches."""
        self.faults.append(Fault(method, re.compile(pattern), action, times, skip))

    def repository(self, name: str) -> Repository:
        """The repository ``name``, made when it is new."""
        return self.repositories.setdefault(name, Repository())

    def add_blob(self, repository: str, data: bytes) -> str:
        """Put a blob there behind the protocol's back; its digest."""
        digest = digest_of(data)
        self.content[digest] = data
        self.repository(repository).blobs.add(digest)
        return digest

    def add_manifest(self, repository: str, data: bytes, media_type: str, tag: str = "") -> str:
        """Put a manifest there behind the protocol's back; its digest."""
        digest = digest_of(data)
        self.repository(repository).manifests[digest] = (media_type, data)
        if tag:
            self.repository(repository).tags[tag] = digest
        return digest

    def incomplete(self) -> list[str]:
        """Every tag that points at an image of which something is missing."""
        return [
            f"{name}:{tag}"
            for name, repository in self.repositories.items()
            for tag, digest in repository.tags.items()
            if self._missing(repository, digest)
        ]

    def _missing(self, repository: Repository, digest: str) -> bool:
        if digest not in repository.manifests:
            return True
        _, raw = repository.manifests[digest]
        return any(self.unknown(repository, raw))

    def unknown(self, repository: Repository, raw: bytes) -> list[str]:
        """The digests that the document ``raw`` names and ``repository`` does not hold."""
        document = json.loads(raw)
        blobs = [layer["digest"] for layer in document.get("layers", ()) if not layer.get("urls")]
        blobs += [layer["blobSum"] for layer in document.get("fsLayers", ())]
        blobs += [document["config"]["digest"]] if "config" in document else []
        lost = [blob for blob in blobs if blob not in repository.blobs]
        children = [entry["digest"] for entry in document.get("manifests", ())]
        return lost + [child for child in children if self._missing(repository, child)]

    def sent(self, method: str, pattern: str = "") -> list[Recorded]:
        """The recorded requests of ``method`` whose target matches ``pattern``."""
        return [r for r in self.requests if r.method == method and re.search(pattern, r.target)]

    # Authorisation

    def grant(self, query: dict[str, list[str]]) -> str:
        """A new token for the scopes that are asked for and not denied."""
        granted: set[tuple[str, str]] = set()
        for scope in " ".join(query.get("scope", [])).split():
            _, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            if name not in self.habits.denied:
                granted |= {(name, action) for action in actions.split(",")}
        token = f"token-{uuid.uuid4().hex}"
        self.tokens[token] = granted
        return token

    def allows(self, request: Recorded) -> bool:
        """Whether the request carries what this registry wants."""
        given = request.headers.get("authorization", "")
        if self.habits.auth == "basic":
            return given == basic(self.habits.username, self.habits.password)
        granted = self.tokens.get(given.removeprefix("Bearer "))
        return granted is not None and self.needs(request) <= granted

    def needs(self, request: Recorded) -> set[tuple[str, str]]:
        """The scopes that Distribution wants for ``request``."""
        found = re.match(r"/v2/(.+)/(?:blobs|manifests|tags)/", request.path)
        if not found:
            return set()
        writes = request.method in ("POST", "PUT", "PATCH")
        needed = {(found[1], "push" if writes else "pull")}
        if request.method == "DELETE":
            needed = {(found[1], "delete")}
        if "from" in request.query:
            needed.add((request.query["from"][0], "pull"))
        return needed


def digest_of(data: bytes) -> str:
    """The sha256 digest of ``data`` as text."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def basic(username: str, password: str) -> str:
    """The value of an ``Authorization`` header."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def split_target(target: str) -> tuple[str, dict[str, list[str]]]:
    """The path and the query of a request target."""
    parts = urlsplit(target)
    return parts.path, parse_qs(parts.query, keep_blank_values=True)
