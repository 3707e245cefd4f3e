"""Which image is chosen by what descriptors say, and how little is read for it."""

from dataclasses import replace

import pytest

from imgpack.api import (
    AnyImage,
    Descriptor,
    Digest,
    Image,
    ImageIndex,
    Named,
    Opaque,
    Platform,
    images_in,
)
from imgpack.errors import (
    DocumentError,
    ImgpackError,
    LimitError,
    NotFoundError,
)
from imgpack.image.plan import plan
from imgpack.image.resolve import Resolver
from imgpack.spec import mediatype
from imgpack.spec.json import MAX_DOCUMENT
from imgpack.spec.manifest import build_index, build_manifest
from tests.store.samples import (
    LAYERS,
    Memory,
    make_artifact,
    make_image,
    make_multi,
    make_nested,
)

ARM64 = Platform("linux", "arm64")
THREE = ("linux/amd64", "linux/arm64", "linux/arm/v7")


def _resolver(source: Memory) -> Resolver:
    return Resolver(source, "here")


def _descriptor(image: AnyImage) -> Descriptor:
    return image.document.descriptor


def _index_of(source: Memory, *entries: Descriptor) -> Descriptor:
    index = build_index(entries)
    source.add(index.raw)
    return index.descriptor


def test_of_three_platforms_one_is_read_by_what_the_descriptors_say() -> None:
    """Three documents: the index, its manifest and its configuration."""
    source = Memory()
    image = make_multi(source, *THREE)
    found = _resolver(source).image(_descriptor(image), ARM64)
    assert isinstance(found, Image)
    assert found.config.platform == ARM64
    assert source.reads == [
        _descriptor(image).digest,
        _descriptor(found).digest,
        found.config.digest,
    ]


def test_without_platforms_in_the_descriptors_the_configurations_say() -> None:
    """As where other tools left them out; what has one that matches comes first."""
    source = Memory()
    members = make_multi(source, *THREE).members
    silent = _index_of(source, *map(_descriptor, members))
    found = _resolver(source).image(silent, ARM64)
    assert found.document == members[1].document
    other = make_image(source, [LAYERS[0]], docker=False, platform=ARM64)
    said = replace(_descriptor(other), platform=ARM64)
    source.reads.clear()
    mixed = _index_of(source, *map(_descriptor, members), said)
    assert _resolver(source).image(mixed, ARM64).document == other.document
    assert len(source.reads) == 3


def test_a_platform_is_found_in_an_index_within_an_index() -> None:
    """The outer one says nothing of platforms; the artifact beside it is no candidate."""
    source = Memory()
    nested = make_nested(source)
    found = _resolver(source).image(_descriptor(nested), ARM64)
    assert isinstance(found, Image)
    assert found.config.platform.architecture == "arm64"
    with pytest.raises(NotFoundError) as caught:
        _resolver(source).image(_descriptor(nested), Platform("linux", "s390x"))
    assert "here has no image for linux/s390x" in caught.value.message
    assert caught.value.hint == "choose one of: linux/amd64, linux/arm64"


def test_an_image_alone_is_for_its_own_platform() -> None:
    """And for no other; an artifact is for none."""
    source = Memory()
    image, artifact = make_image(source), make_artifact(source)
    assert _resolver(source).image(_descriptor(image), Platform()).document == image.document
    with pytest.raises(NotFoundError, match=r"no image for linux/arm64.*: linux/amd64"):
        _resolver(source).image(_descriptor(image), ARM64)
    with pytest.raises(NotFoundError, match="it has none at all"):
        _resolver(source).image(_descriptor(artifact), ARM64)


@pytest.mark.parametrize("gone", ["manifest", "configuration"])
def test_a_partial_index_gives_what_is_whole(gone: str) -> None:
    """The other platform is asked for in vain, and the whole has one member."""
    source = Memory()
    image = make_multi(source, "linux/amd64", "linux/arm64")
    whole, other = images_in(image)
    lost = other.config.digest if gone == "configuration" else _descriptor(other).digest
    del source.blobs[lost]
    found = _resolver(source).image(_descriptor(image))
    assert isinstance(found, ImageIndex)
    assert [one.document for one in found.members] == [whole.document]
    with pytest.raises(DocumentError, match=r"1 of them are not there, .* \(linux/arm64"):
        found.check_complete()
    assert _resolver(source).image(_descriptor(image), Platform()).document == whole.document
    with pytest.raises(NotFoundError, match=r"linux/arm64|configuration"):
        _resolver(source).image(_descriptor(image), ARM64)


@pytest.mark.parametrize("kind", [mediatype.OCI_MANIFEST, mediatype.OCI_CONFIG])
def test_a_document_above_four_mebibytes_is_not_read(kind: str) -> None:
    """Where registries and loaders stop."""
    source = Memory()
    huge = Descriptor(kind, Digest.of(b""), MAX_DOCUMENT + 1)
    if kind == mediatype.OCI_CONFIG:
        manifest = build_manifest(huge, [], mediatype.OCI_MANIFEST)
        source.add(manifest.raw)
        described = manifest.descriptor
    else:
        described = huge
    with pytest.raises(LimitError, match=f"{huge.digest} has {huge.size} bytes"):
        _resolver(source).image(described)
    assert huge.digest not in source.reads


def test_what_an_index_names_and_is_no_document_is_carried_and_passed_by() -> None:
    """Image-spec: unknown types are no error for a reader; what is not there is told later."""
    source = Memory()
    image = make_image(source)
    blob = Descriptor("application/x", source.add(b"x"), 1)
    index = _index_of(source, blob, replace(_descriptor(image), platform=Platform()))
    whole = _resolver(source).image(index)
    assert isinstance(whole, ImageIndex)
    assert whole.members[0] == Opaque(blob, source)
    assert [one.document for one in whole.members] == [whole.members[0], image.manifest]
    assert _resolver(source).image(index, Platform()).document == image.document
    del source.blobs[blob.digest]
    partial = _resolver(source).image(index)
    with pytest.raises(DocumentError, match=f"not there, as {blob.digest}"):
        plan([Named(partial)])


def test_a_blob_that_cannot_be_what_its_manifest_says_is_refused() -> None:
    """By whoever can tell; before the configuration is read."""

    def refuse(blob: Descriptor) -> None:
        raise ImgpackError(f"not {blob.digest}")

    source = Memory()
    for image in (make_image(source), make_artifact(source)):
        first = image.manifest.layers[0]
        source.reads.clear()
        with pytest.raises(ImgpackError, match=f"not {first.digest}"):
            Resolver(source, "here", refuse).image(_descriptor(image))
        assert source.reads == [_descriptor(image).digest]
