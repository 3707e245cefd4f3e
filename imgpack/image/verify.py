"""The full check of an archive: every layer's digest and every diff_id.

Loaders check little: podman takes an OCI archive with a wrong diff_id, Docker
says "Loaded image" of one. A layer is read once, decompressed and dropped. What is no layer (an
attestation, a chart) has a digest and a size and no diff_id.
"""

import hashlib
from collections.abc import Iterable

from imgpack.compression.unpack import metered, unpack
from imgpack.errors import ArchiveError, DigestError, LimitError, UnsupportedError
from imgpack.events import SILENT, Reporter
from imgpack.files.blobs import verify_stream
from imgpack.image.image import (
    AnyImage,
    Artifact,
    BlobSource,
    Image,
    ImageIndex,
    Opaque,
    is_away,
    walk,
)
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.format import compression_of


def verify_images(images: Iterable[AnyImage], where: str, reporter: Reporter = SILENT) -> int:
    """Check all layers of all images, and artifacts whole; the number of distinct blobs.

    A layer whose media type names another compression than it has is warned of. Raises
    ``DigestError`` naming the layer, or what the codec raises for a damaged stream, or
    ``NotFoundError``.
    """
    seen: dict[tuple[Digest, str], Digest | None] = {}
    for image in images:
        for one in walk(image):
            if isinstance(one, ImageIndex):
                continue
            for layer, diff_id in _promised(one):
                if is_away(one, layer):
                    continue
                unpack = diff_id is not None and mediatype.is_layer(layer.media_type)
                key = layer.digest, diff_id.algorithm if diff_id and unpack else ""
                if key not in seen:
                    seen[key] = _unpacked(one.source, layer, key[1], where, reporter)
                _compare(layer, seen[key], diff_id, where)
    return len({digest for digest, _ in seen})


def _promised(one: Image | Artifact | Opaque) -> list[tuple[Descriptor, Digest | None]]:
    """The blobs that no document holds, and what they unpack to; nothing, in an artifact."""
    if isinstance(one, Opaque):
        return [(one.descriptor, None)]
    if isinstance(one, Artifact):
        return [(blob, None) for blob in (one.manifest.config, *one.manifest.layers)]
    return list(zip(one.manifest.layers, one.config.diff_ids, strict=True))


def _compare(layer: Descriptor, found: Digest | None, diff_id: Digest | None, where: str) -> None:
    if found is not None and found != diff_id:
        raise DigestError(
            f"{where}: the layer {layer.digest} unpacks to {found}, "
            f"and the configuration says {diff_id}"
        )


def _unpacked(
    source: BlobSource, layer: Descriptor, algorithm: str, where: str, reporter: Reporter
) -> Digest | None:
    """What ``layer`` unpacks to, by ``algorithm`` (empty: it is no layer, and ``None``).

    Its own digest is checked.
    """
    what = f"{where}: layer {layer.digest}"
    meter = reporter.begin(layer.digest.hex[:12], layer.size)
    try:
        chunks = metered(verify_stream(source.read_blob(layer), layer, what), meter)
        if not algorithm:
            for _ in chunks:
                pass
            return None
        found, raw = unpack(chunks)
        hasher = hashlib.new(algorithm)
        for part in raw:
            hasher.update(part)
    except (ArchiveError, LimitError, UnsupportedError) as error:
        raise error.reworded(f"{what}: {error.message}") from error
    finally:
        meter.end()
    label = compression_of(layer.media_type)
    if label is not None and label.value != found:
        reporter.warn(
            f"{what}: its media type says {label.value}, and its bytes {found}; "
            "what runs it goes by the bytes"
        )
    return Digest(algorithm, hasher.hexdigest())
