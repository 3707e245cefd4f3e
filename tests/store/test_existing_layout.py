"""Writing into a layout that is there already, and is damaged or made to do harm."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imgpack.errors import ArchiveError, ImgpackError, OutputError
from imgpack.image.image import Image, Named
from imgpack.image.verify import verify_images
from imgpack.spec.digest import Digest
from imgpack.store.archive.write import open_writer
from imgpack.store.open import open_images

from .samples import NAMES, Memory, make_image, opened_images, write_image


@pytest.fixture
def image() -> Image:
    """An image whose blobs are in memory."""
    return make_image(Memory())


@pytest.fixture
def layout(tmp_path: Path, image: Image) -> Path:
    """A layout that holds the image."""
    return write_image(f"{tmp_path}/layout/", image)


def _blob(layout: Path, digest: Digest) -> Path:
    return layout / "blobs" / "sha256" / digest.hex


@contextmanager
def _soon() -> Iterator[None]:
    """End in an error what would wait for ever."""
    signal.alarm(20)
    try:
        yield
    finally:
        signal.alarm(0)


def _refused(layout: Path, image: Image, reason: str, kind: type[ImgpackError]) -> None:
    before = sorted(os.listdir(layout))
    with _soon(), pytest.raises(kind, match=reason) as caught:
        write_image(layout, image)
    assert str(layout) in caught.value.message
    assert sorted(os.listdir(layout)) == before


def test_a_stored_blob_of_wrong_bytes_is_replaced(layout: Path, image: Image) -> None:
    """The right size is not enough: layers, manifests and configurations are made whole."""
    digests = [layer.digest for layer in image.manifest.layers]
    for digest in (*digests, image.config.digest, image.manifest.descriptor.digest):
        file = _blob(layout, digest)
        file.write_bytes(bytes(file.stat().st_size))
        write_image(layout, image)
        with open_images(str(layout)) as opened:
            assert verify_images(opened_images(opened), opened.location) == 2


def test_a_stored_blob_that_cannot_be_read_is_replaced(layout: Path, image: Image) -> None:
    """A link in a blob's place says nothing about what the layout holds."""
    file = _blob(layout, image.manifest.layers[0].digest)
    outside = layout.parent / "outside"
    file.rename(outside)
    file.symlink_to(outside)
    write_image(layout, image)
    assert not file.is_symlink()
    with open_images(str(layout)) as opened:
        assert verify_images(opened_images(opened), opened.location) == 2


def test_a_sound_stored_blob_is_checked_once_and_not_copied(layout: Path) -> None:
    """Its bytes are read where they lie, and not from the source."""
    source = Memory()
    again = make_image(source)
    inode = _blob(layout, again.manifest.layers[0].digest).stat().st_ino
    with open_writer(f"{layout}/") as writer:
        writer.write([Named(again, NAMES)])
    assert source.reads == []
    assert _blob(layout, again.manifest.layers[0].digest).stat().st_ino == inode


@pytest.mark.parametrize("part", ["blobs", "blobs/sha256"])
@pytest.mark.parametrize("full", [True, False])
def test_a_directory_of_blobs_that_is_a_link_is_not_written_into(
    layout: Path, tmp_path: Path, part: str, full: bool
) -> None:
    """A layout from elsewhere must not choose where imgpack writes."""
    outside = tmp_path / "outside"
    os.rename(layout / part, outside)
    (layout / part).symlink_to(outside)
    before = sorted(os.listdir(outside))
    if not full:
        (layout / "index.json").unlink()
    other = make_image(Memory(), [b"other"])
    _refused(layout, other, rf"{part} .*not a directory", OutputError)
    assert sorted(os.listdir(outside)) == before


def test_a_file_in_place_of_the_blobs_is_refused(layout: Path, image: Image) -> None:
    """Before anything is written."""
    os.rename(layout / "blobs", layout.parent / "blobs")
    (layout / "blobs").write_text("")
    _refused(layout, image, "not a directory", OutputError)


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"imageLayoutVersion":"1.1.0"}', "'1.1.0' is unknown"),
        (b"{}", "'None' is unknown"),
        (b"", "not JSON"),
        (b"x" * 5_000_000, "at most"),
    ],
)
def test_a_layout_of_another_version_is_not_written_into(
    layout: Path, image: Image, full: bool, content: bytes, reason: str
) -> None:
    """What the reader refuses, the writer does not make."""
    (layout / "oci-layout").write_bytes(content)
    if not full:
        (layout / "index.json").unlink()
    _refused(layout, image, reason, ImgpackError)


@pytest.mark.parametrize("full", [True, False])
def test_an_oci_layout_that_is_no_file_is_refused(layout: Path, image: Image, full: bool) -> None:
    """A pipe does not keep imgpack waiting, and a link is not followed."""
    if not full:
        (layout / "index.json").unlink()
    (layout / "oci-layout").rename(layout.parent / "oci-layout")
    os.mkfifo(layout / "oci-layout")
    _refused(layout, image, "not a regular file", ArchiveError)
    (layout / "oci-layout").unlink()
    (layout / "oci-layout").symlink_to(layout.parent / "oci-layout")
    _refused(layout, image, "symbolic link", ArchiveError)


def test_a_directory_in_place_of_a_blob_is_named(layout: Path, image: Image) -> None:
    """It is not removed: nobody knows what it is for."""
    blob = _blob(layout, image.manifest.layers[0].digest)
    blob.unlink()
    blob.mkdir()
    _refused(layout, image, f"{blob.name} is a directory; remove it", OutputError)
