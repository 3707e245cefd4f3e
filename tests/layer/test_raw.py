"""A tar file as a layer byte for byte: validated to its end, and not changed."""

import bz2
import gzip
import hashlib
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from imgpack.api import Codec, Digest
from imgpack.errors import (
    ArchiveError,
    ImgpackError,
    OutputError,
    SourceChangedError,
    SourceError,
    TreeError,
    UnsupportedError,
)
from imgpack.layer.raw import RawLayer, raw_layer
from imgpack.spec.format import Compression
from imgpack.tar import header
from tests.layer.trees import Blob, noise
from tests.tar.making import member, padded

END = bytes(1024)
WHOLE = (
    header.encode(b"./d/", typeflag=header.DIRECTORY, mtime=7)
    + header.encode(b"d/f", size=3, mtime=9)
    + padded(b"abc")
    + member("d/.wh.gone")
    + member(".wh.d2")
    + END
    + b"behind the end"
)
Made = Callable[[bytes], RawLayer]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """What makes a layer of a file's bytes."""

    def make(raw: bytes) -> RawLayer:
        (tmp_path / "x.tar").write_bytes(raw)
        return raw_layer(str(tmp_path / "x.tar"), scratch=lambda: str(tmp_path))

    return make


@pytest.mark.parametrize(
    ("kind", "compress"),
    [
        (Compression.NONE, bytes),
        (Compression.GZIP, lambda raw: gzip.compress(raw[:700]) + gzip.compress(raw[700:])),
        (Compression.ZSTD, Codec.parse("zstd").compress),
    ],
)
def test_its_bytes_are_the_layer(
    made: Made, kind: Compression, compress: Callable[[bytes], bytes]
) -> None:
    """Compressed as they are, and what lies behind the end is hashed too."""
    data = compress(WHOLE)
    raw = made(data)
    blob = Blob()
    built = raw.write(blob.opening(None))

    assert raw.compression is kind
    assert blob.data.getvalue() == data
    assert blob.committed == (Digest.of(data), len(data))
    assert built.record.written.diff_id.hex == hashlib.sha256(WHOLE).hexdigest()
    assert (built.record.written.raw_size, built.record.newest) == (len(WHOLE), 9)
    assert [entry.path for entry in raw.entries()] == [b"d2", b"d", b"d/gone", b"d/f"]


@pytest.mark.parametrize(
    ("raw", "error", "message"),
    [
        (member("f") * 2, TreeError, "f is there twice, and Docker loads no such layer"),
        (member("d/", kind=b"5") * 2, TreeError, "d is there twice"),
        (member("f") + member("./f"), TreeError, "f is there twice"),
        (member("a", kind=b"1", link="/lower"), TreeError, "a is a hard link to lower, which is"),
        (member("../f"), ArchiveError, "leads out"),
        (member("l", kind=b"2", link="/") + member("l/f"), TreeError, "l/f is below l"),
        (member("c", kind=b"3"), TreeError, "c is the character device 0:0"),
        (
            header.encode(b"d", xattrs={b"trusted.overlay.opaque": b"y"}),
            TreeError,
            "d has the attribute trusted.overlay.opaque",
        ),
        (member("f", b"x" * 600)[:700], ArchiveError, "truncated"),
        (b"", ArchiveError, "empty"),
        (noise(2000), ArchiveError, "not a tar archive"),
    ],
)
def test_what_no_engine_unpacks_is_refused(
    made: Made, raw: bytes, error: type[ImgpackError], message: str
) -> None:
    """Compressed as well; the file is named."""
    for data in (raw, zlib.compress(raw, wbits=31)):
        with pytest.raises(error, match=rf"x\.tar: .*{message}"):
            made(data)


def test_other_compressions_and_streams_are_refused(made: Made, tmp_path: Path) -> None:
    """No layer has them; and a stream is over once it was looked at."""
    with pytest.raises(UnsupportedError, match=r"x\.tar is compressed with bzip2, which no layer"):
        made(bz2.compress(WHOLE))
    reading, writing = os.pipe()
    os.close(writing)
    with pytest.raises(ArchiveError, match="is a stream"):
        raw_layer(f"/dev/fd/{reading}", scratch=lambda: str(tmp_path))
    os.close(reading)
    with pytest.raises(SourceError, match="gone does not exist"):
        raw_layer(str(tmp_path / "gone"), scratch=lambda: str(tmp_path))


def test_a_file_that_changes_or_is_written_to_is_told(made: Made, tmp_path: Path) -> None:
    """Nothing is committed then."""
    raw = made(WHOLE)
    found = os.stat(tmp_path / "x.tar")
    blob = Blob()
    with pytest.raises(OutputError, match=r"x\.tar is a layer of what would be written over it"):
        raw.write(blob.opening(None), {(found.st_dev, found.st_ino)})
    (tmp_path / "x.tar").write_bytes(WHOLE.replace(b"abc", b"abd"))
    with pytest.raises(SourceChangedError, match="changed"):
        raw.write(blob.opening(None))
    assert blob.committed is None
