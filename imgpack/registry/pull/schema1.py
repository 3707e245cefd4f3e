"""A schema1 image from a registry, as an image of today.

``imgpack.spec.schema1`` has the rules. Schema1 tells neither sizes nor
diff_ids, so the layers are fetched first, into one nameless scratch file.
Invariants: the signature was checked before anything is fetched; every layer's
digest is checked; what is used is the signed payload only.
"""

import hashlib
from collections.abc import Callable
from typing import Final

from imgpack.compression.codec import MAX_LAYER, decompress
from imgpack.errors import about
from imgpack.files.blobs import verify_stream
from imgpack.files.scratch import ScratchBlob, ScratchFile, ScratchSource
from imgpack.registry.pull.download import RemoteSource
from imgpack.registry.repository import Repository, Served
from imgpack.spec import mediatype
from imgpack.spec.config import ImageConfig
from imgpack.spec.descriptor import Descriptor, describe
from imgpack.spec.digest import Digest
from imgpack.spec.format import Compression, Format
from imgpack.spec.layer import Layer
from imgpack.spec.manifest import Manifest, build_manifest
from imgpack.spec.schema1.payload import real_layers, to_config
from imgpack.spec.schema1.signature import verify

_RATIO: Final = 1100
"""No gzip stream expands more than 1032 times; what does is made to keep us busy."""
_ALWAYS: Final = 1 << 20


def convert_schema1(
    client: Repository,
    served: Served,
    what: str,
    scratch: Callable[[], str],
) -> tuple[Manifest, ImageConfig, ScratchSource]:
    """The image of a schema1 document that was served; its layers are fetched now."""
    with about(what):
        schema1 = verify(served.raw)
    order = real_layers(schema1)
    file = ScratchFile(scratch())
    blobs: dict[Digest, ScratchBlob] = {}
    layers: dict[Digest, Layer] = {}
    for digest in dict.fromkeys(order):
        blobs[digest] = _fetch(client, digest, file)
        with about(f"{client.name}: the layer {digest}"):
            layers[digest] = _identify(digest, blobs[digest])
    config = to_config(schema1, {digest: layer.diff_id for digest, layer in layers.items()})
    described = describe(mediatype.DOCKER_CONFIG, config.raw, config.digest)
    descriptors = [layers[digest].descriptor for digest in order]
    manifest = build_manifest(described, descriptors, mediatype.DOCKER_MANIFEST)
    return manifest, config, ScratchSource(blobs)


def _fetch(client: Repository, digest: Digest, file: ScratchFile) -> ScratchBlob:
    blob = Descriptor(mediatype.DOCKER_LAYER_GZIP, digest, client.blob_size(digest))
    start, what = file.size, f"{client.name}: the layer {digest}"
    meter = client.reporter.begin(digest.hex[:12], blob.size)
    try:
        for piece in verify_stream(RemoteSource(client).read_blob(blob), blob, what):
            file.append(piece)
            meter.advance(len(piece))
    finally:
        meter.end()
    return ScratchBlob(file, start, blob.size)


def _identify(digest: Digest, blob: ScratchBlob) -> Layer:
    """The layer's descriptor and its diff_id, from its bytes."""
    compression = Compression.of(next(blob.read(), b""))
    kind = Format.OCI if compression is Compression.ZSTD else Format.DOCKER
    media_type = kind.layer_type(compression)
    hasher = hashlib.sha256()
    limit = min(MAX_LAYER, _ALWAYS + _RATIO * blob.size)
    for piece in decompress(blob.read(), compression, limit=limit):
        hasher.update(piece)
    descriptor = Descriptor(media_type, digest, blob.size)
    return Layer(descriptor, Digest("sha256", hasher.hexdigest()))
