"""A schema1 image from a registry, as an image of today.

``imgpack.spec.schema1`` has the rules. Schema1 tells neither sizes nor
diff_ids, so the layers are fetched first, into one nameless scratch file.
Invariants: the signature was checked before anything is fetched; every layer's
digest is checked; what is used is the signed payload only.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Final

from imgpack.compression.codec import MAX_LAYER, Kind, decompress, detect
from imgpack.errors import DigestError, about
from imgpack.files.scratch import ScratchBlob, ScratchFile, ScratchSource
from imgpack.image.image import Image
from imgpack.registry.pull.download import RemoteSource
from imgpack.registry.repository import Repository, Served
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.manifest import build_manifest
from imgpack.spec.schema1.payload import real_layers, to_config
from imgpack.spec.schema1.signature import verify

_RATIO: Final = 1100
"""No gzip stream expands more than 1032 times; what does is made to keep us busy."""
_ALWAYS: Final = 1 << 20
_TYPES = {
    Kind.GZIP: mediatype.DOCKER_LAYER_GZIP,
    Kind.NONE: mediatype.DOCKER_LAYER,
    Kind.ZSTD: mediatype.OCI_LAYER_ZSTD,
}


def schema1_image(
    client: Repository,
    served: Served,
    what: str,
    scratch: Callable[[], str],
) -> Image:
    """The image of a schema1 document that was served; its layers are fetched now."""
    schema1 = verify(served.raw, what)
    order = real_layers(schema1)
    file = ScratchFile(scratch())
    blobs: dict[Digest, ScratchBlob] = {}
    layers: dict[Digest, Descriptor] = {}
    diff_ids: dict[Digest, Digest] = {}
    for digest in dict.fromkeys(order):
        blobs[digest] = _fetch(client, digest, file)
        with about(f"{client.name}: the layer {digest}"):
            layers[digest], diff_ids[digest] = _identify(digest, blobs[digest])
    config = to_config(schema1, diff_ids)
    described = Descriptor(mediatype.DOCKER_CONFIG, config.digest, len(config.raw))
    manifest = build_manifest(
        described, [layers[digest] for digest in order], mediatype.DOCKER_MANIFEST
    )
    return Image(manifest, config, ScratchSource(blobs))


def _fetch(client: Repository, digest: Digest, file: ScratchFile) -> ScratchBlob:
    size = client.blob_size(digest)
    blob = Descriptor(mediatype.DOCKER_LAYER_GZIP, digest, size)
    start, hasher = file.size, digest.hasher()
    meter = client.reporter.begin(digest.hex[:12], size)
    try:
        for piece in RemoteSource(client).read_blob(blob):
            hasher.update(piece)
            file.append(piece)
            meter.advance(len(piece))
    finally:
        meter.end()
    if hasher.hexdigest() != digest.hex:
        file.close()
        raise DigestError(
            f"{client.name}: the layer {digest} is {digest.algorithm}:{hasher.hexdigest()}",
            "the registry is broken or was tampered with",
        )
    return ScratchBlob(file, start, file.size - start)


def _identify(digest: Digest, blob: ScratchBlob) -> tuple[Descriptor, Digest]:
    """The layer's descriptor and its diff_id, from its bytes."""
    head = next(blob.read(), b"")[:8]
    media_type = _TYPES[detect(head)]
    hasher = hashlib.sha256()
    for piece in _raw(blob, media_type):
        hasher.update(piece)
    return Descriptor(media_type, digest, blob.size), Digest("sha256", hasher.hexdigest())


def _raw(blob: ScratchBlob, media_type: str) -> Iterator[bytes]:
    limit = min(MAX_LAYER, _ALWAYS + _RATIO * blob.size)
    return decompress(blob.read(), media_type, limit=limit)
