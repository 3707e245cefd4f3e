"""What a comparison says: differences of documents, layers and files, and causes, as values.

Of two images one is *a*, the other *b*. Layers and history entries are counted from 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from imgpack.errors import printable
from imgpack.tree.tables.applied import LayerRow

ABSENT: Final = object()
"""Where a document says nothing: not even null."""


class Presence(Enum):
    """Which of two images has something."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """A field of a JSON document that two images have otherwise, by the keys that lead to it.

    ``a`` and ``b`` are decoded JSON, or ``ABSENT``.
    """

    path: tuple[str, ...]
    a: Any
    b: Any

    @property
    def presence(self) -> Presence:
        """Which of the two says it."""
        if self.a is ABSENT:
            return Presence.ADDED
        return Presence.REMOVED if self.b is ABSENT else Presence.CHANGED

    @property
    def name(self) -> str:
        """The keys in a row."""
        return ".".join(self.path)

    def as_json(self) -> dict[str, Any]:
        """The JSON object, which lacks the side that does not say it."""
        sides = {"a": self.a, "b": self.b}
        return {"path": list(self.path)} | {k: v for k, v in sides.items() if v is not ABSENT}


class LayerMatch(Enum):
    """What became of a layer of *a* in *b*."""

    SAME = "same"
    MOVED = "moved"
    RECOMPRESSED = "recompressed"
    """The ``diff_id`` is the same, the blob another."""
    UNLIKE = "changed"
    """Another layer in its place."""
    ALIKE = "alike"
    """Another one, but for what is ignored it holds the same."""
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class LayerDifference:
    """A layer of *a*, the one of *b* that it is compared with, and what is said of them.

    ``a`` and ``b`` count from 1; ``None`` for none. ``fields`` are those of their descriptors
    that differ, and ``diff_id``.
    """

    match: LayerMatch
    a: int | None
    b: int | None
    fields: tuple[FieldDifference, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether the images differ in it."""
        same = self.match in (LayerMatch.SAME, LayerMatch.ALIKE)
        return not same or (self.match is LayerMatch.SAME and bool(self.fields))

    def as_json(self) -> dict[str, Any]:
        """The JSON object."""
        fields = [field.as_json() for field in self.fields]
        return {"match": self.match.value, "a": self.a, "b": self.b, "fields": fields}


@dataclass(frozen=True, slots=True)
class FileDifference:
    """A path that one image lacks, or that two have otherwise, in the ``fields`` named.

    ``links`` are the first paths that share each one's inode, if that differs.
    """

    path: bytes
    a: LayerRow | None
    b: LayerRow | None
    fields: tuple[str, ...] = ()
    links: tuple[bytes, bytes] | None = None

    @property
    def presence(self) -> Presence:
        """Which of the two has it."""
        if self.a is None:
            return Presence.ADDED
        return Presence.REMOVED if self.b is None else Presence.CHANGED


class CauseKind(Enum):
    """What two builds may differ in, in the order of what comes first."""

    PLATFORM = "platform"
    CONFIG = "configuration"
    LAYERS = "layers"
    """One has a layer that the other lacks, or they have them in another order."""
    CONTENT = "content"
    """What a layer says of a path."""
    ORDER = "order"
    """The order of a layer's members."""
    FRAMING = "framing"
    """How the tar says it: the same entries, in other bytes."""
    COMPRESSION = "compression"
    MEDIA_TYPE = "media-type"
    HISTORY = "history"
    CREATED = "created"
    ANNOTATIONS = "annotations"
    FORM = "form"
    """The same JSON, written otherwise."""


@dataclass(frozen=True, slots=True)
class Cause:
    """The first difference of its kind, which differences of digests and sizes come of.

    ``layers`` are the two that have it, ``path`` the member; ``what`` is the field, and ``a`` and
    ``b`` what each says, as text. ``others``: so many more layers, or fields, differ like that.
    """

    kind: CauseKind
    what: str
    a: str = ""
    b: str = ""
    layers: tuple[int | None, int | None] | None = None
    path: bytes | None = None
    others: int = 0

    def as_json(self) -> dict[str, Any]:
        """The JSON object."""
        out: dict[str, Any] = {"kind": self.kind.value, "what": self.what, "a": self.a, "b": self.b}
        if self.layers is not None:
            out["layers"] = list(self.layers)
        if self.path is not None:
            out["path"] = printable(self.path)
        return out | {"others": self.others}


@dataclass(frozen=True, slots=True)
class DocumentDifferences:
    """How the documents of two images differ, without a look at a layer."""

    manifest: tuple[FieldDifference, ...] = ()
    config: tuple[FieldDifference, ...] = ()
    history: tuple[FieldDifference, ...] = ()

    def as_json(self) -> Mapping[str, Any]:
        """The JSON object."""
        return {
            "manifest": [one.as_json() for one in self.manifest],
            "config": [one.as_json() for one in self.config],
            "history": [one.as_json() for one in self.history],
        }
