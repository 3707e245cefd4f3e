"""The contract of every tree: the same things give the same entries and the same layer."""

import io
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given

from imgpack.api import (
    ClampTime,
    Codec,
    Directory,
    Entries,
    Entry,
    Placed,
    SegmentCache,
    SetOwner,
    SetTime,
    Transform,
    Tree,
    character_device,
    directory_entry,
    file,
    hard_link,
    symlink,
)
from imgpack.compression.algorithm import SMALL
from imgpack.errors import LimitError, SourceChangedError, SourceError, TreeError
from imgpack.layer.build import LayerBuilder, Options
from imgpack.layer.segments import Segments
from imgpack.layer.stages import Stages
from imgpack.tree.destination import place
from imgpack.tree.merge.survey import Survey
from imgpack.tree.problems import Problems
from tests.layer.both import THINGS, Thing, in_memory, in_tar, on_disk
from tests.layer.trees import Blob, cuts, noise, opened
from tests.tree.stacks import over, written

SEGMENT, LAST_PIECE = SMALL.mean, SMALL.last_piece
REG, DIR, LNK, FIFO = stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO
SAMPLE = {
    b"bin": Thing(LNK, b"usr/bin"),
    b"etc": Thing(DIR, mode=0o1777, mtime_ns=1_500_000_000_000_000_001),
    b"etc/motd": Thing(REG, b"hello\n", 0o4711, 7_999_999_999),
    b"pipe": Thing(FIFO, mode=0o700),
    b"usr-old": Thing(REG),
    b"usr/bin/tool": Thing(REG, b"x" * 1000),
    b"usr/bin/tool.conf": Thing(REG),
}
LINKS = {b"a-link": b"etc/motd", b"usr/z-link": b"etc/motd"}
MAKERS = {
    "directory": lambda root: on_disk(root / "tree", SAMPLE, LINKS),
    "entries": lambda root: in_memory(SAMPLE, LINKS),
    "tarball": lambda root: in_tar(root / "tree", SAMPLE, LINKS),
    "placed": lambda root: Placed(in_memory(SAMPLE, LINKS)),
}


@pytest.fixture(params=MAKERS)
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    """The sample, made in each way."""
    make: Callable[[Path], Tree] = MAKERS[request.param]
    return make(tmp_path)


def fields(entry: Entry) -> tuple[object, ...]:
    """What must be the same of an entry, wherever it comes from."""
    kind = stat.S_IFMT(entry.mode)
    size = 0 if kind == DIR else entry.size
    more = entry.target() if kind == LNK else b""
    if kind == REG:
        with entry.open() as content:
            more = content.read()
    links = 0 if kind == DIR else entry.links
    return entry.path, entry.mode, entry.uid, entry.gid, size, entry.mtime_ns, links, more


def test_entries_come_once_parents_first_by_the_bytes_of_their_components(tree: Tree) -> None:
    """Those that nobody gave are made up."""
    paths = [entry.path.split(b"/") for entry in tree.entries()]

    assert paths == sorted(paths)
    assert {b"/".join(path) for path in paths} == {*SAMPLE, *LINKS, b"usr", b"usr/bin"}


def test_entries_can_be_asked_for_again(tree: Tree) -> None:
    """And say the same, content too."""
    assert [fields(entry) for entry in tree.entries()] == [
        fields(entry) for entry in tree.entries()
    ]


def test_entries_lie_under_any_directory(tree: Tree) -> None:
    """With nothing changed but their paths; the root is that directory."""
    below = [b"opt/app", *(b"opt/app/" + entry.path for entry in tree.entries())]

    assert [entry.path for entry in tree.entries(under=b"opt/app")] == below


def test_every_entry_is_found_and_the_root_too(tree: Tree) -> None:
    """Nothing else is, and no symbolic link is followed."""
    for entry in tree.entries():
        found = tree.find(entry.path)
        assert found is not None
        assert fields(found) == fields(entry)
    root = tree.find(b"")
    assert root is not None
    assert (root.path, root.mode, root.mtime_ns) == (b"", DIR | 0o755, 0)
    for path in (b"nothing", b"bin/tool", b"etc/motd/x", b"us", b"../tree", b"/etc"):
        assert tree.find(path) is None


def test_hard_links_are_one_inode(tree: Tree) -> None:
    """And nothing else is that one."""
    linked = [one for one in tree.entries() if one.links > 1 and not stat.S_ISDIR(one.mode)]
    inodes = [(one.device, one.inode) for one in linked]

    assert len(inodes) == 3
    assert len(set(inodes)) == 1


def test_a_tree_is_placed_and_below_others(tree: Tree) -> None:
    """Links of the trees below are followed; their directories are repeated."""
    directories = written(place(tree, b"/bin/x"), tree)[:3]

    assert [one.path for one in directories] == [b"usr", b"usr/bin", b"usr/bin/x"]
    assert [one.mode for one in directories] == [DIR | 0o755] * 3
    upper = place(tree, b"/usr/bin/x")
    found = upper.find(b"usr/bin/x/etc/motd")
    assert found is not None
    assert found.path == b"usr/bin/x/etc/motd"
    assert upper.find(b"etc") is None
    with pytest.raises(TreeError, match="goes through /etc/motd, which is not a directory"):
        written(place(tree, b"/etc/motd/x"), tree)


def test_a_directory_that_cannot_be_listed_replaces_nothing(tmp_path: Path) -> None:
    """The walk tells of it."""
    gone = Directory(bytes(tmp_path / "gone"))
    assert over(gone, [Entries([directory_entry("bin")])]).survey == Survey()


@pytest.mark.parametrize(
    "transforms", [(), (SetOwner(5, 70000),), (ClampTime(3), SetOwner(1, 2)), (SetTime(9),)]
)
def test_every_tree_of_the_sample_is_the_same_layer(
    tree: Tree, transforms: tuple[Transform, ...], tmp_path: Path
) -> None:
    """To the byte, under any transforms."""
    assert cuts(tree, *transforms) == cuts(on_disk(tmp_path / "other", SAMPLE, LINKS), *transforms)


@given(things=THINGS)
def test_entries_in_memory_are_the_same_tree_as_on_disk(
    tmp_path_factory: pytest.TempPathFactory, things: dict[bytes, Thing]
) -> None:
    """The same entries, and through the encoder the same bytes."""
    files = [path for path, thing in things.items() if thing.kind != DIR]
    links = {b"\xff-link": files[-1]} if files and b"\xff-link" not in things else {}
    disk = on_disk(tmp_path_factory.mktemp("both") / "tree", things, links)
    memory = in_memory(things, links)

    assert [fields(one) for one in memory.entries()] == [fields(one) for one in disk.entries()]
    assert cuts(memory) == cuts(disk)
    assert cuts(place(memory, b"/opt/x")) == cuts(place(disk, b"/opt/x"))


@given(things=THINGS)
def test_entries_in_a_tar_archive_are_the_same_tree_as_on_disk(
    tmp_path_factory: pytest.TempPathFactory, things: dict[bytes, Thing]
) -> None:
    """In whatever order it has them."""
    # Python's tarfile writes no hard links to anything else.
    files = [path for path, thing in things.items() if thing.kind == REG]
    links = {b"\xff-link": files[-1]} if files and b"\xff-link" not in things else {}
    where = tmp_path_factory.mktemp("tar")
    disk = on_disk(where / "disk", things, links)
    tar = in_tar(where / "tree", things, links)

    assert [fields(one) for one in tar.entries()] == [fields(one) for one in disk.entries()]
    assert cuts(tar) == cuts(disk)
    assert cuts(place(tar, b"/opt/x")) == cuts(place(disk, b"/opt/x"))


@pytest.mark.parametrize("size", [LAST_PIECE, LAST_PIECE + 1, 3 * SEGMENT])
def test_a_large_file_is_cut_in_the_same_places(tmp_path: Path, size: int) -> None:
    """Read from a disk, from memory, or from what opens it."""
    things = {b"large": Thing(REG, noise(size))}
    disk = cuts(on_disk(tmp_path / "tree", things, {}))

    assert cuts(in_memory(things, {})) == disk
    assert cuts(in_tar(tmp_path / "other", things, {})) == disk
    opens = file("large", lambda: io.BytesIO(noise(size)), size=size, mode=0o755)
    assert cuts(Entries([opens])) == disk


def test_attributes_of_entries_are_written_and_read_as_those_on_disk() -> None:
    """Records of an owner too, for they mean what they mean."""
    one = file("f", b"", xattrs={b"user.k": b"v", b"security.selinux": b"host"})
    two = file("g", b"", xattrs={b"user.containers.override_stat": b"7:8:4711:file"})

    with opened(b"".join(cuts(Entries([one, two])))) as tar:
        first, second = tar.getmembers()
    assert first.pax_headers == {"SCHILY.xattr.user.k": "v"}
    assert (second.uid, second.gid, second.mode, second.pax_headers) == (7, 8, 0o4711, {})


@pytest.mark.parametrize(("size", "how"), [(4, "changed"), (6, "was truncated")])
def test_content_of_another_size_is_told(size: int, how: str) -> None:
    """The header was written already."""
    with pytest.raises(SourceChangedError, match=f"dir/f {how} while"):
        cuts(Entries([file("dir/f", lambda: io.BytesIO(b"12345"), size=size)]))


def test_content_that_cannot_be_opened_is_told_with_all_others() -> None:
    """As files on disk are."""

    def closed() -> io.BytesIO:
        raise PermissionError(13, "Permission denied")

    with pytest.raises(SourceError, match=r"2 paths.*a \(Permission denied\), b \(Permission"):
        cuts(Entries([file("a", closed, size=0), file("b", closed, size=9)]))


class Leave:
    """A transform that leaves out what has a name."""

    def __init__(self, *paths: bytes) -> None:
        self.identity = repr(paths)
        self._paths = paths

    def __call__(self, entry: Entry) -> Entry | None:
        return None if entry.path in self._paths else entry


def test_what_a_transform_leaves_out_was_never_there(tree: Tree) -> None:
    """With all that is in it; the next name of a file is the first then."""
    left = {path: thing for path, thing in SAMPLE.items() if not path.startswith(b"usr/bin")}
    smaller = in_memory({**left, b"usr": Thing(DIR)}, {b"usr/z-link": b"etc/motd"})

    assert cuts(tree, Leave(b"a-link", b"usr/bin")) == cuts(smaller)


def test_warnings_of_what_is_left_out_are_left_out_too() -> None:
    """Nobody will miss it."""
    odd = Entries([file("odd", b"", uid=70000, mtime_ns=-1)])
    segments = Segments(Stages((Leave(b"odd"),)), Problems())

    assert len(list(segments.cut(odd.entries()))) == 1
    assert segments.warnings == []


def test_a_transform_sees_the_owner_that_is_recorded() -> None:
    """And has the last word."""
    seen: list[tuple[int, int, int]] = []

    class Look(Leave):
        def __call__(self, entry: Entry) -> Entry:
            seen.append((entry.uid, entry.gid, entry.mode))
            return entry._replace(uid=1)

    recorded = {b"user.containers.override_stat": b"7:8:600:file"}
    with opened(b"".join(cuts(Entries([file("f", b"", xattrs=recorded)]), Look()))) as tar:
        (member,) = tar.getmembers()

    assert seen == [(7, 8, REG | 0o600)]
    assert (member.uid, member.gid, member.mode) == (1, 8, 0o600)


def test_a_transform_may_give_other_content_and_no_other_path() -> None:
    """Order and whiteouts hang on the path."""

    class Say(Leave):
        def __call__(self, entry: Entry) -> Entry:
            return file(entry.path, b"another\n")

    class Move(Leave):
        def __call__(self, entry: Entry) -> Entry:
            return entry._replace(path=b"b")

    one = Entries([file("a", b"one")])
    assert cuts(one, Say()) == cuts(Entries([file("a", b"another\n")]))
    with pytest.raises(ValueError, match="another thing of a"):
        cuts(one, Move())


def test_a_tree_without_stamps_is_always_read_and_its_segments_are_reused(tmp_path: Path) -> None:
    """A cache of its bytes, and no belief in times."""
    cache = SegmentCache(str(tmp_path))
    reasons: list[str] = []
    builder = LayerBuilder(
        Options((), Codec.parse("gzip"), 2, cache, 0),
        explain=lambda reason, changes, built: reasons.append(reason),
    )
    first, second = (builder.build(in_memory(SAMPLE, LINKS), Blob().opening) for _ in "12")

    assert first.record == second.record
    assert (first.reused, second.reused, second.unchanged) == (0, 1, False)
    assert reasons == ["always read: it has no times to go by"] * 2


@pytest.mark.parametrize("path", ["/a", "a/", "a//b", "./a", "a/..", "..", "a\0b", "a/.wh.b", "."])
def test_a_path_that_no_tree_has_is_refused(path: str) -> None:
    """With its name."""
    with pytest.raises(TreeError, match=r"cannot be in a"):
        Entries([file(path, b"")])


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: [file("a", b""), directory_entry("a")], "a is there twice"),
        (lambda: [file("a", b"")] * 2, "a is there twice"),
        (lambda: [file("a", b""), file("a/b", b"")], "a is not a directory, and a/b is to be in"),
        (lambda: [file("", b""), file("a", b"")], " is not a directory, and a is to be in"),
        (lambda: [hard_link("b", "a")], "b is a hard link to a, which is not there"),
        (lambda: [hard_link("b", "b")], "b is a hard link to b, which is a directory or a link"),
        (
            lambda: [directory_entry("a"), hard_link("b", "a")],
            "hard link to a, which is a directory or",
        ),
        (lambda: [file("a", b"", mode=0o10000)], "mode 4096 of a is not between 0 and 4095"),
        (lambda: [file("a", b"", uid=2**32 - 1)], "uid 4294967295 of a is not"),
        (lambda: [file("a", b"", gid=-1)], "gid -1 of a is not between"),
        (lambda: [file("a", lambda: io.BytesIO(), size=-1)], "size -1 of a is not"),
        (lambda: [file("a", lambda: io.BytesIO())], "the size of a is not known"),
        (
            lambda: [file("a", b""), hard_link("b", "a"), hard_link("c", "b")],
            "c is a hard link to b, which is a directory or a link",
        ),
        (lambda: [symlink("a", "")], "symbolic link a has no target"),
        (lambda: [symlink("a", "b\0")], "symbolic link a has no target"),
        (lambda: [character_device("a", 1 << 21, 0)], "device number 2097152 of a is not"),
        (lambda: [file("a", b"", xattrs={b"user.a=b": b"x"})], "a has the attribute 'user.a=b'"),
        (lambda: [file("a", b"", xattrs={b"user.a": b""})], "a has the attribute 'user.a'"),
        (lambda: [file("a", b"", xattrs={b"": b"x"})], "a has the attribute ''"),
        (lambda: [file("a", b"", xattrs={b"user.\0": b"x"})], "a has the attribute 'user."),
    ],
)
def test_entries_that_make_no_tree_are_told(make: Callable[[], list[Entry]], told: str) -> None:
    """When they are made, or when the tree is."""
    with pytest.raises(TreeError, match=told):
        Entries(make())


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: file("a/" + "b" * 256, b""), "a name of 256 bytes, and Linux takes 255"),
        (lambda: symlink("l", "x" * 4096), "the target of l has 4096 bytes, and Linux takes 4095"),
        (lambda: file("a", b"", xattrs={b"user.a": bytes(65537)}), "attribute of 6 and 65537"),
        (lambda: file("a", b"", xattrs={b"user." + b"a" * 251: b"x"}), "attribute of 256 and 1"),
    ],
)
def test_what_no_linux_can_unpack_is_refused(make: Callable[[], Entry], told: str) -> None:
    """With the path: an image that loads nowhere is none."""
    with pytest.raises(LimitError, match=told):
        Entries([make()])
