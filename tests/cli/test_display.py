"""Tables and lines fit any width, and lose nothing but what is said to be cut off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.cli.output.display import clipped, columns_of, folded, padded, shortened, table

TEXTS = st.text(st.sampled_from("ab/:=, -é日本語\u0301"), max_size=80).map(str.strip)


@pytest.mark.parametrize(
    ("text", "columns"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("ｶﾅ", 2), ("", 0)]
)
def test_east_asian_characters_take_two_columns_and_accents_none(text: str, columns: int) -> None:
    """As terminals draw them."""
    assert columns_of(text) == columns


@given(TEXTS, st.integers(1, 60))
def test_a_cell_takes_exactly_its_columns(text: str, columns: int) -> None:
    """Cut off with a mark, or filled with spaces."""
    cut = clipped(text, columns)
    assert columns_of(cut) <= columns
    assert columns_of(padded(cut, columns)) == columns_of(padded(cut, columns, right=True))
    assert columns_of(padded(cut, columns)) == columns
    assert cut == text if columns_of(text) <= columns else cut.endswith("…")


@given(TEXTS, st.integers(24, 60), st.integers(0, 4))
def test_folded_lines_fit_and_lose_nothing(text: str, width: int, indent: int) -> None:
    """But the spaces where they are folded."""
    lines = folded(text, width, indent)
    assert all(columns_of(line) <= width for line in lines)
    assert all(line.startswith(" " * indent) for line in lines[1:])
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@given(st.lists(st.tuples(*[TEXTS] * 3), min_size=1), st.integers(24, 60))
def test_tables_fit(rows: list[tuple[str, str, str]], width: int) -> None:
    """The first column is cut off, then the last are left out."""
    assert all(columns_of(line) <= width for line in table(rows, width=width))


def test_a_digest_is_whole_if_a_line_has_room_for_it() -> None:
    """Else it has its first twelve digits."""
    line = f"push  sha256:{'0' * 64} 12 app:1"
    assert shortened(line, 86) == shortened(line, None) == line
    assert shortened(line, 80) == f"push  sha256:{'0' * 12}… 12 app:1"


def test_a_word_is_whole_if_a_line_has_room_for_it() -> None:
    """Else it is broken where people would."""
    assert folded("several words of a long line that is folded", 24, 2) == [
        "several words of a long",
        "  line that is folded",
    ]
    assert folded("PATH=/usr/local/bin:/usr/bin:/bin", 24) == [
        "PATH=/usr/local/bin:",
        "/usr/bin:/bin",
    ]
    assert folded("sha256:" + "0" * 30, 24) == ["sha256:" + "0" * 17, "0" * 13]
    assert folded("of any length", None) == ["of any length"]
