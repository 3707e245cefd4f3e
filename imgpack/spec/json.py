"""JSON in and out: strict on the way in, one spelling on the way out.

Out: compact, keys in the order given, UTF-8, and the escapes of Go's encoder
(``<``, ``>``, ``&``, U+2028 and U+2029 as ``\\uXXXX``), so that what imgpack
writes is what Docker, crane and the Distribution registry would write for the
same document. In: a bounded size, one object, no duplicate keys, no keys that
differ only in case (Go's decoder would take either: a parser differential,
CVE-2021-41190), no byte order mark, no ``NaN``. A lone surrogate escape is
read as U+FFFD, as Go's decoder reads it, so every decoded string is Unicode.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from imgpack.errors import ConfigError, DocumentError, LimitError

MAX_DOCUMENT: Final = 4 * 1024 * 1024
"""Bytes of a manifest, index or configuration: registries and containers/image stop there."""
MAX_DOCUMENTS: Final = 32 << 20
"""Bytes of the manifests and configurations of one archive, or of one image in a registry."""

MAX_DEPTH: Final = 64
"""Levels of a document, of which real ones have ten: Python's own limit depends on its version
and on who calls, and each level is indentation for every line within it."""

# Go's encoding/json escapes these for the sake of HTML; str.translate is one pass.
_HTML: Final = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
# Before Go 1.22 a backspace and a form feed had no short form, and Distribution 2.8 is older.
_LONG_FORM: Final = (("\\b", "\\u0008"), ("\\f", "\\u000c"))


_TOKEN: Final = re.compile(
    r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}:,]|[^\s"\[\]{}:,]++'  # string, punctuation, scalar
)
# A pair of surrogates, one alone, or any other escape: in this order, from the left.
_ESCAPE: Final = re.compile(
    r"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|(\\.)",
    re.DOTALL,
)
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


def encode(value: Any, *, indent: int | None = None) -> bytes:
    """The canonical bytes of ``value``: compact, or indented by ``indent`` spaces.

    Raises ``ConfigError`` for text that is not Unicode (undecodable bytes of an
    argument, for one): JSON has no spelling for it.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators
    )
    try:
        return go_escapes(text).encode("utf-8")
    except UnicodeEncodeError as error:
        shown = text[max(0, error.start - 20) : error.end + 20]
        raise ConfigError(
            f"{shown!r} is not Unicode text", "image documents are UTF-8; give it in UTF-8"
        ) from error


def html_escapes(text: str) -> str:
    """``text``, a JSON document, with ``<``, ``>``, ``&``, U+2028 and U+2029 escaped."""
    return text.translate(_HTML)


def go_escapes(text: str) -> str:
    """``text``, as Python's encoder wrote it, as Go's encoder before 1.22 would write it."""
    text = html_escapes(text)
    for short, long in _LONG_FORM:
        if short in text:
            text = _replace_escape(text, short, long)
    return text


def _replace_escape(text: str, short: str, long: str) -> str:
    # A backslash may itself be escaped: "\\b" is a backslash and a b, not a backspace.
    return "\\\\".join(part.replace(short, long) for part in text.split("\\\\"))


def decode(raw: bytes, limit: int = MAX_DOCUMENT) -> dict[str, Any]:
    """Parse ``raw`` as one JSON object.

    Raises ``DocumentError`` for anything malformed or ambiguous and
    ``LimitError`` above ``limit`` bytes.
    """
    if len(raw) > limit:
        raise LimitError(f"the document has {len(raw)} bytes", f"at most {limit} are accepted")

    def pairs(items: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(items)
        if len(out) != len(items):
            seen: set[str] = set()
            twice = next(key for key, _ in items if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise DocumentError(f"the key {twice[:80]!r} is twice in one object")
        return out

    def constant(name: str) -> Any:
        raise DocumentError(f"{name} is not JSON")

    def number(text: str) -> float:
        if not math.isfinite(value := float(text)):
            raise DocumentError(f"a number is out of range, {text[:40]}")
        return value

    try:
        text = _without_lone_surrogates(raw.decode("utf-8"))
        value = json.loads(
            text, object_pairs_hook=pairs, parse_constant=constant, parse_float=number
        )
    except UnicodeDecodeError as error:
        raise DocumentError(f"the document is not UTF-8 at byte {error.start}") from error
    except RecursionError as error:
        raise DocumentError("the document is nested too deeply") from error
    except ValueError as error:
        raise DocumentError(f"the document is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise DocumentError("the document is not a JSON object")
    if _depth(text) > MAX_DEPTH:
        raise DocumentError("the document is nested too deeply")
    return value


def _depth(text: str) -> int:
    """A bound of the levels of valid JSON: exact where it matters."""
    if (brackets := text.count("[") + text.count("{")) <= MAX_DEPTH:
        return brackets
    depth = deepest = 0
    for token in _TOKEN.findall(text):
        if token in ("{", "["):
            depth += 1
            deepest = max(deepest, depth)
        elif token in ("}", "]"):
            depth -= 1
    return deepest


def _without_lone_surrogates(text: str) -> str:
    if not _SURROGATE.search(text):
        return text
    return _ESCAPE.sub(lambda match: "\\ufffd" if match[2] else match[0], text)


def members(raw: bytes) -> dict[str, str]:
    """Each key of the JSON object ``raw`` with the JSON text of its value.

    The texts are what Go's encoder makes of a ``json.RawMessage``: no white
    space, HTML characters escaped, numbers and escapes as they were spelled.
    Raises what ``decode`` raises.
    """
    keys = iter(decode(raw))
    out: dict[str, str] = {}
    value: list[str] = []
    depth = 0
    # The text is valid JSON, so brackets and commas outside of strings are all there is to see.
    for token in _TOKEN.findall(raw.decode("utf-8"))[1:]:
        if depth == 0 and token in ",}":
            if value:
                out[next(keys)] = html_escapes("".join(value[2:]))
            value = []
            continue
        if token in ("{", "["):
            depth += 1
        elif token in ("}", "]"):
            depth -= 1
        value.append(token)
    return out


def check_keys(obj: Mapping[str, Any], known: frozenset[str]) -> None:
    """Refuse keys of ``obj`` that differ from a ``known`` key only in case."""
    # Go folds the long s and the Kelvin sign too, which lower() leaves alone.
    folded = {key.casefold(): key for key in known}
    for key in obj:
        if key not in known and (meant := folded.get(key.casefold())):
            raise DocumentError(f"some readers take the key {key!r} for {meant!r}")


def member(obj: Mapping[str, Any], key: str, kind: type, *, default: Any = ...) -> Any:
    """``obj[key]`` if of ``kind``; ``default`` when absent or null, else ``DocumentError``."""
    value = obj.get(key)
    if value is None and default is not ...:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise DocumentError(f"{key!r} is missing or is not {_NOUNS[kind]}")
    return value


_NOUNS: Final[dict[type, str]] = {
    str: "a string",
    int: "a whole number",
    list: "an array",
    dict: "an object",
    bool: "a boolean",
}
