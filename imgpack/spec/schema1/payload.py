"""Schema1 manifests: what registries and clients before 2016 speak, made from a v2 image.

Source: Distribution "Image Manifest V 2, Schema 1", and the conversion that its
registry does itself for a client which does not name the v2 type. The bytes
made here are the bytes that Distribution 2.8 makes, so the digests are equal.

Invariants: ``payload`` is unsigned, and its sha256 is the manifest's digest;
rows are top first; every row's parent is the id of the row below it. What is
signed, and how, is in ``signature``.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from imgpack.errors import (
    DocumentError,
    LimitError,
    UnsupportedError,
    about,
)
from imgpack.spec import mediatype
from imgpack.spec.config import History, ImageConfig
from imgpack.spec.descriptor import Descriptor, describe, parse_digest
from imgpack.spec.digest import EMPTY_LAYER, Digest
from imgpack.spec.json import check_keys, decode, encode, go_escapes, member, members
from imgpack.spec.manifest import MAX_INDEX_ENTRIES, Manifest
from imgpack.spec.schema1.docker_json import NO_TIME, normal_time, through_structures

_INDENT: Final = 3
"""Spaces; part of the payload, so a change changes every schema1 digest."""

_ID: Final = re.compile(r"[0-9a-f]{64}")
_KEYS: Final = frozenset({"schemaVersion", "name", "tag", "architecture", "fsLayers", "history"})
_OTHER_KINDS: Final = frozenset({"config", "layers", "manifests", "signatures"})
_ROW_KEYS: Final = frozenset({"id", "parent", "throwaway", "created", "container_config"}) | {
    "author",
    "comment",
    "architecture",
    "os",
    "config",
}
# Docker drops these on the way back; they say what a row is, not what the image is.
_ROW_ONLY: Final = frozenset(
    {"id", "parent", "parent_id", "layer_id", "Size", "throwaway", "rootfs", "history"}
)


@dataclass(frozen=True, slots=True)
class Schema1:
    """A schema1 manifest without signatures; ``blob_sums`` and ``compatibility`` top first.

    ``descriptor`` is what the payload is, of the unsigned media type.
    """

    payload: bytes
    descriptor: Descriptor
    name: str
    tag: str
    architecture: str
    blob_sums: tuple[Digest, ...]
    compatibility: tuple[str, ...]

    @property
    def digest(self) -> Digest:
        """What a registry calls this manifest: the digest of the payload."""
        return self.descriptor.digest


@dataclass(frozen=True, slots=True)
class _Row:
    """One pair of ``fsLayers`` and ``history``, read."""

    blob_sum: Digest
    text: str
    fields: Mapping[str, Any]
    id: str
    parent: str
    throwaway: bool


def empty_layers(config: ImageConfig) -> bool:
    """Whether the schema1 manifest names the empty layer, which then must be pushed too."""
    return any(entry.empty_layer for entry in config.history)


def build_schema1(manifest: Manifest, config: ImageConfig, repository: str, tag: str) -> Schema1:
    """The schema1 manifest of an image, as Distribution 2.8 converts it, byte for byte.

    ``repository`` is the name's path without the registry's host. Raises
    ``DocumentError`` when the numbers of layers and history entries do not fit
    and ``UnsupportedError`` for what schema1 cannot say.
    """
    blobs = _blobs(manifest, config)
    obj = decode(config.raw)
    base_layer = member(obj["rootfs"], "base_layer", str, default="")
    rows: list[str] = []
    parent = ""
    for index, (blob, entry) in enumerate(zip(blobs[:-1], config.history[:-1], strict=True)):
        row_id = _sha256(f"{blob.hex} {parent}".encode())
        if index == 0 and base_layer:
            parent = hashlib.sha384(base_layer.encode()).hexdigest()[:64]
        rows.append(_lower_row(row_id, parent, entry))
        parent = row_id
    top_id = _sha256(f"{blobs[-1].hex} {parent} ".encode() + config.raw)
    rows.append(_top_row(config, top_id, parent))
    blobs.reverse()
    rows.reverse()
    architecture = member(obj, "architecture", str, default="")
    payload = encode(
        {
            "schemaVersion": 1,
            "name": repository,
            "tag": tag,
            "architecture": architecture,
            "fsLayers": [{"blobSum": str(blob)} for blob in blobs],
            "history": [{"v1Compatibility": row} for row in rows],
        },
        indent=_INDENT,
    )
    described = describe(mediatype.SCHEMA1, payload)
    return Schema1(payload, described, repository, tag, architecture, tuple(blobs), tuple(rows))


def _blobs(manifest: Manifest, config: ImageConfig) -> list[Digest]:
    """The blob of every history entry, oldest first."""
    if any(layer.media_type == mediatype.OCI_LAYER_ZSTD for layer in manifest.layers):
        raise UnsupportedError(
            "a schema1 manifest cannot name zstd layers: its readers know only gzip",
            "build the image with gzip layers",
        )
    layers, diff_ids = len(manifest.layers), len(config.diff_ids)
    entries = sum(not entry.empty_layer for entry in config.history)
    if not config.history:
        raise DocumentError(
            "the image configuration has no history, and a schema1 manifest is made of it"
        )
    if not layers == diff_ids == entries:
        raise DocumentError(
            f"no schema1 manifest follows from {layers} layers, {diff_ids} diff_ids"
            f" and {entries} history entries with a layer",
            "the three numbers must be equal",
        )
    left = iter(layer.digest for layer in manifest.layers)
    return [EMPTY_LAYER if entry.empty_layer else next(left) for entry in config.history]


def _lower_row(row_id: str, parent: str, entry: History) -> str:
    row: dict[str, Any] = {"id": row_id}
    if parent:
        row["parent"] = parent
    if entry.comment:
        row["comment"] = entry.comment
    row["created"] = normal_time(entry.created)
    row["container_config"] = {"Cmd": [entry.created_by]}
    if entry.author:
        row["author"] = entry.author
    if entry.empty_layer:
        row["throwaway"] = True
    return encode(row).decode()


def _top_row(config: ImageConfig, row_id: str, parent: str) -> str:
    fields = members(config.raw)
    own = {"id": f'"{row_id}"'}
    if parent:
        own["parent"] = f'"{parent}"'
    if config.history[-1].empty_layer:
        own["throwaway"] = "true"
    for key in ("parent", "throwaway"):
        # The registry would let it through, and readers would then take the row for another.
        if key not in own and fields.get(key, "null") not in ("null", '""', "false"):
            raise DocumentError(
                f"the image configuration has a key {key!r} of its own, which schema1 gives"
                " another meaning",
                f"remove {key!r} from the configuration",
            )
    fields = {key: fields[key] for key in fields.keys() - {"rootfs", "history"}} | own
    return _object(fields)


def _object(fields: Mapping[str, str]) -> str:
    """The JSON object of ``fields``, whose values are JSON text, as Go writes a map."""
    keys = {key: go_escapes(json.dumps(key, ensure_ascii=False)) for key in fields}
    return "{" + ",".join(f"{keys[key]}:{fields[key]}" for key in sorted(fields)) + "}"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def parse_payload(payload: bytes) -> Schema1:
    """Parse an unsigned payload, strictly; raises ``DocumentError``, ``LimitError``.

    Rows that follow each other with one id are one row, as Docker reads them.
    """
    obj = decode(payload)
    check_keys(obj, _KEYS | _OTHER_KINDS)
    if found := _OTHER_KINDS & obj.keys():
        raise DocumentError(
            f"ambiguous: {sorted(found)[0]!r} is no field of an unsigned schema1 manifest"
        )
    if member(obj, "schemaVersion", int) != 1:
        raise DocumentError(f"the schemaVersion is {obj['schemaVersion']}, not 1")
    layers, history = member(obj, "fsLayers", list), member(obj, "history", list)
    if not layers or len(layers) != len(history):
        raise DocumentError(
            f"there are {len(layers)} fsLayers and {len(history)} history entries;"
            " a schema1 manifest needs as many of one as of the other, and at least one"
        )
    if len(layers) > MAX_INDEX_ENTRIES:
        raise LimitError(
            f"there are {len(layers)} rows", f"at most {MAX_INDEX_ENTRIES} are accepted"
        )
    rows = _chain([_row(*pair) for pair in zip(layers, history, strict=True)])
    return Schema1(
        payload,
        describe(mediatype.SCHEMA1, payload),
        member(obj, "name", str),
        member(obj, "tag", str, default=""),
        member(obj, "architecture", str, default=""),
        tuple(row.blob_sum for row in rows),
        tuple(row.text for row in rows),
    )


def _row(layer: Any, entry: Any) -> _Row:
    if not isinstance(layer, dict) or not isinstance(entry, dict):
        raise DocumentError("an entry of fsLayers or history is not an object")
    check_keys(layer, frozenset({"blobSum"}))
    check_keys(entry, frozenset({"v1Compatibility"}))
    blob_sum = parse_digest(member(layer, "blobSum", str))
    return _read_row(blob_sum, member(entry, "v1Compatibility", str))


def _read_row(blob_sum: Digest, text: str) -> _Row:
    with about("v1Compatibility"):
        fields = decode(text.encode())
        check_keys(fields, _ROW_KEYS)
        row_id = member(fields, "id", str)
        if not _ID.fullmatch(row_id):
            raise DocumentError(f"the id {row_id[:80]!r} is not 64 hex digits")
        return _Row(
            blob_sum,
            text,
            fields,
            row_id,
            member(fields, "parent", str, default=""),
            member(fields, "throwaway", bool, default=False),
        )


def _chain(rows: list[_Row]) -> list[_Row]:
    """``rows`` without repetitions, once every one is the child of the next."""
    kept: list[_Row] = []
    seen: set[str] = set()
    for row in reversed(rows):
        if kept and row.id == kept[-1].id:
            continue
        if row.id in seen:
            raise DocumentError(f"the id {row.id} is in two places")
        if row.parent != (kept[-1].id if kept else ""):
            below = f"the row below it is {kept[-1].id}" if kept else "it is the oldest row"
            raise DocumentError(f"{row.id} has the parent {row.parent[:80]!r}, but {below}")
        seen.add(row.id)
        kept.append(row)
    kept.reverse()
    return kept


def real_layers(schema1: Schema1) -> tuple[Digest, ...]:
    """The blobs that are layers, bottom first: those of rows that are not throwaway.

    Raises ``DocumentError``.
    """
    return tuple(row.blob_sum for row in _rows(schema1) if not row.throwaway)


def to_config(schema1: Schema1, diff_ids_by_blob: Mapping[Digest, Digest]) -> ImageConfig:
    """The image configuration that ``schema1`` tells of, as Docker makes it on a pull.

    ``diff_ids_by_blob`` has the diff_id of every one of ``real_layers``, from
    the layers' own bytes: schema1 does not tell them. Raises ``DocumentError``.
    """
    rows = _rows(schema1)
    diff_ids = [diff_ids_by_blob[row.blob_sum] for row in rows if not row.throwaway]
    return _config(rows, diff_ids, schema1.architecture)


def config_of_rows(rows: Sequence[tuple[Digest, bytes]]) -> ImageConfig:
    """The configuration that the ``json`` of each layer tells of, as Docker makes it on a load.

    ``rows`` are diff_ids with those documents, the oldest first. Raises ``DocumentError``.
    """
    read = [_read_row(diff_id, raw.decode("utf-8", "replace")) for diff_id, raw in rows]
    # An archive has every layer, an empty one too.
    kept = [replace(row, throwaway=False) for row in read]
    return _config(kept, [diff_id for diff_id, _ in rows])


def _config(rows: list[_Row], diff_ids: list[Digest], architecture: str = "") -> ImageConfig:
    fields = members(through_structures(rows[-1].text).encode())
    fields = {key: fields[key] for key in fields.keys() - _ROW_ONLY}
    if "architecture" not in fields and architecture:
        fields["architecture"] = encode(architecture).decode()
    rootfs = {"type": "layers", "diff_ids": list(map(str, diff_ids))}
    fields["rootfs"] = encode(rootfs).decode()
    fields["history"] = encode([_history(row).as_json() for row in rows]).decode()
    return ImageConfig.parse(_object(fields).encode())


def _rows(schema1: Schema1) -> list[_Row]:
    """The rows of ``schema1``, oldest first."""
    pairs = zip(schema1.blob_sums, schema1.compatibility, strict=True)
    return [_read_row(*pair) for pair in pairs][::-1]


def _history(row: _Row) -> History:
    command = member(row.fields, "container_config", dict, default={})
    words = member(command, "Cmd", list, default=[])
    if not all(isinstance(word, str) for word in words):
        raise DocumentError("v1Compatibility: a word of container_config.Cmd is not a string")
    created = normal_time(member(row.fields, "created", str, default=""))
    return History(
        "" if created == NO_TIME else created,
        " ".join(words),
        member(row.fields, "author", str, default=""),
        member(row.fields, "comment", str, default=""),
        row.throwaway,
    )
