"""From a descriptor to what it names: every depth, one platform, and what is never read."""

from dataclasses import replace

import pytest

from imgpack.api import AnyImage, Artifact, Digest, ImageIndex, Opaque, Platform
from imgpack.errors import DocumentError, LimitError, NotFoundError
from imgpack.image.resolve import MAX_DEPTH, Resolver
from imgpack.spec import mediatype
from imgpack.spec.json import MAX_DOCUMENT, MAX_DOCUMENTS
from imgpack.spec.manifest import build_index, build_manifest
from tests.image.samples import Memory, artifact, image, index, put


def _nested(memory: Memory, depth: int) -> AnyImage:
    made: AnyImage = image(memory)
    for _ in range(depth):
        made = index(memory, made)
    return made


@pytest.mark.parametrize("depth", range(MAX_DEPTH + 1))
def test_what_is_named_comes_back_whole_at_any_depth(depth: int) -> None:
    """Equal to what was made, so byte for byte; the one image is found in it by its platform."""
    memory = Memory()
    made = _nested(memory, depth)
    descriptor = made.document.descriptor
    assert Resolver(memory, "it").image(descriptor) == made
    found = Resolver(memory, "it").image(descriptor, Platform.parse("linux/amd64"))
    assert found.document == image(Memory()).document


def test_indexes_nested_too_deeply_are_refused() -> None:
    """Whether all is asked for or one platform."""
    memory = Memory()
    descriptor = _nested(memory, MAX_DEPTH + 1).document.descriptor
    for platform in (None, Platform.parse("linux/arm64")):
        with pytest.raises(LimitError, match=f"^it: .* more than {MAX_DEPTH} deep"):
            Resolver(memory, "it").image(descriptor, platform)


def test_indexes_that_say_a_platform_may_not_be_nested_deeper_than_others() -> None:
    """What is within may be chosen by it, up to the same depth."""
    memory = Memory()
    made = image(memory)
    platform, descriptor = made.config.platform, made.document.descriptor
    for _ in range(MAX_DEPTH):
        outer = build_index([replace(descriptor, platform=platform)])
        descriptor = put(memory, outer.media_type, outer.raw)
    assert Resolver(memory, "it").image(descriptor, platform) == made
    deepest = build_index([replace(descriptor, platform=platform)])
    put(memory, deepest.media_type, deepest.raw)
    with pytest.raises(LimitError, match=f"^it: .* more than {MAX_DEPTH} deep"):
        Resolver(memory, "it").image(deepest.descriptor, platform)


def test_artifacts_are_carried_and_serve_no_platform() -> None:
    """Beside images, or alone."""
    memory = Memory()
    chart, one = artifact(memory), image(memory)
    made = index(memory, chart, one)
    assert Resolver(memory, "it").image(made.document.descriptor) == made
    assert Resolver(memory, "it").image(chart.document.descriptor) == chart
    amd64 = Platform.parse("linux/amd64")
    assert Resolver(memory, "it").image(made.document.descriptor, amd64) == one
    with pytest.raises(NotFoundError, match="no image for linux/amd64") as caught:
        Resolver(memory, "it").image(chart.document.descriptor, amd64)
    assert "none at all" in str(caught.value)


def test_for_one_platform_only_what_it_needs_is_read() -> None:
    """The manifests of others are not."""
    memory = Memory()
    one, two = image(memory), image(memory, "linux/arm64")
    made = index(memory, one, two)
    resolver = Resolver(memory, "it")
    assert resolver.image(made.document.descriptor, Platform.parse("linux/arm64")) == two
    assert set(memory.fetched) == {
        made.document.descriptor.digest, two.document.descriptor.digest, two.config.digest,
    }  # fmt: skip
    with pytest.raises(NotFoundError, match=r"^it has no image for linux/s390x") as caught:
        resolver.image(made.document.descriptor, Platform.parse("linux/s390x"))
    assert caught.value.hint == "choose one of: linux/amd64, linux/arm64"


def test_a_document_is_read_once_however_often_it_is_named() -> None:
    """What was read stays."""
    memory = Memory()
    one = image(memory)
    made = index(memory, index(memory, one), one)
    resolver = Resolver(memory, "it")
    assert resolver.image(made.document.descriptor) == made
    assert len(memory.fetched) == len(set(memory.fetched))


def test_members_that_are_not_held_are_left_out() -> None:
    """An image's own documents may not be missing."""
    memory = Memory()
    one, two = image(memory), image(memory, "linux/arm64")
    made = index(memory, one, two)
    del memory.blobs[two.manifest.descriptor.digest]
    found = Resolver(memory, "it").image(made.document.descriptor)
    assert found.document == made.document
    assert list(getattr(found, "members", ())) == [one]
    with pytest.raises(NotFoundError, match=r"^it has no manifest"):
        Resolver(memory, "it").image(two.manifest.descriptor)
    del memory.blobs[one.config.digest]
    with pytest.raises(NotFoundError, match=f"^it has no configuration {one.config.digest}"):
        Resolver(memory, "it").image(one.manifest.descriptor)


def test_an_error_in_a_document_names_the_source_and_the_document() -> None:
    """The parser knows neither."""
    memory = Memory()
    bad = put(memory, mediatype.OCI_MANIFEST, b"{}")
    with pytest.raises(DocumentError) as caught:
        Resolver(memory, "x.oci").document(bad)
    assert caught.value.message.startswith(f"x.oci: manifest {bad.digest}: 'schemaVersion'")


def test_what_is_no_document_is_not_read_out_of_an_index() -> None:
    """Its type says what it is."""
    memory = Memory()
    odd = build_index([put(memory, "text/plain", b"text")])
    put(memory, odd.media_type, odd.raw)
    image = Resolver(memory, "it").image(odd.descriptor)
    assert isinstance(image, ImageIndex)
    assert image.members == (Opaque(odd.manifests[0], memory),)
    assert Digest.of(b"text") not in memory.fetched


def test_documents_are_bounded_one_by_one_and_together() -> None:
    """Before the large one is read, and however small each is."""
    memory = Memory()
    resolver = Resolver(memory, "it")
    large = put(memory, mediatype.OCI_MANIFEST, bytes(MAX_DOCUMENT + 1))
    with pytest.raises(LimitError, match=f"has {MAX_DOCUMENT + 1} bytes"):
        resolver.document(large)
    assert memory.fetched == []
    for _ in range(MAX_DOCUMENTS >> 10):
        resolver.count(1)
    with pytest.raises(LimitError, match=f"more than {MAX_DOCUMENTS} bytes together"):
        resolver.count(1)


def test_an_index_need_not_say_of_what_type_its_members_are() -> None:
    """Their own documents do; all are read, or the one for a platform."""
    memory = Memory()
    one, two = image(memory), image(memory, "linux/arm64")
    entries = [replace(each.document.descriptor, media_type="") for each in (one, two)]
    entries[1] = replace(entries[1], platform=two.config.platform)
    made = build_index(entries)
    put(memory, made.media_type, made.raw)
    found = Resolver(memory, "it").image(made.descriptor)
    assert isinstance(found, ImageIndex)
    assert found.members == (one, two)
    for each in (one, two):
        assert Resolver(memory, "it").image(made.descriptor, each.config.platform) == each


def test_a_document_that_is_named_as_two_kinds_is_refused() -> None:
    """That it was read as the right one before does not matter."""
    memory = Memory()
    right = image(memory).document.descriptor
    made = build_index([right, replace(right, media_type=mediatype.OCI_INDEX)])
    put(memory, made.media_type, made.raw)
    with pytest.raises(DocumentError, match=f"^it: manifest {right.digest}"):
        Resolver(memory, "it").image(made.descriptor)


def test_the_configuration_of_an_artifact_is_not_looked_for() -> None:
    """It is a blob, of any size, and may be away as any may."""
    memory = Memory()
    chart = artifact(memory)
    huge = replace(chart.manifest.config, size=MAX_DOCUMENT + 1)
    manifest = build_manifest(huge, chart.manifest.layers, mediatype.OCI_MANIFEST)
    put(memory, manifest.media_type, manifest.raw)
    made = index(memory, Artifact(manifest, memory))
    del memory.blobs[huge.digest]
    assert Resolver(memory, "it").image(made.document.descriptor) == made


def test_what_is_no_document_serves_no_platform_whatever_it_says() -> None:
    """The next one does."""
    memory = Memory()
    one = image(memory)
    text = put(memory, "text/plain", b"text")
    for said in (one.config.platform, None):
        entry = replace(one.document.descriptor, platform=said)
        made = build_index([replace(text, platform=said), entry])
        put(memory, made.media_type, made.raw)
        assert Resolver(memory, "it").image(made.descriptor, one.config.platform) == one
    assert text.digest not in memory.fetched


def test_an_index_without_platforms_serves_those_that_its_images_have() -> None:
    """What it does not hold is no hindrance; what there is instead is told."""
    memory = Memory()
    lost, one, two = (image(memory, f"linux/{name}") for name in ("386", "amd64", "arm64"))
    made = build_index([each.document.descriptor for each in (lost, one, two)])
    put(memory, made.media_type, made.raw)
    del memory.blobs[lost.document.descriptor.digest]
    assert Resolver(memory, "it").image(made.descriptor, two.config.platform) == two
    with pytest.raises(NotFoundError) as caught:
        Resolver(memory, "it").image(made.descriptor, lost.config.platform)
    assert caught.value.hint == "choose one of: linux/amd64, linux/arm64"


def test_what_serves_no_platform_is_not_offered() -> None:
    """Attestations are of none, an artifact is no image, and a platform is told once."""
    memory = Memory()
    one, chart = image(memory), artifact(memory)
    statement = image(memory, "unknown/unknown")
    entry = replace(one.document.descriptor, platform=one.config.platform)
    said = replace(statement.document.descriptor, platform=statement.config.platform)
    odd = replace(chart.document.descriptor, platform=one.config.platform)
    made = build_index([odd, said, entry, entry])
    put(memory, made.media_type, made.raw)
    resolver = Resolver(memory, "it")
    assert resolver.image(made.descriptor, one.config.platform) == one
    with pytest.raises(NotFoundError) as caught:
        resolver.image(made.descriptor, Platform.parse("linux/s390x"))
    assert caught.value.hint == "choose one of: linux/amd64"


def test_a_document_that_is_named_with_two_sizes_is_read_as_each() -> None:
    """The source says of which size it is."""
    memory = Memory()
    right = image(memory).document.descriptor
    resolver = Resolver(memory, "it")
    for descriptor in (right, replace(right, size=right.size + 1), right):
        resolver.document(descriptor)
    assert memory.fetched == [right.digest, right.digest]
