"""Where values stand in a TOML file: the scanner finds what tomllib reads, and its line."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.files.toml_lines import DEEPEST, Path, TooDeepError, key_of, lines_of

TEXT = """\
# a comment with [brackets]
[variables]
V = "1"

[image.web]
tags = ["a", # ]
  "b",
  'c']
env = { A = "1", "B.C" = { x = 1979-05-27 07:32:00 } }
text = \"\"\"
[not.a.table]
\\"\"\" = \"\"\"\"\"
last = '''
x'''
[[image.web.layers]]
source = "x"
[[image.web.layers]]
source = "y"
"""


def test_each_value_has_its_line() -> None:
    """Tables, items of lists, and what follows a text of several lines."""
    lines = lines_of(TEXT)
    assert {
        ("variables", "V"): 3,
        ("image", "web"): 5,
        ("image", "web", "tags"): 6,
        ("image", "web", "tags", 1): 7,
        ("image", "web", "tags", 2): 8,
        ("image", "web", "env", "B.C", "x"): 9,
        ("image", "web", "text"): 10,
        ("image", "web", "last"): 13,
        ("image", "web", "layers", 0, "source"): 16,
        ("image", "web", "layers", 1): 17,
        ("image", "web", "layers", 1, "source"): 18,
    }.items() <= lines.items()


def paths_of(value: Any, path: Path = ()) -> set[Path]:
    """Every table, list and value of what tomllib reads, and where it is."""
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict | list):
        items = [*(value.items() if isinstance(value, dict) else enumerate(value))]
    found = {path} if path else set()
    return found.union(*(paths_of(item, (*path, part)) for part, item in items))


def test_what_tomllib_reads_has_a_line_all_of_it() -> None:
    """And nothing else has one."""
    assert lines_of(TEXT).keys() == paths_of(tomllib.loads(TEXT))


names = st.sampled_from(["a", "b", "web", "a.b", "", "ä", 'q"q', "#", "x y", "=", "[t]"])
scalars = st.one_of(
    st.sampled_from(["1", "-0x1f", "1e5", "true", "nan", "1979-05-27T07:32:00Z", "07:32:00",
                     "1979-05-27 07:32:00.5+01:00", '""', "''", "'''\na'b\n'''", '"""a"b""c\n"""',
                     '"""x\\"""" """', '"\\u00e4\\""', "'#'", '"]"', "'''''a'''''"]),
    st.text(max_size=5).map(lambda text: "".join(c for c in text if c.isalnum())).map(repr),
)  # fmt: skip
blanks = st.sampled_from(["", " ", "\t", "\n", " # ] } =\n", "\r\n"])


def quoted(name: str) -> str:
    """A key, in quotes unless it need not be."""
    if name.isascii() and name.isalnum():
        return name
    return '"' + name.replace('"', '\\"') + '"'


def lists(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Lists, over several lines."""
    parts = st.lists(st.tuples(blanks, items, blanks).map("".join), max_size=3)
    return st.tuples(parts, blanks).map(lambda pair: f"[{','.join(pair[0])}{pair[1]}]")


def inlines(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Tables on one line."""
    pairs = st.dictionaries(names, items, max_size=3)
    return pairs.map(
        lambda found: "{ " + ", ".join(f"{quoted(k)} = {v}" for k, v in found.items()) + " }"
    )


values = st.recursive(scalars, lambda items: lists(items) | inlines(items), max_leaves=6)
pairs = st.tuples(st.lists(names, min_size=1, max_size=3), values).map(
    lambda pair: f"{' . '.join(map(quoted, pair[0]))} = {pair[1]}"
)
headers = st.tuples(st.lists(names, min_size=1, max_size=3), st.booleans()).map(
    lambda pair: ("[[{}]]" if pair[1] else "[ {} ]").format(".".join(map(quoted, pair[0])))
)
documents = st.lists(st.one_of(pairs, headers, blanks.map(str.strip)), max_size=8).map("\n".join)


@given(documents)
def test_the_scanner_agrees_with_tomllib(text: str) -> None:
    """On every file that is TOML: the same tables, lists and values, each on a line."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        lines_of(text)  # ends, and says nothing
        return
    lines = lines_of(text)
    assert lines.keys() == paths_of(document)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


@given(st.text(alphabet="ab[]{}=.,\"'#\\\n ", max_size=60))
def test_any_text_is_scanned(text: str) -> None:
    """What is no TOML is no failure here."""
    lines_of(text)


@pytest.mark.parametrize(
    "text",
    ["x = " + "[" * 10**5, "x = " + "{a=" * 10**5, ".".join("a" * 10**5) + " = 1",
     "[" + ".".join("a" * 10**5) + "]", "a = [" + "[[" * 100 + "1" + "]]" * 100 + "]"],
    ids=["lists", "tables", "keys", "header", "whole"],
)  # fmt: skip
def test_what_lies_deep_is_refused(text: str) -> None:
    """Before anything recurses, or takes as long as the square of it."""
    with pytest.raises(TooDeepError) as caught:
        lines_of(f"\n{text}\n")
    assert caught.value.line == 2
    assert DEEPEST < 100


def test_a_setting_is_a_key_and_a_text() -> None:
    """Divided at the equals sign behind the key, which may be quoted."""
    assert key_of("image.web.tag=1=2") == (("image", "web", "tag"), "1=2")
    assert key_of('image . web."a=b.c" = x') == (("image", "web", "a=b.c"), " x")
    assert key_of("image.web") is None
    assert key_of("=1") is None
    assert key_of('"\\q" = 1') is None
