"""JSON in and out: strict on the way in, one spelling on the way out.

Out: compact, keys in the order given, UTF-8, and the escapes of Go's encoder
(``<``, ``>``, ``&``, U+2028 and U+2029 as ``\\uXXXX``), so that what imgpack
writes is what Docker, crane and the Distribution registry would write for the
same document. In: a bounded size, one object, no duplicate keys, no keys that
differ only in case (Go's decoder would take either: a parser differential,
CVE-2021-41190), no byte order mark, no ``NaN``.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from imgpack.errors import DocumentError, LimitError

MAX_DOCUMENT: Final = 4 * 1024 * 1024
"""Bytes of a manifest, index or configuration: registries and containers/image stop there."""

# Go's encoding/json escapes these for the sake of HTML; str.translate is one pass.
_HTML: Final = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
# Before Go 1.22 a backspace and a form feed had no short form, and Distribution 2.8 is older.
_LONG_FORM: Final = (("\\b", "\\u0008"), ("\\f", "\\u000c"))


def encode(value: Any, *, indent: int | None = None) -> bytes:
    """The canonical bytes of ``value``: compact, or indented by ``indent`` spaces."""
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators
    )
    return go_escapes(text).encode("utf-8", "surrogatepass")


def go_escapes(text: str) -> str:
    """``text``, a JSON document, with the characters escaped that Go's encoder escapes."""
    text = text.translate(_HTML)
    for short, long in _LONG_FORM:
        if short in text:
            text = _replace_escape(text, short, long)
    return text


def _replace_escape(text: str, short: str, long: str) -> str:
    # A backslash may itself be escaped: "\\b" is a backslash and a b, not a backspace.
    return "\\\\".join(part.replace(short, long) for part in text.split("\\\\"))


def decode(raw: bytes, what: str) -> dict[str, Any]:
    """Parse ``raw`` as one JSON object; ``what`` names the document in errors.

    Raises ``DocumentError`` for anything malformed or ambiguous and
    ``LimitError`` above ``MAX_DOCUMENT`` bytes.
    """
    if len(raw) > MAX_DOCUMENT:
        raise LimitError(f"{what} has {len(raw)} bytes", f"at most {MAX_DOCUMENT} are accepted")

    def pairs(items: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(items)
        if len(out) != len(items):
            seen: set[str] = set()
            twice = next(key for key, _ in items if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise DocumentError(f"{what} has the key {twice!r} twice in one object")
        return out

    def constant(name: str) -> Any:
        raise DocumentError(f"{what} holds {name}, which is not JSON")

    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=pairs, parse_constant=constant)
    except UnicodeDecodeError as error:
        raise DocumentError(f"{what} is not UTF-8 at byte {error.start}") from error
    except RecursionError as error:
        raise DocumentError(f"{what} is nested too deeply") from error
    except ValueError as error:
        raise DocumentError(f"{what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise DocumentError(f"{what} is not a JSON object")
    return value


def check_keys(obj: Mapping[str, Any], known: frozenset[str], what: str) -> None:
    """Refuse keys of ``obj`` that differ from a ``known`` key only in case."""
    folded = {key.lower(): key for key in known}
    for key in obj:
        if key not in known and key.lower() in folded:
            raise DocumentError(
                f"{what} has the key {key!r}, which some readers take for {folded[key.lower()]!r}"
            )


def member(obj: Mapping[str, Any], key: str, kind: type, what: str, *, default: Any = ...) -> Any:
    """``obj[key]`` if of ``kind``; ``default`` when absent or null, else ``DocumentError``."""
    value = obj.get(key)
    if value is None and default is not ...:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise DocumentError(f"{what}: {key!r} is missing or is not {_NOUNS[kind]}")
    return value


_NOUNS: Final[dict[type, str]] = {
    str: "a string",
    int: "a whole number",
    list: "an array",
    dict: "an object",
    bool: "a boolean",
}
