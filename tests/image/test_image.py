"""Images, artifacts and indexes: whole once built, walked in order, planned once each."""

from dataclasses import replace

import pytest

from imgpack.api import (
    Artifact,
    Descriptor,
    Digest,
    Image,
    ImageIndex,
    Layer,
    Named,
    Platform,
    Reference,
    images_in,
    join,
    refuse_foreign,
)
from imgpack.errors import DigestError, DocumentError, NotFoundError, Remedy, UnsupportedError
from imgpack.image.image import RawBlob, walk
from imgpack.image.plan import plan
from imgpack.spec import mediatype
from imgpack.spec.manifest import build_index, build_manifest
from tests.image.samples import Memory, artifact, config, image, index, put

AMD64, ARM64 = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")


def test_the_configuration_of_another_image_is_refused() -> None:
    """Whatever the name under which it was found."""
    one = image(Memory())
    other = config(ARM64)
    with pytest.raises(DigestError, match=f"names the configuration {one.config.digest}.*are"):
        Image(one.manifest, other, one.source)


def test_as_many_diff_ids_as_layers_make_an_image() -> None:
    """One for each, in order, bottom first."""
    memory = Memory()
    blobs = [put(memory, mediatype.OCI_LAYER_GZIP, name) for name in (b"one", b"two")]
    made = image(memory, "linux/amd64", *blobs)
    assert made.layers == tuple(
        Layer(blob, Digest.of(b"diff %d" % number)) for number, blob in enumerate(blobs)
    )
    for others in (blobs[:1], [*blobs, *blobs]):
        wrong = build_manifest(made.manifest.config, others, mediatype.OCI_MANIFEST)
        with pytest.raises(
            DocumentError, match=f"{len(others)} layers and the configuration 2 diff_ids"
        ):
            Image(wrong, made.config, memory)


def test_the_type_of_an_artifact_is_what_it_says_or_its_configurations() -> None:
    """As image-spec has it."""
    chart = artifact(Memory(), "application/vnd.x+json")
    assert chart.type == "application/vnd.x+json"
    said = replace(chart, manifest=replace(chart.manifest, artifact_type="application/vnd.y"))
    assert said.type == "application/vnd.y"


def test_an_index_is_walked_before_its_members_at_any_depth() -> None:
    """Artifacts are walked too and are no images."""
    memory = Memory()
    one, two, chart = image(memory), image(memory, "linux/arm64"), artifact(memory)
    inner = index(memory, two, chart)
    outer = index(memory, one, inner)
    assert list(walk(outer)) == [outer, one, inner, two, chart]
    assert list(images_in(outer)) == [one, two]
    assert list(walk(chart)) == [chart]


def test_an_incomplete_index_is_refused_by_what_it_lacks() -> None:
    """The first manifest that is not there, with its platform."""
    memory = Memory()
    one, two = image(memory), image(memory, "linux/arm64")
    whole = index(memory, one, two)
    whole.check_complete()
    for use in (lambda part: part.check_complete(), lambda part: plan([Named(part)])):
        with pytest.raises(
            DocumentError, match=r"names 2 manifests, and 1 of them.*\(linux/arm64"
        ) as caught:
            use(ImageIndex(whole.index, (one,)))
        assert str(two.manifest.descriptor.digest) in caught.value.message
        assert caught.value.hint == Remedy.CHOOSE_PLATFORM()
    chart = artifact(memory)
    with pytest.raises(DocumentError) as caught:
        ImageIndex(index(memory, chart, two).index, ()).check_complete()
    first = chart.document.descriptor.digest
    assert caught.value.message.endswith(f"2 of them are not there, as {first}")


def test_the_tags_of_a_name_are_without_digests_and_once_each() -> None:
    """A name that has only a digest has nothing that a loader could use."""
    digest = str(Digest.of(b""))
    names = (f"a/b:1@{digest}", "a/b:1", f"a/b@{digest}", "a/b:2")
    named = Named(image(Memory()), tuple(map(Reference.parse, names)))
    assert list(map(str, named.tags)) == ["docker.io/a/b:1", "docker.io/a/b:2"]


def test_everything_is_planned_once_and_what_is_named_comes_first() -> None:
    """Layers and what artifacts consist of, then configurations, then documents, the index last."""
    memory = Memory()
    shared = put(memory, mediatype.OCI_LAYER_GZIP, b"shared")
    one, two = (image(memory, name, shared) for name in ("linux/amd64", "linux/arm64"))
    chart = artifact(memory)
    inner = index(memory, two, chart)
    outer = index(memory, one, inner)
    made = plan([Named(outer), Named(one)])

    blobs = [blob.descriptor for blob in made.blobs]
    assert blobs == [shared, chart.manifest.config, *chart.manifest.layers]
    assert {each.descriptor for each in made.configs} == {
        one.manifest.config, two.manifest.config,
    }  # fmt: skip
    for each in (*made.blobs, *made.configs):
        assert (
            b"".join(each.source.read_blob(each.descriptor)) == memory.blobs[each.descriptor.digest]
        )
    documents = list(made.documents)
    assert sorted(document.raw for document in documents) == sorted(
        one.document.raw for one in (one, two, chart, inner, outer)
    )
    for parent in (inner, outer):
        for member in parent.members:
            assert documents.index(member.document) < documents.index(parent.document)


def test_foreign_layers_are_planned_by_nobody_and_refused_where_they_must_be_held() -> None:
    """Their bytes are at the URLs of the manifest, which nothing fetches."""
    memory = Memory()
    away = Descriptor(mediatype.DOCKER_FOREIGN_LAYER_GZIP, Digest.of(b"away"), 4, urls=("x",))
    windows = replace(image(memory, "windows/amd64", away), absent=frozenset({away.digest}))
    made = index(memory, windows)
    assert plan([Named(made)]).blobs == ()
    with pytest.raises(UnsupportedError, match=f"^it: the layer {away.digest} is kept elsewhere"):
        refuse_foreign(made, "it")
    chart = artifact(memory)
    linked = build_manifest(chart.manifest.config, [away], mediatype.OCI_MANIFEST)
    with pytest.raises(UnsupportedError, match=f"the layer {away.digest}"):
        refuse_foreign(Artifact(linked, memory, frozenset({away.digest})), "it")
    for held in (image(memory), chart):
        refuse_foreign(held, "it")


def test_a_blob_in_memory_is_read_from_any_offset() -> None:
    """As a retry wants it."""
    described = Descriptor("x/y", Digest.of(b"data"), 4)
    assert b"".join(RawBlob(b"data").read_blob(described)) == b"data"
    assert b"".join(RawBlob(b"data").read_blob(described, 3)) == b"a"


def test_a_joined_index_keeps_nested_indexes_and_artifacts_as_they_are() -> None:
    """Each once, in order; images alone learn a platform."""
    memory = Memory()
    one, two, chart = image(memory), image(memory, "linux/arm64"), artifact(memory)
    inner = index(memory, two)
    made = join([index(memory, one, inner), chart, one])
    assert made.members == (one, inner, chart)
    assert [entry.platform for entry in made.index.manifests] == [AMD64, None, None]
    assert [entry.digest for entry in made.index.manifests] == [
        each.document.descriptor.digest for each in (one, inner, chart)
    ]
    assert join([one, two], [ARM64]).members == (two,)
    with pytest.raises(NotFoundError, match="none of the images is for linux/s390x"):
        join([one, two], [Platform.parse("linux/s390x")])


def test_an_index_of_dockers_images_is_dockers() -> None:
    """Some registries refuse the other kind."""
    memory = Memory()
    one = image(memory)
    manifest = build_manifest(
        Descriptor(mediatype.DOCKER_CONFIG, one.config.digest, len(one.config.raw)),
        one.manifest.layers,
        mediatype.DOCKER_MANIFEST,
    )
    docker = Image(manifest, one.config, memory)
    assert join([docker]).index.media_type == mediatype.DOCKER_INDEX
    assert join([docker, image(memory, "linux/arm64")]).index == build_index(
        join([docker, image(memory, "linux/arm64")]).index.manifests
    )
