"""Every blob and document once, in an order that a reader can rely on."""

from dataclasses import replace

import pytest

from imgpack.api import Artifact, Digest, ImageIndex, Named, images_in
from imgpack.errors import DocumentError
from imgpack.image.image import walk
from imgpack.image.plan import plan
from imgpack.spec.manifest import build_index, build_manifest
from tests.store.samples import LAYERS, Memory, make_image, make_nested


def test_what_two_images_share_is_there_once() -> None:
    """Layers, configurations and whole images under other names."""
    source = Memory()
    one, two = make_image(source), make_image(source, [LAYERS[1], LAYERS[1]])
    made = plan([Named(one), Named(two), Named(one)])
    digests = [layer.digest for layer in one.manifest.layers]
    assert [blob.descriptor.digest for blob in made.blobs] == digests
    assert [blob.descriptor for blob in made.configs] == [one.manifest.config, two.manifest.config]
    assert made.documents == (one.manifest, two.manifest)


def test_documents_come_children_first() -> None:
    """So nobody meets an index whose manifests are not there."""
    nested = make_nested(Memory())
    seen: set[Digest] = set()
    made = plan([Named(nested)])
    for document in made.documents:
        if hasattr(document, "manifests"):
            assert {entry.digest for entry in document.manifests} <= seen
        seen.add(document.descriptor.digest)
    assert len(made.documents) == len(list(walk(nested))) == 5


def test_a_configuration_is_in_memory_and_that_of_an_artifact_is_a_blob() -> None:
    """Nothing of a source is read for a plan."""
    source = Memory()
    nested = make_nested(source)
    made = plan([Named(nested)])
    for config, image in zip(made.configs, images_in(nested), strict=True):
        assert b"".join(config.source.read_blob(config.descriptor)) == image.config.raw
    artifact = nested.members[1]
    assert isinstance(artifact, Artifact)
    blobs = [blob.descriptor for blob in made.blobs]
    assert blobs[-2:] == [artifact.manifest.config, *artifact.manifest.layers]
    assert source.reads == []


def test_an_index_that_is_not_all_there_cannot_be_planned() -> None:
    """At any depth."""
    nested = make_nested(Memory())
    inner = nested.members[0]
    assert isinstance(inner, ImageIndex)
    part = replace(inner, members=inner.members[1:])
    outer = ImageIndex(build_index([inner.index.descriptor]), (part,))
    for image in (part, outer, replace(nested, members=nested.members[:1])):
        with pytest.raises(DocumentError, match="are not there"):
            plan([Named(image)])


def test_a_blob_has_one_size() -> None:
    """Only one of two could be verified, and the other image would be found wrong when run."""
    source = Memory()
    image = make_image(source)
    layer, *others = image.manifest.layers
    layers = [replace(layer, size=layer.size + 1), *others]
    wrong = build_manifest(image.manifest.config, layers, image.manifest.media_type)
    with pytest.raises(DocumentError, match=rf"{layer.size} bytes, and {layer.size + 1} as well"):
        plan([Named(image), Named(replace(image, manifest=wrong))])
