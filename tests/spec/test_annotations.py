"""Annotations as docker buildx writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import Annotation, AnnotationPlace, Annotations, Platform
from imgpack.errors import ConfigError
from tests.strategies import texts

ARM64 = Platform("linux", "arm64")
KEYS = st.from_regex(r"[a-z][a-z0-9.]{0,20}", fullmatch=True)


@given(st.sampled_from(AnnotationPlace), KEYS, texts(), st.none() | st.just(ARM64))
def test_what_is_written_is_read(
    place: AnnotationPlace, key: str, value: str, platform: Platform | None
) -> None:
    """Whatever the value is, a ``=`` or ``:`` in it as well."""
    if "index" in place.value and platform and "manifest" not in place.value:
        return
    where = place.value if platform is None else f"{place.value}[{platform}]"
    (found,) = Annotations.parse([f"{where}:{key}={value}"]).items
    assert found == Annotation(place, key, value, platform)


def test_several_places_get_the_same() -> None:
    """With commas between them; without one it is the default."""
    found = Annotations.parse(["index,manifest[linux/arm64]:a=b", "c=d:e=f"])
    assert found.of(AnnotationPlace.INDEX) == {"a": "b"}
    assert found.of(AnnotationPlace.MANIFEST, ARM64) == {"a": "b", "c": "d:e=f"}
    assert found.of(AnnotationPlace.MANIFEST, Platform()) == {"c": "d:e=f"}
    assert Annotations.parse(["a=b"], AnnotationPlace.INDEX).of(AnnotationPlace.INDEX)


def test_the_last_for_a_key_counts() -> None:
    """As with labels."""
    found = Annotations.parse(["a=1", "manifest:a=2"])
    assert found.of(AnnotationPlace.MANIFEST) == {"a": "2"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a", "has no value"),
        ("=b", "is no key"),
        ("index:=b", "is no key"),
        (" a=b", "is no key"),
        ("indes:a=b", "at 'indes', which is no place"),
        (":a=b", "at '', which is no place"),
        ("manifest[]:a=b", "which is no place"),
        ("manifest[linux/arm64:a=b", "which is no place"),
        ("manifest[arm64]:a=b", "invalid platform 'arm64'"),
        ("index[linux/arm64]:a=b", "of an index is for linux/arm64"),
        ("index-descriptor[linux/arm64]:a=b", "of an index is for linux/arm64"),
    ],
)
def test_what_is_none_is_refused(text: str, problem: str) -> None:
    """With what is wrong about it."""
    with pytest.raises(ConfigError) as raised:
        Annotations.parse([text])
    assert problem in raised.value.message
