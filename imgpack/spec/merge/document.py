"""The configuration of an image on a base: the base's document, carried on.

Sources: OCI image-spec ``config.md``; BuildKit's ``exporter/containerimage/writer.go``.
Invariants: keys and history entries of the base that are not known here are kept, and so are
its entries' own times; nothing of the machine or build that the base came from is.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from imgpack.spec.config import History, ImageConfig
from imgpack.spec.digest import Digest
from imgpack.spec.json import decode, encode
from imgpack.spec.merge.history import steps
from imgpack.spec.platform import Platform

_DROPPED: Final = frozenset({"container", "container_config", "docker_version", "parent", "id"})
"""What Docker once wrote of the build and its containers: it says nothing of the new image."""
CACHE: Final = "moby.buildkit."
"""BuildKit's cache metadata, which is of the base's layers alone."""


def continue_config(
    base: ImageConfig,
    runtime: Mapping[str, Any],
    diff_ids: Sequence[Digest],
    history: Sequence[History],
    *,
    platform: Platform,
    created: str,
    author: str = "",
) -> ImageConfig:
    """The configuration of an image that has ``diff_ids`` and ``history`` on top of ``base``.

    ``runtime`` is its ``config`` object. ``platform`` stands in for what a base does not
    say of its own; ``created`` is RFC 3339 in UTC; the base's stays where that is empty, and its
    author if none is given.
    Layers that the base's history lacks get entries that say so, so that every entry is
    about its own layer. Raises ``LimitError`` for a document that is too large.
    """
    obj = decode(base.raw)
    out = {
        key: value
        for key, value in obj.items()
        if key not in _DROPPED and not key.startswith(CACHE)
    }
    if created:  # an image may not say
        out["created"] = created
    if author:
        out["author"] = author
    for key, value in (("architecture", platform.architecture), ("os", platform.os)):
        out[key] = out.get(key) or value
    out["config"] = dict(runtime)
    out["rootfs"] = obj["rootfs"] | {
        "type": "layers",
        "diff_ids": [str(diff_id) for diff_id in (*base.diff_ids, *diff_ids)],
    }
    out["history"] = [*steps(base), *(entry.as_json() for entry in history)]
    return ImageConfig.parse(encode(out))
