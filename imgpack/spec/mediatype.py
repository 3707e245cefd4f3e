"""Media types of image documents and blobs.

Docker: "Image Manifest V 2, Schema 2" of the Distribution project; OCI:
image-spec ``media-types.md``; schema1: "Image Manifest V 2, Schema 1".
"""

from typing import Final

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LAYER_ZSTD: Final = "application/vnd.docker.image.rootfs.diff.tar.zstd"
"""What nobody has written down; containerd 2 and crane say it."""
DOCKER_FOREIGN_LAYER_GZIP: Final = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
SCHEMA1: Final = "application/vnd.docker.distribution.manifest.v1+json"
SCHEMA1_SIGNED: Final = "application/vnd.docker.distribution.manifest.v1+prettyjws"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD: Final = "application/vnd.oci.image.layer.v1.tar+zstd"
OCTET_STREAM: Final = "application/octet-stream"

MANIFESTS: Final = frozenset({DOCKER_MANIFEST, OCI_MANIFEST})
INDEXES: Final = frozenset({DOCKER_INDEX, OCI_INDEX})
IMAGE_CONFIGS: Final = frozenset({DOCKER_CONFIG, OCI_CONFIG, OCTET_STREAM})
"""What an image's configuration is called; Docker once said octet-stream."""
_LAYERS: Final = ("application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs.")
SCHEMA1_TYPES: Final = frozenset({SCHEMA1, SCHEMA1_SIGNED})


def is_document(media_type: str) -> bool:
    """Whether an index's entry of this type (empty: not said) is a manifest or an index."""
    return not media_type or media_type in MANIFESTS or media_type in INDEXES


def is_layer(media_type: str) -> bool:
    """Whether this is the type of a layer that unpacks to a tar, however it is compressed."""
    return media_type.startswith(_LAYERS) and not media_type.endswith("encrypted")


def is_foreign(media_type: str) -> bool:
    """Whether a layer of this type is kept elsewhere (``urls``) and never pushed."""
    return ".foreign." in media_type or ".nondistributable." in media_type
