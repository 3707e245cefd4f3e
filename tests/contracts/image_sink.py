"""What holds for every ``ImageSink``: a test class for each derives from ``SinkContract``."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

import pytest

from imgpack.api import (
    AnyImage,
    Descriptor,
    ImageIndex,
    ImageSink,
    Named,
    Opened,
    Published,
    Reference,
)
from imgpack.errors import ConfigError, DigestError, DocumentError, SourceError
from imgpack.image.image import walk
from imgpack.spec.manifest import build_index
from tests.store.samples import (
    LAYERS,
    Memory,
    make_artifact,
    make_image,
    make_multi,
    make_nested,
    read_blobs,
)


class Place(Protocol):
    """Somewhere to write to, empty at first, and to read from afterwards."""

    names: tuple[Reference, Reference]

    def sink(self) -> AbstractContextManager[ImageSink]:
        """Open it for one ``write``."""

    def opened(self, name: Reference) -> AbstractContextManager[Opened]:
        """Open what has ``name``."""

    def is_empty(self) -> bool:
        """Whether nothing can be found there under its names."""


class Blocked(Memory):
    """Its first layer is endless, the second fails once the first is being read."""

    def __init__(self) -> None:
        super().__init__()
        self.endless = Descriptor("application/vnd.oci.image.layer.v1.tar", self.add(b"?"), 1 << 30)
        self.reading = threading.Event()
        self.closed = threading.Event()

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        if descriptor.digest != self.endless.digest:
            assert self.reading.wait(20)
            raise SourceError("the second layer fails")
        try:
            for _ in range(1500):
                yield b"x"
                self.reading.set()
                time.sleep(0.01)
        finally:
            self.closed.set()


class SinkContract:
    """The tests; a subclass has the fixture ``place``."""

    @pytest.mark.parametrize("make", [make_image, make_artifact, make_nested])
    def test_whatever_is_written_is_read_back_to_the_byte(
        self, place: Place, make: Callable[[Memory], AnyImage]
    ) -> None:
        """Documents of every kind at any depth, and every blob."""
        source = Memory()
        image = make(source)
        with place.sink() as sink:
            sink.write([Named(image, place.names)])
        for name in place.names:
            with place.opened(name) as opened:
                read = opened.image(opened.select(str(name))).image
                assert [type(one) for one in walk(read)] == [type(one) for one in walk(image)]
                raws = [one.document.raw for one in walk(read)]
                assert raws == [one.document.raw for one in walk(image)]
                assert read_blobs(read) == read_blobs(image)

    def test_what_is_published_is_told_in_order(self, place: Place) -> None:
        """A name each, with what it now points at."""
        source = Memory()
        one, two = make_image(source), make_artifact(source)
        with place.sink() as sink:
            published = sink.write([Named(one, place.names[:1]), Named(two, place.names[1:])])
        assert published == (
            Published(place.names[0], one.manifest.descriptor),
            Published(place.names[1], two.manifest.descriptor),
        )

    @pytest.mark.parametrize("labels", [(), ("v1",)], ids=["name", "label"])
    def test_one_name_of_two_images_is_refused_before_anything_is_read(
        self, place: Place, labels: tuple[str, ...]
    ) -> None:
        """One of them would be lost; the error says which name."""
        source = Memory()
        one, two = make_image(source), make_image(source, [LAYERS[1]])
        first, second = place.names
        named = [Named(one, (first,), labels), Named(two, (second if labels else first,), labels)]
        shared = labels[0] if labels else str(first)
        with pytest.raises(ConfigError, match=f"{shared} is to name two"), place.sink() as sink:
            sink.write(named)
        assert source.reads == []
        assert place.is_empty()

    def test_an_image_that_is_there_twice_is_one_under_all_its_names(self, place: Place) -> None:
        """Each is said once."""
        image = make_image(Memory())
        first, second = place.names
        with place.sink() as sink:
            published = sink.write([Named(image, (first,)), Named(image, (second, first))])
        assert published == tuple(
            Published(name, image.manifest.descriptor) for name in place.names
        )

    def test_no_image_is_nothing_to_write(self, place: Place) -> None:
        """An archive of none would be one that no loader takes."""
        with pytest.raises(ValueError, match="no image to write"), place.sink() as sink:
            sink.write([])
        assert place.is_empty()

    def test_a_blob_is_read_once_however_many_name_it(self, place: Place) -> None:
        """Within an image and between two."""
        source = Memory()
        one = make_image(source, [LAYERS[0], LAYERS[0], LAYERS[1]])
        two = make_image(source, [LAYERS[1]])
        with place.sink() as sink:
            sink.write([Named(one, place.names[:1]), Named(two, place.names[1:])])
        assert sorted(source.reads) == sorted({layer.digest for layer in one.manifest.layers})

    def test_blobs_are_written_at_once(self, place: Place) -> None:
        """As many as there are jobs: each waits here until the other is read."""
        both = threading.Barrier(2, timeout=20)

        class Waiting(Memory):
            def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
                both.wait()
                return super().read_blob(descriptor, offset)

        with place.sink() as sink:
            sink.write([Named(make_image(Waiting()), place.names)], jobs=2)
        assert not both.broken

    @pytest.mark.parametrize("jobs", [1, 4])
    def test_a_blob_of_other_bytes_is_refused_and_nothing_is_seen(
        self, place: Place, jobs: int
    ) -> None:
        """The blob is named."""
        source = Memory()
        image = make_image(source)
        digest = image.manifest.layers[1].digest
        source.blobs[digest] = source.blobs[digest][:-1] + b"?"
        with pytest.raises(DigestError, match=str(digest)), place.sink() as sink:
            sink.write([Named(image, place.names)], jobs=jobs)
        assert place.is_empty()

    def test_an_index_that_is_not_all_there_is_refused_before_anything_is_read(
        self, place: Place
    ) -> None:
        """At any depth; a sink takes whole images."""
        source = Memory()
        whole = make_multi(source, "linux/amd64", "linux/arm64")
        part = replace(whole, members=whole.members[:1])
        outer = ImageIndex(build_index([whole.index.descriptor]), (part,))
        for image in (part, outer):
            with pytest.raises(DocumentError, match="linux/arm64"), place.sink() as sink:
                sink.write([Named(image, place.names)])
        assert source.reads == []
        assert place.is_empty()

    def test_in_the_copy_the_stop_is_checked(self, place: Place) -> None:
        """When one layer fails, the other is not read to its end."""
        source = Blocked()
        image = make_image(source)
        second = image.manifest.layers[1]
        image = replace(image, manifest=replace(image.manifest, layers=(source.endless, second)))
        with place.sink() as sink:
            with pytest.raises(SourceError, match="second layer"):
                sink.write([Named(image, place.names)], jobs=2)
            assert source.closed.wait(8)
        assert place.is_empty()
