"""Whatever was guessed and in whatever order blobs came, an archive has the same bytes."""

import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgpack.api import Descriptor, Digest, Image, Named, parse_name
from imgpack.files.writing import output_errors
from imgpack.spec.manifest import build_manifest
from imgpack.store.archive.assembly import Assembly, Extent, header, header_size
from imgpack.store.archive.write import open_writer

from .samples import NAMES, Memory, make_image, write_image

_SIZES = st.lists(st.integers(0, 3000), min_size=0, max_size=6)


def _guess(image: Image, sizes: list[int]) -> Image:
    """The image as a builder expects it: other digests, and sizes that may be wrong."""
    layers = [
        Descriptor(layer.media_type, Digest.of(b"%d" % number), size)
        for number, (layer, size) in enumerate(zip(image.manifest.layers, sizes, strict=False))
    ]
    manifest = build_manifest(image.manifest.config, layers, image.manifest.media_type)
    return replace(image, manifest=manifest)


def _build(target: Path, image: Image, source: Memory, expected: list[int | None]) -> bytes:
    with open_writer(str(target)) as writer:
        if expected and None not in expected:
            sizes = [size or 0 for size in expected]
            try:
                guess = _guess(image, sizes)
            except Exception:
                guess = image
            writer.reserve(Named(guess, NAMES))
        for layer, size in zip(image.manifest.layers, expected, strict=True):
            blob = writer.open_blob(size)
            blob.write(source.blobs[layer.digest][:100])
            blob.write(source.blobs[layer.digest][100:])
            blob.commit(layer.digest, layer.size)
            blob.abort()
        writer.write([Named(image, NAMES)])
    return target.read_bytes()


@settings(
    derandomize=True,
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data(), sizes=_SIZES)
def test_guesses_change_the_time_and_never_the_bytes(
    tmp_path: Path, data: st.DataObject, sizes: list[int]
) -> None:
    """A copied image, a planned build, an unplanned one and a wrongly planned one are equal."""
    source = Memory()
    layers = [bytes([number % 3]) * size for number, size in enumerate(sizes)]
    image = make_image(source, layers, compress=data.draw(st.booleans()))
    reference = write_image(tmp_path / "copied.tar", image).read_bytes()
    right: list[int | None] = [layer.size for layer in image.manifest.layers]
    guess = st.one_of(st.none(), st.integers(0, 5000), st.just(1 << 34))
    wrong = data.draw(st.lists(guess, min_size=len(sizes), max_size=len(sizes)))
    for name, expected in (("right", right), ("none", [None] * len(sizes)), ("wrong", wrong)):
        assert _build(tmp_path / f"{name}.tar", image, source, expected) == reference


def test_a_right_plan_needs_no_copy(tmp_path: Path) -> None:
    """The draft itself becomes the archive: the same inode, and nothing else in the directory."""
    source = Memory()
    image = make_image(source)
    with open_writer(str(tmp_path / "a.tar")) as writer:
        sizes = [layer.size for layer in image.manifest.layers]
        guess = _guess(image, sizes)
        writer.reserve(Named(guess, NAMES))
        for layer in image.manifest.layers:
            blob = writer.open_blob(layer.size)
            blob.write(source.blobs[layer.digest])
            blob.commit(layer.digest, layer.size)
        (draft,) = tmp_path.iterdir()
        inode = draft.stat().st_ino
        writer.write([Named(image, NAMES)])
    assert (tmp_path / "a.tar").stat().st_ino == inode
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_known_blobs_may_come_in_any_order_and_at_once(tmp_path: Path) -> None:
    """Each goes to its planned place, so that parallel downloads need no copy."""
    source = Memory()
    image = make_image(source)
    reference = write_image(tmp_path / "a.tar", image).read_bytes()
    inodes: list[int] = []
    second_is_read = threading.Event()

    class Backwards(Memory):
        def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
            first = descriptor == image.manifest.layers[0]
            if first:
                assert second_is_read.wait(20)
            yield from super().read_blob(descriptor, offset)
            if not first:
                (draft,) = (path for path in tmp_path.iterdir() if path.name != "a.tar")
                inodes.append(draft.stat().st_ino)
                second_is_read.set()

    with open_writer(str(tmp_path / "b.tar")) as writer:
        writer.write([Named(replace(image, source=Backwards(source.blobs)), NAMES)], jobs=2)
    assert (tmp_path / "b.tar").read_bytes() == reference
    assert [(tmp_path / "b.tar").stat().st_ino] == inodes


def test_an_aborted_blob_leaves_no_trace_in_the_bytes(tmp_path: Path) -> None:
    """A failed attempt, and a blob that no manifest names, are not in the archive."""
    source = Memory()
    image = make_image(source)
    reference = write_image(tmp_path / "a.tar", image).read_bytes()
    with open_writer(str(tmp_path / "b.tar")) as writer:
        blob = writer.open_blob()
        blob.write(b"x" * 200_000)
        blob.abort()
        blob = writer.open_blob()
        blob.write(b"unused")
        blob.commit(Digest.of(b"unused"), 6)
        writer.write([Named(image, NAMES)])
    assert (tmp_path / "b.tar").read_bytes() == reference


def test_two_blobs_of_unknown_size_cannot_be_open_at_once(tmp_path: Path) -> None:
    """The second one's place would depend on the first one's size."""
    with open_writer(str(tmp_path / "a.tar")) as writer:
        writer.open_blob()
        with pytest.raises(RuntimeError, match="still open"):
            writer.open_blob()


@pytest.mark.parametrize("size", [0, 511, (1 << 33) - 1, 1 << 33, 1 << 40])
def test_a_header_of_any_size_is_as_long_as_was_guessed_and_tarfile_reads_it(size: int) -> None:
    """From 8 GiB on a pax record holds the size."""
    raw = header("blobs/sha256/x", size)
    assert len(raw) == header_size(size)
    last = tarfile.TarInfo.frombuf(raw[-512:], "utf-8", "strict")
    assert last.name == "blobs/sha256/x"
    assert f"size={size}".encode() in raw if size >= 1 << 33 else last.size == size


def test_blobs_beyond_eight_gibibytes_are_laid_out_without_overlap(tmp_path: Path) -> None:
    """A sparse file stands in for the bytes."""
    huge = Descriptor("application/vnd.oci.image.layer.v1.tar", Digest.of(b"huge"), 9 << 30)
    small = Descriptor("application/vnd.oci.image.layer.v1.tar", Digest.of(b"small"), 5)
    with (tmp_path / "draft").open("w+b") as file:
        assembly = Assembly(file.fileno(), partial(output_errors, "draft"))
        first, second = assembly.reserve(huge), assembly.reserve(small)
        assert first.start == 1536
        assert second.start == Extent(1536, 9 << 30).end + 512


def test_names_in_the_front_do_not_move_an_image(tmp_path: Path) -> None:
    """Renaming an image changes the front alone: the layers' bytes follow unchanged."""
    source = Memory()
    one = make_image(source)
    raw = write_image(tmp_path / "a.tar", one, (parse_name("a:1"),)).read_bytes()
    other = write_image(tmp_path / "b.tar", one, (parse_name("b:2"),)).read_bytes()
    assert len(raw) == len(other)
    assert raw != other
    assert raw[-30_000:] == other[-30_000:] or len(raw) < 30_000
