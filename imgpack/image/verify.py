"""The full check of an archive: every layer's digest and every diff_id.

Loaders check little: podman takes an OCI archive with a wrong diff_id, Docker
says "Loaded image" of one. A layer is read once, decompressed and dropped. What
is no layer (an attestation, a chart) has a digest and a size and no diff_id.
"""

import hashlib
from collections.abc import Iterable, Iterator

from imgpack.errors import ArchiveError, DigestError, ImgpackError, LimitError, UnsupportedError
from imgpack.events import SILENT, Meter, Reporter
from imgpack.files.blobs import verify_stream
from imgpack.image.image import (
    AnyImage,
    Artifact,
    BlobSource,
    Image,
    ImageIndex,
    is_away,
    walk,
)
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.format import compression_of


def verify_images(images: Iterable[AnyImage], where: str, reporter: Reporter = SILENT) -> int:
    """Check all layers of all images, and artifacts whole; the number of distinct blobs.

    Raises ``DigestError`` naming the layer, or what the codec raises for a
    damaged stream, or ``NotFoundError``.
    """
    seen: dict[tuple[Digest, bool], Digest | None] = {}
    for image in images:
        for one in walk(image):
            if isinstance(one, ImageIndex):
                continue
            for layer, diff_id in _promised(one):
                if is_away(one, layer):
                    continue
                key = layer.digest, diff_id is not None
                if key not in seen:
                    seen[key] = _diff_id(one.source, layer, where, reporter, unpack=key[1])
                _compare(layer, seen[key], diff_id, where)
    return len({digest for digest, _ in seen})


def _promised(one: Image | Artifact) -> list[tuple[Descriptor, Digest | None]]:
    """The blobs that no document holds, and what they unpack to; nothing, in an artifact."""
    if isinstance(one, Artifact):
        return [(blob, None) for blob in (one.manifest.config, *one.manifest.layers)]
    return list(zip(one.manifest.layers, one.config.diff_ids, strict=True))


def _compare(layer: Descriptor, found: Digest | None, diff_id: Digest | None, where: str) -> None:
    if found is not None and found != diff_id:
        raise DigestError(
            f"{where}: the layer {layer.digest} unpacks to {found}, "
            f"and the configuration says {diff_id}"
        )


def _diff_id(
    source: BlobSource, layer: Descriptor, where: str, reporter: Reporter, *, unpack: bool
) -> Digest | None:
    """What ``layer`` unpacks to, or ``None`` if it is no layer; its own digest is checked."""
    from imgpack.compression.codec import decompress

    what = f"{where}: layer {layer.digest}"
    hasher = hashlib.sha256()
    meter = reporter.begin(layer.digest.hex[:12], layer.size)
    try:
        chunks = _metered(verify_stream(source.read_blob(layer), layer, what), meter)
        unpacks = unpack and _is_layer(layer)
        failure: ImgpackError | None = None
        try:
            for raw in decompress(chunks, layer.media_type) if unpacks else ():
                hasher.update(raw)
        except (ArchiveError, LimitError) as error:
            failure = error.reworded(f"{what}: {error.message}")
        # The digest is of all bytes, wherever the codec stopped, and says more than its error.
        for _ in chunks:
            pass
        if failure is not None:
            raise failure
    finally:
        meter.end()
    return Digest("sha256", hasher.hexdigest()) if unpacks else None


def _is_layer(layer: Descriptor) -> bool:
    try:
        compression_of(layer.media_type)
    except UnsupportedError:
        return False
    return True


def _metered(chunks: Iterator[bytes], meter: Meter) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        meter.advance(len(chunk))
