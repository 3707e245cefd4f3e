"""Reading what ``docker save`` wrote before 1.10: ``repositories`` and a directory a layer.

Docker image specification v1: ``ID/json`` says what its layer changed and which image it
is on, ``ID/layer.tar`` is the layer, ``repositories`` maps names and tags to ids. The
configuration is made as Docker 1.10 to 28 make it, so that the image id is theirs.
"""

import re
from typing import Any, Final

from imgpack.errors import ArchiveError, LimitError, UnsupportedError, about
from imgpack.image.opened import Root
from imgpack.image.resolve import too_many
from imgpack.spec.format import Compression
from imgpack.spec.json import MAX_DOCUMENTS, decode, member
from imgpack.spec.manifest import MAX_LAYERS
from imgpack.spec.schema1.payload import config_of_rows
from imgpack.store.archive.docker_save import MAX_TAGS, Layers, StoredLayer, manifest_of
from imgpack.store.documents import ContainerSource, parse_names, read_small
from imgpack.tar.index import TarFile

_ID: Final = re.compile(r"[0-9a-f]{64}")


def read_legacy(source: ContainerSource, tar: TarFile, repositories: bytes) -> list[Root]:
    """What ``repositories`` names. Raises ``ArchiveError``, ``DocumentError``, ``LimitError``."""
    with about(f"{source.path}: repositories"):
        names = _names(decode(repositories))
    layers = Layers(source, tar)
    roots: list[Root] = []
    total = 0
    for image_id, texts in names.items():
        rows = _rows(source, image_id)
        own = [_layer(source, layers, row) for row, _ in rows]
        with about(f"{source.path}: {image_id}"):
            config = config_of_rows(
                [(layer.digest, raw) for layer, (_, raw) in zip(own, rows, strict=True)]
            )
        manifest = manifest_of(config, own)
        total += len(manifest.raw) + len(config.raw)
        if total > MAX_DOCUMENTS:
            raise too_many(source.path)
        source.made |= {manifest.descriptor.digest: manifest.raw, config.digest: config.raw}
        roots.append(Root(manifest.descriptor, *parse_names(texts)))
    return roots


def _names(repositories: dict[str, Any]) -> dict[str, list[str]]:
    """Each image's id with its names."""
    out: dict[str, list[str]] = {}
    for name in repositories:
        tags = member(repositories, name, dict)
        for tag in tags:
            out.setdefault(member(tags, tag, str), []).append(f"{name}:{tag}")
    if sum(map(len, out.values())) > MAX_TAGS:
        raise LimitError(f"it has more than {MAX_TAGS} names")
    return out


def _rows(source: ContainerSource, image_id: str) -> list[tuple[str, bytes]]:
    """The ids that ``image_id`` consists of and their ``json``, the oldest first."""
    rows: dict[str, bytes] = {}
    while image_id:
        if not _ID.fullmatch(image_id) or image_id in rows:
            raise ArchiveError(f"{source.path}: {image_id[:80]!r} is no parent of an image")
        if len(rows) > MAX_LAYERS:
            raise LimitError(f"{source.path}: an image has more than {MAX_LAYERS} layers")
        raw = read_small(source.container, f"{image_id}/json", source.path)
        if raw is None:
            raise ArchiveError(f"{source.path} has no {image_id}/json")
        rows[image_id] = raw
        with about(f"{source.path}: {image_id}/json"):
            image_id = member(decode(raw), "parent", str, default="")
    return list(rows.items())[::-1]


def _layer(source: ContainerSource, layers: Layers, row: str) -> StoredLayer:
    layer = layers.read(f"{row}/layer.tar")
    if layer.compression is not Compression.NONE:
        raise UnsupportedError(
            f"{source.path}: {row}/layer.tar is compressed, which Docker before 1.10 never wrote"
        )
    return layer
