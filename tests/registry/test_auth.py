"""Challenges, realms, tokens: who gets which credentials, how often, and for how long."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import Registries, RetryPolicy, SessionOptions, TransportOptions
from imgpack.credentials.lookup import Credential
from imgpack.errors import (
    ImgpackError,
    NotFoundError,
    RegistryError,
    Remedy,
    UnauthorizedError,
    UnsafeError,
)
from imgpack.registry.auth.challenge import Challenge, parse_challenges
from imgpack.registry.auth.tokens import merge_scopes
from imgpack.registry.auth.trust import realm_is_trusted
from imgpack.registry.http.message import BytesBody, Scope
from imgpack.registry.http.transport import Transport
from imgpack.registry.http.url_policy import Origin
from imgpack.registry.session import Session
from tests.registry.loopback import (
    Clock,
    Loopback,
    Notes,
    Reply,
    Request,
    error,
    serving,
    token,
)

PUSH = Scope("team/app", ("pull", "push"))
MOUNT = Scope("team/base", ("pull",))
BASIC = "Basic dXNlcjpodXNoaHVzaA=="
USER = Credential("user", "hushhush")


@dataclass
class One:
    """A source with one credential, which counts how often it is asked."""

    credential: Credential | None
    asked: list[tuple[str, str]] = field(default_factory=list)

    def find(self, registry: str, repository: str) -> Credential | None:
        """The credential."""
        self.asked.append((registry, repository))
        return self.credential


@dataclass
class Here:
    """What a test needs of a session on a server."""

    session: Session
    notes: Notes
    clock: Clock
    transport: Transport


def connect(
    server: Loopback, credential: Credential | None = None, *trusted: str, host: str = ""
) -> Here:
    """A session on ``server`` that waits in no real time."""
    notes, clock = Notes(), Clock()
    transport = TransportOptions(connect_timeout=3, silence_timeout=3)
    options = SessionOptions(
        retry=RetryPolicy(attempts=3),
        trusted_realms=trusted,
        clock=clock,
        now=clock,
        sleep=clock.sleep,
        random=lambda: 0.5,
    )
    registries = Registries(transport, options, One(credential), notes)
    session = registries.session(host or server.host)
    return Here(session, notes, clock, registries.transport)


def challenge(realm: str, *more: str) -> Reply:
    """A 401 with a bearer challenge."""
    value = ",".join([f'Bearer realm="{realm}"', 'service="reg"', *more])
    return error(401, "UNAUTHORIZED", "authentication required", ("WWW-Authenticate", value))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://a/t",service="r",scope="repository:a/b:pull,push"',
            [("bearer", "scope", "repository:a/b:pull,push")],
        ),
        ('Basic realm="a, b=\\"c\\""', [("basic", "realm", 'a, b="c"')]),
        (
            'Negotiate, Basic realm="x", Bearer realm=y , error="e"',
            [("negotiate", "", ""), ("basic", "realm", "x"), ("bearer", "error", "e")],
        ),
        ("Negotiate YIIabc==, Basic realm=z", [("negotiate", "", ""), ("basic", "realm", "z")]),
        ("Negotiate YIIabc, Basic realm=z", [("negotiate", "", ""), ("basic", "realm", "z")]),
        ('Basic realm="", x="y"', [("basic", "realm", "")]),
        ('BEARER REALM = "q"', [("bearer", "realm", "q")]),
        ("", []),
        (",,,", []),
        ('=="', []),
    ],
)
def test_challenges_are_parsed(header: str, expected: list[tuple[str, str, str]]) -> None:
    """Several in one header, commas and quotes in quotes, tokens, any case."""
    found = parse_challenges([header])
    assert [c.scheme for c in found] == [scheme for scheme, _, _ in expected]
    for got, (_, name, value) in zip(found, expected, strict=True):
        assert got.get(name) == value


@given(
    st.lists(st.text(max_size=100) | st.from_regex(r'[A-Za-z]+ [a-z]+="[^"]*", ?.*'), max_size=3)
)
def test_no_challenge_breaks_the_parser(headers: list[str]) -> None:
    """Hostile headers give challenges or none."""
    assert all(isinstance(c, Challenge) for c in parse_challenges(headers))


def test_a_huge_challenge_is_parsed_quickly() -> None:
    """Parsing takes time that grows with the length, and a bounded length."""
    started = time.monotonic()
    for text in ('a="' * 100000, "a " * 100000, ", " * 100000, 'Bearer x="\\' + "\\" * 100000):
        parse_challenges([text])
    assert time.monotonic() - started < 5


def test_scopes_of_one_repository_become_one() -> None:
    """One string a repository, in the order of first mention."""
    scopes = ["repository:a:push", "repository:b:pull", "repository:a:pull,push"]
    assert merge_scopes(scopes) == ("repository:a:pull,push", "repository:b:pull")


@pytest.mark.parametrize(
    ("registry", "realm", "trusted", "expected"),
    [
        ("https://registry-1.docker.io", "https://auth.docker.io", (), True),
        ("https://registry.gitlab.com", "https://gitlab.com", (), True),
        ("https://r.example.com", "https://r.example.com:8443", (), True),
        ("https://registry.example.com", "https://auth.example.com", (), True),
        ("https://registry.example.com", "https://a.b.example.com", (), True),
        ("https://registry.example.com", "https://auth.example.net", (), False),
        ("https://registry.example.com", "https://evil-example.com", (), False),
        ("https://registry.example.com", "https://example.com", (), False),
        ("https://example.com", "https://other.com", (), False),
        ("https://shop.co.uk", "https://evil.co.uk", (), False),
        ("https://r.shop.co.uk", "https://auth.shop.co.uk", (), True),
        ("https://registry.shop.de", "https://auth.shop.de", (), True),
        ("https://registry.net.example", "https://auth.net.example", (), True),
        ("https://r.co.uk.example.com", "https://auth.co.uk.example.com", (), True),
        ("https://mine.azurecr.io", "https://evil.azurecr.io", (), False),
        ("https://1.dkr.ecr.eu-1.amazonaws.com", "https://x.dkr.ecr.eu-1.amazonaws.com", (), False),
        ("http://10.0.0.1:5000", "https://20.0.0.1", (), False),
        ("https://r.example.com", "https://Auth.Example.NET", ("auth.example.net",), True),
        ("https://r.example.com", "https://auth.example.net", ("Auth.Example.NET",), True),
        ("https://r.example.com", "https://a.example.net:8443", ("a.example.net:8443",), True),
        ("http://r.example.com", "http://auth.example.com", (), False),
        ("http://r.example.com", "http://auth.example.com", ("auth.example.com",), True),
        ("https://evil.example.com", "https://auth.docker.io", (), False),
    ],
)
def test_which_realm_gets_the_credentials(
    registry: str, realm: str, trusted: tuple[str, ...], expected: bool
) -> None:
    """Own host, known servers, siblings under a parent of one's own, and whom the user trusts."""
    assert realm_is_trusted(Origin.of(realm), Origin.of(registry), trusted) is expected


def test_basic_is_sent_after_the_challenge_and_then_at_once() -> None:
    """No credential goes out unasked; once asked for, it comes with every request."""

    def answer(request: Request) -> Reply:
        if request.authorization == BASIC:
            return Reply()
        return error(401, "UNAUTHORIZED", "no", ("WWW-Authenticate", 'Basic realm="r"'))

    with serving(answer) as server:
        here = connect(server, USER)
        with here.transport:
            for _ in range(3):
                here.session.request("GET", "/v2/x").read()
    assert [r.authorization for r in server.seen] == [None, BASIC, BASIC, BASIC]


@dataclass
class TokenAnswer:
    """A registry and its token server in one: tokens ``t1``, ``t2``, ... , the last one counts."""

    issued: list[Request] = field(default_factory=list)
    refuse_token: Reply | None = None
    life: int | None = None
    valid: set[str] = field(default_factory=set)
    delay: float = 0.0
    realm: str = ""
    more: tuple[str, ...] = ()

    def __call__(self, request: Request) -> Reply:
        if request.path == "/token":
            self.issued.append(request)
            time.sleep(self.delay)
            if self.refuse_token is not None:
                return self.refuse_token
            value = f"token-{len(self.issued)}"
            self.valid.add(f"Bearer {value}")
            return token(value, **({"expires_in": self.life} if self.life else {}))
        if request.authorization in self.valid:
            return Reply(200, (), b"ok")
        realm = self.realm or f"http://{request.headers['host']}/token"
        return challenge(realm, *self.more)


def test_a_bearer_token_is_fetched_once_and_used_again() -> None:
    """With the user's credentials, service and scopes, one string a repository, push first."""
    answer = TokenAnswer()
    with serving(answer) as server:
        here = connect(server, USER)
        with here.transport:
            for _ in range(2):
                here.session.request("GET", "/v2/x", scopes=(PUSH, MOUNT)).read()
    assert len(answer.issued) == 1
    asked = answer.issued[0]
    assert asked.authorization == BASIC
    assert asked.query["scope"] == ["repository:team/app:pull,push", "repository:team/base:pull"]
    assert asked.query["service"] == ["reg"]
    assert [r.authorization for r in server.seen if r.path != "/token"] == [
        None,
        "Bearer token-1",
        "Bearer token-1",
    ]
    assert "hushhush" not in here.notes.everything
    assert "token-1" not in here.notes.everything


def test_without_credentials_the_token_is_anonymous() -> None:
    """A public repository needs a token all the same."""
    answer = TokenAnswer()
    with serving(answer) as server:
        here = connect(server)
        with here.transport:
            assert here.session.request("GET", "/v2/x", scopes=(MOUNT,)).read() == b"ok"
    assert answer.issued[0].authorization is None
    assert "account" not in answer.issued[0].query


def test_a_realm_is_asked_with_what_it_brings_and_no_service_that_nobody_named() -> None:
    """Its own query stays, values that are empty too."""
    answer = TokenAnswer()

    def bare(request: Request) -> Reply:
        if request.path == "/token" or request.authorization in answer.valid:
            return answer(request)
        value = f'Bearer realm="{server.url}/token?a=1&b="'
        return error(401, "UNAUTHORIZED", "no", ("WWW-Authenticate", value))

    with serving(bare) as server:
        here = connect(server)
        with here.transport:
            here.session.request("GET", "/v2/x", scopes=(MOUNT,)).read()
    scope = "repository%3Ateam%2Fbase%3Apull"
    assert answer.issued[0].target == f"/token?a=1&b=&scope={scope}"


def test_other_scopes_need_another_token() -> None:
    """A pull token is not used for a push."""
    answer = TokenAnswer()
    with serving(answer) as server:
        here = connect(server, USER)
        with here.transport:
            for scopes in ((MOUNT,), (PUSH,), (MOUNT,), (PUSH,)):
                here.session.request("GET", "/v2/x", scopes=scopes).read()
    assert [r.query["scope"] for r in answer.issued] == [
        ["repository:team/base:pull"],
        ["repository:team/app:pull,push"],
    ]


@pytest.mark.parametrize(
    ("life", "kept"),
    [
        (None, 49),
        (1, 49),
        pytest.param(-(10**400), 49, id="below any float"),
        (300, 269),
        (3600, 3239),
        pytest.param(10**400, 77759, id="above any float"),
        (float("inf"), 77759),
        (float("nan"), 49),
        (True, 49),
    ],
)
def test_a_token_is_replaced_before_it_ends(life: float | None, kept: int) -> None:
    """A minute at least, a day at most count as its life; near the end comes a new one."""
    answer = TokenAnswer(life=life)
    with serving(answer) as server:
        here = connect(server, USER)
        with here.transport:
            here.session.request("GET", "/v2/x", scopes=(PUSH,)).read()
            here.clock.time += kept
            here.session.request("GET", "/v2/x", scopes=(PUSH,)).read()
            assert len(answer.issued) == 1
            here.clock.time += 2
            here.session.request("GET", "/v2/x", scopes=(PUSH,)).read()
            assert len(answer.issued) == 2
    assert len([r for r in server.seen if r.path == "/v2/x"]) == 4  # one challenge, no refusal


def test_a_token_that_is_refused_is_replaced_once() -> None:
    """A revoked token costs one more request; a registry that refuses all of them gets an error."""
    answer = TokenAnswer()
    with serving(answer) as server:
        here = connect(server, USER)
        with here.transport:
            here.session.request("GET", "/v2/x", scopes=(PUSH,)).read()
            answer.valid.clear()
            here.session.request("GET", "/v2/x", scopes=(PUSH,)).read()
            assert len(answer.issued) == 2
            server.answer = lambda r: (
                answer(r) if r.path == "/token" else challenge(f"{server.url}/token")
            )
            with pytest.raises(UnauthorizedError):
                here.session.request("GET", "/v2/x", scopes=(PUSH,))
            assert len(answer.issued) == 3


@pytest.mark.parametrize("gone", [401, 404, 500])
def test_a_dead_realm_in_the_challenge_to_a_stale_token_is_passed_over(gone: int) -> None:
    """Asked without a token, the registry names the token server that counts."""
    answer = TokenAnswer()

    def astray(request: Request) -> Reply:
        if request.path == "/dead":
            return Reply(gone)
        refused = request.authorization and request.authorization not in answer.valid
        return challenge(f"{server.url}/dead") if refused else answer(request)

    with serving(answer) as server:
        here = connect(server, USER)
        with here.transport:
            here.session.request("GET", "/v2/x", scopes=(PUSH,)).read()
            answer.valid.clear()
            server.answer = lambda r: answer(r) if r.path == "/token" else astray(r)
            here.session.request("GET", "/v2/x", scopes=(PUSH,)).read()
            bare = [r for r in server.seen if r.path == "/v2/x" and not r.authorization]
            assert len(bare) == 2
            server.answer = lambda r: Reply(401) if r.path == "/token" else astray(r)
            answer.valid.clear()
            with pytest.raises((UnauthorizedError, RegistryError, NotFoundError)):
                here.session.request("GET", "/v2/x", scopes=(PUSH,))


def test_a_token_that_ends_while_a_request_waits_is_replaced() -> None:
    """A registry that asks for a pause may outlast what it was asked with."""
    answer = TokenAnswer()

    def busy(request: Request) -> Reply:
        reply = answer(request)
        if request.path == "/v2/x" and reply.status == 200 and len(answer.issued) == 1:
            answer.valid.clear()
            return error(429, "TOOMANYREQUESTS", "slow", ("Retry-After", "55"))
        return reply

    with serving(busy) as server:
        here = connect(server, USER)
        with here.transport:
            assert here.session.request("GET", "/v2/x", scopes=(PUSH,)).read() == b"ok"
    assert len(answer.issued) == 2


def test_requests_go_together_once_the_registry_has_said_how_to_authenticate() -> None:
    """Only the first waits alone."""
    together = threading.Barrier(2, timeout=5)
    answer = TokenAnswer()

    def meeting(request: Request) -> Reply:
        if request.path == "/v2/together":
            together.wait()
        return answer(request)

    with serving(meeting) as server:
        here = connect(server)
        with here.transport, ThreadPoolExecutor(2) as pool:
            assert here.session.request("GET", "/v2/x", scopes=(PUSH,)).read() == b"ok"
            ask = partial(here.session.request, "GET", scopes=(PUSH,))
            answers = pool.map(ask, ["/v2/together"] * 2)
            assert [each.read() for each in answers] == [b"ok", b"ok"]


def test_a_body_is_sent_again_after_a_challenge() -> None:
    """A token that ends before a long upload: the whole body goes out a second time."""
    answer = TokenAnswer()
    with serving(answer) as server:
        here = connect(server, USER)
        with here.transport:
            body = BytesBody(b"layer" * 1000)
            here.session.request("PUT", "/v2/x", scopes=(PUSH,), body=body, retry=False).read()
    assert [len(r.body) for r in server.seen if r.method == "PUT"] == [5000, 5000]


def test_many_threads_fetch_one_token() -> None:
    """At most one fetch is in flight for one set of scopes."""
    answer = TokenAnswer(delay=0.1)
    with serving(answer) as server:
        here = connect(server, USER)

        def work() -> None:
            here.session.request("GET", "/v2/x", scopes=(PUSH,)).read()

        with here.transport:
            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert len(answer.issued) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_scopes_grow_when_the_registry_says_they_are_too_few(status: int) -> None:
    """``insufficient_scope`` adds what is asked for to what was asked for."""
    answer = TokenAnswer()

    def strict(request: Request) -> Reply:
        reply = answer(request)
        asked = answer.issued[-1].query.get("scope", []) if answer.issued else []
        if reply.status == 200 and request.path != "/token" and len(asked) < 2:
            value = (
                f'Bearer realm="{server.url}/token",service="reg",'
                'scope="repository:team/base:pull",error="insufficient_scope"'
            )
            return error(status, "DENIED", "more", ("WWW-Authenticate", value))
        return reply

    with serving(strict) as server:
        here = connect(server, USER)
        with here.transport:
            assert here.session.request("POST", "/v2/x", scopes=(PUSH,)).read() == b"ok"
            here.session.request("POST", "/v2/x", scopes=(PUSH,)).read()
    assert len(answer.issued) == 2
    assert answer.issued[1].query["scope"] == [
        "repository:team/app:pull,push",
        "repository:team/base:pull",
    ]


def test_a_token_for_a_mount_that_is_refused_becomes_one_for_the_push() -> None:
    """Some token servers refuse the whole request for an unknown source."""
    answer = TokenAnswer()

    def picky(request: Request) -> Reply:
        if request.path == "/token" and len(request.query["scope"]) > 1:
            return error(403, "DENIED")
        return answer(request)

    with serving(picky) as server:
        here = connect(server, USER)
        with here.transport:
            assert here.session.request("POST", "/v2/x", scopes=(PUSH, MOUNT)).read() == b"ok"
    assert answer.issued[0].query["scope"] == ["repository:team/app:pull,push"]


@pytest.mark.parametrize(
    ("header", "authorization"),
    [
        ('Basic realm="r", Bearer realm="{}/token"', "Bearer mine"),
        ('Bearer service="s", Basic realm="r"', BASIC),
        ('Negotiate, Basic realm="r"', BASIC),
    ],
)
def test_of_several_challenges_the_best_one_is_answered(header: str, authorization: str) -> None:
    """A token before the password itself; one that nobody gives is none."""

    def answer(request: Request) -> Reply:
        if request.path == "/token":
            return Reply(200, (), b'{"access_token": "mine"}')
        if request.authorization == authorization:
            return Reply()
        value = header.format(f"http://{request.headers['host']}")
        return error(401, "UNAUTHORIZED", "no", ("WWW-Authenticate", value))

    with serving(answer) as server:
        here = connect(server, USER)
        with here.transport:
            here.session.request("GET", "/v2/x", scopes=(PUSH,)).read()


def test_a_registry_that_wants_ever_more_is_asked_four_times() -> None:
    """Each scope is another, and none is enough."""
    answer = TokenAnswer()

    def greedy(request: Request) -> Reply:
        if request.path == "/token":
            return answer(request)
        more = f'scope="repository:team/n{len(answer.issued)}:pull"'
        return challenge(f"{server.url}/token", more, 'error="insufficient_scope"')

    with serving(greedy) as server:
        here = connect(server, USER)
        with here.transport, pytest.raises(UnauthorizedError):
            here.session.request("GET", "/v2/x", scopes=(PUSH,))
    assert server.targets().count("GET /v2/x") == 4


@pytest.mark.parametrize("known", [True, False])
def test_what_is_denied_with_good_credentials_is_asked_once(known: bool) -> None:
    """Only who has not said who asks is told to."""
    answer = TokenAnswer()

    def deny(request: Request) -> Reply:
        reply = answer(request)
        if reply.status == 200 and request.path == "/v2/denied":
            realm = ("WWW-Authenticate", f'Bearer realm="{server.url}/token"')
            return error(403, "DENIED", "no", realm)
        return reply

    with serving(deny) as server:
        here = connect(server, USER if known else None)
        with here.transport:
            here.session.request("GET", "/v2/x", scopes=(PUSH,)).read()
            with pytest.raises(UnauthorizedError) as caught:
                here.session.request("GET", "/v2/denied", scopes=(PUSH,))
    hint = "these credentials may not do this" if known else Remedy.LOG_IN(server.host)
    assert caught.value.hint == hint
    assert server.targets().count("GET /v2/denied") == 1
    assert len(answer.issued) == 1


def test_an_identity_token_is_exchanged_by_post() -> None:
    """RFC 6749's refresh grant; the identity token is in the body only."""
    answer = TokenAnswer()
    with serving(answer) as server:
        here = connect(server, Credential(identity_token="refresh-me"))
        with here.transport:
            for scopes in ((PUSH, MOUNT), (MOUNT,)):
                here.session.request("GET", "/v2/x", scopes=scopes).read()
    request = answer.issued[0]
    assert request.method == "POST"
    assert answer.issued[1].form["refresh_token"] == ["refresh-me"]
    assert request.form["grant_type"] == ["refresh_token"]
    assert request.form["refresh_token"] == ["refresh-me"]
    assert request.form["scope"] == ["repository:team/app:pull,push repository:team/base:pull"]
    assert request.authorization is None
    assert "refresh-me" not in here.notes.everything


def test_an_identity_token_that_is_replaced_is_not_used_again() -> None:
    """RFC 6749, section 6: the old one may be worth nothing any more."""
    answer, valid = TokenAnswer(), ["refresh-0"]

    def rotating(request: Request) -> Reply:
        if request.method != "POST":
            return answer(request)
        if request.form["refresh_token"] != valid[-1:]:
            return error(400, "UNAUTHORIZED")
        valid.append(f"refresh-{len(valid)}")
        document = json.loads(answer(request).body)
        return Reply(200, (), json.dumps({**document, "refresh_token": valid[-1]}).encode())

    with serving(rotating) as server:
        here = connect(server, Credential(identity_token="refresh-0"))
        with here.transport:
            for scopes in ((PUSH,), (PUSH, MOUNT), (MOUNT,)):
                here.session.request("GET", "/v2/x", scopes=scopes).read()
    assert [request.method for request in answer.issued] == ["POST"] * 3
    assert valid[-1] == "refresh-3"
    assert "refresh-" not in here.notes.everything


@pytest.mark.parametrize("status", [400, 401, 404, 405])
def test_where_post_is_refused_the_token_is_got(status: int) -> None:
    """GCR says 404, JFrog 401, ACR 400: then by GET."""
    answer = TokenAnswer()

    def no_post(request: Request) -> Reply:
        return error(status, "UNSUPPORTED") if request.method == "POST" else answer(request)

    with serving(no_post) as server:
        here = connect(server, Credential(identity_token="refresh-me"))
        with here.transport:
            assert here.session.request("GET", "/v2/x", scopes=(PUSH,)).read() == b"ok"
    assert answer.issued[0].authorization == "Basic PHRva2VuPjpyZWZyZXNoLW1l"


def test_a_registry_token_is_the_bearer_token_itself() -> None:
    """``registrytoken`` needs no token server."""
    answer = TokenAnswer(valid={"Bearer mine"})
    with serving(answer) as server:
        here = connect(server, Credential(registry_token="mine"))
        with here.transport:
            assert here.session.request("GET", "/v2/x", scopes=(PUSH,)).read() == b"ok"
    assert answer.issued == []


def test_a_foreign_realm_gets_no_credentials_unless_it_is_trusted() -> None:
    """It is asked anonymously, with a warning that says what to do; trusted, it gets them."""
    with serving(lambda r: tokens(r)) as server:
        elsewhere = f"http://localhost:{server.port}/token"
        tokens = TokenAnswer(realm=elsewhere)
        here = connect(server, USER)
        with here.transport:
            here.session.request("GET", "/v2/x", scopes=(PUSH,)).read()
        assert tokens.issued[0].authorization is None
        assert "account" not in tokens.issued[0].query
        assert "not trusted" in here.notes.warnings[0]
        assert here.notes.hints == [Remedy.TRUST_REALM("localhost")]
        here = connect(server, USER, "localhost")
        with here.transport:
            here.session.request("GET", "/v2/x", scopes=(PUSH,)).read()
        assert tokens.issued[1].authorization == BASIC
        assert here.notes.warnings == []


@pytest.mark.parametrize("refusing", ["registry", "token server"])
def test_a_refusal_after_credentials_were_withheld_asks_whether_to_trust(refusing: str) -> None:
    """Nothing is wrong with the credentials: nobody has seen them."""

    def refuse(request: Request) -> Reply:
        if request.path == "/token" and refusing == "registry":
            return Reply(200, body=b'{"token": "anonymous"}')
        if request.path == "/token":
            return error(401, "UNAUTHORIZED")
        return challenge(f"http://localhost:{server.port}/token")

    with serving(refuse) as server:
        here = connect(server, USER)
        with here.transport, pytest.raises(UnauthorizedError) as caught:
            here.session.request("GET", "/v2/x", scopes=(PUSH,))
    assert caught.value.hint == Remedy.TRUST_REALM("localhost")


def test_an_identity_token_stays_away_from_a_foreign_realm() -> None:
    """The stronger secret is held back as well."""
    with serving(lambda r: tokens(r)) as server:
        tokens = TokenAnswer(realm=f"http://localhost:{server.port}/token")
        here = connect(server, Credential(identity_token="refresh-me"))
        with here.transport:
            here.session.request("GET", "/v2/x", scopes=(PUSH,)).read()
    assert tokens.issued[0].method == "GET"
    assert all(b"refresh-me" not in request.body for request in server.seen)
    assert all(request.authorization != BASIC for request in server.seen)


@pytest.mark.parametrize(
    "realm", ["http://169.254.169.254/token", "http://10.0.0.1/t", "null://x", "ftp://a/", "/t"]
)
def test_an_unsafe_realm_is_never_asked(realm: str) -> None:
    """The metadata service and its like are not spoken to; the request fails."""
    with serving(lambda _: challenge(realm)) as server:
        here = connect(server, USER)
        with here.transport, pytest.raises(UnsafeError):
            here.session.request("GET", "/v2/x", scopes=(PUSH,))
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_token_request_is_never_redirected(status: int) -> None:
    """Nobody else gets what was meant for the token server."""
    with serving(lambda _: Reply()) as other:
        answer = TokenAnswer(refuse_token=Reply(status, (("Location", other.url),)))
        with serving(answer) as server:
            here = connect(server, USER)
            with here.transport, pytest.raises(UnsafeError, match="redirects"):
                here.session.request("GET", "/v2/x", scopes=(PUSH,))
        assert other.seen == []


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, (), b"not json"),
        Reply(200, (), b"[]"),
        Reply(200, (), b"{}"),
        Reply(200, (), b'{"token": 5}'),
        Reply(200, (), b'{"token": "a b"}'),
        Reply(200, (), b'{"token": "a\\r\\nX: y"}'),
        Reply(200, (), b"[" * 100000),
        Reply(200, (), b'{"token": "' + b"x" * 300000 + b'"}'),
    ],
)
def test_an_unusable_token_answer_is_an_error(reply: Reply) -> None:
    """No JSON, no token, a token that would break the header, or one without end."""
    with serving(TokenAnswer(refuse_token=reply)) as server:
        here = connect(server, USER)
        with here.transport, pytest.raises(RegistryError):
            here.session.request("GET", "/v2/x", scopes=(PUSH,))


def test_refused_credentials_are_told_with_the_servers_words_but_without_secrets() -> None:
    """The password and its Basic form are cut out of what the token server says."""
    words = "user user with hushhush and dXNlcjpodXNoaHVzaA== is wrong\x1b[31m"
    with serving(TokenAnswer(refuse_token=error(401, "UNAUTHORIZED", words))) as server:
        here = connect(server, USER)
        with here.transport, pytest.raises(UnauthorizedError, match="is wrong") as caught:
            here.session.request("GET", "/v2/x", scopes=(PUSH,))
    assert caught.value.answer is not None
    for text in (str(caught.value), repr(caught.value), here.notes.everything):
        assert "hushhush" not in text
        assert "dXNlcjpodXNoaHVzaA" not in text
        assert "\x1b" not in text


def test_a_token_server_in_trouble_is_tried_again_but_not_for_ever() -> None:
    """Its attempts are not multiplied by those of the request."""
    answer = TokenAnswer(refuse_token=Reply(503))
    with serving(answer) as server:
        here = connect(server, USER)
        with here.transport, pytest.raises(ImgpackError):
            here.session.request("GET", "/v2/x", scopes=(PUSH,))
    assert len(answer.issued) == 3


def test_a_challenge_that_is_missing_is_asked_for() -> None:
    """GCR's 401 on the real URL may have no challenge; ``/v2/`` has one."""
    answer = TokenAnswer()

    def silent(request: Request) -> Reply:
        reply = answer(request)
        return (
            error(401, "UNAUTHORIZED") if reply.status == 401 and request.path != "/v2/" else reply
        )

    with serving(silent) as server:
        here = connect(server, USER)
        with here.transport:
            assert here.session.request("GET", "/v2/x", scopes=(PUSH,)).read() == b"ok"


def test_credentials_can_be_checked() -> None:
    """Good ones pass, bad ones are refused, and withheld ones do not count as checked."""
    with serving(lambda r: tokens(r)) as server:
        tokens = TokenAnswer()
        here = connect(server, USER)
        with here.transport:
            assert here.session.check_credentials() is True
        tokens.realm = f"http://localhost:{server.port}/token"
        here = connect(server, USER)
        with here.transport, pytest.raises(UnauthorizedError) as caught:
            here.session.check_credentials()
        assert caught.value.hint == Remedy.TRUST_REALM("localhost")
        server.answer = lambda _: Reply()
        here = connect(server, USER)
        with here.transport:
            assert here.session.check_credentials() is False


@pytest.mark.parametrize("credential", [None, Credential(identity_token="refresh")], ids=repr)
def test_basic_without_a_password_is_asked_once(credential: Credential | None) -> None:
    """Asking again in the same words would get the same answer."""
    answer = error(401, "UNAUTHORIZED", "no", ("WWW-Authenticate", 'Basic realm="r"'))
    with serving(lambda _: answer) as server:
        here = connect(server, credential)
        with here.transport, pytest.raises(UnauthorizedError):
            here.session.request("GET", "/v2/x")
    assert [request.authorization for request in server.seen] == [None]


def test_refused_basic_credentials_are_sent_once() -> None:
    """A second time they would be as wrong, and count towards a lock of the account."""
    answer = error(401, "UNAUTHORIZED", "no", ("WWW-Authenticate", 'Basic realm="r"'))
    with serving(lambda _: answer) as server:
        here = connect(server, USER)
        with here.transport, pytest.raises(UnauthorizedError):
            here.session.request("GET", "/v2/x")
    assert [request.authorization for request in server.seen] == [None, BASIC]
