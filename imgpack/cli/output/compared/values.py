"""Values that two images have otherwise, as short text for people."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any, Final

from imgpack import api
from imgpack.cli.output.display import clipped, counted, one_line
from imgpack.cli.output.listing import exact_moment
from imgpack.errors import brief
from imgpack.events import human_size
from imgpack.spec.json import encode

if TYPE_CHECKING:
    from imgpack.api import Cause, FieldDifference, FileDifference, LayerRow

_MOST: Final = 120
_DIGITS: Final = 12
_MARKS: Final = {
    api.Presence.ADDED: "+", api.Presence.REMOVED: "-", api.Presence.CHANGED: "~",
}  # fmt: skip
_LETTERS: Final = {stat.S_IFDIR: "/", stat.S_IFLNK: "@", stat.S_IFIFO: "|"}


def value(said: Any) -> str:
    """A value of a document, on one line of a bounded length."""
    text = said if isinstance(said, str) and said else encode(said).decode()
    return clipped(one_line(text), _MOST)


def field_line(one: FieldDifference) -> str:
    """A field of a document that differs."""
    mark = _MARKS[one.presence]
    name = clipped(one_line(one.name), _MOST)
    if one.presence is api.Presence.ADDED:
        return f"{mark} {name}: {value(one.b)}"
    if one.presence is api.Presence.REMOVED:
        return f"{mark} {name}: {value(one.a)}"
    return f"{mark} {name}: {value(one.a)} → {value(one.b)}"


def file_line(one: FileDifference, below: int = 0) -> str:
    """A file that differs; ``below`` it are so many more that only one image has."""
    there = one.a or one.b
    assert there is not None
    name = "/" + brief(one.path) + (_LETTERS.get(stat.S_IFMT(there.row.mode), ""))
    start = f"{_MARKS[one.presence]} {name.replace('//', '/')}"
    if one.presence is not api.Presence.CHANGED:
        more = f", and {counted(below, 'path')} in it" if below else ""
        return f"{start}  {_what(there)}{more}"
    return f"{start}  {', '.join(_field(one, name) for name in one.fields)}"


def _what(there: LayerRow) -> str:
    row = there.row
    what = f"{stat.S_IMODE(row.mode):04o} {row.uid}:{row.gid}"
    if stat.S_ISREG(row.mode):
        return f"{what} {human_size(row.size)}"
    return f"{what} → {brief(row.link)}" if stat.S_ISLNK(row.mode) else what


def _field(one: FileDifference, name: str) -> str:
    assert one.a is not None
    assert one.b is not None
    if name == "links" and one.links is not None:
        first, second = (f"/{brief(path)}" for path in one.links)
        return f"links with {first} → {second}"
    if name == "size":
        return f"size {one.a.row.size} → {one.b.row.size}"
    before, after = (_said(name, api.field_text(side.row, name)) for side in (one.a, one.b))
    return f"{name} {before} → {after}"


def _said(what: str, text: str) -> str:
    """What is said in a field of a file; times are seconds, which only programs can read."""
    return exact_moment(text) if what == "mtime" else _short(text)


def _short(text: str) -> str:
    if text.startswith("sha256:"):
        return text[: len("sha256:") + _DIGITS]
    return clipped(text, _MOST)


def cause_line(cause: Cause) -> str:
    """What a cause is, in a sentence without its end."""
    first, second = cause.a, cause.b
    if cause.kind is api.CauseKind.CONTENT and cause.what == "mtime":
        first, second = exact_moment(first), exact_moment(second)
    sides = f": {_side(first)} in A, {_side(second)} in B" if cause.a or cause.b else ""
    where = _layers(cause) + ("" if cause.path is None else f" at /{brief(cause.path)}")
    what = clipped(one_line(cause.what), _MOST)
    told = {
        api.CauseKind.PLATFORM: f"the platforms differ, in {what}",
        api.CauseKind.CONFIG: f"the configurations differ, first in {what}",
        api.CauseKind.LAYERS: f"a layer is {what}",
        api.CauseKind.CONTENT: f"{where}, {what}".removeprefix(", "),
        api.CauseKind.ORDER: f"{where} the order of the members differs",
        api.CauseKind.FRAMING: f"{where} the tar is written otherwise, in {what}",
        api.CauseKind.COMPRESSION: f"{where} the compression differs, in {what}",
        api.CauseKind.MEDIA_TYPE: f"{where} the manifest differs, in {what}".strip(),
        api.CauseKind.HISTORY: f"the histories differ, first in {what}",
        api.CauseKind.CREATED: f"the time of making differs, in {what}",
        api.CauseKind.ANNOTATIONS: f"{where} the annotations differ, first in {what}".strip(),
        api.CauseKind.FORM: f"{what} says the same in other bytes",
    }[cause.kind]
    return f"{told.strip()}{sides}"


def _side(text: str) -> str:
    return _short(one_line(text)) or '""'


def _layers(cause: Cause) -> str:
    if cause.layers is None or cause.kind is api.CauseKind.LAYERS:
        return ""
    a, b = cause.layers
    return f"in layer {a}" if a == b else f"in layer {a} of A and {b} of B"
