"""One page about an image that needs nothing else: no network, no other file.

Invariants: what comes of an image is JSON in which ``<``, ``>``, ``&`` and all that is not ASCII
are escaped, and names have control and format characters as text, so nothing of it becomes markup
or a program; the page may run its own script and style alone, by their hashes (CSP level 2), and
load nothing; the same images make the same bytes.
"""

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from importlib.resources import files as resources
from itertools import islice
from typing import Any, Final

from imgpack.errors import printable
from imgpack.image.describe import described, total_size
from imgpack.image.files.files import ImageFiles
from imgpack.image.image import Named
from imgpack.image.report.rows import ReportRow, change_rows, entry_rows

_SCRIPTS: Final = ("model.js", "treemap.js", "lists.js", "page.js")
_ROWS: Final = 2000
"""Rows of one chunk."""
_ESCAPES: Final = str.maketrans({"<": r"\u003c", ">": r"\u003e", "&": r"\u0026"})


def report_page(files: ImageFiles, before: ImageFiles | None = None) -> Iterator[bytes]:
    """The HTML document about the image of ``files``, in chunks; UTF-8, some 40 bytes a file.

    With ``before`` it shows as well what changed from that image to this one. Raises what reading
    the tables raises, as ``Applied.laid``.
    """
    head, foot = _template()
    yield head
    yield b'{"image":' + _json(_head(files))
    yield b',"before":' + _json(None if before is None else _head(before))
    yield b',"entries":['
    yield from _chunks(entry_rows(files))
    yield b'],"changes":['
    if before is not None:
        yield from _chunks(change_rows(before, files))
    yield b"]}" + foot


def _template() -> tuple[bytes, bytes]:
    """What stands before the data and after it."""
    room = resources("imgpack.image.report")
    script = "".join(room.joinpath(name).read_text("utf-8") for name in _SCRIPTS)
    style = room.joinpath("page.css").read_text("utf-8")
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    page = room.joinpath("page.html").read_text("utf-8")
    for mark, text in (("policy", policy), ("style", style), ("script", script)):
        page = page.replace(f"{{{{{mark}}}}}", text)
    head, _, foot = page.partition("{{data}}")
    return head.encode(), foot.encode()


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _head(files: ImageFiles) -> dict[str, Any]:
    """What there is to know of the image but its files."""
    image = files.image
    out = described(Named(image))
    out |= {"name": files.name, "stored": total_size(image), "tables": len(files.tables)}
    return {key: _harmless(value) for key, value in out.items()}


def _harmless(value: Any) -> Any:
    """``value`` with its texts as they can be shown; lines and tabs stay."""
    if isinstance(value, str):
        lines = value.split("\n")
        return "\n".join("\t".join(map(printable, line.split("\t"))) for line in lines)
    if isinstance(value, dict):
        return {_harmless(key): _harmless(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_harmless(one) for one in value]
    return value


def _chunks(rows: Iterable[ReportRow]) -> Iterator[bytes]:
    left = iter(rows)
    comma = b""
    while some := list(islice(left, _ROWS)):
        yield comma + _json(some)[1:-1]
        comma = b",\n"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).translate(_ESCAPES).encode()
