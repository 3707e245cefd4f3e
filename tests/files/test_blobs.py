"""Blobs are stored under their digests, and streams are what their descriptor says."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpack.api import Descriptor, Digest
from imgpack.errors import ArchiveError, DigestError
from imgpack.files.blobs import BlobDirectory, verify_stream


def test_a_blob_is_stored_under_its_digest_and_read_back(tmp_path: Path) -> None:
    """From its start or from any offset."""
    store = BlobDirectory(str(tmp_path))
    digest = Digest.of(b"some bytes")
    blob = store.open_blob()
    blob.write(b"some ")
    blob.write(b"bytes")
    assert store.size(digest) is None
    blob.commit(digest, 10)
    blob.abort()
    assert store.size(digest) == 10
    assert b"".join(store.read(digest, 5)) == b"bytes"
    assert os.listdir(tmp_path / "blobs" / "sha256") == [digest.hex]


def test_an_aborted_blob_leaves_nothing(tmp_path: Path) -> None:
    """Neither a blob nor a temporary."""
    store = BlobDirectory(str(tmp_path))
    blob = store.open_blob()
    blob.write(b"x")
    blob.abort()
    assert [name for _, _, files in os.walk(tmp_path) for name in files] == []


@settings(derandomize=True, max_examples=60)
@given(raw=st.binary(max_size=200), cut=st.integers(0, 200), flip=st.integers(0, 199))
def test_a_stream_passes_only_with_every_byte_right(raw: bytes, cut: int, flip: int) -> None:
    """Short, long and changed streams are refused; a long one never yields too much."""
    descriptor = Descriptor("x/y", Digest.of(raw), len(raw))
    assert b"".join(verify_stream([raw[:cut], raw[cut:]], descriptor, "it")) == raw
    got = bytearray()
    with pytest.raises(DigestError, match="more than"):
        for chunk in verify_stream([raw, b"more"], descriptor, "it"):
            got += chunk
    assert len(got) <= len(raw)
    if raw:
        with pytest.raises(DigestError, match="truncated"):
            list(verify_stream([raw[:-1]], descriptor, "it"))
        wrong = bytearray(raw)
        wrong[flip % len(raw)] ^= 1
        with pytest.raises(DigestError, match="it is damaged"):
            list(verify_stream([bytes(wrong)], descriptor, "it"))


def test_a_directory_under_a_blobs_name_is_no_blob(tmp_path: Path) -> None:
    """Nor is a link, to a file that has the very bytes."""
    store = BlobDirectory(str(tmp_path))
    store.put(b"blob", Digest.of(b"blob"))
    path = Path(store.path(Digest.of(b"blob")))
    assert store.size(Digest.of(b"blob")) == 4
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    assert store.size(Digest.of(b"blob")) is None
    with pytest.raises(ArchiveError, match="symbolic link"):
        list(store.read(Digest.of(b"blob")))
    path.unlink()
    path.mkdir()
    assert store.size(Digest.of(b"blob")) is None
    with pytest.raises(ArchiveError, match="not a regular file"):
        list(store.read(Digest.of(b"blob")))


@pytest.mark.parametrize("chunks", [[b"good"], [b"bad!"], [b"go"], [b"goods"]])
def test_a_verified_stream_closes_its_source(chunks: list[bytes]) -> None:
    """However it ends: a connection that nobody closes is one that nobody else gets."""
    closed = []

    def source() -> Iterator[bytes]:
        try:
            yield from [*chunks, b""]
        finally:
            closed.append(True)

    whole = Descriptor("x/y", Digest.of(b"good"), 4)
    opened = source()  # held, so that nothing else closes it
    try:
        list(verify_stream(opened, whole, "it"))
    except DigestError:
        assert chunks != [b"good"]
    assert closed == [True]


def test_a_verified_stream_that_is_left_closes_its_source() -> None:
    """When its reader wants no more."""
    closed = []

    def source() -> Iterator[bytes]:
        try:
            yield b"go"
            yield b"od"
        finally:
            closed.append(True)

    opened = source()
    stream = verify_stream(opened, Descriptor("x/y", Digest.of(b"good"), 4), "it")
    assert next(stream) == b"go"
    assert closed == []
    stream.close()  # type: ignore[attr-defined]
    assert closed == [True]
