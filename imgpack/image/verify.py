"""The full check of an archive: every layer's digest and every diff_id.

Loaders check little: podman takes an OCI archive with a wrong diff_id, Docker
says "Loaded image" of one. A layer is read once, decompressed and dropped. What
is no layer (an attestation, a chart) has a digest and a size and no diff_id.
"""

import hashlib
from collections.abc import Iterable, Iterator

from imgpack.errors import (
    ArchiveError,
    DigestError,
    ImgpackError,
    LimitError,
    UnsupportedError,
)
from imgpack.events import SILENT, Meter, Reporter
from imgpack.files.blobs import verify_stream
from imgpack.image.image import Image, MultiImage
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest


def verify_images(
    images: Iterable[Image | MultiImage], where: str, reporter: Reporter = SILENT
) -> int:
    """Check all layers of all images, from any source; the number of distinct layers.

    Raises ``DigestError`` naming the layer, or what the codec raises for a
    damaged stream, or ``NotFoundError``.
    """
    return sum(_verify(one, where, reporter) for image in images for one in image.members)


def _verify(image: Image, where: str, reporter: Reporter) -> int:
    diff_ids: dict[Digest, Digest | None] = {}
    for layer, diff_id in zip(image.manifest.layers, image.config.diff_ids, strict=True):
        if mediatype.is_foreign(layer.media_type):
            continue
        if layer.digest not in diff_ids:
            diff_ids[layer.digest] = _diff_id(image, layer, where, reporter)
        found = diff_ids[layer.digest]
        if found is not None and found != diff_id:
            raise DigestError(
                f"{where}: the layer {layer.digest} unpacks to {found}, "
                f"and the configuration says {diff_id}"
            )
    return len(diff_ids)


def _diff_id(image: Image, layer: Descriptor, where: str, reporter: Reporter) -> Digest | None:
    """What ``layer`` unpacks to, or ``None`` if it is no layer; its own digest is checked."""
    from imgpack.compression.codec import decompress

    what = f"{where}: layer {layer.digest}"
    hasher = hashlib.sha256()
    meter = reporter.begin(layer.digest.hex[:12], layer.size)
    try:
        chunks = _metered(verify_stream(image.source.read_blob(layer), layer, what), meter)
        unpacks = _unpacks(image, layer)
        failure: ImgpackError | None = None
        try:
            for raw in decompress(chunks, layer.media_type) if unpacks else ():
                hasher.update(raw)
        except (ArchiveError, LimitError) as error:
            failure = type(error)(f"{what}: {error.message}", error.hint)
        # The digest is of all bytes, wherever the codec stopped, and says more than its error.
        for _ in chunks:
            pass
        if failure is not None:
            raise failure
    finally:
        meter.end()
    return Digest("sha256", hasher.hexdigest()) if unpacks else None


def _unpacks(image: Image, layer: Descriptor) -> bool:
    from imgpack.compression.codec import kind_of

    if image.manifest.config.media_type not in mediatype.IMAGE_CONFIGS:
        return False
    try:
        kind_of(layer.media_type)
    except UnsupportedError:
        return False
    return True


def _metered(chunks: Iterator[bytes], meter: Meter) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        meter.advance(len(chunk))
