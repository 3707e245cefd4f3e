"""TLS: what is trusted, what is refused, client certificates, and no way back to plain HTTP."""

import os
import shutil
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

from imgpack.api import TlsOptions, TransportOptions
from imgpack.errors import ImgpackError, RegistryError, Remedy, TlsError, UnreachableError
from imgpack.registry.http.tls import host_certificates
from imgpack.registry.http.transport import Transport
from imgpack.registry.http.url_policy import Origin
from tests.registry.loopback import Loopback, Reply, head, raw_serving, send, serving
from tests.registry.test_transport import Pieces
from tests.servers.certificates import Authority


@pytest.fixture
def root(tmp_path: Path) -> Authority:
    """An authority of this test's own."""
    (tmp_path / "authority").mkdir()
    return Authority(tmp_path / "authority")


def status(server: Loopback, tls: TlsOptions) -> int:
    """The status of one request to the server with these options."""
    options = TransportOptions(tls=tls, connect_timeout=3, silence_timeout=3)
    with (
        Transport(options) as transport,
        send(transport, "GET", f"{server.url}/v2/") as response,
    ):
        response.read()
        return response.status


def test_an_unknown_authority_is_refused_and_nothing_is_sent(root: Authority) -> None:
    """Without its authority a certificate counts for nothing; the hint says what does."""
    with (
        serving(lambda _: Reply(), pair=root.issue("server")) as server,
        pytest.raises(TlsError) as caught,
    ):
        status(server, TlsOptions(certs_directories=()))
    assert caught.value.hint == Remedy.TRUST_AUTHORITY()
    assert server.seen == []


def test_an_authority_of_each_source_is_trusted(root: Authority, tmp_path: Path) -> None:
    """``--ca-file``, ``SSL_CERT_FILE`` and a host's directory."""
    ca = str(root.certificate)
    with serving(lambda _: Reply(), pair=root.issue("server")) as server:
        assert status(server, TlsOptions(ca_file=ca)) == 200
        assert status(server, TlsOptions(cert_file=ca)) == 200
        directory = tmp_path / "certs.d" / server.host
        directory.mkdir(parents=True)
        shutil.copy(ca, directory / "any.crt")
        assert status(server, TlsOptions(certs_directories=(str(tmp_path / "certs.d"),))) == 200
        assert status(server, TlsOptions(host_directory=str(directory))) == 200


def test_a_certificate_for_another_name_is_refused(root: Authority) -> None:
    """The host name is checked: the certificate is for localhost and loopback addresses."""
    pair = root.issue("server")
    options = TlsOptions(ca_file=str(root.certificate))
    with (
        serving(lambda _: Reply(), pair=pair, address="127.0.0.2") as server,
        pytest.raises(TlsError, match="for another name") as caught,
    ):
        status(server, options)
    assert caught.value.hint != Remedy.TRUST_AUTHORITY()
    assert server.seen == []


def test_an_expired_certificate_is_refused(root: Authority) -> None:
    """The reason is told."""
    with (
        serving(lambda _: Reply(), pair=root.issue("old", days=-1)) as server,
        pytest.raises(TlsError, match="expired") as caught,
    ):
        status(server, TlsOptions(ca_file=str(root.certificate)))
    assert "clock" in str(caught.value.hint)


def test_verification_can_be_switched_off(root: Authority) -> None:
    """``--tls-verify=false`` takes any certificate, for any name."""
    pair = root.issue("server")
    for address in ("127.0.0.1", "127.0.0.2"):
        with serving(lambda _: Reply(), pair=pair, address=address) as server:
            assert status(server, TlsOptions(verify=False)) == 200


def test_a_client_certificate_is_shown_to_its_host_only(root: Authority, tmp_path: Path) -> None:
    """The server that asks for one is satisfied; without the directory it hangs up."""
    ca = str(root.certificate)
    client = root.issue("client")
    with serving(lambda _: Reply(), pair=root.issue("server"), client_authority=ca) as server:
        certs = tmp_path / "certs.d"
        (certs / server.host).mkdir(parents=True)
        shutil.copy(client.certificate, certs / server.host / "client.cert")
        shutil.copy(client.key, certs / server.host / "client.key")
        assert status(server, TlsOptions(ca_file=ca, certs_directories=(str(certs),))) == 200
        with pytest.raises(ImgpackError) as caught:
            status(server, TlsOptions(ca_file=ca, certs_directories=()))
        assert isinstance(caught.value, TlsError | UnreachableError)
        other = Origin("https", "127.0.0.1", server.port + 1)
        assert host_certificates((str(certs),), other).clients == ()


def test_a_plain_server_behind_https_gets_a_hint_and_no_plain_request() -> None:
    """imgpack never falls back to http by itself."""
    with serving(lambda _: Reply()) as server:
        server.scheme = "https"
        with pytest.raises(TlsError) as caught:
            status(server, TlsOptions())
        assert caught.value.hint == Remedy.USE_HTTP()
    assert server.seen == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_the_alert_of_a_tls_server_means_https(method: str) -> None:
    """OpenSSL's answer to a plain request."""

    def script(connection: socket.socket) -> None:
        head(connection)
        connection.sendall(bytes.fromhex("15030100020228"))

    with (
        raw_serving(script) as port,
        Transport(TransportOptions()) as transport,
        pytest.raises(RegistryError, match="TLS only") as caught,
    ):
        send(transport, method, f"http://127.0.0.1:{port}/")
    assert caught.value.hint == Remedy.USE_HTTPS()


def test_a_server_that_hangs_up_in_the_handshake_is_a_lost_connection() -> None:
    """That may pass, so it is worth another attempt."""

    def script(connection: socket.socket) -> None:
        connection.recv(100)

    with (
        raw_serving(script) as port,
        Transport(TransportOptions()) as transport,
        pytest.raises(UnreachableError),
    ):
        send(transport, "GET", f"https://127.0.0.1:{port}/")


@pytest.mark.parametrize("name", ["absent.pem", "junk.pem"])
def test_a_bad_authority_file_is_named(tmp_path: Path, name: str) -> None:
    """A file that was asked for is never ignored."""
    (tmp_path / "junk.pem").write_text("junk")
    path = str(tmp_path / name)
    for tls in (TlsOptions(ca_file=path), TlsOptions(cert_file=path)):
        with (
            Transport(TransportOptions(tls=tls)) as transport,
            pytest.raises(TlsError, match=name),
        ):
            send(transport, "GET", "https://127.0.0.1:1/")


def test_a_pipe_in_place_of_a_certificate_keeps_nobody_waiting(tmp_path: Path) -> None:
    """An authority, a client's certificate, a client's key."""
    os.mkfifo(tmp_path / "pipe")
    shown: list[TlsOptions] = [TlsOptions(ca_file=str(tmp_path / "pipe"))]
    for number, names in enumerate((("a.crt",), ("a.cert", "a.key"))):
        directory = tmp_path / str(number)
        directory.mkdir()
        for name in names:
            os.mkfifo(directory / name)
        shown.append(TlsOptions(host_directory=str(directory)))
    for tls in shown:
        with (
            Transport(TransportOptions(tls=tls)) as transport,
            pytest.raises(TlsError, match="not a regular file"),
        ):
            send(transport, "GET", "https://127.0.0.1:1/")


@pytest.mark.parametrize("name", ["client.cert", "client.key"])
def test_half_a_client_certificate_is_an_error(tmp_path: Path, name: str) -> None:
    """A certificate needs its key, and a key its certificate."""
    directory = tmp_path / "registry.test"
    directory.mkdir()
    (directory / name).write_text("")
    with pytest.raises(TlsError, match=name):
        host_certificates((str(tmp_path),), Origin("https", "registry.test", 443))


def test_the_directory_with_the_port_comes_first(tmp_path: Path) -> None:
    """``HOST`` alone counts for the default port."""
    for name in ("registry.test", "registry.test:5000"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ca.crt").write_text("")
    with_port = host_certificates((str(tmp_path),), Origin("https", "registry.test", 5000))
    assert with_port.authorities == (str(tmp_path / "registry.test:5000" / "ca.crt"),)
    default = host_certificates((str(tmp_path),), Origin("https", "registry.test", 443))
    assert default.authorities == (str(tmp_path / "registry.test" / "ca.crt"),)
    other = host_certificates((str(tmp_path),), Origin("https", "registry.test", 5001))
    assert other.authorities == ()


@pytest.mark.parametrize("linger", [0.3, 5.0], ids=["resets", "waits"])
def test_an_early_answer_is_read_over_tls_too(root: Authority, linger: float) -> None:
    """A TLS proxy refuses a body and reads no more of it; its answer is not lost.

    Whether it then hangs up or waits, nobody waits for it.
    """
    done = threading.Event()
    pair = root.issue("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)

    def script(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            head(secure)
            secure.sendall(b"HTTP/1.1 413 No\r\nContent-Length: 3\r\n\r\nbig")
            done.wait(linger)

    body = Pieces(256 << 20)
    options = TransportOptions(tls=TlsOptions(ca_file=str(root.certificate)), silence_timeout=3)
    with raw_serving(script) as port, Transport(options) as transport:
        url = f"https://127.0.0.1:{port}/x"
        started = time.monotonic()
        with send(transport, "PUT", url, body=body) as response:
            assert (response.status, response.read()) == (413, b"big")
        assert time.monotonic() - started < 2
        done.set()
    assert body.sent < body.size
