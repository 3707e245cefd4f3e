"""A comparison of two images for programs: one JSON document, written as it is found."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from imgpack import api
from imgpack.cli.output.compared.lines import ComparedCounts
from imgpack.errors import printable

if TYPE_CHECKING:
    from imgpack.api import ComparedImages, ComparedLocations, FileDifference, LayerRow


def show_json(comparison: ComparedLocations, a: str, b: str, *, text: bool) -> bool:
    """Print what differs; whether anything does. Files are one line each."""
    document = {
        "a": a,
        "b": b,
        "onlyInA": list(comparison.only_a),
        "onlyInB": list(comparison.only_b),
        "index": [one.as_json() for one in comparison.index],
    }
    _write("{" + _members(document) + ',\n"images": [')
    differs = bool(comparison.only_a or comparison.only_b or comparison.index)
    for number, images in enumerate(comparison.images):
        _write(",\n" if number else "\n")
        differs |= _images(images, text=text)
    _write(f'],\n"equal": {json.dumps(not differs)}}}\n')
    return differs


def _images(images: ComparedImages, *, text: bool) -> bool:
    counts = ComparedCounts()
    counts.add_documents(images)
    document = {
        "platform": images.platform or None,
        "manifests": {
            "a": images.a.image.manifest.descriptor.as_json(),
            "b": images.b.image.manifest.descriptor.as_json(),
        },
        "causes": [cause.as_json() for cause in images.causes],
        **images.documents.as_json(),
        "layers": [pair.as_json() for pair in images.layers],
    }
    _write("{" + _members(document) + ',\n"files": [')
    texts = api.TextDifferences()
    start = "\n"
    for one in images.files():
        counts.add_file(one)
        if text and images.a.layered and images.b.layered:
            texts.add(one)
        _write(start + json.dumps(_file(one)))
        start = ",\n"
    _write("]")
    if text:
        _write(',\n"texts": [')
        start = "\n"
        for path, lines in texts.read(images.a.files, images.b.files) if texts.files else ():
            diff = [line.decode(errors="replace") for line in lines]
            _write(start + json.dumps({"path": printable(path), "diff": diff}))
            start = ",\n"
        _write("]")
    differs = bool(counts) or bool(images.causes)
    _write(",\n" + _members({"counts": counts.as_json(), "equal": not differs}) + "}")
    return differs


def _file(one: FileDifference) -> dict[str, Any]:
    out: dict[str, Any] = {"path": printable(one.path), "presence": one.presence.value}
    if one.fields:
        out["fields"] = list(one.fields)
    for name, side in (("a", one.a), ("b", one.b)):
        if side is not None:
            out[name] = _side(side)
    if one.links is not None:
        out["links"] = [printable(path) for path in one.links]
    return out


def _side(side: LayerRow) -> dict[str, Any]:
    row = side.row
    out: dict[str, Any] = {
        "type": api.field_text(row, "type"),
        "layer": side.layer + 1,
        "mode": api.field_text(row, "mode"),
        "uid": row.uid,
        "gid": row.gid,
        "mtime": api.field_text(row, "mtime"),
        "size": row.size,
    }
    if row.sha256 is not None:
        out["digest"] = api.field_text(row, "content")
    if row.link:
        out["target"] = printable(row.link)
    if row.rdev:
        out["device"] = api.field_text(row, "device")
    if row.xattrs:
        out["xattrs"] = {printable(name): value.hex() for name, value in row.xattrs}
    return out


def _members(document: dict[str, Any]) -> str:
    """The members of a JSON object, a line each."""
    return ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in document.items())


def _write(text: str) -> None:
    sys.stdout.write(text)
