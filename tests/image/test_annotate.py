"""Annotations are added to documents, and nothing else about them changes."""

import pytest

from imgpack.api import Annotations, Image, ImageIndex, Named, annotated, join
from imgpack.errors import ConfigError, UnsupportedError
from imgpack.spec import mediatype
from imgpack.spec.manifest import Index, Manifest
from tests.image.base.members import Warnings
from tests.image.edit.test_edit import attested
from tests.store.samples import Memory, make_artifact, make_image, make_multi, make_nested


def test_a_manifest_is_annotated_and_its_configuration_is_what_it_was() -> None:
    """The image's ID is the same; what is there already stays."""
    image = make_image(Memory(), docker=False)
    once = annotated(Named(image), Annotations.parse(["a=1", "b=2"]))
    made = annotated(once, Annotations.parse(["b=3", "layer:c=4"])).image
    assert isinstance(made, Image)
    assert made.manifest.annotations == (("a", "1"), ("b", "3"))
    assert {layer.annotations for layer in made.manifest.layers} == {(("c", "4"),)}
    assert made.config == image.config
    assert Manifest.parse(made.manifest.raw) == made.manifest


def test_a_docker_image_gets_the_types_that_have_annotations() -> None:
    """All of them, so that it is not half of each."""
    image = make_image(Memory())
    made = annotated(Named(image), Annotations.parse(["a=1"])).image
    assert isinstance(made, Image)
    types = {made.manifest.media_type, made.manifest.config.media_type}
    types |= {layer.media_type for layer in made.manifest.layers}
    assert types == {mediatype.OCI_MANIFEST, mediatype.OCI_CONFIG, mediatype.OCI_LAYER_GZIP}
    assert made.manifest.layers[0].digest == image.manifest.layers[0].digest


def test_each_place_of_an_index_gets_its_own() -> None:
    """One platform's manifest, all descriptors, the index; and outside, what names it."""
    texts = ["manifest[linux/arm64]:a=1", "manifest-descriptor:b=2", "index:c=3"]
    named = Named(make_multi(Memory(), "linux/amd64", "linux/arm64"))
    made = annotated(named, Annotations.parse([*texts, "index-descriptor:d=4"]))
    index = made.image
    assert isinstance(index, ImageIndex)
    index.check_complete()
    assert [dict(one.manifest.annotations) for one in index.members if isinstance(one, Image)] == [
        {},
        {"a": "1"},
    ]
    assert [dict(entry.annotations) for entry in index.index.manifests] == [{"b": "2"}] * 2
    assert dict(index.index.annotations) == {"c": "3"}
    assert made.annotations == (("d", "4"),)
    assert Index.parse(index.index.raw) == index.index


def test_what_only_names_it_changes_no_document() -> None:
    """Its digest is what it was."""
    for image, place in (
        (make_image(Memory()), "manifest-descriptor"),
        (join([make_image(Memory())]), "index-descriptor"),
    ):
        made = annotated(Named(image), Annotations.parse([f"{place}:a=1"]))
        assert made == Named(image, annotations=(("a", "1"),))


def test_artifacts_beside_images_are_left_alone() -> None:
    """And indexes in indexes are gone into."""
    nested = make_nested(Memory())
    made = annotated(Named(nested), Annotations.parse(["a=1"])).image
    assert isinstance(made, ImageIndex)
    inner, artifact = made.members
    assert artifact == nested.members[1]
    assert isinstance(inner, ImageIndex)
    assert [one.document.annotations for one in inner.members if isinstance(one, Image)] == [
        (("a", "1"),)
    ] * 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("index:a=1", "there is no index to annotate"),
        ("index-descriptor:a=1", "there is no index to annotate"),
        ("manifest[linux/s390x]:a=1", "is for linux/s390x, and there is no such image"),
    ],
)
def test_what_is_not_there_is_not_annotated(text: str, problem: str) -> None:
    """Whoever wrote it learns it."""
    with pytest.raises(ConfigError, match=problem):
        annotated(Named(make_image(Memory())), Annotations.parse([text]))


def test_an_artifact_is_not_annotated() -> None:
    """Its document may be about another one."""
    with pytest.raises(UnsupportedError, match="not annotated"):
        annotated(Named(make_artifact(Memory())), Annotations.parse(["a=1"]))


def test_attestations_of_what_changes_go() -> None:
    """With a warning: what a digest has that is no more, nobody attested of another."""
    multi, warnings = attested(), Warnings()
    of_arm = Annotations.parse(["manifest[linux/arm64]:a=1"])
    made = annotated(Named(multi), of_arm, where="x", reporter=warnings).image
    assert isinstance(made, ImageIndex)
    amd, _, about_amd, _ = multi.index.manifests
    assert [made.index.manifests[0], *made.index.manifests[2:]] == [amd, about_amd]
    assert len(made.members) == 3
    assert warnings.warned == [
        "x: 1 attestations or artifacts of the index are about what it held, and left out"
    ]
    outside = annotated(Named(multi), Annotations.parse(["manifest-descriptor:a=1", "index:b=2"]))
    assert isinstance(outside.image, ImageIndex)
    assert len(outside.image.members) == 4, "the manifests are what they were"
