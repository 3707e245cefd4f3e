"""Digests and platforms: the small values that every document holds."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import Digest, Platform
from imgpack.errors import (
    ConfigError,
    DocumentError,
    InvalidReferenceError,
    UnsupportedError,
    about,
)
from tests import strategies

HEX = "0123456789abcdef" * 4


@given(strategies.digests())
def test_a_digest_survives_being_written(digest: Digest) -> None:
    """``algorithm:hex`` and back."""
    assert Digest.parse(str(digest)) == digest


@given(st.binary(max_size=100))
def test_a_digest_is_the_hash_of_its_data(data: bytes) -> None:
    """By itself, and piece by piece with its hasher."""
    digest = Digest.of(data)
    assert str(digest) == "sha256:" + hashlib.sha256(data).hexdigest()
    hasher = digest.hasher()
    hasher.update(data)
    assert hasher.hexdigest() == digest.hex
    assert Digest("sha512", HEX * 2).hasher().name == "sha512"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        HEX,
        f"sha256:{HEX[:-1]}",
        f"sha256:{HEX}0",
        f"sha256:{HEX}\n",
        f"sha256:{HEX.upper()}",
        f"SHA256:{HEX}",
        f"sha256:{HEX[:-2]}/.",
        "sha256:../../../../etc/passwd",
        f"sha512:{HEX}",
        "sha256:" + "\u0660" * 64,
    ],
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    """Digests go into URLs and paths (CVE-2024-3727)."""
    with pytest.raises(InvalidReferenceError, match="invalid digest"):
        Digest.parse(text)


@pytest.mark.parametrize("text", [f"md5:{HEX[:32]}", f"sha256+b64:{HEX}", f"blake3:{HEX}"])
def test_another_algorithm_is_not_supported(text: str) -> None:
    """It is no wrong digest: image-spec lets anybody define one."""
    with pytest.raises(UnsupportedError, match="algorithm that is not supported"):
        Digest.parse(text)


@given(strategies.platforms())
def test_a_platform_survives_being_written_and_being_json(platform: Platform) -> None:
    """Its text and its object give it back."""
    assert Platform.from_json(platform.as_json()) == platform
    if str(platform) == str(Platform.parse(str(platform))):
        assert Platform.parse(str(platform)) == platform


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("linux/amd64", "linux/amd64"),
        ("Linux/AMD64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/i686", "linux/386"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("linux/arm64/v8", "linux/arm64/v8"),
        ("windows/amd64", "windows/amd64"),
    ],
)
def test_machine_names_become_those_of_go(text: str, shown: str) -> None:
    """What people and ``uname -m`` say."""
    assert str(Platform.parse(text)) == shown


@pytest.mark.parametrize(
    "text",
    ["", "linux", "linux/", "/amd64", "linux//v7", "linux/arm/", "a/b/c/d", "li nux/x", "l/é"],
)
def test_what_is_no_platform_is_refused(text: str) -> None:
    """With an example of what to write."""
    with pytest.raises(ConfigError, match="linux/arm64"):
        Platform.parse(text)


def test_a_bad_platform_in_a_document_is_the_documents_fault() -> None:
    """And the error can name the document."""
    with pytest.raises(DocumentError, match=r"^the index: invalid platform"), about("the index"):
        Platform.from_json({"os": "../..", "architecture": "amd64"})


@pytest.mark.parametrize(
    ("wish", "image", "serves"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/amd64", "linux/arm64", False),
        ("linux/amd64", "windows/amd64", False),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/arm/v7", "linux/arm", False),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm64/v9", "linux/arm64", False),
    ],
)
def test_a_wish_is_served_by_an_image_of_its_platform(wish: str, image: str, serves: bool) -> None:
    """No variant takes any; arm64 and arm64/v8 are one."""
    assert Platform.parse(wish).matches(Platform.parse(image)) is serves


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("linux/amd64", True),
        ("linux/amd64/v3", True),
        ("linux/arm/v7", True),
        ("linux/riscv64/rva22u64", True),
        ("windows/amd64", True),
        ("linux/foo", False),
        ("linux/arm/v9", False),
        ("windows/s390x", False),
        ("hurd/amd64", False),
    ],
)
def test_a_platform_is_known_if_a_runtime_is_made_for_it(text: str, known: bool) -> None:
    """Variants are few for some machines, and anything for others."""
    assert Platform.parse(text).known is known


def test_a_machine_runs_the_programs_of_its_smaller_sister() -> None:
    """And of no other; the operating system is not looked at."""
    amd64, arm64 = Platform("linux", "amd64"), Platform("linux", "arm64")

    assert amd64.runs(Platform("linux", "386"))
    assert arm64.runs(Platform("linux", "arm"))
    assert not arm64.runs(amd64)
    assert Platform("freebsd", "amd64").runs(amd64)
