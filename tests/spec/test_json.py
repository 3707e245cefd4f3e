"""JSON in and out: what is refused, what is read as Go reads it, and the one spelling out."""

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.errors import ConfigError, DocumentError, LimitError
from imgpack.spec.json import (
    MAX_DOCUMENT,
    check_keys,
    decode,
    encode,
    go_escapes,
    member,
    members,
)
from tests import strategies


def _refusal(raw: bytes) -> str:
    with pytest.raises(DocumentError) as caught:
        decode(raw)
    return caught.value.message


@given(strategies.json_objects())
def test_what_is_encoded_is_decoded(obj: dict[str, Any]) -> None:
    """Compact or indented, the same value comes back."""
    assert decode(encode(obj)) == obj
    assert decode(encode(obj, indent=3)) == obj


@given(strategies.json_objects())
def test_encoding_again_gives_the_same_bytes(obj: dict[str, Any]) -> None:
    """There is one spelling."""
    raw = encode(obj)
    assert encode(decode(raw)) == raw


@given(strategies.texts())
def test_no_character_that_go_escapes_is_left(text: str) -> None:
    """HTML's characters and the two separators never appear as themselves."""
    assert not set("<>&\u2028\u2029") & set(encode({"k": text}).decode())


@given(st.text('\\bfu\b\f"/0', max_size=12))
def test_short_escapes_are_told_from_escaped_backslashes(text: str) -> None:
    """A backslash and a b stay what they are; a backspace becomes its long escape."""
    raw = encode({"k": text}).decode()
    assert json.loads(raw)["k"] == text
    rest = raw.replace("\\\\", "")
    assert "\\b" not in rest and "\\f" not in rest
    assert rest.count("\\u0008") == text.count("\b")


def test_the_escapes_are_those_of_go_before_1_22() -> None:
    """A golden string: changing any escape changes every digest."""
    text = '\b\f\n\r\t\0\x1f\x7f<>&"\\/é\u2028\u2029\U0001f642'
    assert (
        encode(text)
        == (
            '"\\u0008\\u000c\\n\\r\\t\\u0000\\u001f\x7f\\u003c\\u003e\\u0026\\"\\\\/é'
            '\\u2028\\u2029\U0001f642"'
        ).encode()
    )
    assert go_escapes(r'"\\b\\\b"') == r'"\\b\\\u0008"'


@pytest.mark.parametrize("text", ["\udcff", "a\ud800b", "\udc00\ud800"])
def test_text_that_is_not_unicode_is_not_encoded(text: str) -> None:
    """An undecodable byte of an argument gets an error, not bytes that are not UTF-8."""
    with pytest.raises(ConfigError, match="not Unicode"):
        encode({"label": text})


def test_a_long_text_is_not_shown_whole_in_the_error() -> None:
    """One line, of a bounded length."""
    with pytest.raises(ConfigError) as caught:
        encode("x" * 10_000 + "\udcff")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'"{}"', "not a JSON object"),
        (b"{} {}", "not JSON"),
        (b"{}x", "not JSON"),
        (b"{}\0", "not JSON"),
        (b'{"a":1,}', "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b'{"a":01}', "not JSON"),
        (b'{"a":+1}', "not JSON"),
        (b'{"a":.5}', "not JSON"),
        (b'{"a":0x1}', "not JSON"),
        (b'{"a":"\n"}', "not JSON"),
        (b'{"a":"\\x"}', "not JSON"),
        (b'{"a":1}//', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"\xff\xfe{\0}\0", "not UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a":"\xc0\x80"}', "not UTF-8"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "-Infinity"),
        (b'{"a":1e999}', "out of range"),
        (b'{"a":[-1e999]}', "out of range"),
        (b'{"a":' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a":1,"b":2,"a":3}', "'a' is twice"),
        (b'{"x":[{"a":1,"\\u0061":2}]}', "'a' is twice"),
        (b'{"\\ud800":1,"\\udfff":2}', "twice"),
        (b'{"a":' * 100_000, "deeply"),
        (b'{"a":' + b"[" * 100_000, "deeply"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deeply"),
    ],
)
def test_what_is_not_one_clear_object_is_refused(raw: bytes, reason: str) -> None:
    """Each malformed document has its reason, and none a traceback."""
    assert reason in _refusal(raw)


def test_the_depth_is_bounded_whatever_python_allows() -> None:
    """64 levels are taken, 65 are not; brackets in strings and beside each other do not count."""
    assert decode(b'{"a":' + b"[" * 63 + b"]" * 63 + b"}")
    assert "deeply" in _refusal(b'{"a":' + b"[" * 64 + b"]" * 64 + b"}")
    assert decode(encode({"a": "[" * 1000, "b": [[]] * 1000}))


def test_a_document_above_the_limit_is_not_even_parsed() -> None:
    """4 MiB is the bound; one byte more is too much."""
    fits = b'{"a":"' + b"x" * (MAX_DOCUMENT - 8) + b'"}'
    assert len(fits) == MAX_DOCUMENT and decode(fits)
    with pytest.raises(LimitError, match="the document has 4194305 bytes"):
        decode(fits + b" ")


@given(st.binary(max_size=40))
def test_any_bytes_are_an_object_or_an_error(raw: bytes) -> None:
    """No input gets out of the parser in another way."""
    with contextlib.suppress(DocumentError):
        assert isinstance(decode(raw), dict)


@pytest.mark.parametrize(
    ("spelled", "read"),
    [
        (rb"\ud800", "\ufffd"),
        (rb"\udfffx", "\ufffdx"),
        (rb"\ud83d\ude42", "\U0001f642"),
        (rb"\uD83D\uDE42", "\U0001f642"),
        (rb"\ud800\ud83d\ude42", "\ufffd\U0001f642"),
        (rb"\ud83d\\ude42", "\ufffd\\ude42"),
        (rb"\\ud800", "\\ud800"),
        (rb"\\\ud800", "\\\ufffd"),
        (rb"\ud800\u0041", "\ufffdA"),
    ],
)
def test_lone_surrogates_are_read_as_go_reads_them(spelled: bytes, read: str) -> None:
    """A pair is a character; half a pair is the replacement character."""
    assert decode(b'{"a":["' + spelled + b'"]}') == {"a": [read]}


@given(strategies.json_objects(), st.sampled_from((None, 1, "\t")))
def test_members_are_the_texts_of_the_values(obj: dict[str, Any], indent: Any) -> None:
    """The slices are valid JSON, compact, one for each key, in the document's order."""
    raw = json.dumps(obj, indent=indent, ensure_ascii=False).encode()
    texts = members(raw)
    assert list(texts) == list(obj)
    assert {key: json.loads(text) for key, text in texts.items()} == obj
    again = "{" + ",".join(f"{json.dumps(key)}:{text}" for key, text in texts.items()) + "}"
    assert decode(again.encode()) == obj


def test_members_keep_numbers_and_escapes_as_they_were_spelled() -> None:
    """Only white space goes, and HTML's characters are escaped."""
    raw = b' { "a" : [ 1e3 , -0 , 1.50 ] , "\\u0062" : "\\u00e9\\/\\b <" , "c":{ } }\n'
    assert members(raw) == {
        "a": "[1e3,-0,1.50]",
        "b": '"\\u00e9\\/\\b \\u003c"',
        "c": "{}",
    }
    assert members(b"{}") == {}


def test_members_of_a_malformed_document_are_refused() -> None:
    """The scanner sees valid JSON only."""
    with pytest.raises(DocumentError):
        members(b'{"a":[}')


def test_strings_full_of_backslashes_take_no_time() -> None:
    """The scanner is linear: this would take hours if it went back."""
    text = "\\" * 500_000
    assert members(encode({"a": text}))["a"] == json.dumps(text)


@pytest.mark.parametrize("key", ["Layers", "LAYERS", "layer\u017f"])
def test_keys_that_only_some_readers_take_for_known_ones_are_refused(key: str) -> None:
    """Go's decoder folds case, and the long s with it."""
    with pytest.raises(DocumentError, match=f"some readers take the key {key!r} for 'layers'"):
        check_keys({key: []}, frozenset({"layers"}))
    check_keys({"layers": [], "lawyers": []}, frozenset({"layers"}))


def test_the_kelvin_sign_is_a_k_to_go() -> None:
    """The other letter outside ASCII that folds into it."""
    with pytest.raises(DocumentError, match="the key '\u212aind' for 'kind'"):
        check_keys({"\u212aind": 1}, frozenset({"kind"}))


@pytest.mark.parametrize(
    ("value", "kind"), [(1, str), (True, int), ("1", int), (None, list), ([], dict), (1.0, int)]
)
def test_a_member_of_another_kind_is_refused(value: Any, kind: type) -> None:
    """A boolean is no number, and null is nothing without a default."""
    with pytest.raises(DocumentError, match="'k' is missing or is not"):
        member({"k": value}, "k", kind)


def test_a_member_that_is_absent_or_null_has_its_default() -> None:
    """As Go's decoder leaves a field at its zero."""
    assert member({}, "k", int, default=7) == 7
    assert member({"k": None}, "k", int, default=7) == 7
    assert member({"k": 0}, "k", int, default=7) == 0


def test_infinity_is_never_written() -> None:
    """It would not be JSON."""
    with pytest.raises(ValueError, match="JSON compliant"):
        encode({"a": math.inf})
