"""The full check: digests of all blobs, and what layers unpack to."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from imgpack.api import (
    AnyImage,
    Artifact,
    Descriptor,
    Digest,
    Image,
    ImageIndex,
    Platform,
    verify_images,
)
from imgpack.compression import codec
from imgpack.errors import ArchiveError, DigestError, Hint, ImgpackError, LimitError, NotFoundError
from imgpack.events import Silent
from imgpack.spec import mediatype
from imgpack.spec.descriptor import describe
from imgpack.spec.manifest import build_index, build_manifest
from tests.image.samples import Recorder
from tests.store.samples import LAYERS, Memory, make_artifact, make_config, make_image, make_nested


def _with_config(image: Image, *contents: bytes) -> Image:
    """The layers of ``image`` under a configuration for ``contents``."""
    config = make_config(contents)
    described = describe(image.manifest.config.media_type, config.raw)
    manifest = build_manifest(described, image.manifest.layers, image.manifest.media_type)
    return Image(manifest, config, image.source)


def _attested(source: Memory) -> ImageIndex:
    """An image and its attestation under one index, as BuildKit makes them."""
    image = make_image(source, docker=False)
    statement = b'{"_type":"https://in-toto.io/Statement/v0.1"}'
    config = make_config([statement], Platform("unknown", "unknown"))
    blob = Descriptor("application/vnd.in-toto+json", source.add(statement), len(statement))
    manifest = build_manifest(
        describe(mediatype.OCI_CONFIG, config.raw), [blob], mediatype.OCI_MANIFEST
    )
    images = (image, Image(manifest, config, source))
    return ImageIndex(build_index([one.manifest.descriptor for one in images]), images)


def test_a_wrong_diff_id_is_found() -> None:
    """The layer is sound, and unpacks to something else than the configuration says."""
    image = make_image(Memory())
    wrong = _with_config(image, b"something", b"else")
    promised = Digest.of(b"something")
    with pytest.raises(DigestError, match=f"here: the layer .* unpacks to .* says {promised}"):
        verify_images([wrong], "here")
    assert verify_images([image], "here") == 2


def test_a_wrong_diff_id_is_found_wherever_the_layer_was_met_before() -> None:
    """In a sound image, or in an artifact, where it has none."""
    source = Memory()
    image = make_image(source)
    wrong = _with_config(image, b"something", b"else")
    chart = Artifact(replace(image.manifest, config=make_artifact(source).manifest.config), source)
    for before in (image, chart):
        with pytest.raises(DigestError, match="unpacks to"):
            verify_images([before, wrong], "here")


def test_a_blob_is_read_once_however_many_images_have_it() -> None:
    """As many as are distinct are counted."""
    source = Memory()
    image = make_image(source)
    assert verify_images([image, replace(image), image], "here") == 2
    assert len(source.reads) == 2
    chart = Artifact(replace(image.manifest, config=make_artifact(source).manifest.config), source)
    assert verify_images([image, chart], "here") == 3


def test_a_layer_that_cannot_be_unpacked_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its digest is that of its bytes; the codec knows neither it nor the place."""
    source = Memory()
    image = make_image(source)
    raw = b"\x1f\x8bno gzip at all"
    kind = image.manifest.layers[0].media_type
    blob = Descriptor(kind, source.add(raw), len(raw))
    broken = replace(image, manifest=replace(image.manifest, layers=(blob, blob)))
    with pytest.raises(ArchiveError, match=f"^here: layer {blob.digest}: "):
        verify_images([broken], "here")

    def bomb(chunks: Iterator[bytes], media_type: str) -> Iterator[bytes]:
        raise LimitError("it never ends")

    monkeypatch.setattr(codec, "decompress", bomb)
    with pytest.raises(LimitError, match=f"^here: layer {blob.digest}: it never ends"):
        verify_images([broken], "here")


def test_the_work_is_told_byte_by_byte_and_ends_however_it_ends() -> None:
    """A meter for each blob that is read, of its size."""
    source = Memory()
    image = make_image(source)
    reporter = Recorder()
    verify_images([image, image], "here", reporter)
    assert reporter.meters == {
        layer.digest.hex[:12]: [layer.size, layer.size, True] for layer in image.manifest.layers
    }
    first = image.manifest.layers[0].digest
    source.blobs[first] = source.blobs[first][:-1]
    reporter = Recorder()
    with pytest.raises(ImgpackError):
        verify_images([image], "here", reporter)
    assert [ended for _, _, ended in reporter.meters.values()] == [True]


@pytest.mark.parametrize(("make", "count"), [(_attested, 3), (make_artifact, 2), (make_nested, 4)])
def test_every_blob_of_whatever_is_verified(make: Callable[[Memory], AnyImage], count: int) -> None:
    """A changed byte in any of them is found: an attestation's, a chart's, its configuration's."""
    source = Memory()
    image = make(source)
    assert verify_images([image], "here") == count
    read = set(source.reads)
    assert len(read) == count
    for digest in read:
        good = source.blobs[digest]
        source.blobs[digest] = good[:-1] + bytes([good[-1] ^ 1])
        with pytest.raises(ImgpackError, match=f"here: layer {digest}"):
            verify_images([image], "here")
        source.blobs[digest] = good


def test_a_blob_of_an_artifact_may_be_of_a_layers_type_and_is_not_unpacked() -> None:
    """It has no diff_id that it could have to match."""
    source = Memory()
    image = make_image(source, docker=False)
    raw = b"no gzip at all"
    blob = Descriptor(mediatype.OCI_LAYER_GZIP, source.add(raw), len(raw))
    chart = build_manifest(make_artifact(source).manifest.config, [blob], mediatype.OCI_MANIFEST)
    assert verify_images([image, Artifact(chart, source)], "here") == 4


def test_a_layer_that_is_not_there_is_not_found() -> None:
    """A foreign one is not looked for."""

    class Empty(Memory):
        def read_blob(self, descriptor: Descriptor, offset: int = 0):  # type: ignore[no-untyped-def]
            raise NotFoundError(f"here has no blob {descriptor.digest}")

    image = make_image(Memory())
    lost = replace(image, source=Empty())
    with pytest.raises(NotFoundError):
        verify_images([lost], "here")
    kind = mediatype.DOCKER_FOREIGN_LAYER_GZIP
    away, held = image.manifest.layers
    mixed = replace(image.manifest, layers=(replace(away, media_type=kind), held))
    absent = frozenset({away.digest})
    assert verify_images([replace(image, manifest=mixed, absent=absent)], "here") == 1
    foreign = tuple(replace(layer, media_type=kind) for layer in image.manifest.layers)
    absent = frozenset(layer.digest for layer in foreign)
    away_all = replace(lost, manifest=replace(image.manifest, layers=foreign), absent=absent)
    assert verify_images([away_all], "") == 0


class Warnings(Silent):
    """A reporter that keeps warnings."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, message: str, hint: Hint = "") -> None:
        """Keep one."""
        self.texts.append(message)


def _labelled(image: Image, media_type: str) -> Image:
    """The same layers under another media type."""
    layers = [replace(layer, media_type=media_type) for layer in image.manifest.layers]
    manifest = build_manifest(image.manifest.config, layers, image.manifest.media_type)
    return Image(manifest, image.config, image.source)


@pytest.mark.parametrize("compress", [False, True])
def test_a_layer_under_a_wrong_label_is_sound_and_warned_of(*, compress: bool) -> None:
    """Every engine looks at the bytes; skopeo makes such labels where it takes known blobs."""
    image = make_image(Memory(), docker=False, compress=compress)
    label = mediatype.OCI_LAYER if compress else mediatype.OCI_LAYER_GZIP
    warnings = Warnings()
    assert verify_images([_labelled(image, label)], "here", warnings) == 2
    said = ("none", "gzip") if compress else ("gzip", "none")
    assert f"its media type says {said[0]}, and its bytes {said[1]}" in warnings.texts[0]
    assert verify_images([image], "here", warnings) == 2
    assert len(warnings.texts) == 2


def test_a_layer_of_docker_s_zstd_type_is_unpacked() -> None:
    """A type that only containerd and crane know is a layer's still."""
    image = _labelled(make_image(Memory()), mediatype.DOCKER_LAYER_ZSTD)
    wrong = _labelled(_with_config(image, b"something", b"else"), mediatype.DOCKER_LAYER_ZSTD)
    assert verify_images([image], "here") == 2
    with pytest.raises(DigestError, match="unpacks to"):
        verify_images([wrong], "here")


def test_a_layer_is_compared_with_the_algorithm_that_its_diff_id_names() -> None:
    """Image-spec allows sha512 wherever there is a digest."""
    image = make_image(Memory())
    for contents, sound in ((LAYERS, True), ((LAYERS[0], b"else"), False)):
        ids = tuple(Digest("sha512", hashlib.sha512(one).hexdigest()) for one in contents)
        changed = replace(image, config=replace(image.config, diff_ids=ids))
        if sound:
            assert verify_images([changed, image], "here") == 2
        else:
            with pytest.raises(DigestError, match="unpacks to sha512:"):
                verify_images([image, changed], "here")
