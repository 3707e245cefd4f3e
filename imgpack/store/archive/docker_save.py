"""Reading what ``manifest.json`` says: ``docker save`` of every age, podman, crane.

Docker's image archive: an array of ``{Config, RepoTags, Layers}``, whose paths
name files of the archive. There is no manifest in it, so one is made: Docker v2,
or OCI if a layer is zstd, which Docker's types cannot say. Each layer is read
once for its digest, size and compression, however many names link to it; an
uncompressed one must have the diff_id that the configuration names.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Final

from imgpack.errors import (
    ArchiveError,
    DigestError,
    LimitError,
    UnsupportedError,
    about,
)
from imgpack.events import Reporter
from imgpack.image.image import Image
from imgpack.spec import mediatype
from imgpack.spec.config import ImageConfig
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.json import check_keys, decode, member
from imgpack.spec.manifest import Manifest, build_manifest
from imgpack.store.documents import Blobs, Found, parse_names, read_small
from imgpack.tar.index import Member, TarFile

MAX_ITEMS: Final = 1024
MAX_TAGS: Final = 10_000
"""Names in one archive, all images together."""

_KEYS: Final = frozenset({"Config", "RepoTags", "Layers", "LayerSources", "Parent"})
_BLOB: Final = re.compile(r"blobs/(sha256)/([0-9a-f]{64})")
_CONFIG: Final = re.compile(r"(?:.*/)?(?:sha256:)?([0-9a-f]{64})(?:\.json)?")
_MAGIC: Final = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zXZ\0", "xz"))
_DOCKER_TYPES: Final = {"": mediatype.DOCKER_LAYER, "gzip": mediatype.DOCKER_LAYER_GZIP}
_OCI_TYPES: Final = {
    "": mediatype.OCI_LAYER,
    "gzip": mediatype.OCI_LAYER_GZIP,
    "zstd": mediatype.OCI_LAYER_ZSTD,
}


@dataclass(frozen=True, slots=True)
class Item:
    """One image of ``manifest.json``."""

    config: str
    tags: tuple[str, ...]
    layers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Layer:
    digest: Digest
    size: int
    compression: str


def parse_manifest_json(raw: bytes, what: str) -> tuple[Item, ...]:
    """The items of a ``manifest.json``. Raises ``DocumentError``, ``ArchiveError``."""
    # An object is what the strict decoder takes; nothing can slip in beside the one key.
    obj = decode(b'{"items":' + raw + b"\n}", what)
    items = member(obj, "items", list, what)
    if len(obj) != 1 or not 1 <= len(items) <= MAX_ITEMS:
        raise ArchiveError(f"{what} names {len(items)} images", f"1 to {MAX_ITEMS} are accepted")
    out = tuple(_item(item, what) for item in items)
    if sum(len(item.tags) for item in out) > MAX_TAGS:
        raise LimitError(f"{what} has more than {MAX_TAGS} RepoTags")
    return out


def _item(obj: Any, what: str) -> Item:
    if not isinstance(obj, dict):
        raise ArchiveError(f"{what}: an image is not an object")
    check_keys(obj, _KEYS, what)
    tags = member(obj, "RepoTags", list, what, default=[])
    layers = member(obj, "Layers", list, what, default=[])
    if not all(isinstance(text, str) for text in (*tags, *layers)) or len(layers) > MAX_ITEMS:
        raise ArchiveError(f"{what}: RepoTags or Layers is malformed")
    return Item(member(obj, "Config", str, what), tuple(tags), tuple(layers))


def read_docker(
    blobs: Blobs, tar: TarFile, items: tuple[Item, ...], reporter: Reporter
) -> list[Found]:
    """The images of ``manifest.json``, with a manifest made for each."""
    configs: dict[str, ImageConfig] = {}
    layers = _Layers(blobs, tar)
    made: dict[Digest, tuple[Manifest, ImageConfig, list[str]]] = {}
    for item in items:
        if item.config not in configs:
            configs[item.config] = _config(blobs, item.config, reporter)
        config = configs[item.config]
        blobs.count(len(config.raw))
        own = [layers.read(name) for name in item.layers]
        manifest = _manifest(config, own)
        blobs.count(len(manifest.raw))
        _check_plain(blobs.path, item, config, own)
        _, _, tags = made.setdefault(manifest.descriptor.digest, (manifest, config, []))
        tags += item.tags
    found: list[Found] = []
    for manifest, config, tags in made.values():
        names, others = parse_names(tags)
        with about(blobs.path):
            found.append(Found(Image(manifest, config, blobs, names), others))
    return found


class _Layers:
    """The layers of an archive by name; a file that several names link to is read once."""

    def __init__(self, blobs: Blobs, tar: TarFile) -> None:
        self._blobs = blobs
        self._tar = tar
        self._named: dict[str, _Layer] = {}
        self._stored: dict[Member, _Layer] = {}

    def read(self, name: str) -> _Layer:
        """The layer ``name``. Raises ``ArchiveError``, ``DigestError``, ``UnsupportedError``."""
        if name not in self._named:
            self._named[name] = layer = self._checked(name)
            self._blobs.names.setdefault(layer.digest, name)
        return self._named[name]

    def _checked(self, name: str) -> _Layer:
        file = self._tar.find(name)
        if file is None:
            raise ArchiveError(f"{self._blobs.path} has no layer {name[:200]!r}")
        if file not in self._stored:
            self._stored[file] = _read_layer(self._blobs, name)
        layer = self._stored[file]
        match = _BLOB.fullmatch(name)
        # Docker names an uncompressed layer by its diff_id; both are the digest of its bytes.
        if match and match[2] != layer.digest.hex:
            raise DigestError(
                f"{self._blobs.path}: the layer {name} is damaged: "
                f"its bytes have the digest {layer.digest}"
            )
        return layer


def _config(blobs: Blobs, name: str, reporter: Reporter) -> ImageConfig:
    raw = read_small(blobs.container, name, blobs.path)
    if raw is None:
        raise ArchiveError(f"{blobs.path} has no configuration {name[:200]!r}")
    config = ImageConfig.parse(raw, f"{blobs.path}: {name[:200]}")
    match = _BLOB.fullmatch(name)
    if match and match[2] != config.digest.hex:
        raise DigestError(
            f"{blobs.path}: the configuration {name} is damaged: "
            f"its bytes have the digest {config.digest}"
        )
    match = _CONFIG.fullmatch(name)
    if match and match[1] != config.digest.hex:
        reporter.warn(f"{blobs.path}: the configuration {name} has the digest {config.digest}")
    blobs.names.setdefault(config.digest, name)
    return config


def _read_layer(blobs: Blobs, name: str) -> _Layer:
    hasher = hashlib.sha256()
    size = 0
    compression = ""
    for chunk in blobs.container.chunks(name):
        if not size:
            compression = next((kind for magic, kind in _MAGIC if chunk.startswith(magic)), "")
            if chunk.startswith(b"BZh") and chunk[4:10] == b"1AY&SY":
                compression = "bzip2"
        size += len(chunk)
        hasher.update(chunk)
    if compression not in _OCI_TYPES:
        raise UnsupportedError(
            f"{blobs.path}: the layer {name[:200]} is compressed with {compression}",
            "no media type says so; save the image again with gzip or no compression",
        )
    return _Layer(Digest("sha256", hasher.hexdigest()), size, compression)


def _manifest(config: ImageConfig, layers: list[_Layer]) -> Manifest:
    oci = any(layer.compression not in _DOCKER_TYPES for layer in layers)
    types = _OCI_TYPES if oci else _DOCKER_TYPES
    descriptors = [Descriptor(types[one.compression], one.digest, one.size) for one in layers]
    return build_manifest(
        Descriptor(
            mediatype.OCI_CONFIG if oci else mediatype.DOCKER_CONFIG,
            config.digest,
            len(config.raw),
        ),
        descriptors,
        mediatype.OCI_MANIFEST if oci else mediatype.DOCKER_MANIFEST,
    )


def _check_plain(path: str, item: Item, config: ImageConfig, layers: list[_Layer]) -> None:
    for name, layer, diff_id in zip(item.layers, layers, config.diff_ids, strict=False):
        if not layer.compression and layer.digest != diff_id:
            raise DigestError(
                f"{path}: the layer {name[:200]} has the diff_id {layer.digest}, "
                f"and the configuration says {diff_id}"
            )


def check_agreement(items: tuple[Item, ...], found: list[Found], path: str) -> None:
    """Refuse an archive whose ``manifest.json`` names another image than ``index.json``.

    Docker would load the one, containerd the other.
    """
    layers: dict[str, tuple[str, ...]] = {}
    for one in found:
        for image in one.image.members:
            layers[image.config.digest.hex] = _hexes(image)
    for item in items:
        match = _CONFIG.fullmatch(item.config)
        if match is None or match[1] not in layers:
            raise ArchiveError(
                f"{path} is ambiguous: manifest.json names the configuration "
                f"{item.config[:200]!r}, and index.json does not",
                "loaders disagree which of them counts; make the archive again",
            )
        named = [_BLOB.fullmatch(name) for name in item.layers]
        if all(named) and tuple(blob[2] for blob in named if blob) != layers[match[1]]:
            raise ArchiveError(
                f"{path} is ambiguous: manifest.json and index.json name different layers",
                "loaders disagree which of them counts; make the archive again",
            )


def _hexes(image: Image) -> tuple[str, ...]:
    return tuple(layer.digest.hex for layer in image.manifest.layers)
