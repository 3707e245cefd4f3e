"""What an ``ImageSink`` promises, whatever lies behind it.

A room joins by a subclass whose ``place`` fixture gives a ``Place``.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

import pytest

from imgpack.errors import DigestError, DocumentError
from imgpack.image.image import (
    AnyImage,
    Artifact,
    Image,
    ImageIndex,
    ImageSink,
    Named,
    Published,
    walk,
)
from imgpack.image.opened import Opened
from imgpack.image.plan import plan
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.reference import Reference
from tests.registry.images import Memory, make_artifact, make_image, make_index


class Place(Protocol):
    """Somewhere that images are written to, run after run."""

    def sink(self) -> AbstractContextManager[ImageSink]:
        """A new sink for one ``write``, over what was written before."""

    def name(self, tag: str) -> Reference:
        """A name that this place can hold."""

    def names(self) -> set[Reference]:
        """Every name that is there."""

    def read(self, name: Reference) -> AbstractContextManager[Opened]:
        """What was written, opened to be read; ``name`` is what to look for."""


@dataclass
class Counting:
    """A source that counts the blobs that it is asked for."""

    source: Memory
    read: list[Digest] = field(default_factory=list)

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes of the source behind it."""
        self.read.append(descriptor.digest)
        return self.source.read_blob(descriptor, offset)


def from_source(image: Image, source: Memory | Counting) -> Image:
    """``image``, its blobs read from ``source``."""
    return Image(image.manifest, image.config, source)


def nested() -> ImageIndex:
    """An index of an index with two platforms and a note, an image, and a chart."""
    note = make_artifact(b"note", "application/vnd.example.note")
    inner = make_index(make_image(b"1"), make_image(b"2", platform="linux/arm64"), note)
    return make_index(inner, make_image(b"3", platform="linux/s390x"), make_artifact(b"chart"))


def write(place: Place, *images: Named, jobs: int = 4) -> tuple[Published, ...]:
    """Write ``images`` in one run."""
    with place.sink() as sink:
        return sink.write(images, jobs=jobs)


def check(place: Place, name: Reference, wrote: AnyImage) -> None:
    """``name`` leads to all that was written, byte for byte."""
    with place.read(name) as opened:
        found = opened.image(opened.select(str(name)))
        assert name in found.names
        expected, blobs = plan([Named(wrote)]), plan([found]).blobs
        assert [one.document.raw for one in walk(found.image)] == [
            one.document.raw for one in walk(wrote)
        ]
        assert [blob.descriptor for blob in blobs] == [blob.descriptor for blob in expected.blobs]
        for blob in (*expected.blobs, *expected.configs):
            ours = b"".join(blob.source.read_blob(blob.descriptor))
            assert b"".join(opened.read_blob(blob.descriptor)) == ours


class ImageSinkContract:
    """The promises, one a test."""

    @pytest.mark.parametrize("oci", [False, True], ids=["docker", "oci"])
    def test_an_image_arrives_whole(self, place: Place, oci: bool) -> None:
        """Its manifest, its configuration and its layers, and the sink says what it wrote."""
        image, name = make_image(b"one", b"two" * 9999, empty=True, oci=oci), place.name("1")
        published = write(place, Named(image, (name,)))
        assert published == (Published(name, image.manifest.descriptor),)
        check(place, name, image)

    def test_every_name_is_published_in_its_order(self, place: Place) -> None:
        """Two images, three names."""
        one, two = make_image(b"one"), make_image(b"two")
        first, second, third = (place.name(tag) for tag in ("b", "c", "a"))
        published = write(place, Named(one, (first, second)), Named(two, (third,)))
        assert [(each.name, each.descriptor) for each in published] == [
            (first, one.manifest.descriptor),
            (second, one.manifest.descriptor),
            (third, two.manifest.descriptor),
        ]
        for name, image in ((first, one), (second, one), (third, two)):
            check(place, name, image)

    @pytest.mark.parametrize("jobs", [1, 4])
    def test_an_index_in_an_index_and_artifacts_arrive_whole(self, place: Place, jobs: int) -> None:
        """At any depth, in their order."""
        image, name = nested(), place.name("all")
        write(place, Named(image, (name,)), jobs=jobs)
        check(place, name, image)

    def test_an_artifact_arrives_alone(self, place: Place) -> None:
        """What is no image is carried as it is."""
        chart, name = make_artifact(b"templates"), place.name("chart")
        write(place, Named(chart, (name,)))
        check(place, name, chart)
        with place.read(name) as opened:
            assert isinstance(opened.image(opened.select(str(name))).image, Artifact)

    def test_writing_twice_is_harmless(self, place: Place) -> None:
        """The same again changes nothing."""
        image, name = nested(), place.name("1")
        assert write(place, Named(image, (name,))) == write(place, Named(image, (name,)))
        assert place.names() == {name}
        check(place, name, image)

    def test_what_is_there_is_not_read_again(self, place: Place) -> None:
        """Only the layer that is new is asked for, though there was another image before."""
        before, after = make_image(b"base", b"old"), make_image(b"base", b"new")
        write(place, Named(before, (place.name("1"),)))
        source = Counting(after.source)  # type: ignore[arg-type]
        name = place.name("2")
        write(place, Named(from_source(after, source), (name,)))
        assert source.read == [after.manifest.layers[1].digest]
        check(place, name, after)

    def test_a_name_moves_and_the_others_stay(self, place: Place) -> None:
        """It is the last image's that was written under it."""
        one, two = make_image(b"one"), make_image(b"two")
        moving, staying = place.name("latest"), place.name("1")
        write(place, Named(one, (moving, staying)))
        write(place, Named(two, (moving,)))
        assert place.names() == {moving, staying}
        check(place, moving, two)
        check(place, staying, one)

    @pytest.mark.parametrize("wrong", [b"", b"short", b"\0" * 9999], ids=["none", "few", "many"])
    def test_wrong_bytes_are_refused_and_nothing_is_named(self, place: Place, wrong: bytes) -> None:
        """What was there before stays as it was."""
        before, name = make_image(b"before"), place.name("1")
        write(place, Named(before, (name,)))
        image = make_image(b"good", b"bad")
        blobs = dict(image.source.blobs)  # type: ignore[attr-defined]
        blobs[image.manifest.layers[1].digest] = wrong
        damaged = from_source(image, Memory(blobs))
        with pytest.raises(DigestError):
            write(place, Named(damaged, (name, place.name("2"))))
        assert place.names() == {name}
        check(place, name, before)

    def test_wrong_bytes_deep_in_an_index_are_refused_too(self, place: Place) -> None:
        """Every member's blobs are checked before the index has a name."""
        image = make_image(b"deep")
        blobs = {image.manifest.layers[0].digest: b"\0" * image.manifest.layers[0].size}
        damaged = from_source(image, Memory(blobs))
        with pytest.raises(DigestError):
            write(place, Named(make_index(make_index(damaged)), (place.name("1"),)))
        assert place.names() == set()

    def test_an_index_without_its_members_is_refused(self, place: Place) -> None:
        """Nothing is read from its source, and nothing is named."""
        whole = make_index(make_image(b"1"), make_image(b"2", platform="linux/arm64"))
        partial = make_index(ImageIndex(whole.index, whole.members[:1]))
        with pytest.raises(DocumentError, match=str(whole.index.manifests[1].digest)):
            write(place, Named(partial, (place.name("1"),)))
        assert place.names() == set()
