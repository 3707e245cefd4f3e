"""Formats and compressions: which media type names which pair, and what the first bytes tell."""

import bz2
import lzma

import pytest

from imgpack.api import Codec, Format
from imgpack.compression.codec import decompress
from imgpack.errors import Remedy, UnsupportedError
from imgpack.spec import mediatype
from imgpack.spec.format import Compression, compression_of, detect

PAIRS = [(Format.DOCKER, each) for each in (Compression.NONE, Compression.GZIP)] + [
    (Format.OCI, each) for each in Compression
]


def test_media_types_are_those_of_the_format() -> None:
    """Docker has none for zstd, and the error says what to do."""
    assert Format.DOCKER.layer_type(Compression.GZIP) == mediatype.DOCKER_LAYER_GZIP
    assert Format.OCI.layer_type(Compression.GZIP) == mediatype.OCI_LAYER_GZIP
    assert Format.DOCKER.layer_type(Compression.NONE) == mediatype.DOCKER_LAYER
    assert Format.OCI.layer_type(Compression.ZSTD) == mediatype.OCI_LAYER_ZSTD
    with pytest.raises(UnsupportedError, match="no media type for zstd") as caught:
        Format.DOCKER.layer_type(Compression.ZSTD)
    assert caught.value.hint == Remedy.USE_OCI_OR_GZIP()


@pytest.mark.parametrize(("format_", "compression"), PAIRS)
def test_a_layers_media_type_names_its_format_and_its_compression(
    format_: Format, compression: Compression
) -> None:
    """There and back, for every pair that has a type."""
    media_type = format_.layer_type(compression)
    assert (Format.of(media_type), compression_of(media_type)) == (format_, compression)


@pytest.mark.parametrize("format_", Format)
def test_the_documents_of_an_image_are_of_its_format(format_: Format) -> None:
    """Each is known by its own type, and no two share one."""
    types = {format_.manifest_type, format_.index_type, format_.config_type}
    assert len(types) == 3
    assert {Format.of(media_type) for media_type in types} == {format_}
    assert format_.manifest_type in mediatype.MANIFESTS
    assert format_.index_type in mediatype.INDEXES
    assert format_.config_type in mediatype.IMAGE_CONFIGS


def test_what_is_not_dockers_own_type_is_ocis() -> None:
    """Whatever else the name holds."""
    assert Format.of("application/vnd.example.dockerfile+json") is Format.OCI


def test_a_media_type_names_its_compression() -> None:
    """Foreign layers are gzip; of unknown types nothing is known."""
    assert compression_of(mediatype.OCI_LAYER_ZSTD) is Compression.ZSTD
    assert compression_of(mediatype.DOCKER_FOREIGN_LAYER_GZIP) is Compression.GZIP
    assert compression_of("text/plain") is None


@pytest.mark.parametrize("compression", Compression)
def test_compression_shows_in_the_first_bytes(compression: Compression) -> None:
    """Whatever the media type says."""
    data = Codec.parse(compression.value).compress(b"data")
    assert detect(data) == compression.value
    assert Compression.of(data) is compression


@pytest.mark.parametrize("number", [0, 15])
def test_zstd_may_begin_with_a_frame_to_be_skipped(number: int) -> None:
    """As pzstd writes it; it is read to the end."""
    skipped = bytes((0x50 + number,)) + b"\x2a\x4d\x18" + b"\4\0\0\0size"
    data = skipped + Codec.parse("zstd").compress(b"data") + skipped
    assert detect(data) == "zstd"
    assert b"".join(decompress([data], Compression.ZSTD)) == b"data"


@pytest.mark.parametrize(
    ("data", "name"), [(lzma.compress(b""), "xz"), (bz2.compress(b""), "bzip2"), (b"", "none")]
)
def test_what_no_layer_is_compressed_with_has_a_name_and_is_no_compression(
    data: bytes, name: str
) -> None:
    """So that a reader can say what it does not read."""
    assert detect(data) == name
    assert Compression.of(data) is Compression.NONE
