"""Private keys and tokens are told by their forms, and what only looks like one is not."""

import base64
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.tree.secrets.names import suspected
from imgpack.tree.secrets.texts import redacted, secrets_in

_BODY = "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8bC0dF" * 8


def _encoded(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


_JWT = ".".join(map(_encoded, (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"somebody","iat":1}')))
SECRETS = {
    "a private key": "-----BEGIN PRIVATE KEY-----\n" + _BODY[:64],
    "a token of GitHub": "github_pat_" + _BODY[:82],
    "a token of GitLab": "glpat-" + _BODY[:20],
    "an access key of AWS": "AKIA" + "QWERTYUIOPASDFGH",
    "a token of Slack": "xoxb-" + "408152739460-" + _BODY[:24],
    "a key of Google": "AIza" + _BODY[:35],
    "a key of Stripe": "sk_live_" + _BODY[:24],
    "a token of npm": "npm_" + _BODY[:36],
    "a token of PyPI": "pypi-AgE" + _BODY[:50],
    "a token of Docker": "dckr_pat_" + _BODY[:27],
    "a token of Hugging Face": "hf_" + _BODY[:34],
    "a token of DigitalOcean": "dop_v1_" + "0123456789abcdef" * 4,
    "a key of Anthropic": "sk-ant-api03-" + _BODY[:80],
    "a key of OpenAI": f"sk-{_BODY[:20]}T3BlbkFJ{_BODY[:20]}",
    "a key of Azure storage": f"AccountKey={_BODY[:86]}==",
    "a key of SendGrid": f"SG.{_BODY[:22]}.{_BODY[:43]}",
    "a JSON web token": f"{_JWT}.{_BODY[:43]}",
    "a password in a URL": "https://me:secret@host/",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_known_by_its_form(kind: str) -> None:
    """Wherever in a line it stands, and it is told in which."""
    text = f"first\nname = '{SECRETS[kind]}'\nlast"
    assert [(one.kind, one.line) for one in secrets_in(text.encode(), urls=True)] == [(kind, 2)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        *((f"gh{one}_{_BODY[:36]}", "a token of GitHub") for one in "pousr"),
        *((f"xox{one}-12345678-{_BODY[:10]}", "a token of Slack") for one in "abposr"),
        ("ASIA" + "QWERTYUIOPASDFG2", "an access key of AWS"),
        ("rk_live_" + _BODY[:24], "a key of Stripe"),
        ("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n" + _BODY, "a private key"),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n" + _BODY, "a private key"),
    ],
)
def test_a_form_has_all_its_beginnings(text: str, kind: str) -> None:
    """By which it is told what the token is for."""
    assert [one.kind for one in secrets_in(text.encode())] == [kind]


def test_no_more_secrets_of_a_text_are_told_than_somebody_reads() -> None:
    """The first twenty; the password in a URL only if it is asked for."""
    token = f"npm_{_BODY[:36]}\n"
    found = list(secrets_in((token * 30).encode()))
    assert [one.line for one in found] == list(range(1, 21))
    assert list(secrets_in(SECRETS["a password in a URL"].encode())) == []


def test_a_token_has_different_characters() -> None:
    """Fewer than eight are a placeholder; so is one that says that it is an example."""
    assert list(secrets_in(b"npm_" + b"abcd" * 9))
    assert not list(secrets_in(b"npm_" + b"abc" * 12))
    for word in ("EXAMPLE", "example", "xxxx", "XXXX", "1234567890"):
        assert not list(secrets_in(f"npm_{word}{_BODY}"[:40].encode()))


@pytest.mark.parametrize("kind", SECRETS)
def test_no_secret_is_shown_whole(kind: str) -> None:
    """Four characters of it, and how many there are."""
    (found,) = secrets_in(SECRETS[kind].encode(), urls=True)
    assert SECRETS[kind][5:] not in found.shown
    shown = SECRETS[kind][:4] + "…" if kind != "a private key" else ""
    assert found.shown.startswith(shown) and bool(found.shown) == bool(shown)


def test_a_url_may_have_a_password_and_no_user() -> None:
    """As those of Redis have."""
    (found,) = secrets_in(b"redis://:long-and-secret@redis:6379/0", urls=True)
    assert found.kind == "a password in a URL"


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n...\n",
        "-----BEGIN CERTIFICATE-----\n" + _BODY, "AKIAIOSFODNN7EXAMPLE", "ghp_" + "x" * 36,
        "ghp_short", "eyJhbGciOi.eyJ.x", "eyJ" + "A" * 30 + ".eyJ" + "A" * 30 + "." + "A" * 43,
        "https://user:${PASSWORD}@host", "https://user@host", "hf_hub_download_and_so_on",
        f"a-{_JWT}.{_BODY[:43]}",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_secret_is_not_told(text: str) -> None:
    """Marks without a body, examples, placeholders."""
    assert list(secrets_in(text.encode(), urls=True)) == []


def test_a_key_within_json_is_found() -> None:
    """Where the ends of lines are written as two characters."""
    text = '{"private_key": "-----BEGIN PRIVATE KEY-----\\n' + _BODY[:64] + '\\n"}'
    assert [one.kind for one in secrets_in(text.encode())] == ["a private key"]


@given(st.text(max_size=60))
def test_of_a_secret_four_characters_are_shown_at_most(value: str) -> None:
    """And none of a short one."""
    shown = redacted(value)
    assert shown.endswith(f"… ({len(value)} characters)")
    assert len(shown.partition("…")[0]) in ((4,) if len(value) >= 12 else (0,)) or "…" in value


@given(
    st.lists(st.sampled_from([*SECRETS.values(), "eyJ", ".", "-----BEGIN ", "://", ":", "@", "\n"]))
)
def test_no_text_is_too_strange(parts: list[str]) -> None:
    """However its pieces are put together."""
    assert len(list(secrets_in("".join(parts).encode(), urls=True))) <= 20


@given(st.text(st.sampled_from("abc"), max_size=9), st.sampled_from(('{"alg":"x"}', '{"no":"x"}')))
def test_a_web_token_says_its_algorithm(more: str, header: str) -> None:
    """Whatever else is in its header, and however long that is."""
    first = _encoded(f'{header[:-1]},"typ":"{more}JWT"}}'.encode())
    token = f"{first}.{_encoded(b'{} ' * 9).replace('e30', 'eyJ', 1)}.{_BODY[:43]}"
    kinds = [one.kind for one in secrets_in(token.encode())]
    assert kinds == (["a JSON web token"] if "alg" in header else [])


NAMES = {
    "the history of a repository": (".git", ".hg", ".svn"),
    "settings that are often secret": (".env", ".env.local", ".env.production"),
    "a private key": ("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"),
    "credentials": (
        ".aws/credentials", ".git-credentials", ".npmrc", ".pypirc", ".netrc", ".pgpass",
        ".docker/config.json", ".dockercfg", ".config/containers/auth.json", ".kube/config",
        "kubeconfig", ".vault-token", ".s3cfg", ".cargo/credentials.toml",
        ".config/gh/hosts.yml", ".azure/msal_token_cache.json",
        ".terraform.d/credentials.tfrc.json", "gcloud/application_default_credentials.json",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", NAMES)
def test_a_secret_is_known_by_its_name(kind: str) -> None:
    """In any directory: a file, but of a history the directory; what ends like it is none."""
    fits, other = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755
    if kind == "the history of a repository":
        fits, other = other, fits
    for name in map(str.encode, NAMES[kind]):
        for above in (b"", b"a/", b"home/me/", b"a/b/c/d/"):
            assert suspected(above + name, fits) == kind
            assert suspected(above + name, other) is None
        assert suspected(b"a/x" + name, fits) is None
        assert suspected(name + b"x", fits) is None
        last = name.rpartition(b"/")[2]
        assert last == name or suspected(b"a/" + last, fits) is None
