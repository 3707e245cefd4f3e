"""Access to real registries: Basic, tokens, TLS, and credential files shared with skopeo."""

import hashlib
import json
from pathlib import Path

import pytest

from imgpack.api import Registries, SessionOptions, TlsOptions, TransportOptions
from imgpack.credentials.lookup import Credential, CredentialStore, Given
from imgpack.errors import RegistryError, TlsError, UnauthorizedError
from imgpack.registry.http.message import BytesBody, Scope
from imgpack.registry.session import Session
from tests.cli_runner import InProcess
from tests.servers.certificates import Authority
from tests.servers.distribution import Registry, docker_registry
from tests.servers.process import require, run
from tests.servers.tokens import TokenServer

BLOB = b"a layer of this test's own" * 1000
DIGEST = "sha256:" + hashlib.sha256(BLOB).hexdigest()
ALICE = Credential("alice", "correct horse")


def connect(credential: Credential | None, tls: TlsOptions | None = None) -> Registries:
    """Sessions with one credential."""
    given = Given(credential) if credential else None
    options = TransportOptions(tls=tls or TlsOptions())
    return Registries(options, credentials=CredentialStore((), given))


def upload(session: Session, repository: str) -> None:
    """Send the blob and read it back."""
    scopes = (Scope(repository, ("pull", "push")),)
    with session.request(
        "POST",
        f"/v2/{repository}/blobs/uploads/",
        scopes=scopes,
        headers={"Content-Type": "application/octet-stream"},
        expected=frozenset({202}),
    ) as opened:
        location = session.location(opened)
    separator = "&" if "?" in location else "?"
    session.request(
        "PUT",
        f"{location}{separator}digest={DIGEST.replace(':', '%3A')}",
        scopes=scopes,
        headers={"Content-Type": "application/octet-stream"},
        body=BytesBody(BLOB),
        expected=frozenset({201}),
    ).close()
    with session.request("GET", f"/v2/{repository}/blobs/{DIGEST}", scopes=scopes) as response:
        assert b"".join(response.stream()) == BLOB


def test_a_registry_with_passwords(basic_registry: Registry) -> None:
    """The right password uploads, a wrong one and none are refused."""
    with connect(ALICE) as registries:
        upload(registries.session(basic_registry.host), "basic/app")
    for credential in (Credential("alice", "wrong"), None):
        with connect(credential) as registries, pytest.raises(UnauthorizedError):
            upload(registries.session(basic_registry.host), "basic/app")


def test_a_registry_with_tokens(token_registry: Registry, token_server: TokenServer) -> None:
    """One token for all requests of an upload, another with a second scope for a mount."""
    user, password = next(iter(token_server.accounts.passwords.items()))
    with connect(Credential(user, password)) as registries:
        session = registries.session(token_registry.host)
        upload(session, "token/app")
        assert len(token_server.requests) == 1
        scopes = (Scope("token/two", ("pull", "push")), Scope("token/app", ("pull",)))
        session.request(
            "POST",
            f"/v2/token/two/blobs/uploads/?mount={DIGEST}&from=token/app",
            scopes=scopes,
            expected=frozenset({201}),
        ).close()
    assert len(token_server.requests) == 2


def test_an_identity_token_works_with_a_real_registry(
    token_registry: Registry, token_server: TokenServer
) -> None:
    """By OAuth2 POST where the server has it."""
    user = next(iter(token_server.accounts.passwords))
    token_server.accounts.oauth2 = True
    token_server.accounts.refresh["refresh-me"] = user
    with connect(Credential(identity_token="refresh-me")) as registries:
        upload(registries.session(token_registry.host), "token/oauth")
    assert [request.method for request in token_server.requests] == ["POST"]


def test_a_registry_with_tls(tmp_path: Path, authority: Authority) -> None:
    """Its authority has to be named; a loopback host that has certificates is asked over TLS."""
    with docker_registry(tmp_path / "r", tls=authority.issue("tls-registry")) as registry:
        certs = tmp_path / "certs.d" / registry.host
        certs.mkdir(parents=True)
        certs.joinpath("ca.crt").write_bytes(authority.certificate.read_bytes())
        with connect(None, TlsOptions(certs_directories=(str(certs.parent),))) as registries:
            upload(registries.session(registry.host), "tls/app")
        secure = SessionOptions(plain_http=False)
        for tls, good in (
            (TlsOptions(ca_file=str(authority.certificate)), True),
            (TlsOptions(verify=False), True),
            (TlsOptions(), False),
        ):
            with Registries(TransportOptions(tls=tls), secure) as registries:
                session = registries.session(registry.host)
                if good:
                    upload(session, "tls/app")
                    continue
                with pytest.raises(TlsError):
                    upload(session, "tls/app")
        with connect(None) as registries, pytest.raises(RegistryError, match="https"):
            upload(registries.session(registry.host), "tls/app")


def test_skopeo_reads_what_login_wrote_and_the_other_way_round(
    basic_registry: Registry,
    imgpack_here: InProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same file serves both."""
    skopeo = require("skopeo")
    path = tmp_path / "auth.json"
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(path))
    host = basic_registry.host
    imgpack_here("login", host, "-u", "alice", "--password-stdin", stdin=b"correct horse").ok()
    shown = run([skopeo, "login", "--get-login", "--authfile", str(path), host]).stdout
    assert shown.strip() == b"alice"
    run([skopeo, "logout", "--authfile", str(path), host])
    assert json.loads(path.read_text()).get("auths", {}) == {}
    login = [skopeo, "login", "--tls-verify=false", "--authfile", str(path)]
    run([*login, "-u", "alice", "-p", "correct horse", host])
    imgpack_here("logout", host).ok()
    assert json.loads(path.read_text())["auths"] == {}
