"""Requests to one registry: origins, redirects, retries, errors, warnings."""

import email.utils
import pickle
import socket

import pytest

from imgpack.api import Registries
from imgpack.errors import (
    ImgpackError,
    NotFoundError,
    RateLimitError,
    RegistryError,
    Remedy,
    UnauthorizedError,
    UnreachableError,
    UnsafeError,
)
from imgpack.registry.http.endpoint import registry_origin
from imgpack.registry.http.message import BytesBody
from tests.registry.loopback import (
    Loopback,
    Reply,
    Request,
    error,
    head,
    raw_serving,
    reset,
    serving,
    token,
)
from tests.registry.test_auth import BASIC, PUSH, USER, TokenAnswer, challenge, connect


@pytest.mark.parametrize(
    ("registry", "plain", "origin"),
    [
        ("docker.io", None, "https://registry-1.docker.io"),
        ("ghcr.io", None, "https://ghcr.io"),
        ("localhost:5000", False, "https://localhost:5000"),
        ("ghcr.io", True, "http://ghcr.io"),
        ("localhost:5000", None, "http://localhost:5000"),
        ("r.localhost", None, "http://r.localhost"),
        ("127.0.0.1:5000", None, "http://127.0.0.1:5000"),
        ("[::1]:5000", None, "http://[::1]:5000"),
        ("10.0.0.1:5000", None, "https://10.0.0.1:5000"),
        ("192.168.1.1", None, "https://192.168.1.1"),
        ("registry.example.com:443", None, "https://registry.example.com"),
        ("registry.example.com:5000", None, "https://registry.example.com:5000"),
    ],
)
def test_the_scheme_is_http_for_loopback_only(
    registry: str, plain: bool | None, origin: str
) -> None:
    """Private networks are no reason to drop TLS; ``--plain-http`` is."""
    assert str(registry_origin(registry, plain_http=plain)) == origin


def needs_basic(request: Request) -> Reply:
    """A registry that wants the user."""
    if request.authorization == BASIC:
        return Reply(200, (), b"home")
    return error(401, "UNAUTHORIZED", "no", ("WWW-Authenticate", 'Basic realm="r"'))


def test_a_redirect_to_another_port_gets_no_credentials() -> None:
    """The same host at another port is another origin; only harmless headers go along."""
    with serving(lambda _: Reply(200, (), b"stored")) as storage:

        def answer(request: Request) -> Reply:
            if request.authorization != BASIC:
                return needs_basic(request)
            return Reply(307, (("Location", f"{storage.url}/blob?X-Signature=s3cret"),))

        with serving(answer) as server:
            here = connect(server, USER)
            headers = {"Range": "bytes=0-", "Accept": "a/b", "X-Private": "p"}
            with (
                here.transport,
                here.session.request("GET", "/v2/x", headers=headers) as response,
            ):
                assert response.read() == b"stored"
                assert response.url.startswith(storage.url)
    sent = storage.seen[0].headers
    assert "authorization" not in sent
    assert "x-private" not in sent
    assert (sent["range"], sent["accept"]) == ("bytes=0-", "a/b")
    assert "s3cret" not in here.notes.everything


def test_a_redirect_within_the_origin_keeps_the_credentials() -> None:
    """That is still the registry."""

    def answer(request: Request) -> Reply:
        if request.authorization == BASIC and request.path == "/v2/x":
            return Reply(302, (("Location", "/v2/y"),))
        return needs_basic(request)

    with serving(answer) as server:
        here = connect(server, USER)
        with here.transport:
            assert here.session.request("GET", "/v2/x").read() == b"home"
    assert server.seen[-1].authorization == BASIC


def test_a_401_of_another_origin_is_never_answered() -> None:
    """Neither its Basic nor its Bearer challenge gets anything."""
    for value in ('Basic realm="r"', 'Bearer realm="http://127.0.0.1:1/token"'):
        with serving(lambda _, v=value: error(401, "X", "no", ("WWW-Authenticate", v))) as other:

            def answer(request: Request, other: Loopback = other) -> Reply:
                if request.authorization != BASIC:
                    return needs_basic(request)
                return Reply(302, (("Location", f"{other.url}/b"),))

            with serving(answer) as server:
                here = connect(server, USER)
                with here.transport, pytest.raises(UnauthorizedError, match="other server"):
                    here.session.request("GET", "/v2/x")
        assert [r.authorization for r in other.seen] == [None]


@pytest.mark.parametrize("kind", ["Basic", "Bearer"])
def test_a_challenge_of_another_origin_is_not_learned_either(kind: str) -> None:
    """A registry that asks for nothing sends us to one that does: it gets nothing."""

    def ask(request: Request) -> Reply:
        if request.path == "/token":
            return token("t")
        value = f'{kind} realm="http://{request.headers["host"]}/token"'
        return error(401, "X", "no", ("WWW-Authenticate", value))

    with (
        serving(ask) as other,
        serving(lambda _: Reply(302, (("Location", f"{other.url}/b"),))) as server,
    ):
        here = connect(server, USER)
        with here.transport:
            for _ in range(2):
                with pytest.raises(UnauthorizedError, match="other server"):
                    here.session.request("GET", "/v2/x")
        assert other.targets() == ["GET /b", "GET /b"]
        assert all(r.authorization is None for r in [*other.seen, *server.seen])


def test_credentials_do_not_come_back_after_a_redirect_away() -> None:
    """A stranger that redirects back cannot choose where the credentials are used."""
    with serving(lambda _: Reply(302, (("Location", f"{server.url}/v2/delete-me"),))) as stranger:

        def answer(request: Request) -> Reply:
            if request.path == "/v2/delete-me":
                return Reply(200, (), b"reached")
            if request.authorization != BASIC:
                return needs_basic(request)
            return Reply(302, (("Location", f"{stranger.url}/"),))

        with serving(answer) as server:
            here = connect(server, USER)
            with here.transport:
                assert here.session.request("GET", "/v2/x").read() == b"reached"
    assert server.seen[-1].path == "/v2/delete-me"
    assert server.seen[-1].authorization is None


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://0x7f.0.0.2/",
        "http://[::ffff:10.0.0.1]/",
        "file:///etc/passwd",
        "http://u:p@127.0.0.1/",
    ],
)
def test_an_unsafe_redirect_is_not_followed(location: str) -> None:
    """Addresses that only a registry's word leads to are refused."""
    with serving(lambda _: Reply(302, (("Location", location),))) as server:
        here = connect(server)
        with here.transport, pytest.raises(UnsafeError):
            here.session.request("GET", "/v2/x")


def test_redirects_have_an_end() -> None:
    """Five are followed, a sixth is not."""
    with serving(lambda _: Reply(302, (("Location", "/v2/x"),))) as server:
        here = connect(server)
        with here.transport, pytest.raises(RegistryError, match="redirects"):
            here.session.request("GET", "/v2/x")
    assert len(server.seen) == 6


@pytest.mark.parametrize("status", [301, 302, 303])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_redirect_that_might_change_the_request_is_not_followed(method: str, status: int) -> None:
    """Those make a GET of a POST in many clients; what is meant is not known."""
    with serving(lambda _: Reply(status, (("Location", "/v2/y"),))) as server:
        here = connect(server)
        with here.transport, pytest.raises(RegistryError, match=str(status)):
            here.session.request(method, "/v2/x")
    assert len(server.seen) == 1


def test_a_deletion_is_not_redirected() -> None:
    """What is deleted is what was asked for."""
    with serving(lambda _: Reply(307, (("Location", "/v2/y"),))) as server:
        here = connect(server)
        with here.transport, pytest.raises(RegistryError, match="307"):
            here.session.request("DELETE", "/v2/x")
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_redirect_of_the_same_request_is_followed(method: str, status: int) -> None:
    """With its body and, within the origin, with the credentials."""

    def answer(request: Request) -> Reply:
        if request.authorization != BASIC:
            return needs_basic(request)
        if request.path == "/v2/x":
            return Reply(status, (("Location", "/v2/y"),))
        return Reply(202)

    with serving(answer) as server:
        here = connect(server, USER)
        with here.transport:
            here.session.request(
                method, "/v2/x", body=BytesBody(b"blob"), expected=frozenset({202})
            ).close()
    assert [r.path for r in server.seen] == ["/v2/x", "/v2/x", "/v2/y"]
    assert [r.body for r in server.seen] == [b"blob"] * 3


def test_a_redirected_upload_takes_no_credentials_to_another_origin() -> None:
    """As little as the Location of a session does."""
    with serving(lambda _: Reply(201)) as other:

        def answer(request: Request) -> Reply:
            if request.authorization != BASIC:
                return needs_basic(request)
            return Reply(307, (("Location", f"{other.url}/v2/y"),))

        with serving(answer) as server:
            here = connect(server, USER)
            with here.transport:
                here.session.request(
                    "PUT", "/v2/x", body=BytesBody(b"blob"), expected=frozenset({201})
                ).close()
    assert [(r.body, r.authorization) for r in other.seen] == [(b"blob", None)]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_an_unsafe_redirect_of_an_upload_is_not_followed(method: str) -> None:
    """No private address is reached because a registry says so."""
    with serving(lambda _: Reply(307, (("Location", "http://169.254.169.254/x"),))) as server:
        here = connect(server)
        with here.transport, pytest.raises(UnsafeError):
            here.session.request(method, "/v2/x", body=BytesBody(b"blob"))


def test_a_location_without_the_port_is_named_as_the_cause() -> None:
    """The registry does not know by which port it is reached, and nobody answers there."""
    with serving(lambda _: Reply()) as closed:
        pass
    location = (("Location", f"{closed.url}/v2/y"),)
    with serving(lambda _: Reply(307, location)) as server:
        here = connect(server)
        with here.transport, pytest.raises(UnreachableError) as caught:
            here.session.request("GET", "/v2/x", scopes=(PUSH,))
    assert "another port of the same host" in str(caught.value.hint)


def test_the_answer_of_a_proxy_is_not_the_registrys() -> None:
    """A 407 means the proxy's credentials, not the registry's."""
    with serving(lambda _: Reply(407)) as server:
        here = connect(server)
        with here.transport, pytest.raises(UnreachableError, match="the proxy") as caught:
            here.session.request("GET", "/v2/x")
    assert "HTTPS_PROXY" in str(caught.value.hint)
    assert len(server.seen) == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_a_registry_that_speaks_tls_is_told_apart_by_every_method(method: str) -> None:
    """Go's server answers some methods with a text, and hangs up on the others."""
    text = b"Client sent an HTTP request to an HTTPS server.\n"

    def script(connection: socket.socket) -> None:
        if head(connection).startswith((b"GET ", b"POST ", b"PUT ")):
            connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n" + text)

    with raw_serving(script) as port:
        here = connect(Loopback(lambda _: Reply(), port=port))
        with here.transport, pytest.raises(RegistryError, match="HTTPS server") as caught:
            here.session.request(method, "/v2/x")
    assert caught.value.hint == Remedy.USE_HTTPS()


def test_a_stray_200_is_tried_again_where_the_host_has_proved_itself() -> None:
    """A proxy says such things while it restarts; a web server says nothing else."""
    replies = [Reply(202), Reply(200, (), b"OK"), Reply(202)]
    with serving(lambda _: replies.pop(0)) as server:
        here = connect(server)
        with here.transport:
            for _ in range(2):
                here.session.request("POST", "/v2/x", expected=frozenset({202})).close()
    assert len(server.seen) == 3
    with serving(lambda _: Reply(200, (), b"OK")) as server:
        here = connect(server)
        with here.transport, pytest.raises(RegistryError):
            here.session.request("POST", "/v2/x", expected=frozenset({202}))
    assert len(server.seen) == 1


def test_an_upload_goes_to_another_origin_without_credentials() -> None:
    """The specification allows offloading; the other server gets the blob and nothing else."""
    with serving(lambda _: Reply(201)) as other:

        def answer(request: Request) -> Reply:
            if request.authorization != BASIC:
                return needs_basic(request)
            return Reply(202, (("Location", f"{other.url}/up?_state=s3cret"),))

        with serving(answer) as server:
            here = connect(server, USER)
            with here.transport:
                with here.session.request("POST", "/v2/u", expected=frozenset({202})) as opened:
                    location = here.session.location(opened)
                here.session.request(
                    "PUT",
                    location,
                    scopes=(PUSH,),
                    headers={"Content-Type": "application/octet-stream"},
                    body=BytesBody(b"blob"),
                    expected=frozenset({201}),
                ).close()
    assert other.seen[0].body == b"blob"
    assert other.seen[0].headers["content-type"] == "application/octet-stream"
    assert other.seen[0].authorization is None
    assert "s3cret" not in here.notes.everything


@pytest.mark.parametrize("location", [None, "", "http://169.254.169.254/up"])
def test_a_missing_or_unsafe_location_is_an_error(location: str | None) -> None:
    """A web server that says yes to everything is no registry."""
    headers = () if location is None else (("Location", location),)
    with serving(lambda _: Reply(202, headers)) as server:
        here = connect(server)
        with here.transport:
            response = here.session.request("POST", "/v2/u", expected=frozenset({202}))
            with response, pytest.raises((RegistryError, UnsafeError)):
                here.session.location(response)


@pytest.mark.parametrize(
    ("reply", "leaf"),
    [
        (error(400, "MANIFEST_INVALID"), RegistryError),
        (error(401, "UNAUTHORIZED"), UnauthorizedError),
        (error(403, "DENIED"), UnauthorizedError),
        (error(404, "MANIFEST_UNKNOWN"), NotFoundError),
        (error(404, "BLOB_UPLOAD_INVALID"), RegistryError),
        (error(405, "UNSUPPORTED"), RegistryError),
        (error(413, "SIZE_INVALID"), RegistryError),
        (error(429, "TOOMANYREQUESTS"), RateLimitError),
        (error(500, "UNKNOWN"), RegistryError),
        (Reply(502, (("Content-Type", "text/html"),), b"<html>x</html>"), RegistryError),
        (Reply(204), RegistryError),
    ],
)
def test_every_refusal_has_its_leaf_and_the_registrys_words(
    reply: Reply, leaf: type[ImgpackError]
) -> None:
    """Status and codes are attached; the message names the request."""
    with serving(lambda _: reply) as server:
        here = connect(server)
        with here.transport, pytest.raises(leaf) as caught:
            here.session.request("GET", "/v2/a/manifests/b?token=s3cret", retry=False)
    answer = caught.value.answer
    assert answer is not None
    assert answer.status == reply.status
    assert type(caught.value) is leaf
    assert "GET http://127.0.0.1" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "<html>" not in str(caught.value)
    if answer.codes:
        assert answer.codes[0] in str(caught.value)
        assert "refused" in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.answer == answer


@pytest.mark.parametrize(
    "body",
    [
        b'{"errors": [{"code": "X", "message": "m", "detail": {"a": "' + b"y" * 5000 + b'"}}]}',
        b'{"errors": [null, 5, {"code": 5}, {"detail": []}]}',
        b'{"errors": 5}',
        b"[" * 50000,
        b"\xff\xfe",
        b"null",
        b"\x1b[2J" * 1000,
    ],
)
def test_hostile_error_texts_are_bounded_and_clean(body: bytes) -> None:
    """One line, no control characters, of bounded length."""
    reply = Reply(400, (("Content-Type", "application/json"),), body)
    with serving(lambda _: reply) as server:
        here = connect(server)
        with here.transport, pytest.raises(RegistryError) as caught:
            here.session.request("GET", "/v2/x")
    text = str(caught.value)
    assert len(text) < 1000
    assert text.isprintable()


def test_the_title_of_an_error_page_is_told() -> None:
    """A proxy's HTML page is cut down to what it says; a plain request to TLS gets a hint."""
    page = b"<html><title>400 The plain HTTP request was sent to HTTPS port</title>junk</html>"
    with serving(lambda _: Reply(400, (("Content-Type", "text/html"),), page)) as server:
        here = connect(server)
        with here.transport, pytest.raises(RegistryError, match="HTTPS port") as caught:
            here.session.request("GET", "/v2/x")
    assert caught.value.hint == Remedy.USE_HTTPS()
    assert "junk" not in str(caught.value)


def test_the_detail_of_an_error_is_there_for_decisions() -> None:
    """``MANIFEST_BLOB_UNKNOWN`` names the digest in its detail."""
    body = b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","detail":{"digest":"sha256:1"}}]}'
    with serving(lambda _: Reply(400, (), body)) as server:
        here = connect(server)
        with here.transport, pytest.raises(RegistryError) as caught:
            here.session.request("PUT", "/v2/x", body=BytesBody(b"{}"))
    answer = caught.value.answer
    assert answer is not None
    assert answer.details == ('{"digest": "sha256:1"}',)


def test_a_failure_that_passes_is_tried_again_with_the_same_body() -> None:
    """Two refusals, then success; the waits double."""
    replies = [Reply(503), Reply(500), Reply(201)]
    with serving(lambda _: replies[len(server.seen) - 1]) as server:
        here = connect(server)
        with here.transport:
            here.session.request(
                "PUT", "/v2/x", body=BytesBody(b"layer"), expected=frozenset({201})
            ).close()
    assert [r.body for r in server.seen] == [b"layer"] * 3
    assert here.clock.slept == [0.5, 1.0]


def test_attempts_have_an_end_and_the_last_answer_is_told() -> None:
    """Three attempts here, then the leaf."""
    with serving(lambda _: error(429, "TOOMANYREQUESTS", "slow", ("Retry-After", "7"))) as server:
        here = connect(server)
        with here.transport, pytest.raises(RateLimitError, match="in 7 s"):
            here.session.request("GET", "/v2/x")
    assert len(server.seen) == 3
    assert [round(s) for s in here.clock.slept] == [7, 7]


@pytest.mark.parametrize(
    ("told", "hint"),
    [
        ("0", "try again later"),
        ("7", "try again in 7 s"),
        ("119", "try again in 119 s"),
        ("120", "try again in 2 minutes"),
        ("5401", "try again in 91 minutes"),
        ("7200", "try again in 2 hours"),
        ("86400", "try again in 24 hours"),
        ("172801", "try again in 3 days"),
        ("99999999999", "try again later"),
        ("soon", "try again later"),
    ],
)
def test_when_to_try_again_is_told_in_units_for_people(told: str, hint: str) -> None:
    """Rounded up; a wait of years is nobody's plan."""
    reply = error(429, "TOOMANYREQUESTS", "slow down", ("Retry-After", told))
    with serving(lambda _: reply) as server:
        here = connect(server)
        with here.transport, pytest.raises(RateLimitError) as caught:
            here.session.request("GET", "/v2/x")
    assert caught.value.hint == hint


def test_a_date_in_retry_after_is_waited_for() -> None:
    """The second form, against the session's own clock."""
    date = email.utils.formatdate(1030.0, usegmt=True)
    replies = [Reply(429, (("Retry-After", date),)), Reply(200)]
    with serving(lambda _: replies[len(server.seen) - 1]) as server:
        here = connect(server)
        with here.transport:
            here.session.request("GET", "/v2/x").read()
    assert 30 <= here.clock.slept[0] < 31


@pytest.mark.parametrize(
    ("method", "reply", "requests"),
    [
        ("PUT", error(500, "UNKNOWN"), 2),
        ("PUT", error(500, "MANIFEST_INVALID"), 1),
        ("PUT", error(400, "MANIFEST_INVALID"), 1),
        ("GET", error(404, "MANIFEST_UNKNOWN"), 1),
        ("GET", error(403, "DENIED", "quota"), 1),
        ("GET", error(502, "UNKNOWN"), 3),
    ],
)
def test_permanent_failures_are_not_repeated(method: str, reply: Reply, requests: int) -> None:
    """A manifest that is refused with 500 is tried once more only."""
    with serving(lambda _: reply) as server:
        here = connect(server)
        with here.transport, pytest.raises(ImgpackError):
            here.session.request(method, "/v2/a/manifests/b", body=BytesBody(b"{}"))
    assert len(server.seen) == requests


def test_without_retry_one_answer_is_enough() -> None:
    """Callers that must open a new upload decide themselves."""
    with serving(lambda _: Reply(503)) as server:
        here = connect(server)
        with here.transport, pytest.raises(RegistryError):
            here.session.request("PUT", "/v2/x", body=BytesBody(b"x"), retry=False)
    assert len(server.seen) == 1


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def good(connection: socket.socket) -> None:
    """Answer one request."""
    head(connection)
    connection.sendall(OK)


def bad(connection: socket.socket) -> None:
    """Reset a connection in the middle of a request."""
    head(connection)
    reset(connection)


def short(connection: socket.socket) -> None:
    """Promise more than is sent."""
    head(connection)
    connection.sendall(OK[:-1])


@pytest.mark.parametrize("first", [bad, short])
def test_a_lost_connection_is_tried_again(first: object) -> None:
    """A reset, and with a limit also a body that breaks off."""
    with raw_serving(first, good) as port:  # type: ignore[arg-type]
        here = connect(Loopback(lambda _: Reply(), port=port))
        with here.transport:
            assert here.session.request("GET", "/v2/x", limit=100).read() == b"ok"


def test_a_connection_that_is_lost_for_good_is_told_as_such() -> None:
    """Callers can tell a loss from an answer."""
    with raw_serving(bad) as port:
        here = connect(Loopback(lambda _: Reply(), port=port))
        with here.transport, pytest.raises(UnreachableError) as caught:
            here.session.request("GET", "/v2/x")
    assert caught.value.answer is None
    assert len(here.clock.slept) == 2


def test_a_registry_that_is_not_there_is_told_at_once() -> None:
    """A first contact that is refused is a wrong name or port, not a passing fault."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    here = connect(Loopback(lambda _: Reply(), port=port))
    with here.transport, pytest.raises(UnreachableError):
        here.session.request("GET", "/v2/x")
    assert here.clock.slept == []


def test_where_a_registry_sends_us_and_nobody_answers_is_tried_again() -> None:
    """The registry's own name was right, so this may pass."""
    with serving(lambda _: Reply(307, (("Location", "http://127.0.0.1:1/blob"),))) as server:
        here = connect(server)
        with here.transport, pytest.raises(UnreachableError) as caught:
            here.session.request("GET", "/v2/x")
    assert len(server.seen) == 3
    assert pickle.loads(pickle.dumps(caught.value)).unconnected == "http://127.0.0.1:1"


@pytest.mark.parametrize("to_token_server", [False, True])
def test_where_nobody_answers_the_repository_is_named_too(*, to_token_server: bool) -> None:
    """Its registry's API, or its token server, may have a name that nobody typed."""
    with serving(lambda _: challenge("http://127.0.0.1:1/token")) as server:
        here = connect(server, None, "127.0.0.1", host="" if to_token_server else "127.0.0.1:1")
        with here.transport, pytest.raises(UnreachableError) as caught:
            here.session.request("GET", "/v2/team/app/tags/list", scopes=(PUSH,))
    named = f"{here.session.registry}/team/app: http://127.0.0.1:1: cannot connect"
    assert caught.value.message.startswith(named)


def test_an_answer_above_the_limit_is_an_error() -> None:
    """And it is not fetched again."""
    with serving(lambda _: Reply(200, (), b"x" * 101)) as server:
        here = connect(server)
        with here.transport, pytest.raises(RegistryError, match="longer than 100"):
            here.session.request("GET", "/v2/x", limit=100)
    assert len(server.seen) == 1


def test_the_hint_fits_who_was_refused() -> None:
    """Nobody is told to log in, somebody to check what was given."""

    def answer(request: Request) -> Reply:
        challenge = ("WWW-Authenticate", 'Basic realm="r"')
        if request.path == "/v2/forbidden" and request.headers.get("x-second"):
            return error(403, "DENIED")
        return error(401, "UNAUTHORIZED", "no", challenge)

    with serving(answer) as server:
        log_in, check = Remedy.LOG_IN(server.host), Remedy.CHECK_LOGIN(server.host)
        for credential, hint, forbidden in (
            (None, log_in, log_in),
            (USER, check, "these credentials may not do this"),
        ):
            here = connect(server, credential)
            with here.transport:
                with pytest.raises(UnauthorizedError) as caught:
                    here.session.request("GET", "/v2/x")
                assert caught.value.hint == hint
                with pytest.raises(UnauthorizedError) as caught:
                    here.session.request("GET", "/v2/forbidden", headers={"X-Second": "1"})
                assert caught.value.hint == forbidden


def test_cookies_are_refused() -> None:
    """Harbor wants CSRF tokens from those who send its cookies back."""
    with serving(lambda _: Reply(200, (("Set-Cookie", "sid=1"),))) as server:
        here = connect(server)
        with here.transport:
            here.session.request("GET", "/v2/x").read()
            here.session.request("GET", "/v2/x").read()
    assert all("cookie" not in r.headers for r in server.seen)


def test_a_registrys_warning_is_shown_once() -> None:
    """``Warning: 299`` only, cleaned, bounded in number."""

    def answer(request: Request) -> Reply:
        return Reply(
            200,
            (
                ("Warning", '299 - "going \x1b[31maway"'),
                ("Warning", '199 - "other"'),
                ("Warning", f'299 - "{request.path}"'),
            ),
        )

    with serving(answer) as server:
        here = connect(server)
        with here.transport:
            for number in range(50):
                here.session.request("GET", f"/v2/{number}").read()
    assert here.notes.warnings[0] == f"{server.host}: going [31maway"
    assert len(here.notes.warnings) == 10


def test_no_secret_is_in_the_details() -> None:
    """Every request is told under ``--verbose``, without tokens and query values."""
    with serving(TokenAnswer()) as server:
        here = connect(server, USER)
        with here.transport:
            here.session.request("GET", "/v2/x?_state=s3cret", scopes=(PUSH,)).read()
    assert "GET" in here.notes.everything
    for secret in ("s3cret", "token-1", "hushhush", BASIC):
        assert secret not in here.notes.everything


def test_there_is_one_session_for_a_registry() -> None:
    """So tokens are shared, and nothing is shared between registries."""
    with Registries() as registries:
        assert registries.session("a.test") is registries.session("a.test")
        assert registries.session("a.test") is not registries.session("b.test")
