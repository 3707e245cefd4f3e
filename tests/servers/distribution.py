"""Distribution 2.8.2 (Debian's ``docker-registry``) in the variants that the tests need."""

import base64
import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.certificates import KeyPair
from tests.servers.process import Server, free_port, listens, require, run, settled
from tests.servers.tokens import ISSUER, SERVICE, TokenServer

V2_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the registry answered: status, headers, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def digest(self) -> str:
        """The digest that the registry states."""
        return self.headers["Docker-Content-Digest"]


@dataclass(frozen=True, slots=True)
class Registry:
    """A running registry; ``host`` is what goes before the first slash of a name."""

    port: int
    server: Server
    storage: Path
    user: tuple[str, str] | None = None

    @property
    def host(self) -> str:
        """Loopback's address and the port."""
        return f"127.0.0.1:{self.port}"

    def ask(self, path: str, *accept: str, method: str = "GET") -> Answer:
        """Send one request of the tests' own, by urllib, past imgpack's client."""
        request = urllib.request.Request(f"http://{self.host}{path}", method=method)
        if accept:
            request.add_header("Accept", ", ".join(accept))
        if self.user is not None:
            pair = base64.b64encode(":".join(self.user).encode()).decode()
            request.add_header("Authorization", f"Basic {pair}")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Answer(refusal.code, dict(refusal.headers), refusal.read())

    def manifest(self, repository: str, tag: str, *accept: str) -> Answer:
        """A manifest; without ``accept`` the v2 and OCI types are asked for."""
        return self.ask(f"/v2/{repository}/manifests/{tag}", *(accept or (V2_MANIFEST,)))

    @property
    def log(self) -> str:
        """Everything that the registry has logged."""
        return settled(self.server.log)


def configuration(
    directory: Path,
    port: int,
    *,
    schema1: bool = False,
    htpasswd: Path | None = None,
    tokens: TokenServer | None = None,
    tls: KeyPair | None = None,
) -> dict[str, Any]:
    """The registry's configuration as a document (JSON is YAML)."""
    http: dict[str, Any] = {"addr": f"127.0.0.1:{port}", "relativeurls": True}
    if tls is not None:
        http["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
    document: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": False}},
        "storage": {
            "filesystem": {"rootdirectory": str(directory / "storage")},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": http,
        "compatibility": {"schema1": {"enabled": schema1}},
    }
    if htpasswd is not None:
        document["auth"] = {"htpasswd": {"realm": "imgpack tests", "path": str(htpasswd)}}
    if tokens is not None:
        document["auth"] = {
            "token": {
                "realm": tokens.realm,
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": str(tokens.bundle),
            }
        }
    return document


@contextlib.contextmanager
def docker_registry(
    directory: Path,
    *,
    schema1: bool = False,
    user: tuple[str, str] | None = None,
    tokens: TokenServer | None = None,
    tls: KeyPair | None = None,
) -> Iterator[Registry]:
    """A registry that keeps everything in ``directory``, with deletion enabled.

    ``user`` (name, password) asks for Basic authentication, ``tokens`` for
    tokens of that server, ``tls`` for HTTPS.
    """
    program = require("docker-registry")
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    htpasswd = None
    if user is not None:
        htpasswd = directory / "htpasswd"
        argv = [require("htpasswd"), "-Bbn", "-C", "5", *user]
        htpasswd.write_bytes(run(argv).stdout)
    document = configuration(
        directory, port, schema1=schema1, htpasswd=htpasswd, tokens=tokens, tls=tls
    )
    settings = directory / "config.yml"
    settings.write_text(json.dumps(document, indent=2))
    argv = [program, "serve", str(settings)]
    with Server(argv, directory / "log", lambda: listens(port)) as server:
        yield Registry(port, server, directory / "storage", user)
