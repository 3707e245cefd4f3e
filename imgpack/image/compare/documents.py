"""Indexes, manifests, configurations and histories side by side, field by field.

What only follows from layers is not told here: digests and sizes of blobs, ``diff_id``s.
OCI image-spec ``image-index.md``, ``manifest.md`` and ``config.md``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from imgpack.image.compare.scope import ComparisonScope, Ignored, Section
from imgpack.image.compare.values import ABSENT, DocumentDifferences, FieldDifference
from imgpack.image.image import Artifact, Image
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.json import decode
from imgpack.spec.manifest import Index

CREATED: Final = "created"
_CREATED_KEYS: Final = frozenset(
    {"org.opencontainers.image.created", "org.label-schema.build-date"}
)
_Path = tuple[str, ...]
_Fields = dict[_Path, Any]
_MANIFESTS: Final = "manifests"
_OF_WHAT_IS_NAMED: Final = frozenset({("digest",), ("size",)})
_FOLLOWS: Final = frozenset({("config", "digest"), ("config", "size"), ("config", "data")})


def is_created(path: _Path) -> bool:
    """Whether a field says when an image was made."""
    return path[-1] == CREATED or path[-1] in _CREATED_KEYS


def document_differences(
    a: Image | Artifact, b: Image | Artifact, scope: ComparisonScope
) -> DocumentDifferences:
    """What the documents of *a* and *b* say otherwise, as far as it is selected."""
    counts = _Counting(scope.ignored)
    wanted = scope.sections
    manifests = [decode(one.manifest.raw) for one in (a, b)]
    configs = [decode(one.config.raw) if isinstance(one, Image) else {} for one in (a, b)]
    histories = [_entries(config.pop("history", None)) for config in configs]
    for config in configs:
        rootfs = config.get("rootfs")
        if isinstance(rootfs, dict):
            rootfs.pop("diff_ids", None)
    for manifest in manifests:
        manifest.pop("layers", None)
    first, second = (
        {path: value for path, value in flat(manifest).items() if path not in _FOLLOWS}
        for manifest in manifests
    )
    return DocumentDifferences(
        counts.differences(first, second) if Section.MANIFEST in wanted else (),
        counts.differences(*map(flat, configs)) if Section.CONFIG in wanted else (),
        counts.history(*histories) if Section.HISTORY in wanted else (),
    )


def index_differences(a: Index, b: Index, scope: ComparisonScope) -> tuple[FieldDifference, ...]:
    """What two indexes say otherwise of themselves, and of what both name.

    That is known by its platform, or else by its digest. If all of it is the same in other bytes,
    the digests differ.
    """
    if Section.MANIFEST not in scope.sections or a.raw == b.raw:
        return ()
    counts = _Counting(scope.ignored)
    documents = [decode(one.raw) for one in (a, b)]
    entries = [_named(document.pop(_MANIFESTS)) for document in documents]
    first, second = entries
    found = [*counts.differences(*map(flat, documents))]
    for name in [name for name in first if name in second]:
        front = (_MANIFESTS, name)
        found += (
            replace(one, path=front + one.path)
            for one in counts.differences(flat(first[name]), flat(second[name]))
            if one.path not in _OF_WHAT_IS_NAMED
        )
    orders = [[name for name in one if name in first and name in second] for one in entries]
    if orders[0] != orders[1]:
        found.append(FieldDifference((_MANIFESTS, "order"), *orders))
    same = [[(one.digest, one.size) for one in index.manifests] for index in (a, b)]
    if not found and same[0] == same[1] and not scope.ignored:
        found.append(FieldDifference(("digest",), *(str(one.descriptor.digest) for one in (a, b))))
    return tuple(found)


def _named(entries: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The entries of an index by their platforms, or by their digests."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        platform = Descriptor.parse(entry).platform
        name = str(platform or "")
        found[entry["digest"] if not name or name in found else name] = entry
    return found


class _Counting:
    """Compares what is not ``ignored``."""

    def __init__(self, ignored: frozenset[Ignored]) -> None:
        self._ignored = ignored

    def __call__(self, path: _Path) -> bool:
        ignored = self._ignored
        if Ignored.CREATED in ignored and is_created(path):
            return False
        if Ignored.LABELS in ignored and path[:2] == ("config", "Labels"):
            return False
        return Ignored.ANNOTATIONS not in ignored or "annotations" not in path[:2]

    def differences(self, a: _Fields, b: _Fields) -> tuple[FieldDifference, ...]:
        """The fields that differ, in the order of *a*, then of *b*."""
        return tuple(one for one in field_differences(a, b) if self(one.path))

    def history(self, a: Sequence[Any], b: Sequence[Any]) -> tuple[FieldDifference, ...]:
        """The entries that differ, but for those at the beginning and end that are the same."""
        before, after = ([self._entry(one) for one in side] for side in (a, b))
        start = end = 0
        shorter = min(len(before), len(after))
        while start < shorter and before[start] == after[start]:
            start += 1
        while end < shorter - start and before[-1 - end] == after[-1 - end]:
            end += 1
        first, second = before[start : len(before) - end], after[start : len(after) - end]
        found: list[FieldDifference] = []
        for at in range(max(len(first), len(second))):
            path = ("history", str(start + at + 1))
            if at < len(first) and at < len(second):
                found += field_differences(flat(first[at], path), flat(second[at], path))
            elif at < len(first):
                found.append(FieldDifference(path, first[at], ABSENT))
            else:
                found.append(FieldDifference(path, ABSENT, second[at]))
        return tuple(found)

    def _entry(self, entry: Any) -> Any:
        if Ignored.CREATED not in self._ignored or not isinstance(entry, dict):
            return entry
        return {key: value for key, value in entry.items() if key != CREATED}


def field_differences(a: _Fields, b: _Fields) -> Iterator[FieldDifference]:
    """The fields of two documents that differ, in the order of *a*, then of *b*."""
    within = {path[:depth] for path in (*a, *b) for depth in range(1, len(path))}
    for path in {**a, **b}:
        before, after = a.get(path, ABSENT), b.get(path, ABSENT)
        if path in within and {} in (before, after) and ABSENT in (before, after):
            continue  # an object that only one of them fills
        if type(before) is not type(after) or before != after:
            yield FieldDifference(path, before, after)


def flat(document: Mapping[str, Any], front: _Path = ()) -> _Fields:
    """The values of a document by the keys that lead to them, the environment's by its names."""
    found: _Fields = {}
    for key, value in document.items():
        path = (*front, key)
        if path == ("config", "Env"):
            value = _environment(value)
        if isinstance(value, dict) and value:
            found |= flat(value, path)
        else:
            found[path] = value
    return found


def _environment(value: Any) -> Any:
    """A list of ``NAME=VALUE`` as an object; anything else as it is."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        return value
    named = {name: text for name, equals, text in (one.partition("=") for one in value) if equals}
    return named if len(named) == len(value) else value


def _entries(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
