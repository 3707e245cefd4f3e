"""What holds, run after run, for an ``ImageSink`` that keeps what was written before.

A layout and a repository do; an archive is replaced. ``SinkContract`` has what holds for
one run. A test class for each derives from ``KeepingContract``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from imgpack.api import AnyImage, Descriptor, Digest, Image, ImageIndex, Named, Published, Reference
from imgpack.errors import DigestError, NotFoundError
from imgpack.image.image import walk
from imgpack.image.plan import plan
from tests.contracts.image_sink import Place
from tests.registry.images import Memory, make_artifact, make_image, make_index


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


def write(place: Place, image: AnyImage, *names: Reference) -> tuple[Published, ...]:
    """Write ``image`` under ``names`` in a run of its own."""
    with place.sink() as sink:
        return sink.write([Named(image, names)])


def check(place: Place, name: Reference, wrote: AnyImage) -> None:
    """``name`` leads to all that was written, byte for byte."""
    with place.opened(name) as opened:
        found = opened.image(opened.select(str(name)))
        assert name in found.names
        assert [one.document.raw for one in walk(found.image)] == [
            one.document.raw for one in walk(wrote)
        ]
        planned = plan([Named(wrote)])
        for blob in (*planned.blobs, *planned.configs):
            ours = b"".join(blob.source.read_blob(blob.descriptor))
            assert b"".join(opened.read_blob(blob.descriptor)) == ours


class KeepingContract:
    """The tests; a subclass has the fixture ``place``."""

    def test_writing_twice_is_harmless(self, place: Place) -> None:
        """The same again says and changes nothing else."""
        image = nested()
        assert write(place, image, *place.names) == write(place, image, *place.names)
        for name in place.names:
            check(place, name, image)

    def test_what_is_there_is_not_read_again(self, place: Place) -> None:
        """Only the layer that is new is asked for, though there was another image before."""
        before, after = make_image(b"base", b"old"), make_image(b"base", b"new")
        write(place, before, place.names[0])
        source = Counting(after.source)  # type: ignore[arg-type]
        write(place, from_source(after, source), place.names[1])
        assert source.read == [after.manifest.layers[1].digest]
        check(place, place.names[0], before)
        check(place, place.names[1], after)

    def test_a_name_moves_and_the_others_stay(self, place: Place) -> None:
        """It is the last image's that was written under it."""
        one, two = make_image(b"one"), make_image(b"two")
        write(place, one, *place.names)
        write(place, two, place.names[0])
        check(place, place.names[0], two)
        check(place, place.names[1], one)

    @pytest.mark.parametrize("wrong", [b"", b"short", b"\0" * 9999], ids=["none", "few", "many"])
    @pytest.mark.parametrize("deep", [False, True], ids=["image", "index"])
    def test_wrong_bytes_are_refused_and_what_was_there_stays(
        self, place: Place, wrong: bytes, deep: bool
    ) -> None:
        """No name moves, and no new one leads anywhere."""
        before, (name, other) = make_image(b"before"), place.names
        write(place, before, name)
        image = make_image(b"good", b"bad")
        blobs = dict(image.source.blobs)  # type: ignore[attr-defined]
        blobs[image.manifest.layers[1].digest] = wrong
        damaged = from_source(image, Memory(blobs))
        with pytest.raises(DigestError, match=str(image.manifest.layers[1].digest)):
            write(place, make_index(make_index(damaged)) if deep else damaged, name, other)
        check(place, name, before)
        with pytest.raises(NotFoundError), place.opened(other) as opened:
            opened.select(str(other))
