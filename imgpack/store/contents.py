"""What an archive or layout will hold: its documents, its names, and the order of its blobs.

OCI image-spec ``image-layout.md`` (``oci-layout``, ``index.json``) and Docker's
image archive (``manifest.json``). Docker, containerd, podman, skopeo, crane and
umoci each read another of these files; all of them find the same image.

Invariants: everything here is a function of the documents and names alone, so
an archive's bytes are too; the first files of an archive tell all the rest.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from imgpack.errors import ImgpackError, LimitError
from imgpack.image.image import (
    AnyImage,
    Artifact,
    Image,
    Named,
    Opaque,
    images_in,
    missing_layers,
    walk,
)
from imgpack.image.plan import plan
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.format import Format
from imgpack.spec.json import encode
from imgpack.spec.platform import Platform

OCI_LAYOUT: Final = b'{"imageLayoutVersion":"1.0.0"}'
"""The file ``oci-layout``; containerd takes this version only."""

NAME_ANNOTATION: Final = "io.containerd.image.name"
REF_ANNOTATION: Final = "org.opencontainers.image.ref.name"
SHALLOW_ANNOTATION: Final = "io.imgpack.shallow"
"""In ``index.json``, on what is shallow: the digests of the layers that are left out of it."""
SCHEMA1_NAME: Final = "schema1.json"
"""The unsigned schema1 payload, in the archive of a docker-format image; loaders ignore it."""

MAX_MANIFEST_JSON: Final = 1 << 20
"""Bytes of ``manifest.json`` that containers/image reads."""

_PREFERRED: Final = Platform("linux", "amd64")
_UNKNOWN: Final = Platform("unknown", "unknown")
# crane labels every layer by what the first one is, unless LayerSources tells it better;
# it makes a Docker manifest, so these are Docker's types.
_SOURCE_TYPES: Final = {
    mediatype.OCI_LAYER: mediatype.DOCKER_LAYER,
    mediatype.OCI_LAYER_GZIP: mediatype.DOCKER_LAYER_GZIP,
    mediatype.OCI_LAYER_ZSTD: mediatype.DOCKER_LAYER_ZSTD,
}


def documents(images: Iterable[Named]) -> dict[Digest, bytes]:
    """Manifests, indexes and configurations in the archive's order, each once."""
    out: dict[Digest, bytes] = {}
    for one in (one for named in images for one in walk(named.image)):
        if not isinstance(one, Opaque):
            out.setdefault(one.document.descriptor.digest, one.document.raw)
        if isinstance(one, Image):
            out.setdefault(one.config.digest, one.config.raw)
    return out


def blobs(images: Sequence[Named]) -> tuple[Descriptor, ...]:
    """All blobs that are no documents, in the archive's order, each once; none kept elsewhere."""
    known = documents(images)
    planned = (blob.descriptor for blob in plan(images).blobs)
    return tuple(blob for blob in planned if blob.digest not in known)


def _one_platform(image: AnyImage) -> Image | None:
    """The image that stands for a root where only one can: linux/amd64, else the first."""
    found = list(images_in(image))
    found = [one for one in found if one.config.platform != _UNKNOWN] or found
    best = next((one for one in found if _PREFERRED.matches(one.config.platform)), None)
    return best or (found[0] if found else None)


def blob_path(digest: Digest) -> str:
    """The path of a blob in an archive or layout."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def index_entries(images: Sequence[Named], taken: Iterable[str] = ()) -> list[dict[str, Any]]:
    """The descriptors of ``index.json``: one a name or label, without a platform.

    ``ctr`` drops a descriptor whose platform is not its own, so none is said. To umoci
    a tag that is there twice is ambiguous: after the first, and where it is a label or
    among ``taken``, the whole name stands for it, as podman writes it.
    """
    out: list[dict[str, Any]] = []
    refs = {*taken, *(label for named in images for label in named.labels)}
    for named in images:
        bare = dict(named.fields) | named.image.document.descriptor.as_json()
        if isinstance(named.image, Artifact) and named.image.manifest.artifact_type:
            # What lists referrers goes by it (image-spec descriptor.md).
            bare["artifactType"] = named.image.manifest.artifact_type
        left_out = " ".join(str(layer.digest) for layer in missing_layers(named.image))
        mark = {SHALLOW_ANNOTATION: left_out} if left_out else {}
        pointers: list[dict[str, str]] = []
        for name in named.tags:
            ref = str(name) if name.tag in refs else name.target
            pointers.append({NAME_ANNOTATION: str(name), REF_ANNOTATION: ref})
            refs.add(ref)
        pointers += [{REF_ANNOTATION: label} for label in named.labels]
        for pointer in pointers or [{}]:
            annotations = dict(named.annotations) | mark | pointer
            out.append(bare | ({"annotations": annotations} if annotations else {}))
    return out


def index_json(images: Sequence[Named]) -> bytes:
    """The file ``index.json``."""
    return encode(
        {
            "schemaVersion": 2,
            "mediaType": mediatype.OCI_INDEX,
            "manifests": index_entries(images),
        }
    )


def manifest_json(images: Iterable[Named]) -> bytes | None:
    """Docker's ``manifest.json``: one item an image, names in full (podman keeps them so).

    ``None`` for artifacts alone, of which it can say nothing. Raises ``LimitError``.
    """
    items: list[dict[str, Any]] = []
    for named in images:
        image = _one_platform(named.image)
        if image is None:
            continue
        item: dict[str, Any] = {
            "Config": blob_path(image.config.digest),
            "RepoTags": [str(name) for name in named.tags] or None,
            "Layers": [blob_path(layer.digest) for layer in image.manifest.layers],
        }
        sources = _layer_sources(image)
        if sources:
            item["LayerSources"] = sources
        items.append(item)
    raw = encode(items)
    if len(raw) > MAX_MANIFEST_JSON:
        raise LimitError(
            f"manifest.json would have {len(raw)} bytes, and podman and skopeo read no more than "
            f"{MAX_MANIFEST_JSON}",
            "make several archives, each of fewer images or names",
        )
    return raw if items else None


def _layer_sources(image: Image) -> dict[str, Any]:
    types = [_SOURCE_TYPES.get(one.media_type, one.media_type) for one in image.manifest.layers]
    if len(set(types)) < 2 and _SOURCE_TYPES[mediatype.OCI_LAYER_ZSTD] not in types:
        return {}
    return {
        str(layer.diff_id): Descriptor(
            media_type, layer.descriptor.digest, layer.descriptor.size
        ).as_json()
        for media_type, layer in zip(types, image.layers, strict=True)
    }


def schema1_json(images: Sequence[Named]) -> bytes | None:
    """The unsigned schema1 payload of a docker-format image for its first name, if it has one."""
    if len(images) != 1 or not images[0].tags:
        return None
    image, name = images[0].image, images[0].tags[0]
    if not isinstance(image, Image) or Format.of(image.manifest.media_type) is not Format.DOCKER:
        return None
    from imgpack.spec.schema1.payload import build_schema1

    try:
        return build_schema1(image.manifest, image.config, name.repository, name.target).payload
    except ImgpackError:
        # Schema1 cannot say every image (one without history, say); the archive can.
        return None
