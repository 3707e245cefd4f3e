"""Rows of a table: what is packed is unpacked, wherever it lies and however it is read."""

import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.errors import ArchiveError
from imgpack.files import scratch
from imgpack.files.scratch import ScratchFile
from imgpack.tree.entry import OPAQUE, WHITEOUT
from imgpack.tree.tables.rows import (
    MADE_UP,
    TableRow,
    made_up_row,
    pack,
    placed_rows,
    read_rows,
    row_from,
    rows_at,
    rows_from,
    unpack_path,
    unpack_row,
)

_PATHS = st.sampled_from((b"", b"a", b"a/b")) | st.binary(max_size=40)
_XATTRS = st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=900)), max_size=3).map(tuple)
_ROWS = st.builds(
    TableRow,
    path=_PATHS,
    mode=st.integers(0, 2**32 - 1),
    uid=st.integers(0, 2**32 - 1),
    gid=st.integers(0, 2**32 - 1),
    mtime_ns=st.integers(-(10**18), 10**19),
    size=st.integers(0, 2**63 - 1),
    rdev=st.integers(0, 2**32 - 1),
    link=_PATHS,
    xattrs=_XATTRS,
    sha256=st.none() | st.binary(min_size=32, max_size=32),
    offset=st.integers(-1, 2**63 - 1),
    place=st.integers(0, 2**32 - 1),
    inode=st.integers(0, 2**32 - 1),
    links=st.integers(0, 2**32 - 1),
)


@contextmanager
def _file(rows: list[TableRow], before: bytes = b"") -> Iterator[tuple[ScratchFile, list[int]]]:
    """A file with ``rows`` behind some bytes, and where each begins, and the last ends."""
    with closing(ScratchFile(tempfile.gettempdir())) as file:
        file.append(before)
        places = [file.size]
        for row in rows:
            file.append(pack(row))
            places.append(file.size)
        yield file, places


@given(_ROWS, st.binary(max_size=5), st.binary(max_size=5))
def test_a_row_is_the_same_once_it_is_unpacked(row: TableRow, before: bytes, after: bytes) -> None:
    """Behind other bytes and in front of others; of one that is cut there is nothing."""
    packed = pack(row)
    data = before + packed + after
    start, end = len(before), len(before) + len(packed)
    assert unpack_row(data, start) == (row, end)
    assert unpack_path(data, start) == row.path
    assert unpack_row(data[: end - 1], start) is None
    assert unpack_path(data[: start + 20], start) is None
    rest = len(packed) - len(pack(TableRow(row.path, 0)))
    assert unpack_path(data[: end - rest], start) == row.path
    if row.path:
        assert unpack_path(data[: end - rest - 1], start) is None


@pytest.mark.parametrize("piece", [1, 150, 1 << 20])
@given(rows=st.lists(_ROWS, max_size=8), before=st.binary(max_size=5), data=st.data())
def test_rows_are_read_from_a_file(
    piece: int, rows: list[TableRow], before: bytes, data: st.DataObject
) -> None:
    """All of them, with where they lie, some that are asked for, and one."""
    with pytest.MonkeyPatch.context() as patch, _file(rows, before) as (file, places):
        patch.setattr(scratch, "_PIECE", piece)
        placed = list(zip(places, rows, places[1:], strict=False))
        assert list(placed_rows(file, places[0], places[-1])) == placed
        assert list(read_rows(file, places[0], places[-1])) == rows
        asked = sorted(data.draw(st.sets(st.sampled_from(range(len(rows))) if rows else st.none())))
        asked = [number for number in asked if number is not None]
        found = list(rows_from(file, [places[number] for number in asked]))
        assert found == [placed[number] for number in asked]
        for at, row, _ in placed:
            assert row_from(file, at) == row


def test_a_row_may_be_larger_than_what_is_read_for_most() -> None:
    """Attributes of some are."""
    large = TableRow(b"large", 0, xattrs=((b"user.a", bytes(60_000)), (b"user.b", bytes(700))))
    rows = [TableRow(b"a", 0), large, TableRow(b"z", 0)]
    with _file(rows) as (file, places):
        assert [row_from(file, at) for at in places[:-1]] == rows
        assert [placed.row for placed in rows_from(file, places[:-1])] == rows


def test_rows_of_a_path_are_those_that_stand_together() -> None:
    """A deletion and what comes instead; a path that begins like it is another."""
    rows = [
        TableRow(b"a", WHITEOUT),
        TableRow(b"a", 1),
        TableRow(b"a/b", 2),
        TableRow(b"ab", 3),
        TableRow(b"a", 4),
    ]
    block = b"".join(map(pack, rows))
    assert rows_at(block, b"a") == rows[:2]
    assert rows_at(block, b"ab") == [rows[3]]
    assert rows_at(block, b"b") == []
    assert rows_at(block[:-1], b"a/b") == [rows[2]]


@pytest.mark.parametrize(
    "fields", [{"size": -1}, {"size": 2**64}, {"mtime_ns": 10**30}, {"uid": -1}, {"rdev": 2**64}]
)
def test_a_number_that_no_file_has_is_refused(fields: dict[str, int]) -> None:
    """By one error."""
    with pytest.raises(ArchiveError, match="a time or a size that no file can have"):
        pack(TableRow(b"f", 0)._replace(**fields))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (made_up_row(b"d", 3), (False, True, True)),
        (TableRow(b"d", stat.S_IFDIR, offset=5), (False, False, True)),
        (TableRow(b"f", stat.S_IFREG, offset=MADE_UP), (False, False, False)),
        (TableRow(b"w", WHITEOUT), (True, False, False)),
        (TableRow(b"o", OPAQUE), (True, False, False)),
        (TableRow(b"l", 0o644), (False, False, False)),
    ],
)
def test_a_row_says_what_it_is(row: TableRow, said: tuple[bool, bool, bool]) -> None:
    """A deletion, a directory that no layer says, a directory."""
    assert (row.deletes, row.made_up, row.is_directory) == said


def test_a_directory_that_no_layer_says_is_as_engines_make_it() -> None:
    """Root's, for all to enter."""
    row = made_up_row(b"d/e", 7)
    assert (row.path, row.mode, row.uid, row.gid, row.place) == (b"d/e", 0o40755, 0, 0, 7)
