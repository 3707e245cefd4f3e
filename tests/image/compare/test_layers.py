"""Layers of two images side by side: each is told once, with what became of it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import ComparisonScope, Ignored, Image
from imgpack.image.compare.layers import layer_differences
from imgpack.image.compare.values import LayerDifference, LayerMatch
from imgpack.spec.manifest import build_manifest
from tests.store.samples import Memory, make_image, tar_of

TARS = {name: tar_of({name: b"x"}) for name in "abcd"}
NAMES = st.lists(st.sampled_from("abcd"), max_size=6)


def image(names: Sequence[str], *, compress: bool = True) -> Image:
    """An image of the layers that are called so."""
    return make_image(Memory(), [TARS[name] for name in names], compress=compress, docker=False)


def told(a: Sequence[str], b: Sequence[str]) -> list[tuple[str, int | None, int | None]]:
    """What is said of the layers of two images."""
    pairs = layer_differences(image(a), image(b), ComparisonScope())
    return [(pair.match.value, pair.a, pair.b) for pair in pairs]


@given(NAMES, NAMES)
def test_every_layer_is_told_once(a: list[str], b: list[str]) -> None:
    """Those of the second image in their order; one that both have is paired with itself."""
    pairs = told(a, b)

    assert sorted(old for _, old, _ in pairs if old) == list(range(1, len(a) + 1))
    assert [new for _, _, new in pairs if new] == list(range(1, len(b) + 1))
    for match, old, new in pairs:
        same = old is not None and new is not None and a[old - 1] == b[new - 1]
        assert same is (match in ("same", "moved"))
        assert (old is None) is (match == "added")
        assert (new is None) is (match == "removed")
    common = sum(min(a.count(name), b.count(name)) for name in "abcd")
    assert sum(match in ("same", "moved") for match, *_ in pairs) == common


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("ab", "ab", [("same", 1, 1), ("same", 2, 2)]),
        ("ab", "abc", [("same", 1, 1), ("same", 2, 2), ("added", None, 3)]),
        ("abc", "ac", [("same", 1, 1), ("removed", 2, None), ("same", 3, 2)]),
        ("ab", "ba", [("moved", 2, 1), ("same", 1, 2)]),
        ("abd", "acd", [("same", 1, 1), ("changed", 2, 2), ("same", 3, 3)]),
        ("ab", "cad", [("added", None, 1), ("same", 1, 2), ("changed", 2, 3)]),
        ("aab", "baa", [("moved", 3, 1), ("same", 1, 2), ("same", 2, 3)]),
    ],
)
def test_layers_are_paired_as_people_would(
    a: str, b: str, expected: list[tuple[str, int | None, int | None]]
) -> None:
    """What is in its place is the same, then what is elsewhere; the rest is paired in order."""
    assert told(a, b) == expected


def only(a: Image, b: Image, *ignored: Ignored) -> LayerDifference:
    """What is said of the one layer of two images."""
    (pair,) = layer_differences(a, b, ComparisonScope(ignored=frozenset(ignored)))
    return pair


def test_compression_is_ignored_with_all_that_follows_of_it() -> None:
    """Digest, size and type of the blob; what else its descriptor says still counts."""
    a, b = image("a"), image("a", compress=False)
    first = replace(b.manifest.layers[0], annotations=(("k", "v"),))
    noted = replace(b, manifest=build_manifest(b.manifest.config, [first], b.manifest.media_type))

    plain = only(a, b)
    assert plain.match is LayerMatch.RECOMPRESSED
    assert {field.name for field in plain.fields} == {"digest", "size", "mediaType"}
    assert plain.counts
    assert only(a, b, Ignored.COMPRESSION) == LayerDifference(LayerMatch.SAME, 1, 1)
    assert not only(a, b, Ignored.COMPRESSION).counts
    one = only(a, noted, Ignored.COMPRESSION)
    assert [field.name for field in one.fields] == ["annotations.k"]
    assert one.counts
    assert not only(a, noted, Ignored.COMPRESSION, Ignored.ANNOTATIONS).counts
