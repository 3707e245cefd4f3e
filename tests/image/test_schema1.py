"""Which schema1 payload stands for an image."""

import pytest

from imgpack.api import Digest, Image, Named, Reference, parse_name, schema1_name, schema1_payload
from imgpack.errors import ArchiveError, DocumentError, Remedy, UnsupportedError
from imgpack.spec.schema1.payload import build_schema1
from tests.store.samples import LAYERS, NAMES, Memory, make_image


def _made(image: Image, repository: str = "library/foo", tag: str = "1") -> bytes:
    return build_schema1(image.manifest, image.config, repository, tag).payload


@pytest.mark.parametrize(
    ("wanted", "number"),
    [(None, 0), ("v2", 1), ("localhost:5000/bar/foo:v2", 1), ("foo:1", 0), ("sha256:1", 0)],
)
def test_the_name_is_the_wanted_one_or_the_first(wanted: str | None, number: int) -> None:
    """By tag, in short or in full; an image may be chosen by what is no name of it."""
    assert schema1_name(Named(make_image(Memory()), NAMES), wanted) == NAMES[number]


@pytest.mark.parametrize("wanted", ["docker.io/library/foo:1", "foo:1", "1"])
def test_a_name_is_wanted_in_full_in_short_or_by_its_tag(wanted: str) -> None:
    """One without a tag is no name that it could be under."""
    bare = Reference.parse(f"bar@{Digest.of(b'')}")
    named = Named(make_image(Memory()), (bare, NAMES[1], NAMES[0]))
    assert schema1_name(named, wanted) == NAMES[0]
    assert schema1_name(named, None) == NAMES[1]


def test_an_image_without_a_name_has_no_payload() -> None:
    """A schema1 manifest holds one."""
    with pytest.raises(UnsupportedError) as caught:
        schema1_name(Named(make_image(Memory())), None)
    assert caught.value.hint == Remedy.NAME_SCHEMA1()


def test_the_stored_payload_is_given_to_the_byte_where_it_is_for_the_name() -> None:
    """Another name gets one made for it, and so does one that was asked for."""
    image = make_image(Memory())
    stored = _made(image).replace(b'"architecture"', b' "architecture"', 1)
    assert schema1_payload(image, NAMES[0], stored) == stored
    assert schema1_payload(image, NAMES[0], stored, exactly=True) == _made(image)
    other = _made(image, "bar/foo", "v2")
    assert schema1_payload(image, NAMES[1], stored) == other
    assert schema1_payload(image, NAMES[1]) == other
    assert schema1_payload(image, parse_name("foo:1"), None) == _made(image)
    assert schema1_payload(image, Reference.parse("foo")) == _made(image, tag="latest")
    assert schema1_payload(image, parse_name("bar:1"), stored) == _made(image, "library/bar")


def test_a_stored_payload_of_another_image_is_refused() -> None:
    """Which of them is meant, nobody can tell."""
    image = make_image(Memory())
    stored = _made(make_image(Memory(), [LAYERS[1], LAYERS[0]]))
    with pytest.raises(ArchiveError, match=r"schema1\.json names other layers"):
        schema1_payload(image, NAMES[0], stored)


def test_a_stored_payload_that_is_none_is_refused() -> None:
    """The file is named."""
    with pytest.raises(DocumentError, match=r"^schema1\.json: "):
        schema1_payload(make_image(Memory()), NAMES[0], b"{}")
