"""Whatever a registry does with a secret that it was sent, nobody gets to read it."""

import base64
import html
import json
import pickle
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imgpack.api import Reference, Registries, RetryPolicy, SessionOptions
from imgpack.credentials.lookup import Credential
from imgpack.errors import ImgpackError, RegistryError
from imgpack.registry.http.message import BytesBody
from imgpack.registry.http.redaction import LONGEST_MESSAGE, Secrets
from imgpack.registry.pull.download import RemoteSource
from imgpack.registry.pull.image import open_remote
from imgpack.registry.push.upload_session import UploadSession
from imgpack.registry.repository import Repository
from imgpack.registry.tags import list_tags
from imgpack.spec import mediatype
from imgpack.spec.descriptor import describe
from tests.registry.loopback import Notes, Reply, Request, error, serving, token
from tests.registry.test_auth import One

PASSWORD = 'pa"ss\\w/örd?-~secret'
PLAIN = f"user:{PASSWORD}"
BASIC = base64.b64encode(PLAIN.encode()).decode()
BLOB = describe(mediatype.OCTET_STREAM, b"0123456789")
LATIN = PASSWORD.encode().decode("latin-1")  # what a header holds that is sent as UTF-8
JSON = ("Content-Type", "application/json")


def known(*secrets: str) -> Secrets:
    """What hides these."""
    found = Secrets()
    found.add(*secrets)
    return found


@pytest.mark.parametrize(
    "spelling",
    [
        PASSWORD,
        json.dumps(PASSWORD)[1:-1],
        json.dumps(PASSWORD, ensure_ascii=False)[1:-1],
        json.dumps(PASSWORD).replace("/", "\\/"),
        json.dumps("a<b>&" + PASSWORD).replace("&", "\\u0026"),
        quote(PASSWORD),
        quote(PASSWORD, safe=""),
        quote(PASSWORD, safe="").lower(),
        quote_plus(PASSWORD),
        html.escape(PASSWORD),
        repr(PASSWORD),
        "".join(f"\\{byte:03o}" for byte in PASSWORD.encode()),
        "".join(f"&#000000{ord(char):07}" for char in PASSWORD),
        PASSWORD.encode().decode("latin-1"),
    ],
)
def test_a_password_is_hidden_in_every_spelling(spelling: str) -> None:
    """As it is, and as JSON, URLs, pages, Python and headers have it."""
    hidden = known(PASSWORD).hide(f"before {spelling} after")
    assert "***" in hidden
    assert "secret" not in hidden
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")


@pytest.mark.parametrize(
    "credential",
    [Credential("user", PASSWORD), Credential("", "", PASSWORD)],
)
def test_basic_is_hidden_in_every_alphabet(credential: Credential) -> None:
    """With and without its padding, of a password and of an identity token."""
    user = credential.username or "<token>"
    secrets = known(*credential.secrets)
    for tail in ("", "x", "xy"):
        text = f"{user}:{credential.password or credential.identity_token}{tail}".encode()
        longer = Credential(
            credential.username,
            credential.password and credential.password + tail,
            credential.identity_token and credential.identity_token + tail,
        )
        secrets.add(*longer.secrets)
        for spelled in (base64.b64encode(text), base64.urlsafe_b64encode(text)):
            for form in (spelled.decode(), spelled.decode().rstrip("=")):
                assert secrets.hide(f"/{form}/").strip("=") in ("/***/", "/***=/", "/***==/")


def test_a_secret_is_gone_before_a_text_is_cut_or_cleaned() -> None:
    """Else its beginning would be shown, or a form of it that nobody looks for."""
    secrets = known("s3cret  value")
    assert secrets.quote("12345 s3cret  value", 10) == "12345 ***"
    assert secrets.quote(" " * 30 + "s3cret  value", 10) == "***"
    assert secrets.hide("on one line: s3cret value") == "on one line: ***"
    assert known("to?ken#1").redact("https://a.test/to?ken#1/x?y=z") == "https://a.test/***/x?y=***"


ENCODERS: tuple[Callable[[str], str], ...] = (
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: "".join(f"\\u{ord(char):04X}" for char in text),
    lambda text: quote(text, safe=""),
    lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    html.escape,
    lambda text: "".join(f"&#{ord(char)};" for char in text),
    lambda text: "".join(f"&#x{ord(char):X};" for char in text),
    lambda text: "".join(c if n % 2 else f"%{ord(c):02X}" for n, c in enumerate(text)),
)


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=20),
    st.lists(st.sampled_from(ENCODERS), max_size=3),
)
@example("a%41&amp;\\u0041", [ENCODERS[0], ENCODERS[4]])
def test_a_secret_is_hidden_however_often_and_far_it_is_encoded(
    secret: str, encoders: list[Callable[[str], str]]
) -> None:
    """Characters that need no encoding, too; and nothing around it is."""
    text = secret
    for encode in encoders:
        text = encode(text)
    secrets = known(secret)

    assert secrets.hide(f"[{text}]") == "[***]"
    assert secrets.hide(f"[{secret.encode().hex()}]") == "[***]"


@given(st.text(min_size=6, max_size=20), st.text(max_size=5), st.text(max_size=5))
def test_a_secret_is_hidden_in_base64_of_any_text(secret: str, before: str, after: str) -> None:
    """Alone, or anywhere in what was encoded."""
    encoded = base64.b64encode(f"{before}{secret}{after}".encode())

    for text in (encoded, encoded.translate(bytes.maketrans(b"+/", b"-_"))):
        shown = known(secret).hide(text.decode())
        assert "***" in shown
        assert len(shown) <= 3 + 4 * (len(f"{before}{after}".encode()) // 3 + 3)


def test_what_is_too_short_to_be_a_secret_stays() -> None:
    """Three letters are in too many words."""
    assert known("s3cret-value", "abc").hide("abc: s3cret-value!") == "abc: ***!"


def test_an_error_is_covered_whole_and_stays_what_it_is() -> None:
    """Message, hint, text and pickle; a message of a page's length is cut."""
    secrets = known("s3cret")
    covered = secrets.cover(RegistryError("a s3cret " + "x" * 9000, "give s3cret"))
    assert type(covered) is RegistryError
    for each in (covered, pickle.loads(pickle.dumps(covered))):
        assert "s3cret" not in f"{each} {each!r} {each.args}"
        assert len(each.message) == LONGEST_MESSAGE
    assert secrets.cover(covered) is covered


# A registry that repeats what it was sent


Ask = Callable[[Registries, Reference], object]


def tags(registries: Registries, name: Reference) -> object:
    """List the tags."""
    return list(list_tags(client(registries, name)))


def client(registries: Registries, name: Reference) -> Repository:
    """The repository's endpoints."""
    return Repository(registries.session(name.registry), name.repository)


def read(registries: Registries, name: Reference) -> object:
    """Read a blob from its second byte."""
    return list(RemoteSource(client(registries, name)).read_blob(BLOB, 1))


def upload(registries: Registries, name: Reference) -> object:
    """Push a blob."""
    there = client(registries, name)
    return UploadSession.begin(there).complete(BLOB, BytesBody(b"0123456789"))


def document(status: int, **entry: object) -> Reply:
    """An errors document that is not escaped more than it has to be."""
    text = json.dumps({"errors": [{"code": "X", **entry}]}, ensure_ascii=False)
    return Reply(status, (JSON,), text.encode())


OCI = ("Content-Type", mediatype.OCI_MANIFEST)
CONFIG = {"mediaType": mediatype.OCI_CONFIG, "digest": PLAIN, "size": 1}
MANIFEST = {"schemaVersion": 2, "config": CONFIG, "layers": []}
PAGE = Reply(200, (JSON,), b'{"name": "a", "tags": ["t"]}')
REPEATED: dict[str, tuple[Ask, Reply]] = {
    "a message": (tags, document(400, message=f"bad {PLAIN}, {BASIC}")),
    "a message without padding": (tags, document(400, message=BASIC.rstrip("="))),
    "a detail": (tags, document(400, detail={"sent": [PLAIN, {PASSWORD: 1}]})),
    "a text": (tags, Reply(400, (), PLAIN.encode())),
    "a title": (tags, Reply(400, (), f"<title>{html.escape(PLAIN)}</title>".encode())),
    "a redirect": (tags, Reply(302, (("Location", f"/v2/a/{BASIC}?x={BASIC}"),))),
    "a redirect away": (tags, Reply(302, (("Location", f"http://10.0.0.1/{BASIC}"),))),
    "a malformed redirect": (tags, Reply(302, (("Location", "x" * 180 + f" {LATIN}"),))),
    "a page link": (tags, Reply(200, (("Link", f'</{BASIC}>; rel="next"'),), PAGE.body)),
    "a digest": (
        open_remote,
        Reply(200, (("Docker-Content-Digest", "sha256:" + LATIN + BASIC),), b"{}"),
    ),
    "a long digest": (
        open_remote,
        Reply(200, (("Docker-Content-Digest", "sha256:" + "x" * 63 + BASIC),), b"{}"),
    ),
    "a manifest": (open_remote, Reply(200, (OCI,), json.dumps(MANIFEST).encode())),
    "a location": (upload, Reply(202, (("Location", f"http://10.0.0.1/{quote(PASSWORD)}"),))),
    "a stored digest": (
        upload,
        Reply(202, (("Location", "/v2/a/u"), ("Docker-Content-Digest", f"sha256:{BASIC}"))),
    ),
}


@pytest.fixture
def notes() -> Notes:
    """What the user is told on the way."""
    return Notes()


def connected(reporter: Notes) -> Registries:
    """With the password, and few attempts."""
    options = SessionOptions(retry=RetryPolicy(attempts=2))
    return Registries(None, options, One(Credential("user", PASSWORD)), reporter)


@pytest.mark.parametrize("kind", REPEATED)
def test_no_secret_is_in_an_error_or_a_detail(kind: str, notes: Notes) -> None:
    """Wherever the registry's answer has it."""
    ask, reply = REPEATED[kind]

    def answer(request: Request) -> Reply:
        if request.authorization is None:
            return error(401, "UNAUTHORIZED", "who?", ("WWW-Authenticate", 'Basic realm="x"'))
        return reply

    with (
        serving(answer) as server,
        pytest.raises(ImgpackError) as caught,
        connected(notes) as registries,
    ):
        ask(registries, Reference.parse(f"{server.host}/a:1"))
    assert_hidden(f"{caught.value}\n{caught.value!r}\n{notes.everything}")


def test_no_secret_is_in_a_warning(notes: Notes) -> None:
    """Warnings are shown without being asked for."""
    warned = Reply(200, (("Warning", f'299 - "you sent {LATIN}, that is {BASIC}"'),), PAGE.body)

    def answer(request: Request) -> Reply:
        if request.authorization is None:
            return error(401, "UNAUTHORIZED", "who?", ("WWW-Authenticate", 'Basic realm="x"'))
        return warned

    with serving(answer) as server, connected(notes) as registries:
        tags(registries, Reference.parse(f"{server.host}/a:1"))
    assert notes.warnings == [f"{server.host}: you sent ***, that is ***"]


def test_a_token_is_a_secret_as_soon_as_it_is_there(notes: Notes) -> None:
    """Also one that the registry does not take."""

    def answer(request: Request) -> Reply:
        if request.path == "/token":
            return token("t0ken/with+all=", refresh_token="another-0ne")
        realm = f'Bearer realm="{server.url}/token",service="x"'
        said = f"{request.authorization}, t0ken%2Fwith%2Ball%3D"
        return error(401, "UNAUTHORIZED", said, ("WWW-Authenticate", realm))

    with (
        serving(answer) as server,
        pytest.raises(ImgpackError) as caught,
        connected(notes) as registries,
    ):
        tags(registries, Reference.parse(f"{server.host}/a:1"))
    assert "***" in caught.value.message
    assert "t0ken" not in f"{caught.value}{notes.everything}"


def assert_hidden(text: str) -> None:
    """No recognisable part of the password, in any encoding, is in ``text``."""
    for part in (
        "secret",
        'pa"ss',
        "pa\\",
        "pa%22",
        "pa&quot;",
        BASIC[:16],
        BASIC[-12:].strip("="),
    ):
        assert part not in text
    assert "***" in text
