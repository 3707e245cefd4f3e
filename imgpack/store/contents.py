"""What an archive or layout will hold: its documents, its names, and the order of its blobs.

OCI image-spec ``image-layout.md`` (``oci-layout``, ``index.json``) and Docker's
image archive (``manifest.json``). Docker, containerd, podman, skopeo, crane and
umoci each read another of these files; all of them find the same image.

Invariants: everything here is a function of the documents and names alone, so
an archive's bytes are too; the first files of an archive tell all the rest.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from imgpack.errors import ArchiveError, ImgpackError
from imgpack.spec import mediatype
from imgpack.spec.config import ImageConfig
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.json import encode
from imgpack.spec.manifest import Index, Manifest
from imgpack.spec.platform import Platform
from imgpack.spec.reference import Reference

OCI_LAYOUT: Final = b'{"imageLayoutVersion":"1.0.0"}'
"""The file ``oci-layout``; containerd takes this version only."""

NAME_ANNOTATION: Final = "io.containerd.image.name"
REF_ANNOTATION: Final = "org.opencontainers.image.ref.name"
SCHEMA1_NAME: Final = "schema1.json"
"""The unsigned schema1 payload, in the archive of a docker-format image; loaders ignore it."""

_PREFERRED: Final = Platform("linux", "amd64")
_UNKNOWN: Final = Platform("unknown", "unknown")
# crane labels every layer by what the first one is, unless LayerSources tells it better;
# it makes a Docker manifest, so these are Docker's types.
_SOURCE_TYPES: Final = {
    mediatype.OCI_LAYER: mediatype.DOCKER_LAYER,
    mediatype.OCI_LAYER_GZIP: mediatype.DOCKER_LAYER_GZIP,
    mediatype.OCI_LAYER_ZSTD: "application/vnd.docker.image.rootfs.diff.tar.zstd",
}


@dataclass(frozen=True, slots=True)
class Root:
    """A document that stands in ``index.json``, and the names that point at it."""

    document: Manifest | Index
    names: tuple[Reference, ...]

    @property
    def tags(self) -> tuple[Reference, ...]:
        """The names that a loader can use: those with a tag, each once, without a digest."""
        tagged = (name.with_tag(name.tag) for name in self.names if name.tag is not None)
        return tuple(dict.fromkeys(tagged))


@dataclass(frozen=True, slots=True)
class Contents:
    """Roots in order, and every manifest and configuration by its digest."""

    roots: tuple[Root, ...]
    manifests: Mapping[Digest, Manifest | Index] = field(default_factory=dict)
    configs: Mapping[Digest, bytes] = field(default_factory=dict)

    def documents(self) -> dict[Digest, bytes]:
        """Manifests, indexes and configurations in the archive's order, each once."""
        out: dict[Digest, bytes] = {}
        for root in self.roots:
            for document in self._walk(root.document):
                out.setdefault(Digest.of(document.raw), document.raw)
                if isinstance(document, Manifest) and document.config.digest in self.configs:
                    out.setdefault(document.config.digest, self.configs[document.config.digest])
        return out

    def blobs(self) -> tuple[Descriptor, ...]:
        """All blobs that are no documents, in the archive's order, each once; foreign ones not."""
        out: dict[Digest, Descriptor] = {}
        for root in self.roots:
            for document in self._walk(root.document):
                if isinstance(document, Manifest):
                    for blob in (document.config, *document.layers):
                        if not mediatype.is_foreign(blob.media_type):
                            out.setdefault(blob.digest, blob)
        documents = self.documents()
        return tuple(blob for digest, blob in out.items() if digest not in documents)

    def _walk(self, document: Manifest | Index) -> Iterator[Manifest | Index]:
        yield document
        if isinstance(document, Index):
            for entry in document.manifests:
                if entry.digest not in self.manifests:
                    raise ArchiveError(
                        f"the index names the manifest {entry.digest}, which was not put"
                    )
                yield from self._walk(self.manifests[entry.digest])

    def one_platform(self, root: Root) -> Manifest | None:
        """The manifest that stands for a root where only one can: linux/amd64, else the first."""
        found = [
            (self._platform(document), document)
            for document in self._walk(root.document)
            if isinstance(document, Manifest)
        ]
        found = [pair for pair in found if pair[0] != _UNKNOWN] or found
        best = next((pair for pair in found if _PREFERRED.matches(pair[0])), None)
        best = best or (found[0] if found else None)
        return best[1] if best else None

    def _platform(self, manifest: Manifest) -> Platform:
        try:
            return ImageConfig.parse(self.configs[manifest.config.digest]).platform
        except (KeyError, ImgpackError):
            return _UNKNOWN


def blob_path(digest: Digest) -> str:
    """The path of a blob in an archive or layout."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def index_entries(roots: Iterable[Root]) -> list[dict[str, Any]]:
    """The descriptors of ``index.json``: one a name, without a platform.

    ``ctr`` drops a descriptor whose platform is not its own, so none is said.
    """
    out: list[dict[str, Any]] = []
    for root in roots:
        bare = root.document.descriptor.as_json()
        for name in root.tags:
            annotations = {NAME_ANNOTATION: str(name), REF_ANNOTATION: name.tag}
            out.append(bare | {"annotations": annotations})
        if not root.tags:
            out.append(bare)
    return out


def index_json(roots: Iterable[Root]) -> bytes:
    """The file ``index.json``."""
    return encode(
        {
            "schemaVersion": 2,
            "mediaType": mediatype.OCI_INDEX,
            "manifests": index_entries(roots),
        }
    )


def manifest_json(contents: Contents) -> bytes:
    """Docker's ``manifest.json``: one item a root, names in full (podman keeps them so)."""
    items: list[dict[str, Any]] = []
    for root in contents.roots:
        manifest = contents.one_platform(root)
        if manifest is None:
            continue
        item: dict[str, Any] = {
            "Config": blob_path(manifest.config.digest),
            "RepoTags": [str(name) for name in root.tags] or None,
            "Layers": [blob_path(layer.digest) for layer in manifest.layers],
        }
        sources = _layer_sources(manifest, contents)
        if sources:
            item["LayerSources"] = sources
        items.append(item)
    return encode(items)


def _layer_sources(manifest: Manifest, contents: Contents) -> dict[str, Any]:
    kinds = {_SOURCE_TYPES.get(layer.media_type, layer.media_type) for layer in manifest.layers}
    uniform = len(kinds) < 2 and _SOURCE_TYPES[mediatype.OCI_LAYER_ZSTD] not in kinds
    raw = contents.configs.get(manifest.config.digest)
    if uniform or raw is None:
        return {}
    diff_ids = ImageConfig.parse(raw).diff_ids
    return {
        str(diff_id): Descriptor(
            _SOURCE_TYPES.get(layer.media_type, layer.media_type), layer.digest, layer.size
        ).as_json()
        for diff_id, layer in zip(diff_ids, manifest.layers, strict=False)
    }


def schema1_json(contents: Contents) -> bytes | None:
    """The unsigned schema1 payload of a docker-format image for its first name, if it has one."""
    if len(contents.roots) != 1 or not contents.roots[0].tags:
        return None
    root = contents.roots[0]
    manifest, name = root.document, root.tags[0]
    if not isinstance(manifest, Manifest) or manifest.media_type != mediatype.DOCKER_MANIFEST:
        return None
    raw = contents.configs.get(manifest.config.digest)
    if raw is None or name.tag is None:
        return None
    from imgpack.spec.schema1.payload import build_schema1

    try:
        return build_schema1(manifest, ImageConfig.parse(raw), name.repository, name.tag).payload
    except ImgpackError:
        # Schema1 cannot say every image (one without history, say); the archive can.
        return None
