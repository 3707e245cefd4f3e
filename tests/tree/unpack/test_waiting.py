"""Rows that wait for their bytes: none is lost, and they come as their members do."""

import gc
import os
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.tree.tables.rows import TableRow
from imgpack.tree.unpack import waiting
from imgpack.tree.unpack.waiting import MemberPlaces, RowFile, WaitingRows


def _row(path: bytes, mode: int, place: int, value: bytes) -> TableRow:
    return TableRow(path, mode, xattrs=((b"user.a", value),) if value else (), place=place)


_ROWS = st.lists(
    st.builds(
        _row,
        st.binary(min_size=1, max_size=90),
        st.integers(0, 2**17),
        st.integers(0, 9),
        st.binary(max_size=300),
    ),
    max_size=20,
)


@pytest.fixture(params=[1, 200, 1 << 18])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How much is read and written at once: less than a row, some rows, all."""
    monkeypatch.setattr(waiting, "_BLOCK", request.param)
    return int(request.param)


@given(rows=_ROWS, more=_ROWS, data=st.data())
def test_rows_are_read_where_they_were_put(
    block: int, rows: list[TableRow], more: list[TableRow], data: st.DataObject
) -> None:
    """In whatever order, before and after others come."""
    with closing(RowFile(tempfile.gettempdir)) as file:
        starts = [(file.append(row), row) for row in rows]
        assert list(file) == rows
        starts += [(file.append(row), row) for row in more]
        for start, row in data.draw(st.permutations(starts)):
            assert file.read(start) == row
        assert list(file) == rows + more


@given(rows=st.lists(st.tuples(st.integers(0, 2), _ROWS), max_size=6))
def test_rows_of_a_layer_come_as_its_members_do(
    block: int, rows: list[tuple[int, list[TableRow]]]
) -> None:
    """Those of one member as they were added; layers bottom first."""
    with closing(WaitingRows(tempfile.gettempdir)) as waiting_rows:
        expected: dict[int, list[TableRow]] = {}
        for layer, added in rows:
            for row in added:
                waiting_rows.add(layer, row)
                expected.setdefault(layer, []).append(row)
        assert waiting_rows.layers() == sorted(expected)
        for layer, added in expected.items():
            ordered = sorted(added, key=lambda row: row.place)
            assert list(waiting_rows.in_order(layer)) == ordered
            assert list(waiting_rows.places(layer)) == sorted({row.place for row in added})


@given(st.lists(st.integers(0, 60)))
def test_places_are_a_set_of_numbers(places: list[int]) -> None:
    """In their order, each once."""
    found = MemberPlaces(iter(places))
    assert list(found) == sorted(set(places))
    assert len(found) == len(set(places))
    assert bool(found) == bool(places)
    assert [place in found for place in range(70)] == [place in places for place in range(70)]
    assert "1" not in found


def test_nothing_is_left_of_a_file_of_rows(tmp_path: Path) -> None:
    """It has no name, and its space is given back."""
    gc.collect()
    before = sorted(os.listdir("/proc/self/fd"))
    waiting_rows = WaitingRows(lambda: str(tmp_path))
    waiting_rows.add(0, TableRow(b"x", 0))
    assert list(waiting_rows.in_order(0)) == [TableRow(b"x", 0)]
    assert list(tmp_path.iterdir()) == []
    waiting_rows.close()
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_places_and_positions_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last member of the largest archive, in a file of a hundred gigabytes."""
    last = 2**24 - 1
    with closing(WaitingRows(tempfile.gettempdir)) as waiting_rows:
        asked: list[int] = []
        monkeypatch.setattr(waiting_rows._file, "append", lambda row: 10**11 + row.place)
        monkeypatch.setattr(waiting_rows._file, "read", asked.append)
        for place in (last, 0, last - 1):
            waiting_rows.add(0, TableRow(b"x", 0, place=place))
        list(waiting_rows.in_order(0))
    assert asked == [10**11 + place for place in (0, last - 1, last)]
