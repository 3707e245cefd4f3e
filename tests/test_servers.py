"""The test servers themselves: they start, do what their fixture says, and stop."""

import base64
import contextlib
import json
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.servers.certificates import Authority
from tests.servers.distribution import Registry, docker_registry
from tests.servers.engine import Engine, podman_storage
from tests.servers.gateway import nginx_gateway
from tests.servers.process import Server, free_port
from tests.servers.tokens import TokenServer

ROOT = Path(__file__).resolve().parent.parent


def test_a_test_cannot_reach_another_machine() -> None:
    """Connecting to an address that is not loopback is refused before a packet is sent."""
    with socket.socket() as outside, pytest.raises(AssertionError, match=r"192\.0\.2\.1"):
        outside.connect(("192.0.2.1", 80))


def test_a_server_that_ends_at_once_is_an_error_with_its_log(tmp_path: Path) -> None:
    """What the server printed is in the error."""
    argv = ["sh", "-c", "echo no such option; exit 3"]
    with pytest.raises(RuntimeError, match="no such option"):
        Server(argv, tmp_path / "log", lambda: False)


def running_in(group: int) -> list[int]:
    """The processes of a group that are not dead."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state = entry.read_text().rpartition(")")[2].split()
            if state[2] == str(group) and state[0] != "Z":
                found.append(int(entry.parent.name))
    return found


def test_a_stopped_server_leaves_no_process(tmp_path: Path) -> None:
    """A child that ignores the signal is gone too."""
    alive = tmp_path / "alive"
    argv = ["sh", "-c", f"(trap '' TERM; touch {alive}; exec sleep 600) & wait"]
    with Server(argv, tmp_path / "log", alive.exists) as server:
        group = server.process.pid
    deadline = time.monotonic() + 60
    while running_in(group) and time.monotonic() < deadline:
        time.sleep(0.02)  # a killed process takes a moment to be gone
    assert running_in(group) == []


def test_a_server_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Killing the test run outright leaves no server behind."""
    code = (
        "import sys, time; from pathlib import Path; from tests.servers.process import Server\n"
        "server = Server(['sleep', '600'], Path(sys.argv[1]), lambda: True)\n"
        "print(server.process.pid, flush=True); time.sleep(600)"
    )
    argv = [sys.executable, "-c", code, str(tmp_path / "log")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT) as starter:
        assert starter.stdout is not None
        group = int(starter.stdout.readline())
        assert running_in(group) == [group]
        starter.kill()
    deadline = time.monotonic() + 60
    while running_in(group) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert running_in(group) == []


def test_the_engine_answers(engine: Engine) -> None:
    """The engine has no network but ``none`` and ``host``."""
    assert engine("version", "--format", "{{.Server.Version}}").strip()
    networks = engine("network", "ls", "--format", "{{.Name}}").decode().split()
    assert set(networks) == {"host", "none"}


def test_podman_has_a_storage_of_its_own() -> None:
    """Nothing is in it at first, and nothing of it is left."""
    with podman_storage() as podman:
        assert json.loads(podman("images", "--format", "json")) == []
        root = Path(json.loads(podman("info", "--format", "json"))["store"]["graphRoot"])
        assert root.is_dir()
    assert not root.parent.exists()


def test_the_registry_answers(registry: Registry) -> None:
    """The registry speaks the protocol and wants no credentials."""
    answer = registry.ask("/v2/")
    assert answer.status == 200
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


def test_the_basic_registry_wants_the_right_password(basic_registry: Registry) -> None:
    """Without a password, or with another, it answers 401."""
    assert basic_registry.ask("/v2/").status == 200
    stranger = Registry(basic_registry.port, basic_registry.server, basic_registry.storage)
    assert stranger.ask("/v2/").status == 401


def _with_token(registry: Registry, path: str, token: str) -> int:
    request = urllib.request.Request(f"http://{registry.host}{path}")
    request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


def test_the_token_registry_takes_the_token_servers_tokens(
    token_registry: Registry, token_server: TokenServer
) -> None:
    """Only a token for the right repository opens the door."""
    refusal = token_registry.ask("/v2/team/app/tags/list")
    assert refusal.status == 401
    assert token_server.realm in refusal.headers["Www-Authenticate"]
    path = "/v2/team/app/tags/list"
    right = token_server.token("alice", ("repository:team/app:pull",))
    assert _with_token(token_registry, path, right) == 404  # let in; there is no such repository
    other = token_server.token("alice", ("repository:team/other:pull",))
    assert _with_token(token_registry, path, other) == 401


def test_the_token_server_checks_passwords_and_keeps_requests(token_server: TokenServer) -> None:
    """A wrong password is refused; scopes are recorded as they came."""
    url = f"{token_server.realm}?service=imgpack-tests&scope=repository:a:pull"
    request = urllib.request.Request(url)
    request.add_header("Authorization", "Basic " + base64.b64encode(b"alice:wrong").decode())
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request, timeout=10)
    refusal.value.close()
    assert refusal.value.code == 401
    assert token_server.requests[0].scopes == ("repository:a:pull",)
    assert token_server.requests[0].user == "alice"


def test_the_gateway_speaks_tls_and_limits_bodies(
    tmp_path: Path, registry: Registry, authority: Authority
) -> None:
    """TLS verifies against the tests' authority only, and a large body gets 413."""
    pair = authority.issue("gateway")
    trusting = ssl.create_default_context(cafile=str(authority.certificate))
    with nginx_gateway(tmp_path / "gateway", registry, tls=pair, body_limit="1k") as gateway:
        url = f"https://{gateway.host}/v2/"
        with urllib.request.urlopen(url, timeout=10, context=trusting) as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(url, timeout=10)
        large = urllib.request.Request(f"{url}a/blobs/uploads/", b"x" * 4096, method="POST")
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(large, timeout=10, context=trusting)
        refusal.value.close()
        assert refusal.value.code == 413


def test_the_redirecting_gateway_sends_blob_reads_elsewhere(tmp_path: Path) -> None:
    """A GET of a blob is redirected to another port; manifests are not."""
    with (
        docker_registry(tmp_path / "registry") as registry,
        nginx_gateway(tmp_path / "gateway", registry, redirecting=True) as gateway,
    ):
        digest = "sha256:" + "0" * 64

        class Stay(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *arguments: object) -> None:
                return None

        opener = urllib.request.build_opener(Stay())
        with pytest.raises(urllib.error.HTTPError) as redirect:
            opener.open(f"http://{gateway.host}/v2/team/app/blobs/{digest}", timeout=10)
        redirect.value.close()
        assert redirect.value.code == 307
        location = redirect.value.headers["Location"]
        assert location.endswith(f"/stored/v2/team/app/blobs/{digest}")
        assert gateway.host not in location
        with pytest.raises(urllib.error.HTTPError) as missing:
            urllib.request.urlopen(location, timeout=10)
        missing.value.close()
        assert missing.value.code == 404
        assert digest in gateway.storage_accesses


def test_a_free_port_is_free() -> None:
    """One can listen on it at once."""
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        assert taken.getsockname()[1]
