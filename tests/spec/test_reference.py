"""Image references: the grammar, the familiar forms, and their way there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import Digest, Reference, parse_name
from imgpack.errors import InvalidReferenceError, without_user
from imgpack.spec.reference import is_tag
from tests import strategies

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"

GOOD = [
    ("debian", "docker.io", "library/debian", None, None),
    ("debian:12", "docker.io", "library/debian", "12", None),
    ("docker.io/debian", "docker.io", "library/debian", None, None),
    ("index.docker.io/debian", "docker.io", "library/debian", None, None),
    ("docker.io", "docker.io", "library/docker.io", None, None),
    ("user/app", "docker.io", "user/app", None, None),
    ("library/debian", "docker.io", "library/debian", None, None),
    ("localhost/x", "localhost", "x", None, None),
    ("localhost:5000/x", "localhost:5000", "x", None, None),
    ("localhost", "docker.io", "library/localhost", None, None),
    ("host:5000", "docker.io", "library/host", "5000", None),
    ("host:5000/a/b:c", "host:5000", "a/b", "c", None),
    ("Example.COM/a", "Example.COM", "a", None, None),
    ("a.b.c/d/e/f", "a.b.c", "d/e/f", None, None),
    ("127.0.0.1:5000/a", "127.0.0.1:5000", "a", None, None),
    ("[::1]:5000/a:b", "[::1]:5000", "a", "b", None),
    ("a__b/c.d/e-f/g--h_i", "docker.io", "a__b/c.d/e-f/g--h_i", None, None),
    (f"a@{DIGEST}", "docker.io", "library/a", None, DIGEST),
    (f"x.y/a:b@{DIGEST}", "x.y", "a", "b", DIGEST),
    (f"a:{'t' * 128}", "docker.io", "library/a", "t" * 128, None),
    ("a:_.-", "docker.io", "library/a", "_.-", None),
    (HEX[:63], "docker.io", f"library/{HEX[:63]}", None, None),
    (f"user/{HEX}", "docker.io", f"user/{HEX}", None, None),
    (f"x.y/{'a' * 251}", "x.y", "a" * 251, None, None),
]
BAD = [
    "",
    " ",
    "a ",
    "a\n",
    ":",
    ":tag",
    "@",
    "a:",
    "a@",
    "a/",
    "/a",
    "a//b",
    "x.y//b",
    "x.y/",
    "A",
    "Debian:12",
    "Foo/bar",
    "x.y/Foo",
    "a:b:c",
    "a:b/c",
    "host:port/a",
    "host:123456/a",
    "host:65536/a",
    "host:0/a",
    "host:/a",
    "-a",
    "a-",
    "a..b",
    "a___b",
    "a._b",
    ".a",
    "a/../b",
    "../a",
    "./a",
    "-x.y/a",
    "x-.y/a",
    "é",
    "a:é",
    "a:.b",
    "a:-b",
    "a:b c",
    f"a:{'t' * 129}",
    f"x.y/{'a' * 252}",
    HEX,
    f"{HEX}:tag",
    "a@sha256:abc",
    f"a@sha256:{HEX.upper()}",
    f"a@{DIGEST}@{DIGEST}",
    f"a@{DIGEST}:tag",
    f"@{DIGEST}",
    DIGEST + "/a",
    "https://x.y/a",
    "http://x.y/a",
    "docker://x.y/a",
    "user:password@x.y/a",
    "x.y/a?b",
    "x.y/a#b",
    "x.y/%61",
    "a\\b",
    "[::1]",
    "a\0b",
]


@pytest.mark.parametrize(("text", "registry", "repository", "tag", "digest"), GOOD)
def test_a_good_name_has_these_parts(
    text: str, registry: str, repository: str, tag: str | None, digest: str | None
) -> None:
    """Familiar names are normalised, nothing is added."""
    reference = Reference.parse(text)
    assert (reference.registry, reference.repository, reference.tag) == (registry, repository, tag)
    assert (str(reference.digest) if reference.digest else None) == digest


@pytest.mark.parametrize("text", BAD)
def test_a_bad_name_is_refused_and_named(text: str) -> None:
    """The error shows what was given."""
    with pytest.raises(InvalidReferenceError) as caught:
        Reference.parse(text)
    assert "invalid image name" in caught.value.message
    assert repr(without_user(text)) in caught.value.message


@given(strategies.references())
def test_a_reference_survives_being_written(reference: Reference) -> None:
    """In full and in its familiar form."""
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.shown()) == reference


@given(st.text(max_size=30) | st.text("aA0.:/@-_[]", max_size=30))
def test_any_text_is_a_reference_or_an_error(text: str) -> None:
    """What is taken survives being written, and is as short as was asked."""
    try:
        reference = Reference.parse(text)
    except InvalidReferenceError:
        return
    assert Reference.parse(str(reference)) == reference


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("docker.io/library/debian", "debian"),
        ("docker.io/user/app", "user/app"),
        ("docker.io/library/a/b", "library/a/b"),
        ("docker.io/foo.bar/x", "docker.io/foo.bar/x"),
        ("docker.io/localhost/x", "docker.io/localhost/x"),
        (f"docker.io/library/{HEX}", f"library/{HEX}"),
        ("localhost:5000/library/x", "localhost:5000/library/x"),
    ],
)
def test_the_familiar_form_is_short_only_where_it_means_the_same(text: str, familiar: str) -> None:
    """A shorter name that would be read as another image is not shown."""
    assert Reference.parse(text).familiar == familiar


def test_a_reference_that_is_built_is_normalised() -> None:
    """What its own text would not give back cannot be built."""
    for registry, repository in (
        ("docker.io", "debian"),
        ("host", "a"),
        ("index.docker.io", "a/b"),
    ):
        with pytest.raises(InvalidReferenceError, match="not a normalised name"):
            Reference(registry, repository)


def test_the_target_is_the_digest_then_the_tag_then_latest() -> None:
    """What a manifest's URL ends in."""
    assert Reference.parse(f"a:b@{DIGEST}").target == DIGEST
    assert Reference.parse("a:b").target == "b"
    assert Reference.parse("a").target == "latest"


def test_a_tag_or_digest_replaces_the_other() -> None:
    """The same repository, said in another way."""
    reference = Reference.parse("x.y/a:b")
    pinned = reference.with_digest(Digest.parse(DIGEST))
    assert str(pinned) == f"x.y/a@{DIGEST}"
    assert str(pinned.with_tag("c")) == "x.y/a:c"
    assert str(Reference.parse("x.y/a").tagged()) == "x.y/a:latest"
    assert pinned.tagged() == pinned


def test_the_name_of_an_image_that_is_made_has_a_tag_and_no_digest() -> None:
    """The digest follows from the content."""
    assert str(parse_name("a")) == "docker.io/library/a:latest"
    assert str(parse_name("a:b")) == "docker.io/library/a:b"
    with pytest.raises(InvalidReferenceError, match="it has a digest"):
        parse_name(f"a@{DIGEST}")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("v1", True), ("_", True), ("a" * 128, True), ("", False), ("a" * 129, False),
     (".a", False), ("a/b", False), ("a:b", False), ("a\n", False), ("é", False)],
)  # fmt: skip
def test_a_tag_is_told_from_other_text(text: str, is_one: bool) -> None:
    """A layout's label may be either."""
    assert is_tag(text) is is_one


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:pass@host/app", "https://***@host/app"),
        ("user:pass@host:5000/app:1", "***@host:5000/app:1"),
        ("https://user:p@s/s?w#rd://x@host/app", "https://***@host/app"),
        (f"u:pass@host/app@sha256:{'a' * 64}", f"***@host/app@sha256:{'a' * 64}"),
        (f"host/app@sha256:{'a' * 64}", f"host/app@sha256:{'a' * 64}"),
        (f"https://host/app@sha256:{'a' * 64}", f"https://host/app@sha256:{'a' * 64}"),
        ("user:pass@host", "***@host"),
        ("user:pass@host:443", "***@host:443"),
        ("app:1@sha256:abc", "app:1@sha256:abc"),
        ("app:1@sha256:12345", "app:1@sha256:12345"),
        ("https://host/app", "https://host/app"),
    ],
)
def test_a_mistyped_name_is_shown_without_its_password(text: str, shown: str) -> None:
    """Whatever characters the password has."""
    assert without_user(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "https://user:hushhush@host/app",
        "user:hushhush@host/app",
        "user:hush/hush@host/app",
        "user:hushhush@host/app@sha256:" + "a" * 64,
    ],
)
def test_a_name_with_a_password_is_refused_without_it(text: str) -> None:
    """Nor is a part of it in what was wrong with it."""
    with pytest.raises(InvalidReferenceError) as caught:
        Reference.parse(text)
    assert "hush" not in str(caught.value)
    assert "***@host/app" in caught.value.message


@pytest.mark.parametrize(
    "text", ["DOCKER.IO/app:1", "Docker.io/library/app:1", "INDEX.docker.io/app:1"]
)
def test_docker_hub_has_no_case(text: str) -> None:
    """As no host has."""
    assert Reference.parse(text) == Reference.parse("app:1")
