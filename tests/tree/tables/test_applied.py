"""What the tables of layers make, row by row."""

import stat
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given

from imgpack.errors import ArchiveError, LimitError
from imgpack.tar.stream import StreamMember
from imgpack.tree.entry import path_order
from imgpack.tree.merge.merged import HashedMember, LayerMembers
from imgpack.tree.tables import making
from imgpack.tree.tables.applied import Applied, LayerRow
from imgpack.tree.tables.making import layer_table
from imgpack.tree.tables.rows import made_up_row
from imgpack.tree.tables.table import LayerTable
from tests.tree.merge.layers import DIR, LNK, REG, Model, layers, member, merged

Layer = Sequence[StreamMember]


def applied(*found: Layer) -> Applied:
    """The tree of layers that are called by their numbers, from 1."""
    named = (
        LayerMembers(f"L{number}", map(HashedMember, layer))
        for number, layer in enumerate(found, 1)
    )
    return Applied([layer_table(layer, lambda: "/tmp") for layer in named])


def borrows(found: Sequence[Layer]) -> bool:
    """Whether a layer has a hard link to what is not in front of it in the layer."""
    for layer in found:
        names: set[bytes] = set()
        for one in layer:
            if not one.kind and one.link not in names:
                return True
            names.add(one.path)
    return False


def replaces(found: Sequence[Layer]) -> bool:
    """Whether a layer has another thing at a path later: which one a link means is not told."""
    for layer in found:
        seen: set[bytes] = set()
        for one in layer:
            if one.path in seen:
                return True
            parts = one.path.split(b"/")
            seen.update(b"/".join(parts[:count]) for count in range(1, len(parts) + 1))
    return False


@given(layers())
def test_tables_make_what_unpacking_one_layer_after_another_does(found: list[Layer]) -> None:
    """The same tree as a plain model's; where links cross layers, its names."""
    model = Model()
    try:
        for number, layer in enumerate(found, 1):
            model.apply(number, layer)
    except ValueError:
        return

    linked = any(not one.kind for layer in found for one in layer)
    if replaces(found) and linked:
        return
    tree = applied(*found)

    entries = list(tree.entries())
    loose = borrows(found)
    firsts: dict[tuple[int, int], bytes] = {}
    facts = []
    for entry in entries:
        key = entry.device, entry.inode
        first = firsts.setdefault(key, entry.path) if entry.links > 1 else entry.path
        kind = stat.S_IFMT(entry.mode)
        row, layer = entry.content.row, entry.content.layer  # type: ignore[union-attr]
        data = (
            b"" if kind == DIR else row.link if kind == LNK else b"L%d:%d" % (layer + 1, row.offset)
        )
        facts.append((entry.path, kind, entry.mode & 0o7777, entry.uid, data, first))
    kept = slice(0, 2) if loose else slice(0, 6)
    assert [one[kept] for one in facts] == [one[kept] for one in model.facts()]
    for entry in entries:
        there = tree.find(entry.path)
        assert there is not None
        assert (there[0], *there[2:]) == (entry[0], *entry[2:])
    shown = merged(*found)
    assert [one.path for one in shown.entries()] == [one.path for one in entries]


@given(layers())
def test_each_entry_of_each_layer_shows_or_is_hidden_by_a_higher_one(found: list[Layer]) -> None:
    """Nothing is lost, and what hides it lies above."""
    try:
        tree = applied(*found)
    except ArchiveError:
        return
    try:
        laid = list(tree.laid())
    except ArchiveError:
        return

    rows = sum(not row.deletes and not row.made_up for table in tree.tables for row in table.rows())
    assert sum(not one.row.made_up for one in laid) == rows
    assert all(one.by >= one.layer for one in laid)
    assert [path_order(one.row.path) for one in laid] == sorted(
        path_order(one.row.path) for one in laid
    )


@given(layers())
def test_a_part_of_the_tree_is_what_the_whole_has_there(found: list[Layer]) -> None:
    """Hidden entries as well: of a directory and all in it, or of what is right in it."""
    try:
        tree = applied(*found)
        whole = list(tree.laid())
    except ArchiveError:
        return

    for path in {one.row.path for one in whole} | {b"", b"a/none", b"zz"}:
        inside = path + b"/" if path else b""
        there = [one for one in whole if one.row.path == path or one.row.path.startswith(inside)]
        right = [one for one in there if b"/" not in one.row.path[len(inside) :]]
        assert list(tree.laid(path)) == there
        assert list(tree.laid(path, deep=False)) == right


def test_large_directories_are_passed_over() -> None:
    """What is right in a directory is found behind any number of rows."""
    layer = [member(b"d%d/e/f%d" % (n % 3, n), REG, offset=n) for n in range(3000)]
    layer += [member(b"d1", DIR), member(b"d1.x", REG), member(b"z", REG)]
    tree = applied(layer, [member(b"d1/.wh.e")])

    assert [one.row.path for one in tree.shown(deep=False)] == [b"d0", b"d1", b"d1.x", b"d2", b"z"]
    assert [one.row.path for one in tree.shown(b"d1", deep=False)] == [b"d1"]
    assert [one.row.path for one in tree.shown(b"d2", deep=False)] == [b"d2", b"d2/e"]


def test_a_table_does_not_depend_on_the_archive_s_order() -> None:
    """That which comes sorted is written as it comes, and its links then: all else is sorted."""
    files = [member(b"d%d/f%03d" % (n // 90, n), offset=n, size=n) for n in range(700)]
    links = [member(b"l%03d" % n, 0, files[n].path, size=0, mode=0o600) for n in range(0, 700, 97)]
    links += [member(b"m", 0, b"l097"), member(b"n", 0, b"of/another/layer")]
    tables = [applied(one).tables[0] for one in (files + links, files[::-1] + links)]

    ordered, other = ([row._replace(place=0) for row in table.rows()] for table in tables)

    assert ordered == other
    assert [row.links for row in ordered if row.path in (b"d1/f097", b"l097", b"m")] == [3, 3, 3]
    assert [(table.linked, table.borrowed, table.count) for table in tables] == [(17, 1, 718)] * 2
    for table in tables:
        assert all([row._replace(place=0) for row in table.at(one.path)] == [one] for one in other)


def test_what_comes_sorted_is_not_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether or not the layer says the directories on the way; links are put in their places."""
    monkeypatch.setattr(making, "_sorted", lambda *_: pytest.fail("there is nothing to sort"))
    layer = [member(b"%s/e/f%d" % (name, n), REG) for name in (b"a", b"b") for n in range(9)]
    layer += [member(b"c", DIR), member(b"c/d", DIR), member(b"c/d/f"), member(b"c/e/f")]

    rows = [one.row.path for one in applied([*layer, member(b"d/.wh.x")]).laid()]

    ways = [b"a", b"a/e", b"b", b"b/e", b"c/e"]
    assert rows == sorted([*ways, *(one.path for one in layer)], key=path_order)


def test_a_directory_that_was_a_file_in_between_has_its_own_again() -> None:
    """What was in it before is gone, with the directories that were on the way to it."""
    low = [member(b"d/e/low"), member(b"d/low")]
    high = [member(b"d/e/f"), member(b"d"), member(b"d", DIR, uid=4), member(b"d/e/g", uid=3)]
    tree = applied(low, high)

    rows = [(row.path, row.deletes, row.made_up) for row in tree.tables[1].rows()]

    assert rows == [
        (b"d", True, False),
        (b"d", False, False),
        (b"d/e", False, True),
        (b"d/e/g", False, False),
    ]
    assert [one.row.path for one in tree.shown()] == [b"d", b"d/e", b"d/e/g"]
    again = applied(low, [member(b"d/.wh..wh..opq"), member(b".wh.d"), *high]).tables[1].rows()
    assert [row.path for row in again if row.deletes] == [b"d", b"d"]


def test_the_layer_that_hides_a_file_is_told() -> None:
    """The lowest that deletes it or its directory, or has something else there."""
    tree = applied(
        [member(b"d", DIR), member(b"d/a", size=1), member(b"d/b", size=2), member(b"e", size=3)],
        [member(b".wh.e"), member(b"d/a", size=4)],
        [member(b".wh.d"), member(b"e", size=5)],
    )

    told = {(one.row.path, one.layer): (one.by, one.deleted) for one in tree.laid()}

    assert told == {
        (b"d", 0): (2, True),
        (b"d/a", 0): (1, False),
        (b"d/a", 1): (2, True),
        (b"d/b", 0): (2, True),
        (b"e", 0): (1, True),
        (b"e", 2): (2, False),
    }


def test_a_table_of_many_runs_is_that_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little is sorted at once."""
    layer = [member(b"d%d/f%d" % (n % 7, n * 37 % 500), REG, offset=n) for n in range(500)]
    layer += [member(b"l%d" % n, 0, b"d%d/f%d" % (n % 7, n * 37 % 500)) for n in range(0, 500, 9)]
    whole = [one.row for one in applied(layer).laid()]
    monkeypatch.setattr(making, "_RUN", 3000)

    split = applied(layer)

    assert [one.row for one in split.laid()] == whole
    assert split.find(b"d1/f37") is not None
    assert all(split.at(row.path) for row in whole)
    assert split.at(b"d1/f") is None
    assert split.at(b"zzz") is None


def test_a_link_through_many_layers_is_followed_once() -> None:
    """Not twice at each of them, which is two to the power of their number."""
    links = [[member(b"f%d" % n, 0, b"f%d" % (n - 1), uid=n)] for n in range(1, 60)]
    tree = applied([member(b"f0", size=7, xattrs={b"user.a": b"1"})], *links)

    found = tree.at(b"f59")

    assert found is not None
    assert (found.row.size, found.row.uid, found.layer, found.held) == (7, 59, 59, 0)
    assert found.row.xattrs == ((b"user.a", b"1"),)


def test_a_link_to_a_link_to_a_lower_layers_file_is_that_file() -> None:
    """Whatever it is called on the way."""
    upper = [member(b"a", 0, b"f"), member(b"b", 0, b"a", uid=3), member(b"c", 0, b"b")]
    tree = applied([member(b"f", size=7)], upper)

    rows = {one.row.path: (one.row.size, one.row.uid, one.held) for one in tree.shown()}

    assert rows == {b"a": (7, 0, 0), b"b": (7, 3, 0), b"c": (7, 0, 0), b"f": (7, 0, 0)}


def test_links_to_links_of_a_layer_share_an_inode_however_many_there_are() -> None:
    """In whatever order their names sort, with what the last of them says."""
    chain = [member(b"z", size=7, xattrs={b"user.a": b"1"})]
    for n in range(5000):
        chain.append(member(b"l%05d" % (n * 7919 % 5000), 0, chain[-1].path, uid=n))
    tree = applied([*chain, member(b"other", size=1), member(b"y", 0, b"other")])

    rows = [one.row for one in tree.shown()]

    assert len({row.inode for row in rows}) == 2
    assert {row[2:6] for row in rows if row.path[:1] in b"lz"} == {(4999, 0, 0, 7)}
    assert {row.links for row in rows} == {2, 5001}


def test_a_deep_path_is_looked_up_directory_by_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, also if one asks for each of them."""
    path = b"/".join([b"d"] * 500)
    tree = applied([member(path + b"/f", size=7)])
    asked = 0
    at = LayerTable.at

    def count(table: LayerTable, path: bytes) -> object:
        nonlocal asked
        asked += 1
        return at(table, path)

    monkeypatch.setattr(LayerTable, "at", count)

    assert all(tree.at(path[:end]) for end in range(1, len(path) + 1, 2))
    assert tree.at(path + b"/f") is not None
    assert tree.at(path + b"/g/h") is None
    assert asked < 600


def test_a_path_that_nobody_could_use_is_refused() -> None:
    """Memory would hold each of the directories on its way, with its whole path."""
    with pytest.raises(LimitError, match="lies in 3,000 directories"):
        applied([member(b"d/" * 3000 + b"f")])


def test_directories_that_are_made_up_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short archive may name a lot of them, each with the whole way to it."""
    layer = [member(b"%d/" % n + b"d/" * 100 + b"f") for n in range(20)]
    assert applied(layer).tables[0].count == 20 * 102
    monkeypatch.setattr(making, "MAX_NAMES", 100_000)

    with pytest.raises(LimitError, match="too long names together"):
        applied(layer)


def test_of_a_path_that_comes_often_the_last_counts() -> None:
    """A made-up directory does not, nor does a link to itself."""
    layer = [member(b"f", size=n) for n in range(1, 4)] + [member(b"f", 0, b"f")]
    tree = applied([*layer, member(b"d/x"), member(b"d", DIR, uid=3), member(b"d/y")])

    rows = {one.row.path: (one.row.size, one.row.uid) for one in tree.shown()}

    assert rows == {b"d": (0, 3), b"d/x": (0, 0), b"d/y": (0, 0), b"f": (3, 0)}
    (remark,) = tree.tables[0].remarks
    assert (remark.path, remark.count) == (b"f", 2)


def test_nothing_lies_in_a_link_to_itself() -> None:
    """Whatever a lower layer has there: a made-up directory does not stand in its place."""
    with pytest.raises(ArchiveError, match=r"^L1: d is no directory"):
        applied([member(b"d", 0, b"d"), member(b"d/x")])


def test_attributes_count_where_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """They may be most of a row."""
    spilled: list[int] = []
    spill = making._spill

    def note(*args: Any) -> tuple[int, int]:
        spilled.append(len(args[0]))
        return spill(*args)

    monkeypatch.setattr(making, "_spill", note)
    monkeypatch.setattr(making, "_RUN", 100_000)

    numbers = reversed(range(9))
    tree = applied([member(b"f%d" % n, xattrs={b"user.a": bytes(60_000)}) for n in numbers])

    assert spilled == [2, 2, 2, 2]
    assert len(list(tree.shown())) == 9


def test_a_link_to_a_lower_layers_file_has_what_its_own_header_says() -> None:
    """And the bytes, and those attributes that it does not set itself."""
    low = member(
        b"f", size=7, uid=1, gid=2, mtime_ns=3, mode=0o600, xattrs={b"a": b"1", b"b": b"2"}
    )
    high = member(b"g", 0, b"f", uid=4, gid=5, mtime_ns=6, mode=0o711, xattrs={b"b": b"3"})
    tree = applied([low, member(b"h", 0, b"f", mode=0o600)], [high])

    for found in (tree.at(b"g"), next(one for one in tree.laid() if one.row.path == b"g")):
        assert found is not None
        row = found.row
        assert (found.layer, found.by, found.held, row.links, row.inode) == (1, 1, 0, 1, 0)
        assert (row.path, row.mode, row.size) == (b"g", REG | 0o711, 7)
        assert (row.uid, row.gid, row.mtime_ns) == (4, 5, 6)
        assert dict(row.xattrs) == {b"a": b"1", b"b": b"3"}
    entry = tree.find(b"f")
    assert entry is not None
    assert (entry.links, entry.uid) == (2, 0), "g is no name of it"


@pytest.mark.parametrize(
    ("link", "why"), [(b"none", "not there"), (b"d", "a directory"), (b"d/x", "not there")]
)
def test_a_link_to_what_no_lower_layer_has_is_refused(link: bytes, why: str) -> None:
    """By the layer's name, when it is asked for; as it stands it can be looked at."""
    tree = applied([member(b"d", DIR), member(b"y")], [member(b"l", 0, link), member(b"d/x")])
    message = f"^L2: l is a hard link to {link.decode()}, which is {why};"

    for ask in (lambda: tree.at(b"l"), lambda: list(tree.laid()), lambda: tree.find(b"l")):
        with pytest.raises(ArchiveError, match=message):
            ask()
    assert tree.at(b"y") is not None
    rows = {one.row.path: one.row.link for one in tree.laid(links=False)}
    assert rows == {b"d": b"", b"d/x": b"", b"l": link, b"y": b""}


def test_a_root_that_no_layer_says_is_there() -> None:
    """As engines make it, in the lowest layer."""
    for tree in (applied(), applied([], [member(b"f")])):
        found = tree.at(b"")
        assert found == LayerRow(made_up_row(b"", 0), 0, 0, deleted=False, held=0)
        assert tree.at(b"none") is None
    said = applied([], [member(b"", DIR, mode=0o700, uid=3)]).at(b"")
    assert said is not None
    assert (said.layer, said.row.uid) == (1, 3)


def test_names_of_a_file_have_what_the_last_link_in_the_archive_says() -> None:
    """All of it: that is what engines set last; the bytes and other attributes are the file's."""
    file = member(b"f", size=7, uid=1, gid=2, mtime_ns=3, mode=0o600, xattrs={b"a": b"1"})
    last = member(b"e", 0, b"f", uid=4, gid=5, mtime_ns=6, mode=0o711, xattrs={b"b": b"3"})
    tree = applied([file, member(b"g", 0, b"f", uid=9, mtime_ns=9), last])

    for path in (b"e", b"f", b"g"):
        found = tree.at(path)
        assert found is not None
        row = found.row
        assert (row.path, row.mode, row.size, row.links) == (path, REG | 0o711, 7, 3)
        assert (row.uid, row.gid, row.mtime_ns) == (4, 5, 6)
        assert dict(row.xattrs)[b"b"] == b"3" and dict(row.xattrs)[b"a"] == b"1"
