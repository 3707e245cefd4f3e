"""An index made of images and indexes."""

from dataclasses import replace

import pytest

from imgpack.api import ImageIndex, Platform, join
from imgpack.errors import ConfigError, DocumentError, NotFoundError
from imgpack.spec import mediatype
from imgpack.spec.manifest import build_index
from tests.store.samples import (
    LAYERS,
    Memory,
    make_artifact,
    make_image,
    make_multi,
    make_nested,
)

ARM64 = Platform("linux", "arm64")


def _platforms(index: ImageIndex) -> list[str]:
    return [str(entry.platform) for entry in index.index.manifests]


def test_images_and_the_members_of_indexes_are_joined_in_order() -> None:
    """Each once; their documents are what they were."""
    source = Memory()
    both = make_multi(source, "linux/arm64", "linux/s390x")
    image = make_image(source, docker=False)
    joined = join([image, both, both.members[0]])
    assert _platforms(joined) == ["linux/amd64", "linux/arm64", "linux/s390x"]
    assert joined.members == (image, *both.members)
    joined.check_complete()


def test_an_entry_keeps_what_its_index_says_of_it() -> None:
    """Its annotations and its variant."""
    source = Memory()
    image = make_image(source, docker=False, platform=ARM64)
    entry = replace(
        image.manifest.descriptor,
        platform=Platform("linux", "arm64", "v8"),
        annotations=(("a", "b"),),
    )
    joined = join([ImageIndex(build_index([entry]), (image,))])
    assert joined.index.manifests == (entry,)


def test_two_different_images_of_one_platform_are_not_joined() -> None:
    """Nobody could tell them apart."""
    source = Memory()
    images = [make_image(source), make_image(source, [LAYERS[0]])]
    digests = " and ".join(str(one.document.descriptor.digest) for one in images)
    with pytest.raises(ConfigError, match=f"two different images are for linux/amd64: {digests}"):
        join(images)


def test_docker_manifests_alone_make_a_docker_list() -> None:
    """With annotations, which it has no place for, and with others, an OCI index."""
    source = Memory()
    docker, oci = make_image(source), make_image(source, docker=False, platform=ARM64)
    assert join([docker]).index.media_type == mediatype.DOCKER_INDEX
    assert join([docker], (), {"a": "b"}).index.media_type == mediatype.OCI_INDEX
    assert join([docker, oci]).index.media_type == mediatype.OCI_INDEX


def test_chosen_platforms_must_be_there_and_are_all_there_is() -> None:
    """In the order of the wish."""
    both = make_multi(Memory(), "linux/amd64", "linux/arm64", "linux/s390x")
    wanted = [Platform.parse("linux/s390x"), Platform.parse("linux/amd64")]
    assert _platforms(join([both], wanted)) == ["linux/s390x", "linux/amd64"]
    with pytest.raises(NotFoundError, match="linux/riscv64") as caught:
        join([both], [Platform("linux", "riscv64")])
    assert caught.value.hint == "there are: linux/amd64, linux/arm64, linux/s390x"
    nested = make_nested(Memory())
    for platform in (Platform(), ARM64):
        with pytest.raises(NotFoundError) as caught:
            join([nested], [platform])
        assert caught.value.hint == "none of them has a platform"


def test_a_wish_without_a_variant_takes_all_of_them() -> None:
    """Each is another image."""
    both = make_multi(Memory(), "linux/arm/v6", "linux/amd64", "linux/arm/v7")
    joined = join([both], [Platform("linux", "arm")])
    assert _platforms(joined) == ["linux/arm/v6", "linux/arm/v7"]


def test_what_an_index_does_not_say_the_image_does() -> None:
    """Its platform."""
    image = make_image(Memory(), docker=False, platform=ARM64)
    silent = ImageIndex(build_index([image.manifest.descriptor]), (image,))
    assert _platforms(join([silent])) == ["linux/arm64"]


def test_attestations_of_several_images_are_all_kept() -> None:
    """Their platform says nothing."""
    source = Memory()
    nobody = Platform("unknown", "unknown")
    one, two = (make_image(source, [layer], platform=nobody) for layer in LAYERS)
    assert join([one, two]).members == (one, two)


def test_what_is_not_all_there_cannot_be_joined() -> None:
    """The entry would lead nowhere."""
    both = make_multi(Memory(), "linux/amd64", "linux/arm64")
    with pytest.raises(DocumentError, match="are not there"):
        join([replace(both, members=both.members[:1])])


def test_an_index_within_an_index_and_an_artifact_are_carried_as_they_are() -> None:
    """They have no platform; each is there once."""
    nested = make_nested(Memory())
    joined = join([nested, nested])
    assert joined.index.manifests == nested.index.manifests
    assert joined.members == nested.members


def test_what_is_added_to_an_index_comes_behind_what_it_has() -> None:
    """Its annotations stay, and what it has already is not there twice."""
    source = Memory()
    first, second = make_image(source, docker=False), make_image(source, platform=ARM64)
    old = join([first], (), {"a": "1", "b": "2"})
    joined = join([first, second], (), {"b": "3"}, old=old)
    assert _platforms(joined) == ["linux/amd64", "linux/arm64"]
    assert joined.index.annotations == (("a", "1"), ("b", "3"))
    assert joined.members == (first, second)


def test_another_image_for_a_platform_takes_its_place_when_asked_to() -> None:
    """Else it is refused; what was about the old one goes with it."""
    source = Memory()
    old_image, new = make_image(source, docker=False), make_image(source, [LAYERS[0]], docker=False)
    arm = make_image(source, docker=False, platform=ARM64)
    about = make_artifact(source)
    subject = str(old_image.manifest.descriptor.digest)
    entries = [
        replace(old_image.manifest.descriptor, platform=Platform()),
        replace(
            about.manifest.descriptor,
            platform=Platform("unknown", "unknown"),
            annotations=(("vnd.docker.reference.digest", subject),),
        ),
        replace(arm.manifest.descriptor, platform=ARM64),
    ]
    old = ImageIndex(build_index(entries), (old_image, about, arm))
    with pytest.raises(ConfigError, match="the index has another image for linux/amd64"):
        join([new], old=old)
    joined = join([new], old=old, replacing=True)
    assert joined.members == (new, arm)
    assert _platforms(joined) == ["linux/amd64", "linux/arm64"]


def test_arm64_with_and_without_its_variant_is_one_platform() -> None:
    """Every machine of it is a v8 at least."""
    source = Memory()
    one, other = (
        make_image(source, [layer], docker=False, platform=Platform("linux", "arm64", variant))
        for layer, variant in zip(LAYERS[:2], ("", "v8"), strict=True)
    )
    with pytest.raises(ConfigError, match="two different images are for linux/arm64"):
        join([one, other])
