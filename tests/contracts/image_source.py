"""What holds for everything that is opened: a test class for each derives from it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from imgpack.api import Descriptor, Digest, Image, Opened
from imgpack.errors import Hint, NotFoundError, Remedy
from tests.store.samples import LAYERS, only_image


class SourceContract:
    """The tests; a subclass has the fixture ``opened``: an image of ``LAYERS``, in one place."""

    hints: tuple[Hint, ...] = (Remedy.LIST_DIGESTS(), "")
    """What may be advised for a blob that is not there."""

    def where(self, opened: Opened) -> str:
        """What an error about a blob says of the place."""
        return opened.location

    def _blobs(self, opened: Opened) -> list[tuple[Descriptor, bytes]]:
        manifest = only_image(opened).manifest
        blobs = (manifest.descriptor, manifest.config, *manifest.layers)
        return [(blob, b"".join(opened.read_blob(blob))) for blob in blobs]

    def test_a_blob_has_the_digest_and_size_of_its_descriptor(self, opened: Opened) -> None:
        """The manifest and the configuration are two of them."""
        blobs = self._blobs(opened)
        assert len(blobs) == 2 + len(LAYERS)
        for blob, raw in blobs:
            assert (Digest.of(raw), len(raw)) == (blob.digest, blob.size)

    def test_a_blob_is_read_from_any_offset_and_again(self, opened: Opened) -> None:
        """That is how an upload goes on where it stopped; behind the end there is nothing."""
        for blob, raw in self._blobs(opened):
            for offset in (0, 1, 512, len(raw) - 1, len(raw)):
                for _ in range(2):
                    assert b"".join(opened.read_blob(blob, offset)) == raw[offset:]

    def test_blobs_are_read_at_the_same_time(self, opened: Opened) -> None:
        """By several readers in one thread, and in several."""
        blobs = self._blobs(opened) * 4
        readers = [(opened.read_blob(blob), raw) for blob, raw in blobs]
        heads = [next(reader) for reader, _ in readers]
        for head, (reader, raw) in zip(heads, readers, strict=True):
            assert head + b"".join(reader) == raw
        with ThreadPoolExecutor(4) as pool:
            read = pool.map(lambda pair: b"".join(opened.read_blob(pair[0])), blobs)
            assert list(read) == [raw for _, raw in blobs]

    def test_a_blob_that_is_not_there_is_not_found(self, opened: Opened) -> None:
        """The error names the place and the digest."""
        missing = Descriptor("", Digest.of(b"nowhere"), 7)
        with pytest.raises(NotFoundError, match=str(missing.digest)) as caught:
            b"".join(opened.read_blob(missing))
        assert self.where(opened) in caught.value.message

    def test_any_blob_is_described_by_its_digest(self, opened: Opened) -> None:
        """As its manifest does, and the manifest itself."""
        manifest = only_image(opened).manifest
        for known in (manifest.descriptor, manifest.config, *manifest.layers):
            assert opened.describe(known.digest) == known
        with pytest.raises(NotFoundError) as caught:
            opened.describe(Digest.of(b"nowhere"))
        assert caught.value.hint in self.hints

    def test_images_are_given_again_the_same(self, opened: Opened) -> None:
        """What was read is not read a second time."""
        (one,) = opened.images()
        assert isinstance(one.image, Image)
        assert opened.images()[0].image is opened.image().image is one.image
        assert opened.image(None, one.image.config.platform).image.document == one.image.document
