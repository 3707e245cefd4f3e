"""Tables that were kept: none is believed whose rows a layer's table could not have."""

import stat
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.errors import ArchiveError
from imgpack.files.scratch import ScratchFile
from imgpack.image.files.usage import image_usage
from imgpack.tree.entry import OPAQUE, WHITEOUT, path_order
from imgpack.tree.tables import kept as kept_module
from imgpack.tree.tables.applied import Applied
from imgpack.tree.tables.kept import kept_table
from imgpack.tree.tables.rows import TableRow, pack
from imgpack.tree.tables.table import LayerTable
from tests.tree.merge.layers import DIR, LNK, REG, layers
from tests.tree.tables.test_applied import applied

MADE = {"sha256": b"\1" * 32, "offset": 512}


def kept(data: bytes) -> LayerTable:
    """The table whose rows are packed in ``data``."""
    file = ScratchFile(tempfile.gettempdir())
    file.append(data)
    return kept_table("here", file, ())


def packed(table: LayerTable) -> bytes:
    """The rows of a table as they lie in its file."""
    return b"".join(table.file.read(0, table.size))


def row(path: bytes, mode: int = REG | 0o644, **fields: Any) -> TableRow:
    """A row; a regular file has a digest, a symbolic link a target."""
    usual: dict[str, Any] = MADE if stat.S_ISREG(mode) else {"offset": 512}
    if stat.S_ISLNK(mode):
        usual = usual | {"link": b"to", "size": 2}
    return TableRow(path, mode, **(usual | fields))


@given(layers())
def test_a_table_that_was_made_is_believed(found: Any) -> None:
    """Its places, and how many rows link to others, are those that it had."""
    try:
        tables = applied(*found).tables
    except ArchiveError:
        return

    for table in tables:
        again = kept(packed(table))
        assert list(again.rows()) == list(table.rows())
        assert (again.count, again.starts) == (table.count, table.starts)
        assert (again.linked, again.borrowed) == (table.linked, table.borrowed)


@given(layers(), st.data())
def test_a_damaged_table_is_refused_or_can_be_looked_at(found: Any, data: st.DataObject) -> None:
    """Whatever a row says, names stay inside, and there is no other error."""
    try:
        tables = applied(*found).tables
    except ArchiveError:
        return
    whole = bytearray(packed(data.draw(st.sampled_from(tables))))
    for _ in range(data.draw(st.integers(1, 3)) if whole else 0):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.sampled_from([0, 1, 0x2E, 0x2F, 0x7F, 0xFF, whole[at] ^ 1]))
    cut = data.draw(st.sampled_from([0, 0, 0, 1, 40]))
    try:
        tree = Applied([kept(bytes(whole[: len(whole) - cut])), *tables])
        shown = [one.row for one in tree.laid()]
        entries = list(tree.entries())
        image_usage(tree)
    except ArchiveError:
        return

    assert [path_order(one.path) for one in shown] == sorted(path_order(one.path) for one in shown)
    for entry in entries:
        parts = entry.path.split(b"/")
        assert not {b"", b".", b".."} & set(parts)
        assert b"\0" not in entry.path
        assert tree.find(entry.path) is not None
        assert len(parts) == 1 or tree.find(b"/".join(parts[:-1])) is not None


ETC = row(b"etc", DIR | 0o755)
ROOT = row(b"", DIR | 0o755)


@pytest.mark.parametrize(
    "rows",
    [
        [row(b"..")],
        [row(b"etc/passwd")],
        [row(b"/etc")],
        [ETC, row(b"etc/../x")],
        [ETC, row(b"etc/..")],
        [ETC, row(b"etc/.")],
        [ETC, row(b"etc/")],
        [ETC, row(b"etc/.wh.x")],
        [ETC, row(b"etc/a\0b")],
        [ETC, row(b"etc/" + 256 * b"x")],
        [row(b"a"), row(b"a/b")],
        [row(b"b"), row(b"a")],
        [row(b"a"), row(b"a")],
        [ETC, ETC],
        [ROOT, ROOT],
        [row(b"", OPAQUE), row(b"", OPAQUE)],
        [row(b"", OPAQUE), ROOT, ROOT],
        [row(b"a"), row(b"a", WHITEOUT)],
        [row(b"a", WHITEOUT), row(b"a"), row(b"a")],
        [row(b"a", WHITEOUT), row(b"a", LNK), row(b"a", LNK)],
        [row(b"a", OPAQUE), row(b"a", DIR), row(b"a", DIR)],
        [row(b"a", WHITEOUT), row(b"a", WHITEOUT)],
        [row(b"a", OPAQUE), row(b"a", WHITEOUT)],
        [row(b"a/../b", WHITEOUT)],
        [row(b"../b", WHITEOUT)],
        [row(b"", WHITEOUT)],
        [row(b"", REG)],
        [row(b"a", WHITEOUT | 0o644)],
        [row(b"a", 0o030000)],
        [row(b"a", REG | 1 << 20)],
        [row(b"a", uid=2**32 - 1)],
        [row(b"a", gid=2**32 - 1)],
        [row(b"a", offset=-1)],
        [row(b"a", LNK, offset=-2)],
        [row(b"a", place=2**32 - 1)],
        [row(b"a", sha256=b"\1")],
        [row(b"a", link=b"b")],
        [row(b"a", LNK, link=b"b\0c", size=3)],
        [row(b"a", LNK, size=3)],
        [row(b"a", LNK, link=b"", size=0)],
        [row(b"a", LNK, sha256=b"\1" * 32)],
        [row(b"a", DIR, inode=1)],
        [row(b"a", 0o644, link=b"b", inode=1)],
        [row(b"a", inode=2)],
        [row(b"a", links=0)],
        [row(b"a", stat.S_IFIFO, link=b"b")],
    ],
)
def test_rows_that_no_layer_has_are_refused(rows: list[TableRow]) -> None:
    """Names that lead out, what is out of order or in no directory, numbers that no file has."""
    with pytest.raises(ArchiveError, match="what is kept of its files is damaged"):
        kept(b"".join(map(pack, rows)))


def test_the_root_may_have_rows() -> None:
    """What it deletes, and what it is."""
    opaque = row(b"", OPAQUE)
    for rows in ([ROOT], [opaque], [ROOT, ETC], [opaque, ETC], [opaque, ROOT, ETC]):
        assert kept(b"".join(map(pack, rows))).count == len(rows)


def test_no_more_is_held_than_a_row_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says it is larger than all there is ends it soon."""
    monkeypatch.setattr(kept_module, "_LONGEST", 1 << 20)
    taken: list[int] = []
    read = ScratchFile.read

    def count(*args: Any) -> Iterator[bytes]:
        for piece in read(*args):
            taken.append(len(piece))
            yield piece

    monkeypatch.setattr(ScratchFile, "read", count)
    whole = pack(row(b"a"))
    with pytest.raises(ArchiveError, match="damaged"):
        kept(whole + b"\xff\xff\xff\xff" + whole[4:] + bytes(8 << 20))
    assert sum(taken) < 4 << 20


def test_rows_have_to_end_where_the_table_does() -> None:
    """No size leads behind it, and nothing is left over."""
    one = pack(row(b"a", xattrs=((b"user.a", b"value"),)))

    assert kept(one).count == 1
    for damaged in (one[:-1], one + b"x", b"\xff\xff\xff\xff" + one[4:]):
        with pytest.raises(ArchiveError):
            kept(damaged)
    short = one.replace(b"\6\0\0\0\5\0\0\0user", b"\0\0\0\0\0\0\0\0user")
    with pytest.raises(ArchiveError):
        kept(short)
