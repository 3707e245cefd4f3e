"""Indexes side by side: what they say of themselves, and of what both name."""

import json
from typing import Any

import pytest

from imgpack.image.compare.documents import index_differences
from imgpack.image.compare.scope import ComparisonScope, Ignored, Section
from imgpack.spec import mediatype
from imgpack.spec.manifest import Index

ARM = {"os": "linux", "architecture": "arm64"}
AMD = {"os": "linux", "architecture": "amd64"}


def entry(number: int, platform: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """What an index names: the manifest that is called by a ``number``."""
    found = {"mediaType": mediatype.OCI_MANIFEST, "digest": f"sha256:{number:064}", "size": 9}
    return found | ({} if platform is None else {"platform": platform}) | more


def index(*entries: dict[str, Any], **more: Any) -> Index:
    """An index of these."""
    document = {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": entries, **more}
    return Index.parse(json.dumps(document).encode())


def told(a: Index, b: Index, scope: ComparisonScope | None = None) -> dict[str, tuple[Any, Any]]:
    """The fields that differ, by their names."""
    found = index_differences(a, b, scope or ComparisonScope())
    return {"/".join(one.path): (one.a, one.b) for one in found}


@pytest.mark.parametrize(
    ("a", "b", "paths"),
    [
        (index(), index(annotations={"x": "1"}), ["annotations/x"]),
        (index(entry(1, AMD)), index(entry(2, AMD)), []),
        (index(entry(1, AMD)), index(entry(1, ARM)), ["digest"]),
        (index(entry(1, AMD)), index(entry(2, ARM)), []),
        (index(entry(1)), index(entry(1, artifactType="a/b")), ["manifests/#1/artifactType"]),
        (
            index(entry(1, AMD)), index(entry(2, AMD, annotations={"x": "1"})),
            ["manifests/linux/amd64/annotations/x"],
        ),
        (
            index(entry(1, AMD), entry(2, ARM)), index(entry(2, ARM), entry(1, AMD)),
            ["manifests/order"],
        ),
    ],
)  # fmt: skip
def test_what_two_indexes_say_otherwise_is_told(a: Index, b: Index, paths: list[str]) -> None:
    """Digests of what they name follow from that, and what one lacks is no field."""
    assert [path.replace(f"sha256:{1:064}", "#1") for path in told(a, b)] == paths
    assert told(a, a) == {}


def test_two_of_one_platform_are_told_apart_by_their_digests() -> None:
    """The first is the platform's."""
    one = index(entry(1, AMD), entry(2, AMD))
    other = index(entry(1, AMD), entry(2, AMD, annotations={"x": "1"}))

    assert list(told(one, other)) == [f"manifests/sha256:{2:064}/annotations/x"]


def test_the_same_in_other_bytes_is_told() -> None:
    """By the digests, unless something is not to count."""
    one = index(entry(1, AMD))
    other = Index.parse(one.raw + b"\n")

    digests = str(one.descriptor.digest), str(other.descriptor.digest)
    assert told(one, other) == {"digest": digests}
    assert told(one, other, ComparisonScope(ignored=frozenset({Ignored.CREATED}))) == {}


def test_what_is_not_to_count_is_not_told() -> None:
    """Annotations of the index and of what it names; or no document at all."""
    one = index(entry(1, AMD, annotations={"x": "1"}), annotations={"x": "1"})
    other = index(entry(1, AMD), annotations={"org.opencontainers.image.created": "2"})

    assert len(told(one, other)) == 3
    assert told(one, other, ComparisonScope(ignored=frozenset({Ignored.ANNOTATIONS}))) == {}
    created = told(one, other, ComparisonScope(ignored=frozenset({Ignored.CREATED})))
    assert list(created) == ["annotations/x", "manifests/linux/amd64/annotations/x"]
    assert told(one, other, ComparisonScope(sections=frozenset({Section.FILES}))) == {}
