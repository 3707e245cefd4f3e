"""Which differences of two images the others come of, the first of each kind."""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, Final

from imgpack.errors import printable
from imgpack.image.compare.blobs import blob_difference
from imgpack.image.compare.documents import is_created
from imgpack.image.compare.framing import first_byte
from imgpack.image.compare.scope import ComparisonScope
from imgpack.image.compare.sides import ComparedSide
from imgpack.image.compare.tables import RowDifference, first_difference, kind_of
from imgpack.image.compare.values import (
    ABSENT,
    Cause,
    CauseKind,
    DocumentDifferences,
    FieldDifference,
    LayerDifference,
    LayerMatch,
)
from imgpack.image.image import is_away
from imgpack.spec.json import encode
from imgpack.tree.tables.rows import TableRow

_PLATFORM: Final = ("os", "architecture", "variant", "os.version", "os.features")
_ORDER: Final = tuple(CauseKind)


def document_causes(documents: DocumentDifferences) -> Iterator[Cause]:
    """The causes that the documents tell."""
    found: dict[CauseKind, list[FieldDifference]] = {}
    for one in documents.config:
        kind = CauseKind.PLATFORM if one.name in _PLATFORM else CauseKind.CONFIG
        found.setdefault(CauseKind.CREATED if is_created(one.path) else kind, []).append(one)
    for one in documents.history:
        created = is_created(one.path)
        found.setdefault(CauseKind.CREATED if created else CauseKind.HISTORY, []).append(one)
    for one in documents.manifest:
        kind = CauseKind.ANNOTATIONS if "annotations" in one.path else CauseKind.MEDIA_TYPE
        found.setdefault(kind, []).append(one)
    for kind, (first, *others) in found.items():
        yield Cause(kind, first.name, said(first.a), said(first.b), others=len(others))


def said(value: Any) -> str:
    """A value of a document, as text."""
    if value is ABSENT:
        return "nothing"
    return value if isinstance(value, str) else encode(value).decode()


class LayerCauses:
    """Looks for what is behind layers that differ; each image is only read if that tells."""

    def __init__(self, a: ComparedSide, b: ComparedSide, scope: ComparisonScope) -> None:
        self._a = a
        self._b = b
        self._scope = scope

    def alike(self, pair: LayerDifference) -> bool:
        """Whether two layers are the same in all that counts, though their bytes differ."""
        a, b = self._a.by_layer, self._b.by_layer
        if a is None or b is None or pair.a is None or pair.b is None:
            return False
        return first_difference(a.tables[pair.a - 1], b.tables[pair.b - 1], self._scope) is None

    def causes(self, pairs: Sequence[LayerDifference]) -> Iterator[Cause]:
        """Why the first two layers of each kind differ."""
        found: dict[LayerMatch, list[LayerDifference]] = {}
        for pair in pairs:
            if pair.counts:
                found.setdefault(pair.match, []).append(pair)
        lone = [
            pair for match in (LayerMatch.ADDED, LayerMatch.REMOVED, LayerMatch.MOVED)
            for pair in found.pop(match, ())
        ]  # fmt: skip
        if lone:
            yield _lone(lone[0], len(lone) - 1)
        for match, (first, *others) in found.items():
            layers = first.a, first.b
            if match is LayerMatch.UNLIKE:
                yield self._unlike(first, len(others))
            elif match is LayerMatch.RECOMPRESSED:
                yield self._recompressed(first, len(others))
            else:
                (field, *_) = first.fields
                told = "annotations" in field.path
                kind = CauseKind.ANNOTATIONS if told else CauseKind.MEDIA_TYPE
                yield Cause(
                    kind, field.name, said(field.a), said(field.b), layers, others=len(others)
                )

    def _unlike(self, pair: LayerDifference, others: int) -> Cause:
        layers = pair.a, pair.b
        (diff_id, *_) = [one for one in pair.fields if one.path == ("diff_id",)]
        unknown = Cause(
            CauseKind.CONTENT, "diff_id", said(diff_id.a), said(diff_id.b), layers, others=others
        )
        a, b = self._a.by_layer, self._b.by_layer
        if a is None or b is None or pair.a is None or pair.b is None:
            return unknown
        row = first_difference(a.tables[pair.a - 1], b.tables[pair.b - 1], self._scope)
        if row is not None:
            kind = CauseKind.ORDER if row.what == "order" else CauseKind.CONTENT
            return Cause(kind, row.what, *row_sides(row), layers, row.path, others)
        with closing(a.stream(pair.a - 1)) as first, closing(b.stream(pair.b - 1)) as second:
            byte = first_byte(first, second)
        if byte is None:
            return unknown
        path = byte.path and byte.path.removeprefix(b"./").rstrip(b"/")
        return Cause(CauseKind.FRAMING, byte.what, byte.a, byte.b, layers, path, others)

    def _recompressed(self, pair: LayerDifference, others: int) -> Cause:
        layers = pair.a, pair.b
        assert pair.a is not None
        assert pair.b is not None
        old = self._a.image.manifest.layers[pair.a - 1]
        new = self._b.image.manifest.layers[pair.b - 1]
        if is_away(self._a.image, old) or is_away(self._b.image, new):
            return Cause(CauseKind.COMPRESSION, "the blob", layers=layers, others=others)
        found = blob_difference(
            self._a.image.source.read_blob(old),
            self._b.image.source.read_blob(new),
            (old.size, new.size),
        )
        return Cause(CauseKind.COMPRESSION, *found, layers, others=others)


def sorted_causes(causes: Iterator[Cause]) -> tuple[Cause, ...]:
    """Those that come first in front, one of each kind."""
    found: dict[CauseKind, Cause] = {}
    for cause in causes:
        found.setdefault(cause.kind, cause)
    return tuple(sorted(found.values(), key=lambda cause: _ORDER.index(cause.kind)))


def _lone(pair: LayerDifference, others: int) -> Cause:
    place = f"layer {pair.a}" if pair.a is not None else "nothing"
    other = f"layer {pair.b}" if pair.b is not None else "nothing"
    return Cause(CauseKind.LAYERS, pair.match.value, place, other, (pair.a, pair.b), others=others)


def row_sides(difference: RowDifference) -> tuple[str, str]:
    """What each of two layers says in the field of a ``difference``, as text."""
    what = difference.what
    return _side(difference.a, what), _side(difference.b, what)


def _side(row: TableRow | None, what: str) -> str:
    if row is None:
        return "nothing"
    return field_text(row, what)


def field_text(row: TableRow, what: str) -> str:
    """What a row says in a field of ``FILE_FIELDS``, as text; times are seconds."""
    match what:
        case "mode":
            return f"{row.mode & 0o7777:04o}"
        case "mtime":
            return seconds(row.mtime_ns)
        case "content":
            return "unknown" if row.sha256 is None else f"sha256:{row.sha256.hex()}"
        case "target":
            return printable(row.link)
        case "device":
            return f"{os.major(row.rdev)}:{os.minor(row.rdev)}"
        case "xattrs":
            pairs = (f"{printable(name)}={value[:32].hex()}" for name, value in sorted(row.xattrs))
            return " ".join(pairs) or "none"
        case "links":
            return "1 name" if row.links == 1 else f"{row.links} names"
        case "order":
            return f"member {row.place + 1}"
        case "uid" | "gid" | "size":
            return str(getattr(row, what))
        case _:
            return kind_of(row)


def seconds(ns: int) -> str:
    """A time in seconds since 1970, with as many digits behind the point as it has."""
    whole, rest = divmod(abs(ns), 1_000_000_000)
    text = f"{whole}.{rest:09d}".rstrip("0").rstrip(".")
    return f"-{text}" if ns < 0 else text
