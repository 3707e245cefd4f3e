"""What layers make together."""

import stat
from collections.abc import Sequence

import pytest
from hypothesis import given

from imgpack.errors import ArchiveError, ImgpackError, LimitError, NotFoundError, TreeError
from imgpack.tar.stream import StreamMember
from imgpack.tree.merge import merged as merging
from imgpack.tree.merge.listing import Listing, listing_text
from imgpack.tree.merge.merged import HashedMember, LayerMembers, Merged
from tests.tree.merge.layers import DIR, FIFO, LNK, Model, contents, layers, member, merged

Layer = Sequence[StreamMember]


def facts(tree: Merged) -> list[tuple[object, ...]]:
    """As those of the model."""
    said, firsts, found = contents(tree), dict[int, bytes](), []
    for entry in tree.entries():
        several = entry.links > 1
        first = firsts.setdefault(entry.inode, entry.path) if several else entry.path
        kind = stat.S_IFMT(entry.mode)
        data = b"" if kind == DIR else said[entry.path].removeprefix(b"-> ")
        found.append((entry.path, kind, stat.S_IMODE(entry.mode), entry.uid, data, first))
    return found


@given(layers())
def test_layers_make_what_unpacking_one_after_another_does(found: list[Layer]) -> None:
    """The same tree as a plain model's, or an error where that has one."""
    model = Model()
    try:
        for number, layer in enumerate(found, 1):
            model.apply(number, layer)
    except ValueError:
        with pytest.raises(ArchiveError):
            merged(*found)
        return

    tree = merged(*found)

    assert facts(tree) == model.facts()
    assert facts_of_listing(listing_text(tree)) == [one[:4] for one in model.facts()]
    listing = Listing(listing_text(tree))
    for entry in tree.entries():
        assert tree.find(entry.path) == entry
        assert tree.names(entry.path) == listing.names(entry.path)
        links = [one for one in tree.entries() if one.inode == entry.inode and one.links > 1]
        assert entry.links == max(len(links), 1) or entry.inode == 0


def facts_of_listing(text: bytes) -> list[tuple[object, ...]]:
    """What a listing says as well."""
    return [
        (entry.path, stat.S_IFMT(entry.mode), stat.S_IMODE(entry.mode), entry.uid)
        for entry in Listing(text).entries()
    ]


def test_a_directory_that_nobody_has_is_roots() -> None:
    """Of no time, and open to all, as engines make it; the root as well."""
    tree = merged([member(b"d/f", uid=3, gid=4, mtime_ns=5)])

    for path in (b"", b"d"):
        made = tree.find(path)
        assert made is not None
        assert (made.mode, made.uid, made.gid, made.mtime_ns) == (DIR | 0o755, 0, 0, 0)
        assert (made.size, made.rdev, made.links) == (0, 0, 1)


CASES: dict[str, tuple[list[Layer], dict[bytes, bytes]]] = {
    "a-file-is-rewritten-under-one-of-its-names": (
        [
            [member(b"t1", offset=1), member(b"t2", 0, b"t1"), member(b"t3", 0, b"t1")],
            [member(b"t1", offset=7)],
        ],
        {b"t1": b"L2:7", b"t2": b"L1:1", b"t3": b"L1:1"},
    ),
    "the-first-name-of-a-file-is-deleted": (
        [[member(b"a", offset=1), member(b"b", 0, b"a")], [member(b".wh.a")]],
        {b"b": b"L1:1"},
    ),
    "a-directory-is-opaque": (
        [
            [member(b"d", DIR), member(b"d/low"), member(b"d/e/deep")],
            [member(b"d", DIR), member(b"d/new", offset=3), member(b"d/.wh..wh..opq")],
        ],
        {b"d": b"/", b"d/new": b"L2:3"},
    ),
    "the-marker-comes-first": (
        [[member(b"d/low")], [member(b"d/.wh..wh..opq"), member(b"d/new", offset=3)]],
        {b"d": b"/", b"d/new": b"L2:3"},
    ),
    "a-directory-is-deleted-and-comes-back": (
        [[member(b"a/foo")], [member(b".wh.a")], [member(b"a/baz", offset=2)]],
        {b"a": b"/", b"a/baz": b"L3:2"},
    ),
    "a-layer-deletes-a-directory-and-has-it": (
        [[member(b"a/foo")], [member(b"a/baz", offset=2), member(b".wh.a")]],
        {b"a": b"/", b"a/baz": b"L2:2"},
    ),
    "the-only-layer-deletes": (
        [[member(b".wh.gone"), member(b"d/.wh..wh..opq"), member(b"d/f", offset=2)]],
        {b"d": b"/", b"d/f": b"L1:2"},
    ),
    "a-link-is-absolute": (
        [[member(b"lib64", LNK, b"/usr/lib64")], [member(b"usr/lib64", DIR)]],
        {b"lib64": b"-> /usr/lib64", b"usr": b"/", b"usr/lib64": b"/"},
    ),
    "a-directory-becomes-a-file-and-a-directory-again": (
        [[member(b"d", DIR), member(b"d/f")], [member(b"d")], [member(b"d", DIR)]],
        {b"d": b"/"},
    ),
    "a-directory-over-a-directory-keeps-what-is-in-it": (
        [[member(b"d/f", offset=4)], [member(b"d", DIR)]],
        {b"d": b"/", b"d/f": b"L1:4"},
    ),
    "a-file-is-there-twice": (
        [[member(b"f", offset=1), member(b"f", offset=2)]],
        {b"f": b"L1:2"},
    ),
    "a-link-below-has-something-in-it": (
        [[member(b"lib", LNK, b"usr/lib")], [member(b"lib/app", offset=1)]],
        {b"lib": b"/", b"lib/app": b"L2:1"},
    ),
    "aufs-left-its-own": (
        [[member(b".wh..wh.aufs"), member(b".wh..wh.plnk", DIR), member(b".wh..wh.plnk/12.3")]],
        {},
    ),
    "a-name-has-the-mark-inside": ([[member(b"a.wh.b", offset=1)]], {b"a.wh.b": b"L1:1"}),
    "whiteouts-of-what-is-not-there": ([[member(b"f")], [member(b"x/.wh.y"), member(b"f/.wh.g")]],
        {b"f": b"L1:0"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_cases_that_others_get_wrong(case: str) -> None:
    """Each was a defect of some tool."""
    found, expected = CASES[case]

    assert contents(merged(*found)) == expected


def test_a_link_to_a_lower_layer_is_followed_and_told() -> None:
    """umoci unpacks it, and docker does not."""
    tree = merged([member(b"a", offset=1)], [member(b"b", 0, b"a"), member(b"c", 0, b"a")])

    assert contents(tree) == {b"a": b"L1:1", b"b": b"L1:1", b"c": b"L1:1"}
    assert {(entry.inode, entry.links) for entry in tree.entries()} == {(1, 3)}
    assert tree.remarks == (
        "L2: b is a hard link to a file of a lower layer, which docker and podman cannot unpack "
        "(and 1 more)",
    )


def test_what_a_link_s_header_says_holds_for_all_names() -> None:
    """Engines set it; attributes that it does not repeat stay."""
    tree = merged(
        [
            member(b"a", mode=0o600, uid=1, mtime_ns=5, xattrs={b"user.a": b"1", b"user.b": b"2"}),
            member(b"b", 0, b"a", mode=0o4755, uid=2, gid=3, mtime_ns=7, xattrs={b"user.a": b"3"}),
        ]
    )

    for path in (b"a", b"b"):
        entry = tree.find(path)
        assert entry is not None
        assert entry.mode == stat.S_IFREG | 0o4755
        assert (entry.uid, entry.gid, entry.mtime_ns) == (2, 3, 7)
        assert not isinstance(entry.content, bytes)
        assert entry.content.xattrs == {b"user.a": b"3", b"user.b": b"2"}


def test_a_directory_s_attributes_are_those_of_the_last_layer_that_has_it() -> None:
    """All of them, its extended ones as well; one that leaves it out changes nothing."""
    tree = merged(
        [member(b"tmp", DIR, mode=0o1777, uid=1, xattrs={b"user.a": b"1"}), member(b"var/x")],
        [member(b"tmp/x"), member(b"var", DIR, mode=0o700)],
        [member(b"tmp", DIR, mode=0o700, mtime_ns=9)],
    )
    below = merged([member(b"tmp", DIR, mode=0o1777, mtime_ns=3)], [member(b"tmp/x")])

    tmp, var, kept = tree.find(b"tmp"), tree.find(b"var"), below.find(b"tmp")
    assert tmp is not None and var is not None and kept is not None
    assert (tmp.mode, tmp.uid, tmp.mtime_ns) == (DIR | 0o700, 0, 9)
    assert not isinstance(tmp.content, bytes)
    assert tmp.content.xattrs == {}
    assert var.mode == DIR | 0o700
    assert (kept.mode, kept.mtime_ns) == (DIR | 0o1777, 3)


def test_layers_can_be_had_below_a_directory() -> None:
    """As every tree: the root is that directory."""
    root, file = merged([member(b"", DIR, mode=0o700), member(b"a")]).entries(under=b"mnt/x")

    assert (root.path, root.mode, file.path) == (b"mnt/x", DIR | 0o700, b"mnt/x/a")


def test_the_root_is_what_a_layer_says_of_it() -> None:
    """Else it is made up, as other directories that no layer has."""
    said = merged([member(b"", DIR, mode=0o700, uid=5)], [member(b"a")]).find(b"")
    made_up = merged([member(b"a")]).find(b"")

    assert said is not None and made_up is not None
    assert (said.mode, said.uid) == (DIR | 0o700, 5)
    assert made_up.mode == DIR | 0o755


def test_what_engines_have_trouble_with_is_told_once_a_layer() -> None:
    """With the first path."""
    tree = merged(
        [member(b"lib", LNK, b"usr/lib"), member(b"f"), member(b"f"), member(b"g"), member(b"g")],
        [member(b"lib/x")],
    )

    assert tree.remarks == (
        "L1: f is there twice, and docker and podman refuse that; the last one counts (and 1 more)",
        "L2: lib is no directory below, and becomes one for what this layer has in it",
    )


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        ([member(b"a"), member(b"a/b")], "a is no directory, and there is something in it"),
        ([member(b"a", LNK, b"x"), member(b"a/b/c")], "a is no directory"),
        ([member(b"d", DIR), member(b"d/e"), member(b"d"), member(b"d/e")], "d is no directory"),
        ([member(b"b", 0, b"a")], "b is a hard link to a, which is not there"),
        ([member(b"a", DIR), member(b"b", 0, b"a")], "b is a hard link to a, which is a directory"),
        ([member(b"b", 0, b"b")], "b is a hard link to b, which is not there"),
        ([member(b"", FIFO)], "its root is no directory"),
    ],
)  # fmt: skip
def test_a_layer_that_nobody_can_unpack_is_named(layer: Layer, why: str) -> None:
    """With the path that is to blame."""
    with pytest.raises(ArchiveError, match=f"^L2: {why}"):
        merged([member(b"low")], layer)


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        ([member(b".wh.")], TreeError),
        ([member(b"d/.wh...")], TreeError),
        ([member(b".wh.d/f")], TreeError),
        ([member(b"x" * 256)], LimitError),
        ([member(b"x" * 256 + b"/y")], LimitError),
    ],
)
def test_names_that_mean_nothing_are_refused(layer: Layer, kind: type[ImgpackError]) -> None:
    """Deletions of nothing, and what Linux cannot hold."""
    with pytest.raises(kind, match=r"^L1: "):
        merged(layer)


def test_layers_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the number of their files, and by the bytes of all paths, made-up ones included."""
    monkeypatch.setattr(merging, "MAX_ENTRIES", 5)
    with pytest.raises(LimitError, match=r"^L2: the layers up to it have too many files"):
        merged([member(b"a"), member(b"b"), member(b"c")], [member(b"d/e/f")])

    monkeypatch.setattr(merging, "MAX_ENTRIES", 1000)
    monkeypatch.setattr(merging, "MAX_NAMES", 1 << 10)
    with pytest.raises(LimitError, match="too long together"):
        merged([member(b"/".join([b"x"] * 60))])
    with pytest.raises(LimitError, match="too long together"):
        merged([member(b"x", xattrs={b"user.a": b"x" * 2000})])


def test_without_the_layers_no_content_can_be_opened() -> None:
    """The digest that was computed is there all the same."""
    tree = Merged([LayerMembers("L1", [HashedMember(member(b"f"), bytes(32))])])

    entry = tree.find(b"f")
    assert entry is not None
    assert b"sha256digest=" + b"00" * 32 in listing_text(tree)
    with pytest.raises(NotFoundError, match="the bytes of f are in a layer"):
        entry.open()
