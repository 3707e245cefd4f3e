"""Tables as files: where their rows are known to begin, and what is found from there."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from imgpack.errors import LimitError
from imgpack.tree.entry import WHITEOUT
from imgpack.tree.tables import table
from imgpack.tree.tables.rows import TableRow, placed_rows
from imgpack.tree.tables.table import EVERY, LayerTable
from tests.tree.merge.layers import DIR, member
from tests.tree.tables.test_applied import Layer, applied

FILES: Layer = [member(b"f%04d" % n, offset=n, size=n) for n in range(1000)]
SOME = [member(b"l%04d" % n, 0, b"f%04d" % n) for n in range(0, 1000, 7)]
ALL = [member(b"l%04d" % n, 0, b"f%04d" % n) for n in range(1000)]


def begins(found: LayerTable) -> list[int]:
    """Where the rows of a table begin, as they are read."""
    return [placed.at for placed in placed_rows(found.file, 0, found.size)]


@pytest.mark.parametrize(
    "layer",
    [
        FILES, FILES[::-1], [*FILES, *SOME], [*FILES, *ALL], [member(b"a", 0, b"away"), *FILES],
        [member(b"z"), member(b"a", 0, b"z")],
    ],
    ids=["sorted", "not sorted", "some links", "all links", "first a link", "two"],
)  # fmt: skip
def test_it_is_known_where_every_64th_row_begins(layer: Layer) -> None:
    """In whatever order they came, and also if links made rows longer or shorter."""
    (made,) = applied(layer).tables

    assert EVERY == 64
    assert list(made.starts) == begins(made)[::EVERY]
    assert made.count == len(layer)
    low, high = made.around(b"f0500")
    assert sum(low <= at < high for at in begins(made)) <= EVERY


def test_the_deletion_and_what_is_there_are_found_though_a_known_place_is_between_them() -> None:
    """Of every path, whichever row of it every 64th is."""
    pairs = [(member(b"d/.wh.f%03d" % n), member(b"d/f%03d" % n)) for n in range(200)]
    for before in ([member(b"a")], [member(b"a"), member(b"b")]):
        (made,) = applied([*before, member(b"d", DIR), *itertools.chain(*pairs)]).tables

        for n in range(200):
            found = made.at(b"d/f%03d" % n)
            assert [row.mode == WHITEOUT for row in found] == [True, False]
            assert list(made.rows(b"d/f%03d" % n)) == found


def test_long_paths_are_found() -> None:
    """Also where more of the file has to be read to know one."""
    long = [b"/".join([b"%03d" % n + b"x" * 200] * 20) for n in range(200)]
    (made,) = applied([member(path, offset=n) for n, path in enumerate(long)]).tables

    assert [[row.offset for row in made.at(path)] for path in long] == [[n] for n in range(200)]
    assert made.at(long[7] + b"y") == []


def test_what_a_large_directory_holds_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its end is known without a look at each row."""
    layer = [member(b"%s/f%04d" % (name, n)) for name in (b"a", b"b") for n in range(5000)]
    (made,) = applied([*layer, member(b"c")]).tables
    read = 0
    rows: Callable[..., Iterator[TableRow]] = getattr(table, "read_rows")  # noqa: B009

    def count(*args: object) -> Iterator[TableRow]:
        nonlocal read
        for row in rows(*args):
            read += 1
            yield row

    monkeypatch.setattr(table, "read_rows", count)

    assert [row.path for row in made.rows(deep=False)] == [b"a", b"b", b"c"]
    assert read < 1000
    read = 0
    assert [row.path for row in made.rows(b"b", deep=False) if row.path < b"b/f0003"] == [
        b"b", b"b/f0000", b"b/f0001", b"b/f0002",
    ]  # fmt: skip
    assert read < 5000 + 2 * EVERY
    read = 0
    assert made.has(b"b/f4000")
    assert not made.has(b"b/f")
    assert read < 4 * EVERY


def test_a_table_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layer is named that has too much."""
    monkeypatch.setattr(table, "MAX_TABLE", 30_000)
    monkeypatch.setattr(table, "_BLOCK", 1000)

    assert applied(FILES[:300]).tables[0].size < 30_000
    with pytest.raises(LimitError, match=r"^L1: what it says of its files is too large"):
        applied(FILES)
