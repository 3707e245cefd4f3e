"""Destinations: where a tree lands above the trees below it."""

from dataclasses import replace
from pathlib import Path

import pytest

from imgpack.api import Directory, Entries, Placed, Tree, directory_entry, symlink
from imgpack.errors import LimitError, TreeError
from imgpack.tree.destination import parse_dest, place
from imgpack.tree.tree import Parent, Stamps


def test_a_destination_is_its_components() -> None:
    """Slashes at the end and twice do not matter."""
    assert parse_dest(b"/") == ()
    assert parse_dest(b"//opt/app/") == (b"opt", b"app")


@pytest.mark.parametrize("text", [b"opt", b"", b"/a/../b", b"/a/./b", b"/..", b"/a/.wh.b", b"/a\0"])
def test_an_unsafe_destination_is_refused(text: bytes) -> None:
    """Relative, with dots, or with a name that means a deletion."""
    with pytest.raises(TreeError, match="destination"):
        parse_dest(text)


def test_a_destination_that_cannot_be_unpacked_is_refused() -> None:
    """A name of 255 bytes is the longest that Linux takes."""
    assert parse_dest(b"/" + b"x" * 255) == (b"x" * 255,)
    with pytest.raises(LimitError, match="name of 256 bytes, and Linux takes 255"):
        parse_dest(b"/opt/" + b"x" * 256)


SRC = Entries([])


def paths(tree: Placed[Tree]) -> list[bytes]:
    """The directories that a tree's layer brings along."""
    return [parent.path for parent in tree.parents]


def test_without_layers_below_all_parents_are_made_up() -> None:
    """Nothing is there yet; the last one is the tree itself."""
    opt, app = Parent(b"opt", SRC, made_up=True), Parent(b"opt/app", SRC)

    assert place(SRC, b"/opt/app", []) == Placed(SRC, b"opt/app", (opt, app))
    assert place(SRC, b"/", []) == Placed(SRC)


def test_parents_of_a_lower_layer_stay_what_they_are(tmp_path: Path) -> None:
    """The destination as well, if it is there."""
    (tmp_path / "opt").mkdir()
    below, opt = [Directory(bytes(tmp_path))], Parent(b"opt", Directory(bytes(tmp_path)), b"opt")

    assert place(SRC, b"/opt/app", below).parents == (opt, Parent(b"opt/app", SRC))
    assert place(SRC, b"/opt", below).parents == (opt,)


def test_parents_that_a_lower_destination_made_stay_what_they_are(tmp_path: Path) -> None:
    """Made-up directories count as well, and a tree that is given twice is the same each time."""
    root = Directory(bytes(tmp_path))
    below = place(root, b"/srv/www", [])
    srv, www = Parent(b"srv", root, made_up=True), Parent(b"srv/www", root)

    assert below.parents == (srv, www)
    assert place(SRC, b"/srv/www/x", [below]).parents == (srv, www, Parent(b"srv/www/x", SRC))
    assert place(root, b"/srv", [below]).parents == (srv,)


def test_symlinked_parents_are_followed(tmp_path: Path) -> None:
    """``/lib/x`` on a merged /usr lands in /usr/lib, absolute links or not."""
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "abs").symlink_to("/usr/./lib/")
    (tmp_path / "usr/up").symlink_to("../lib")
    below = [Directory(bytes(tmp_path))]

    for dest in (b"/lib/x", b"/abs/x", b"/usr/up/x"):
        found = place(SRC, dest, below)
        assert (found.dest, paths(found)) == (b"usr/lib/x", [b"usr", b"usr/lib", b"usr/lib/x"])


def test_an_absolute_link_starts_at_the_root(tmp_path: Path) -> None:
    """Also one in a directory below, where a name like its target's lies as well."""
    for path in ("usr/lib", "opt/usr/lib"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "opt/abs").symlink_to("/usr/lib")
    (tmp_path / "opt/rel").symlink_to("usr/lib")
    below = [Directory(bytes(tmp_path))]

    assert place(SRC, b"/opt/abs/x", below).dest == b"usr/lib/x"
    assert place(SRC, b"/opt/rel/x", below).dest == b"opt/usr/lib/x"


def test_a_link_through_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Nobody could open the path in the image either."""
    (tmp_path / "l").symlink_to("x/../y")

    with pytest.raises(TreeError, match=r"/l/q leads through a symlink into /x/\.\., and no lower"):
        place(SRC, b"/l/q", [Directory(bytes(tmp_path))])


def test_what_a_middle_layer_replaced_is_gone(tmp_path: Path) -> None:
    """A link, or a directory, behind a path that is a file in between."""
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    (one / "a").mkdir(parents=True)
    (one / "a/l").symlink_to("/b")
    two.mkdir()
    (two / "a").touch()
    (three / "a").mkdir(parents=True)
    below = [Directory(bytes(root)) for root in (one, two, three)]

    assert place(SRC, b"/a/l", below).parents == (
        Parent(b"a", below[2], b"a"),
        Parent(b"a/l", SRC),
    )


def test_symlinks_of_a_lower_layer_are_never_followed_on_the_host(tmp_path: Path) -> None:
    """A link that a middle layer replaced by a directory says nothing of the host's files."""
    base, middle, outside = tmp_path / "base", tmp_path / "middle", tmp_path / "outside"
    (outside / "x").mkdir(parents=True)
    base.mkdir()
    (base / "lib").symlink_to(outside)
    (middle / "lib").mkdir(parents=True)
    below = [Directory(bytes(base)), Directory(bytes(middle))]

    assert place(SRC, b"/lib/x", below).parents == (
        Parent(b"lib", below[1], b"lib"),
        Parent(b"lib/x", SRC),
    )


def test_a_link_to_nowhere_brings_its_target(tmp_path: Path) -> None:
    """The target becomes a directory of this layer."""
    (tmp_path / "data").symlink_to("var/data")

    found = place(SRC, b"/data", [Directory(bytes(tmp_path))])

    assert (found.dest, paths(found)) == (b"var/data", [b"var", b"var/data"])


def test_links_above_the_root_stay_in_the_image(tmp_path: Path) -> None:
    """``..`` at the top is the top, as in a chroot."""
    (tmp_path / "up").symlink_to("../../../etc")

    (tmp_path / "usr").mkdir()
    (tmp_path / "usr/beside").symlink_to("../srv")

    assert place(SRC, b"/up/x", [Directory(bytes(tmp_path))]).dest == b"etc/x"
    assert place(SRC, b"/usr/beside/x", [Directory(bytes(tmp_path))]).dest == b"srv/x"


def test_a_loop_of_links_is_told(tmp_path: Path) -> None:
    """As the system's ELOOP."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    with pytest.raises(TreeError, match="too many symlinks"):
        place(SRC, b"/a/x", [Directory(bytes(tmp_path))])


def test_as_many_links_are_followed_as_linux_follows() -> None:
    """Forty, wherever each of them is and leads to."""
    links = [symlink(f"d/l{number}", f"/d/l{number + 1}") for number in range(41)]

    assert place(SRC, b"/d/l1", [Entries(links)]).dest == b"d/l41"
    with pytest.raises(TreeError, match="too many symlinks"):
        place(SRC, b"/d/l0", [Entries(links)])


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    """A directory cannot be made below a file of a lower layer."""
    (tmp_path / "etc").touch()

    with pytest.raises(TreeError, match="goes through /etc, which is not a directory"):
        place(SRC, b"/etc/app", [Directory(bytes(tmp_path))])


def test_the_topmost_layer_that_has_a_path_decides(tmp_path: Path) -> None:
    """A directory over a file is a directory."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    (one / "etc").touch()
    (two / "etc").mkdir(parents=True)

    assert (
        place(SRC, b"/etc/app", [Directory(bytes(one)), Directory(bytes(two))]).dest == b"etc/app"
    )


def test_a_placed_tree_is_where_its_directories_are() -> None:
    """All of it lies under any other; its root is made up, with the tree's own time."""
    tree = place(Entries([directory_entry("", mode=0o700, mtime_ns=5)]), b"/opt/x", [])

    assert [entry.path for entry in tree.entries(under=b"up")] == [b"up/opt", b"up/opt/x"]
    root = tree.find(b"")
    assert root is not None
    assert (root.path, root.mode & 0o7777, root.mtime_ns) == (b"", 0o755, 5)


def test_a_placed_tree_is_proven_by_its_stamps_and_those_of_its_directories(tmp_path: Path) -> None:
    """All on one disk, seen by one caller; else it is read each time."""
    root, other = bytes(tmp_path), Directory(bytes(tmp_path), (7, 8))
    tree = Directory(root, (1, 2))
    placed = place(tree, b"/opt/x", [])
    parent = Parent(b"b", tree)

    assert Placed(tree).stamps == tree.stamps
    assert placed.stamps == Stamps(root, (1, 2), b"opt/x", placed.parents)
    assert place(SRC, b"/opt/x", []).stamps is None
    for like in (SRC, other, placed):
        assert Placed(tree, b"b", (parent, Parent(b"b/c", like))).stamps is None
    assert Placed(placed, b"b", (parent,)).stamps is None


def test_stamps_mean_the_same_only_if_all_that_they_say_is_the_same(tmp_path: Path) -> None:
    """A cache goes by their identity."""
    tree, other = Directory(bytes(tmp_path)), Directory(bytes(tmp_path / "other"))
    parent = Parent(b"p", tree, b"at")
    stamps = Stamps(b"/root", (1, 2), b"p", (parent,))
    others = [
        replace(stamps, root=b"/other"),
        replace(stamps, caller=None),
        replace(stamps, dest=b"q"),
        replace(stamps, parents=()),
        *(
            replace(stamps, parents=(changed,))
            for changed in (
                replace(parent, path=b"q"),
                replace(parent, like=other),
                replace(parent, at=b"p"),
                replace(parent, made_up=True),
            )
        ),
    ]

    assert len({each.identity for each in (stamps, *others)}) == 9
    assert stamps.identity == replace(stamps).identity
