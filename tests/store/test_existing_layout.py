"""Writing into a layout that is there already, and is damaged or made to do harm."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imgpack.errors import ArchiveError, Hint, ImgpackError, OutputError
from imgpack.events import Silent
from imgpack.image.image import Image, Named
from imgpack.image.verify import verify_images
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.store.archive.write import open_writer
from imgpack.store.open import open_images

from .samples import (
    NAMES,
    Memory,
    make_artifact,
    make_image,
    make_nested,
    opened_images,
    tar_of,
    write_all,
    write_image,
)


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


class _Told(Silent):
    """Keeps warnings and details."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, message: str, hint: Hint = "") -> None:
        self.lines.append(f"{message}; {hint}")

    def detail(self, message: str) -> None:
        self.lines.append(message)


def _written(layout: Path, text: str, *, prune: bool = False) -> tuple[Image, list[str]]:
    """An image under the one name, of which ``text`` is what its layer holds; what is told."""
    made, told = make_image(Memory(), [tar_of({"file": text.encode()})], docker=False), _Told()
    with open_writer(f"{layout}/", reporter=told, prune=prune) as writer:
        writer.write([Named(made, NAMES)])
    return made, told.lines


def _held(layout: Path) -> set[str]:
    return set(os.listdir(layout / "blobs/sha256"))


def _of(*images: Image) -> set[str]:
    return {
        digest.hex
        for image in images
        for digest in (
            image.config.digest,
            image.manifest.descriptor.digest,
            *(layer.digest for layer in image.manifest.layers),
        )
    }


def test_blobs_that_nothing_names_any_more_are_told_and_removed_on_demand(tmp_path: Path) -> None:
    """A name that moves leaves the blobs of what it stood for."""
    layout = tmp_path / "layout"
    first, told = _written(layout, "one")
    assert told == []
    second, told = _written(layout, "two")
    assert f"{layout}/ holds 3 blobs (" in told[0]
    assert _held(layout) == _of(first, second)
    third, told = _written(layout, "three", prune=True)
    assert "6 blobs" in told[0]
    assert _held(layout) == _of(third)
    with open_images(str(layout)) as opened:
        assert verify_images(opened_images(opened), opened.location) == 1


def test_what_any_document_names_is_not_pruned(tmp_path: Path) -> None:
    """An index in an index, artifacts, subjects and documents of types that nobody knows."""
    layout, source = tmp_path / "layout", Memory()
    nested, artifact = make_nested(source), make_artifact(source)
    write_all(f"{layout}/", Named(nested, NAMES[:1]), Named(artifact))
    kept = _held(layout)
    layer, subject, other = (source.add(text) for text in (b"layer", b'{"a":1}', b"other"))
    unknown = json.dumps(
        {
            "blobs": [{"digest": str(layer)}],
            "fsLayers": [{"blobSum": str(other)}],
            "subject": Descriptor("application/x", subject, 7).as_json(),
        }
    ).encode()
    index = json.loads((layout / "index.json").read_bytes())
    named = Descriptor("application/vnd.unknown+json", source.add(unknown), len(unknown))
    index["manifests"].append(named.as_json())
    for raw in (b"layer", b'{"a":1}', b"other", unknown):
        kept.add(Digest.of(raw).hex)
        _blob(layout, Digest.of(raw)).write_bytes(raw)
    stray = Digest.of(b"stray")
    _blob(layout, stray).write_bytes(b"stray")
    (layout / "index.json").write_text(json.dumps(index))
    added = make_image(source, [tar_of({"new": b""})], docker=False)
    with open_writer(f"{layout}/", prune=True) as writer:
        writer.write([Named(added, NAMES[1:])])
    assert _held(layout) == kept | _of(added)


def test_a_damaged_document_ends_the_pruning_and_not_the_writing(tmp_path: Path) -> None:
    """What it named cannot be told: nothing goes."""
    layout = tmp_path / "layout"
    first, _ = _written(layout, "one")
    index = json.loads((layout / "index.json").read_bytes())
    document = index["manifests"][0]
    del document["annotations"]
    (layout / "index.json").write_text(json.dumps(index))
    file = _blob(layout, first.manifest.descriptor.digest)
    file.write_bytes(bytes(file.stat().st_size))
    second, told = _written(layout, "two", prune=True)
    assert "nothing is removed" in told[0]
    assert _held(layout) == _of(first, second)


def test_a_blob_that_came_after_the_index_may_be_of_another_writer(tmp_path: Path) -> None:
    """As skopeo and umoci write: blobs first, without a lock."""
    layout = tmp_path / "layout"
    _written(layout, "one")
    fresh = _blob(layout, Digest.of(b"fresh"))
    for _ in range(100_000):  # until the file system's clock has moved on
        fresh.unlink(missing_ok=True)
        fresh.write_bytes(b"fresh")
        if fresh.stat().st_ctime_ns > (layout / "index.json").stat().st_ctime_ns:
            break
    second, _ = _written(layout, "two", prune=True)
    assert _held(layout) == _of(second) | {fresh.name}


def test_nothing_is_pruned_while_another_writer_is_at_work(tmp_path: Path) -> None:
    """It may count on a blob that is there already."""
    layout = tmp_path / "layout"
    first, _ = _written(layout, "one")
    again = make_image(Memory(), [tar_of({"file": b"one"})], docker=False)
    with open_writer(f"{layout}/") as other:
        assert other._size(again.layers[0].descriptor.digest)
        second, told = _written(layout, "two", prune=True)
        assert "while another writes to it" in told[0]
        other.write([Named(again, NAMES)])
    assert _held(layout) == _of(first, second)
    with open_images(str(layout)) as opened:
        assert verify_images(opened_images(opened), opened.location) == 1


def test_pruning_follows_no_link_and_removes_no_target_of_one(tmp_path: Path) -> None:
    """Equal blobs may be links; what is no regular file under a digest stays."""
    layout = tmp_path / "layout"
    first, _ = _written(layout, "one")
    blobs = layout / "blobs/sha256"
    target, link = Digest.of(b"target").hex, Digest.of(b"link").hex
    outside = tmp_path / "outside"
    for file in (blobs / target, outside, blobs / "no digest"):
        file.write_bytes(b"target")
    (blobs / link).symlink_to(target)
    (blobs / Digest.of(b"out").hex).symlink_to(outside)
    (blobs / Digest.of(b"directory").hex).mkdir()
    before = _held(layout)
    _written(layout, "one")  # the index is newer now
    second, _ = _written(layout, "two", prune=True)
    assert _held(layout) == before - _of(first) | _of(second)
    assert outside.read_bytes() == b"target"


FIELDS = {
    "data": "e30=",
    "urls": ["https://host.example/x"],
    "vnd.example": {"b": [1, 2.5, None, "<&>\u2028"], "a": "ü"},
}


@pytest.mark.parametrize("kind", ["layout/", "archive.tar"])
def test_what_an_entry_says_that_is_not_known_is_carried(
    tmp_path: Path, layout: Path, kind: str
) -> None:
    """Data and fields of others go wherever the image goes that has an index."""
    index = json.loads((layout / "index.json").read_bytes())
    for entry in index["manifests"]:
        entry.update(FIELDS)
    (layout / "index.json").write_text(json.dumps(index))
    target = f"{tmp_path}/there-{kind}"
    for source, place in ((str(layout), target), (target, f"{tmp_path}/back/")):
        with open_images(source) as opened:
            write_all(place, *opened.images())
    back = json.loads((tmp_path / "back/index.json").read_bytes())
    assert back["manifests"] == index["manifests"]


def test_an_entry_that_is_written_again_keeps_what_it_said(layout: Path, image: Image) -> None:
    """The same image under its name; another image is another entry."""
    index = json.loads((layout / "index.json").read_bytes())
    for entry in index["manifests"]:
        entry.update(FIELDS)
        entry["annotations"]["org.example"] = "kept"
    (layout / "index.json").write_text(json.dumps(index))
    write_image(layout, image)
    after = json.loads((layout / "index.json").read_bytes())
    assert after["manifests"] == index["manifests"]
    _written(layout, "another")
    after = json.loads((layout / "index.json").read_bytes())
    assert not any(set(FIELDS) & set(entry) for entry in after["manifests"])
