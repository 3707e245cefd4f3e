"""Reading what ``manifest.json`` says: ``docker save`` of every age, podman, crane.

Docker's image archive: an array of ``{Config, RepoTags, Layers}``, whose paths
name files of the archive. There is no manifest in it, so one is made: Docker v2,
or OCI if a layer is zstd, which Docker's types cannot say. Each layer is read
once for its digest, size and compression, however many names link to it (again only for
a digest of another algorithm); an uncompressed one must have the diff_id that the
configuration names.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from imgpack.errors import ArchiveError, DigestError, LimitError, UnsupportedError
from imgpack.image.image import Named, images_in
from imgpack.image.opened import Root
from imgpack.image.resolve import too_many
from imgpack.spec.config import ImageConfig
from imgpack.spec.descriptor import Descriptor, describe
from imgpack.spec.digest import Digest
from imgpack.spec.format import Compression, Format, detect
from imgpack.spec.json import MAX_DOCUMENTS, check_keys, decode, member
from imgpack.spec.manifest import Manifest, build_manifest
from imgpack.store.documents import ContainerSource, parse_names, read_small
from imgpack.tar.index import Member, TarFile, normal

MAX_ITEMS: Final = 1024
MAX_TAGS: Final = 10_000
"""Names in one archive, all images together."""

_KEYS: Final = frozenset({"Config", "RepoTags", "Layers", "LayerSources", "Parent"})
_HEX: Final = r"([0-9a-f]{64}|[0-9a-f]{128})"
_BLOB: Final = re.compile(rf"blobs/(?:sha256|sha512)/{_HEX}")
_CONFIG: Final = re.compile(rf"(?:.*/)?(?:sha256:|sha512:)?{_HEX}(?:\.json)?")
_SHA256: Final = Digest.of(b"")
"""What says the algorithm where no name and no document does."""


@dataclass(frozen=True, slots=True)
class Item:
    """One image of ``manifest.json``."""

    config: str
    tags: tuple[str, ...]
    layers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer of an archive, by its own bytes; ``size`` in bytes."""

    digest: Digest
    size: int
    compression: Compression


def parse_manifest_json(raw: bytes) -> tuple[Item, ...]:
    """The items of a ``manifest.json``. Raises ``DocumentError``, ``ArchiveError``."""
    # An object is what the strict decoder takes; nothing can slip in beside the one key.
    obj = decode(b'{"items":' + raw + b"\n}")
    items = member(obj, "items", list)
    if len(obj) != 1 or not 1 <= len(items) <= MAX_ITEMS:
        raise ArchiveError(f"it names {len(items)} images", f"1 to {MAX_ITEMS} are accepted")
    out = tuple(_item(item) for item in items)
    if sum(len(item.tags) for item in out) > MAX_TAGS:
        raise LimitError(f"it has more than {MAX_TAGS} RepoTags")
    return out


def _item(obj: Any) -> Item:
    if not isinstance(obj, dict):
        raise ArchiveError("an image is not an object")
    check_keys(obj, _KEYS)
    tags = member(obj, "RepoTags", list, default=[])
    layers = member(obj, "Layers", list, default=[])
    if not all(isinstance(text, str) for text in (*tags, *layers)) or len(layers) > MAX_ITEMS:
        raise ArchiveError("RepoTags or Layers is malformed")
    # Loaders join these to a directory, so ./blobs/… is blobs/…, which our patterns know.
    return Item(normal(member(obj, "Config", str)), tuple(tags), tuple(map(normal, layers)))


def read_docker(
    source: ContainerSource,
    tar: TarFile,
    items: tuple[Item, ...],
    parse: Callable[[bytes, Digest], ImageConfig],
) -> list[Root]:
    """What ``manifest.json`` names, with a manifest made for each; ``parse`` its configurations."""
    layers = Layers(source, tar)
    configs: dict[str, ImageConfig] = {}
    made: dict[Digest, tuple[Manifest, list[str]]] = {}
    total = 0
    for item in items:
        if item.config not in configs:
            configs[item.config] = _config(source, item.config, parse)
        own = [layers.read(name) for name in item.layers]
        manifest = manifest_of(configs[item.config], own)
        # Few bytes of manifest.json name a layer, of which a manifest says much more.
        total += len(manifest.raw)
        if total > MAX_DOCUMENTS:
            raise too_many(source.path)
        _check_plain(source.path, item, configs[item.config], own, layers)
        _, tags = made.setdefault(manifest.descriptor.digest, (manifest, []))
        tags += item.tags
    source.made |= {digest: manifest.raw for digest, (manifest, _) in made.items()}
    return [Root(manifest.descriptor, *parse_names(tags)) for manifest, tags in made.values()]


class Layers:
    """The layers of an archive by name; a file that several names link to is read once."""

    def __init__(self, source: ContainerSource, tar: TarFile) -> None:
        self._source = source
        self._tar = tar
        self._named: dict[str, StoredLayer] = {}
        self._stored: dict[tuple[Member, str], StoredLayer] = {}

    def read(self, name: str) -> StoredLayer:
        """The layer ``name``. Raises ``ArchiveError``, ``DigestError``, ``UnsupportedError``."""
        if name not in self._named:
            said = _digest_in(_BLOB, name)
            layer = self.hashed(name, said or _SHA256)
            # Docker names an uncompressed layer by its diff_id; both are the digest of its bytes.
            if said not in (None, layer.digest):
                raise _damaged(self._source.path, "layer", name, layer.digest)
            self._named[name] = layer
            self._source.names.setdefault(layer.digest, name)
        return self._named[name]

    def hashed(self, name: str, like: Digest) -> StoredLayer:
        """The layer ``name`` with its digest by the algorithm of ``like``."""
        file = self._tar.find(name)
        if file is None:
            raise ArchiveError(f"{self._source.path} has no layer {name[:200]!r}")
        key = file, like.algorithm
        if key not in self._stored:
            self._stored[key] = _read_layer(self._source, name, like)
        return self._stored[key]


def _digest_in(pattern: re.Pattern[str], name: str) -> Digest | None:
    """The digest that a file is named by; its length says by which algorithm."""
    match = pattern.fullmatch(name)
    return match and Digest("sha256" if len(match[1]) == 64 else "sha512", match[1])


def _config(
    source: ContainerSource, name: str, parse: Callable[[bytes, Digest], ImageConfig]
) -> ImageConfig:
    raw = read_small(source.container, name, source.path)
    if raw is None:
        raise ArchiveError(f"{source.path} has no configuration {name[:200]!r}")
    said = _digest_in(_CONFIG, name)
    digest = (said or _SHA256).rehash(raw)
    if said not in (None, digest):
        raise _damaged(source.path, "configuration", name, digest)
    source.names.setdefault(digest, name)
    return parse(raw, digest)


def _damaged(path: str, what: str, name: str, digest: Digest) -> DigestError:
    return DigestError(
        f"{path}: the {what} {name[:200]} is damaged: its bytes have the digest {digest}"
    )


def _read_layer(source: ContainerSource, name: str, like: Digest) -> StoredLayer:
    hasher = like.hasher()
    size = 0
    found = Compression.NONE.value
    for chunk in source.container.chunks(name):
        if not size:
            found = detect(chunk)
        size += len(chunk)
        hasher.update(chunk)
    try:
        compression = Compression(found)
    except ValueError:
        raise UnsupportedError(
            f"{source.path}: the layer {name[:200]} is compressed with {found}",
            "no media type says so; save the image again with gzip or no compression",
        ) from None
    return StoredLayer(Digest(like.algorithm, hasher.hexdigest()), size, compression)


def manifest_of(config: ImageConfig, layers: list[StoredLayer]) -> Manifest:
    """The manifest that stands for an image which has none."""
    zstd = any(layer.compression is Compression.ZSTD for layer in layers)
    kind = Format.OCI if zstd else Format.DOCKER
    return build_manifest(
        describe(kind.config_type, config.raw, config.digest),
        [Descriptor(kind.layer_type(one.compression), one.digest, one.size) for one in layers],
        kind.manifest_type,
    )


def _check_plain(
    path: str, item: Item, config: ImageConfig, own: list[StoredLayer], layers: Layers
) -> None:
    for name, layer, diff_id in zip(item.layers, own, config.diff_ids, strict=False):
        if layer.compression is not Compression.NONE:
            continue
        found = layers.hashed(name, diff_id).digest
        if found != diff_id:
            raise DigestError(
                f"{path}: the layer {name[:200]} has the diff_id {found}, "
                f"and the configuration says {diff_id}"
            )


def check_agreement(items: tuple[Item, ...], found: Iterable[Named], path: str) -> None:
    """Refuse an archive whose ``manifest.json`` names another image than ``index.json``.

    Docker would load the one, containerd the other.
    """
    layers: dict[Digest | None, list[Digest]] = {}
    for one in found:
        for image in images_in(one.image):
            layers[image.config.digest] = [layer.digest for layer in image.manifest.layers]
    for item in items:
        config = _digest_in(_CONFIG, item.config)
        if config not in layers:
            raise ArchiveError(
                f"{path} is ambiguous: manifest.json names the configuration "
                f"{item.config[:200]!r}, and index.json does not",
                "loaders disagree which of them counts; make the archive again",
            )
        named = [_digest_in(_BLOB, name) for name in item.layers]
        if None not in named and named != layers[config]:
            raise ArchiveError(
                f"{path} is ambiguous: manifest.json and index.json name different layers",
                "loaders disagree which of them counts; make the archive again",
            )
