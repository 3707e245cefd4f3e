"""What engines are fed: an archive as ``docker load`` takes it, and one of an OCI layout.

moby image-spec v1.2, "Combined Image JSON + Filesystem Changeset Format"; OCI image-spec
``image-layout.md``. They stream, go to an engine and are gone, so no byte of them is promised.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from imgpack.engine.layers import plain_layer
from imgpack.files.blobs import verify_stream
from imgpack.image.image import Image, Named, absent_layer
from imgpack.image.plan import plan
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.json import encode
from imgpack.tar.header import END, padding
from imgpack.tar.header import encode as header

OCI_LAYOUT_VERSION = b'{"imageLayoutVersion":"1.0.0"}'
_NAME = "io.containerd.image.name"
_REF = "org.opencontainers.image.ref.name"


def docker_archive(
    images: Sequence[tuple[Named, Image]],
    held: frozenset[Digest],
    scratch: Callable[[], str],
) -> Iterator[bytes]:
    """``images`` for ``docker load``: layers as tar streams, each once, but for those ``held``.

    ``held`` are ``diff_id``s; Docker opens no layer's file that it has. ``scratch`` and errors
    are as for ``plain_layer``.
    """
    items: list[dict[str, Any]] = []
    configs: dict[str, bytes] = {}
    for named, image in images:
        name = f"{image.config.digest.hex}.json"
        configs[name] = image.config.raw
        items.append(
            {
                "Config": name,
                "RepoTags": [str(tag) for tag in named.tags] or None,
                "Layers": [_layer_name(diff_id) for diff_id in image.config.diff_ids],
            }
        )
    yield _member("manifest.json", encode(items))
    for name, raw in configs.items():
        yield _member(name, raw)
    layers = {layer.diff_id: (image, layer) for _, image in images for layer in image.layers}
    for diff_id, (image, layer) in layers.items():
        if diff_id in held:
            continue
        with plain_layer(image, layer, scratch) as plain:
            yield header(_layer_name(diff_id).encode(), size=plain.size)
            yield from plain.chunks
            yield padding(plain.size)
    yield END


def oci_archive(images: Sequence[Named], held: frozenset[Digest]) -> Iterator[bytes]:
    """``images`` as an OCI layout in a tar: blobs as they are, each once, but for those ``held``.

    Raises ``UnsupportedError`` for a layer that is neither here nor there, and what reading
    raises.
    """
    planned = plan(images)
    for lost in planned.missing:
        if lost.digest not in held:
            raise absent_layer(lost, "the image's source")
    yield _member("oci-layout", OCI_LAYOUT_VERSION)
    yield _member("index.json", _index(images))
    for document in planned.documents:
        if document.descriptor.digest not in held:
            yield _member(_blob_name(document.descriptor.digest), document.raw)
    for blob in (*planned.configs, *planned.blobs):
        descriptor = blob.descriptor
        if descriptor.digest in held:
            continue
        yield header(_blob_name(descriptor.digest).encode(), size=descriptor.size)
        chunks = blob.source.read_blob(descriptor)
        yield from verify_stream(chunks, descriptor, f"blob {descriptor.digest}")
        yield padding(descriptor.size)
    yield END


def _index(images: Sequence[Named]) -> bytes:
    """``ctr`` drops what is for another platform than its own, so none is said.

    An image without a name is there once, which Docker then knows by its digest.
    """
    manifests = []
    for named in images:
        document = named.image.document
        bare = Descriptor(
            document.media_type, document.descriptor.digest, document.descriptor.size
        ).as_json()
        names = [{_NAME: str(tag), _REF: tag.target} for tag in named.tags]
        manifests += [bare | {"annotations": one} for one in names] or [bare]
    return encode({"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": manifests})


def _layer_name(diff_id: Digest) -> str:
    return f"{diff_id.hex}.tar"


def _blob_name(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


def _member(name: str, raw: bytes) -> bytes:
    return header(name.encode(), size=len(raw)) + raw + padding(len(raw))
