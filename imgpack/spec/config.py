"""Image configurations: how an image came to be, and what it consists of.

Source: OCI image-spec ``config.md``. The digest of a configuration's raw bytes is the image ID.

Invariants: a parsed configuration has a ``diff_id`` for each entry of its history
that has a layer; ``raw`` is what is hashed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from imgpack.errors import DocumentError
from imgpack.spec.descriptor import parse_digest
from imgpack.spec.digest import Digest
from imgpack.spec.json import check_keys, decode, encode, member
from imgpack.spec.platform import Platform
from imgpack.spec.runtime import Runtime

_KEYS = frozenset(
    {"created", "author", "architecture", "os", "variant", "config", "rootfs", "history"}
)


_ROOTFS_KEYS = frozenset({"type", "diff_ids", "base_layer"})
_HISTORY_KEYS = frozenset({"created", "created_by", "author", "comment", "empty_layer"})


@dataclass(frozen=True, slots=True)
class History:
    """One step of an image's making; ``created`` is RFC 3339 in UTC, or empty."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False

    @classmethod
    def parse(cls, obj: Any) -> "History":
        """The history entry in a decoded JSON object."""
        if not isinstance(obj, dict):
            raise DocumentError("a history entry is not an object")
        check_keys(obj, _HISTORY_KEYS)
        return cls(
            member(obj, "created", str, default=""),
            member(obj, "created_by", str, default=""),
            member(obj, "author", str, default=""),
            member(obj, "comment", str, default=""),
            member(obj, "empty_layer", bool, default=False),
        )

    def as_json(self) -> dict[str, Any]:
        """The JSON object; empty fields are left out, as Go's ``omitempty`` does."""
        out: dict[str, Any] = {
            key: value
            for key in ("created", "created_by", "author", "comment")
            if (value := getattr(self, key))
        }
        if self.empty_layer:
            out["empty_layer"] = True
        return out


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """A parsed image configuration; ``digest`` is the image ID.

    ``config`` is its runtime object as decoded JSON.
    """

    raw: bytes
    digest: Digest
    platform: Platform
    diff_ids: tuple[Digest, ...]
    history: tuple[History, ...]
    created: str = ""
    author: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: bytes, digest: Digest | None = None) -> "ImageConfig":
        """Parse ``raw``, whose ``digest`` is sha256 unless given. Raises ``DocumentError``."""
        obj = decode(raw)
        check_keys(obj, _KEYS)
        rootfs = member(obj, "rootfs", dict)
        check_keys(rootfs, _ROOTFS_KEYS)
        diff_ids = member(rootfs, "diff_ids", list, default=[])
        digests = tuple(parse_digest(str(diff_id)) for diff_id in diff_ids)
        entries = member(obj, "history", list, default=[])
        history = tuple(History.parse(entry) for entry in entries)
        layers = sum(not entry.empty_layer for entry in history)
        if history and layers > len(digests):
            raise DocumentError(
                f"{layers} history entries have a layer, and there are {len(digests)} diff_ids"
            )
        return cls(
            raw,
            digest or Digest.of(raw),
            Platform.from_json(obj),
            digests,
            history,
            member(obj, "created", str, default=""),
            member(obj, "author", str, default=""),
            member(obj, "config", dict, default={}),
        )


def build_config(
    platform: Platform,
    diff_ids: Sequence[Digest],
    history: Sequence[History],
    *,
    created: str,
    author: str = "",
    runtime: Runtime | Mapping[str, Any] | None = None,
) -> ImageConfig:
    """A new configuration; ``created`` is RFC 3339 in UTC with ``Z``.

    ``runtime`` is its ``config`` object, or what makes one.
    """
    obj: dict[str, Any] = {"created": created}
    if author:
        obj["author"] = author
    obj |= platform.as_json()
    obj["config"] = runtime.as_json() if isinstance(runtime, Runtime) else dict(runtime or {})
    obj["rootfs"] = {"type": "layers", "diff_ids": [str(diff_id) for diff_id in diff_ids]}
    obj["history"] = [entry.as_json() for entry in history]
    return ImageConfig.parse(encode(obj))


def rfc3339(moment: datetime) -> str:
    """A time in UTC as RFC 3339 with ``Z``, with a fraction only where there is one."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    text = text.rjust(19, "0")  # strftime does not pad years before 1000 everywhere
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{text}{fraction}Z"
