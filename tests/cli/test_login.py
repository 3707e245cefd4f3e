"""``imgpack login`` and ``logout``: checked before it is stored, stored privately, never shown."""

import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from imgpack.cli.options.registry import RegistryOptions, transport_options
from imgpack.credentials.files import credential_files
from imgpack.errors import CredentialError, TlsError, UnauthorizedError
from tests.cli_runner import Imgpack, InProcess
from tests.credentials.test_credentials import install
from tests.registry.loopback import Reply, Request, error, serving
from tests.registry.test_auth import BASIC, TokenAnswer
from tests.servers.certificates import Authority

SECRET = b"hushhush"


def registry(request: Request) -> Reply:
    """A registry that knows one user."""
    if request.authorization == BASIC:
        return Reply(200, (), b"{}")
    return error(401, "UNAUTHORIZED", "who?", ("WWW-Authenticate", 'Basic realm="r"'))


def test_a_login_is_checked_stored_and_used(imgpack_here: InProcess, home: Path) -> None:
    """The password comes from standard input, and is neither echoed nor in the arguments."""
    with serving(registry) as server:
        done = imgpack_here(
            "-v", "login", server.host, "-u", "user", "--password-stdin", stdin=SECRET + b"\n"
        )
    assert done.ok().decode() == f"logged in to {server.host} as user\n"
    assert "hushhush" not in done.err
    assert BASIC.split()[1] not in done.err
    assert "unencrypted" in done.err
    path = home / "docker" / "config.json"
    assert json.loads(path.read_text())["auths"] == {server.host: {"auth": BASIC.split()[1]}}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [r.authorization for r in server.seen] == [None, BASIC]


def test_a_login_with_a_token_server_is_checked_there(imgpack_here: InProcess) -> None:
    """The credentials go to the realm; the registry sees a token only."""
    tokens = TokenAnswer()
    with serving(tokens) as server:
        imgpack_here("login", server.host, "-u", "user", "--password-stdin", stdin=SECRET).ok()
    assert tokens.issued[0].authorization == BASIC


def test_without_a_terminal_the_user_name_has_to_be_given(imgpack_here: InProcess) -> None:
    """At the end of the input nobody is told "interrupted", but what is needed."""
    line = imgpack_here("login", "r.test").failed(2)
    assert "-u USER --password-stdin" in line
    line = imgpack_here("login", "r.test", "-u", "me").failed(2)
    assert "--password-stdin" in line


@pytest.mark.parametrize("how", ["creds", "stdin"])
def test_a_password_that_is_not_text_is_told(imgpack: Imgpack, how: str) -> None:
    """Odd bytes are no traceback, wherever they come from, and are not shown."""
    if how == "creds":
        done = imgpack("tags", "127.0.0.1:1/a", "--creds", b"user:odd\xff")
        done.failed(CredentialError.exit_code)
    else:
        given = b"odd\xff"
        strict = {"PYTHONIOENCODING": "utf-8:strict"}
        done = imgpack(
            "login", "127.0.0.1:1", "-u", "me", "--password-stdin", stdin=given, env=strict
        )
        done.failed(2)
    assert "odd" not in done.err


def test_refused_credentials_are_not_stored(imgpack_here: InProcess, home: Path) -> None:
    """The error has its own exit code; there is no file."""
    with serving(registry) as server:
        done = imgpack_here(
            "login", server.host, "-u", "user", "--password-stdin", stdin=b"wrong-password"
        )
    line = done.failed(UnauthorizedError.exit_code)
    assert "who?" in line
    assert "wrong-password" not in done.err
    assert not (home / "docker").exists()


def test_a_login_goes_to_the_configured_helper(
    imgpack_here: InProcess, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a logout makes the helper forget."""
    memory = install(tmp_path, "one")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    (home / "docker").mkdir()
    path = home / "docker" / "config.json"
    path.write_text('{"credsStore": "one"}')
    with serving(registry) as server:
        done = imgpack_here("login", server.host, "-u", "user", "--password-stdin", stdin=SECRET)
        done.ok()
    assert json.loads(memory.read_text())[server.host]["Secret"] == "hushhush"
    assert "hushhush" not in path.read_text()
    assert "unencrypted" not in done.err
    assert imgpack_here("logout", server.host).ok() == f"logged out of {server.host}\n".encode()
    assert json.loads(memory.read_text()) == {}


def test_a_logout_forgets_and_says_when_there_is_nothing(
    imgpack_here: InProcess, home: Path
) -> None:
    """The second one says so and is no failure: a clean-up may come twice."""
    (home / "docker").mkdir()
    path = home / "docker" / "config.json"
    path.write_text(json.dumps({"auths": {"a.test": {"auth": "dTpw"}}, "x": 1}))
    imgpack_here("logout", "https://a.test/v2/").ok()
    assert json.loads(path.read_text()) == {"auths": {}, "x": 1}
    done = imgpack_here("logout", "a.test")
    assert done.ok() == b""
    assert "not logged in to a.test" in done.err


def test_a_new_registry_auth_file_is_made(
    imgpack_here: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``REGISTRY_AUTH_FILE`` is where a login goes; other commands want it to be there."""
    path = tmp_path / "auth.json"
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(path))
    with serving(registry) as server:
        imgpack_here("login", server.host, "-u", "user", "--password-stdin", stdin=SECRET).ok()
    assert server.host in json.loads(path.read_text())["auths"]


def test_a_broken_file_is_told_before_anything_is_asked(
    imgpack_here: InProcess, home: Path
) -> None:
    """The registry is not spoken to, and the file's content is not shown."""
    (home / "docker").mkdir()
    (home / "docker" / "config.json").write_text("{broken")
    with serving(registry) as server:
        done = imgpack_here("login", server.host, "-u", "user", "--password-stdin", stdin=SECRET)
    line = done.failed(CredentialError.exit_code)
    assert "config.json" in line
    assert "{broken" not in done.err
    assert server.seen == []


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["--password-stdin"], b"x"),
        (["-u", "user"], b""),
        (["-u", "user", "--password-stdin"], b""),
        (["-u", "user", "--password-stdin"], b"\n"),
        (["-u", "user:x", "--password-stdin"], b"x"),
        (["-u", "user", "--creds", "user:x"], b""),
        (["--creds", "user:hushhush", "--password-stdin"], b"x"),
        (["--creds", ":hushhush"], b""),
        (["-u", "user", "-phushhush"], b""),
        (["-u", "user", "--password", "hushhush"], b""),
        (["user", "hushhush"], b""),
        (["user:hushhush"], b""),
    ],
)
def test_half_a_login_is_a_usage_error(
    arguments: list[str], stdin: bytes, imgpack_here: InProcess
) -> None:
    """A missing user, a missing or empty password, two of one."""
    done = imgpack_here("login", "127.0.0.1:1", *arguments, stdin=stdin)
    done.failed(2)
    assert "hushhush" not in done.err
    assert "hushhush" not in imgpack_here("--debug", "login", "r.test", *arguments, stdin=stdin).err


def test_the_password_is_typed_unseen_on_a_terminal(imgpack: Imgpack) -> None:
    """At a terminal the password is asked for and not echoed."""
    with serving(registry) as server:
        main, side = pty.openpty()
        command = [sys.executable, "-m", "imgpack", "login", server.host, "-u", "user"]
        process = subprocess.Popen(
            command, stdin=side, stdout=side, stderr=side, start_new_session=True
        )
        os.close(side)
        shown = b""
        typed = False
        while True:
            try:
                piece = os.read(main, 4096)
            except OSError:
                break
            if not piece:
                break
            shown += piece
            if b"Password" in shown and not typed:
                os.write(main, SECRET + b"\n")
                typed = True
        os.close(main)
        assert process.wait(20) == 0, shown
    assert b"logged in" in shown
    assert b"Password for user: " in shown
    assert SECRET not in shown


def test_without_a_terminal_the_password_comes_from_standard_input(
    imgpack_here: InProcess,
) -> None:
    """Which the error says."""
    line = imgpack_here("login", "127.0.0.1:1", "-u", "user").failed(2)
    assert line.endswith("there is no terminal to ask for the password; use --password-stdin")


def test_verification_is_not_switched_off_by_an_empty_value(imgpack_here: InProcess) -> None:
    """``--tls-verify=$UNSET`` is a usage error."""
    line = imgpack_here("login", "127.0.0.1:1", "-u", "user", "--tls-verify=").failed(2)
    assert "--tls-verify" in line
    assert "write true or false" in line


def test_a_foreign_token_server_stops_a_login(imgpack_here: InProcess, home: Path) -> None:
    """Unless it is trusted, it gets nothing, and nothing is stored as if it were checked."""
    with serving(lambda r: tokens(r)) as server:
        tokens = TokenAnswer(realm=f"http://localhost:{server.port}/token")
        arguments = ("login", server.host, "-u", "user", "--password-stdin")
        outcome = imgpack_here(*arguments, stdin=SECRET)
        line = outcome.failed(UnauthorizedError.exit_code)
        assert line.endswith("; if you trust it, give --trust-realm localhost")
        told = outcome.err.partition("imgpack: warning: ")[2].splitlines()[0]
        assert told.endswith("; if you trust it, give --trust-realm localhost")
        assert not (home / "docker").exists()
        imgpack_here(*arguments, "--trust-realm", "localhost", stdin=SECRET).ok()
    assert [request.authorization for request in tokens.issued] == [None, BASIC]


def test_tls_options_reach_the_connection(
    imgpack_here: InProcess, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An authority is named in three ways; without verification there is a warning."""
    certificate = str(authority.certificate)
    directory = tmp_path / "certificates"
    directory.mkdir()
    (directory / "ca.crt").write_bytes(authority.certificate.read_bytes())
    with serving(registry, pair=authority.issue("login")) as server:
        login = ("login", server.host, "-u", "user", "--password-stdin")
        imgpack_here(*login, "--ca-file", certificate, stdin=SECRET).ok()
        imgpack_here(*login, "--cert-dir", directory, stdin=SECRET).ok()
        done = imgpack_here(*login, "--no-plain-http", stdin=SECRET)
        assert "--ca-file" in done.failed(TlsError.exit_code)
        done = imgpack_here(*login, "--no-plain-http", "--tls-verify=false", stdin=SECRET)
        done.ok()
        assert "certificates are not verified" in done.err
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
        imgpack_here(*login, "--no-plain-http", stdin=SECRET).ok()


def test_the_environment_says_where_credentials_are() -> None:
    """Every place in the order in which it counts."""
    environment = {
        "REGISTRY_AUTH_FILE": "/r/auth.json",
        "DOCKER_AUTH_CONFIG": "{}",
        "XDG_RUNTIME_DIR": "/run/user/5",
        "XDG_CONFIG_HOME": "/h/.cfg",
        "DOCKER_CONFIG": "/d",
        "HOME": "/h",
    }
    assert [file.path for file in credential_files(environment)] == [
        "/r/auth.json",
        "DOCKER_AUTH_CONFIG",
        "/run/user/5/containers/auth.json",
        "/h/.cfg/containers/auth.json",
        "/d/config.json",
        "/h/.dockercfg",
    ]
    assert [file.path for file in credential_files({"HOME": "/h"})] == [
        "/h/.config/containers/auth.json",
        "/h/.docker/config.json",
        "/h/.dockercfg",
    ]
    assert credential_files({}) == ()


def test_options_and_environment_become_transport_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs, TLS and proxies; a proxy's password is in no repr."""
    monkeypatch.setenv("HTTPS_PROXY", "http://u:hushhush@proxy.test")
    monkeypatch.setenv("NO_PROXY", "a.test")
    options = RegistryOptions(tls_verify=False, ca_file="ca", cert_dir="dir", timeout=7.0)
    made = transport_options(options, {"SSL_CERT_FILE": "f", "SSL_CERT_DIR": ""}, 3)
    assert made.proxies == (("https", "http://u:hushhush@proxy.test"),)
    assert (made.no_proxy, made.jobs) == ("a.test", 3)
    assert (made.connect_timeout, made.silence_timeout) == (7.0, 7.0)
    tls = made.tls
    assert (tls.verify, tls.cert_file, tls.cert_dir) == (False, "f", None)
    assert (tls.ca_file, tls.host_directory) == ("ca", "dir")
    assert "hushhush" not in repr(made) + repr(RegistryOptions(creds="u:hushhush"))
