"""Destinations: where a tree lands above the trees below it."""

from pathlib import Path

import pytest

from imgpack.api import Directory, Entries, Placed, directory_entry, symlink
from imgpack.errors import LimitError, TreeError
from imgpack.tree.destination import parse_dest, place
from imgpack.tree.tree import Stamps
from tests.tree.stacks import dest, paths, written


def test_a_destination_is_its_components() -> None:
    """Slashes at the end and twice do not matter."""
    assert parse_dest(b"/") == b""
    assert parse_dest(b"//opt/app/") == b"opt/app"


@pytest.mark.parametrize("text", [b"opt", b"", b"/a/../b", b"/a/./b", b"/..", b"/a/.wh.b", b"/a\0"])
def test_an_unsafe_destination_is_refused(text: bytes) -> None:
    """Relative, with dots, or with a name that means a deletion."""
    with pytest.raises(TreeError, match="destination"):
        parse_dest(text)


def test_a_destination_that_cannot_be_unpacked_is_refused() -> None:
    """A name of 255 bytes is the longest that Linux takes."""
    assert parse_dest(b"/" + b"x" * 255) == b"x" * 255
    with pytest.raises(LimitError, match="name of 256 bytes, and Linux takes 255"):
        parse_dest(b"/opt/" + b"x" * 256)


SRC = Entries([directory_entry("", mtime_ns=7 * 10**9)])


def disk(path: Path) -> Directory:
    """What lies there."""
    return Directory(bytes(path))


def test_without_layers_below_all_parents_are_made_up() -> None:
    """Nothing is there yet; the last one is the tree itself."""
    opt, app = written(place(Entries([directory_entry("", mode=0o700)]), b"/opt/app"))

    assert (opt.path, opt.mode, app.path, app.mode) == (b"opt", 0o40755, b"opt/app", 0o40700)
    assert written(Placed(SRC)) == []


def test_made_up_parents_have_the_time_of_the_tree_they_were_made_up_for(tmp_path: Path) -> None:
    """Of the first one: the next repeats them."""
    later = Entries([directory_entry("", mtime_ns=20 * 10**9)])
    srv, one = written(place(SRC, b"/srv/one"))
    again, two = written(place(later, b"/srv/two"), place(SRC, b"/srv/one"))

    assert srv.mtime_ns == again.mtime_ns == one.mtime_ns == 7 * 10**9
    assert two.mtime_ns == 20 * 10**9


def test_parents_of_a_lower_layer_stay_what_they_are(tmp_path: Path) -> None:
    """The destination as well, if it is there; it is not repeated without need."""
    base, app = tmp_path / "base", tmp_path / "app"
    (base / "tmp").mkdir(parents=True)
    (base / "tmp").chmod(0o1777)
    app.mkdir(mode=0o700)

    tmp, here = written(place(disk(app), b"/tmp/app"), disk(base))
    assert (tmp.path, tmp.mode, tmp.content) == (b"tmp", 0o41777, bytes(base / "tmp"))
    assert (here.path, here.mode) == (b"tmp/app", 0o40700)
    assert written(place(disk(app), b"/tmp"), disk(base)) == []
    (app / "x").touch()
    tmp, _ = written(place(disk(app), b"/tmp"), disk(base))
    assert (tmp.path, tmp.mode) == (b"tmp", 0o41777)


def test_a_made_up_parent_does_not_hide_what_is_below_it() -> None:
    """A middle layer went through the base's /opt; it is still the base's."""
    base = Entries([directory_entry("opt", mode=0o700)])

    first, *_ = written(place(SRC, b"/opt/b"), base, place(SRC, b"/opt/a"))

    assert (first.path, first.mode) == (b"opt", 0o40700)


def test_symlinked_parents_are_followed(tmp_path: Path) -> None:
    """``/lib/x`` on a merged /usr lands in /usr/lib, absolute links or not."""
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "abs").symlink_to("/usr/./lib/")
    (tmp_path / "usr/up").symlink_to("../lib")

    for where in (b"/lib/x", b"/abs/x", b"/usr/up/x"):
        found = written(place(SRC, where), disk(tmp_path))
        assert paths(found) == [b"usr", b"usr/lib", b"usr/lib/x"]


def test_an_absolute_link_starts_at_the_root(tmp_path: Path) -> None:
    """Also one in a directory below, where a name like its target's lies as well."""
    for path in ("usr/lib", "opt/usr/lib"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "opt/abs").symlink_to("/usr/lib")
    (tmp_path / "opt/rel").symlink_to("usr/lib")

    assert dest(b"/opt/abs/x", disk(tmp_path)) == b"usr/lib/x"
    assert dest(b"/opt/rel/x", disk(tmp_path)) == b"opt/usr/lib/x"


def test_a_link_through_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Nobody could open the path in the image either."""
    (tmp_path / "l").symlink_to("x/../y")

    with pytest.raises(TreeError, match=r"/l/q leads through a symlink into /x/\.\., and no lower"):
        dest(b"/l/q", disk(tmp_path))


def test_what_a_middle_layer_replaced_is_gone(tmp_path: Path) -> None:
    """A link, or a directory, behind a path that is a file in between."""
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    (one / "a").mkdir(parents=True)
    (one / "a/l").symlink_to("/b")
    two.mkdir()
    (two / "a").touch()
    (three / "a").mkdir(parents=True)
    (three / "a").chmod(0o700)

    a, link = written(place(SRC, b"/a/l"), disk(one), disk(two), disk(three))

    assert (a.path, a.mode, link.path) == (b"a", 0o40700, b"a/l")


def test_symlinks_of_a_lower_layer_are_never_followed_on_the_host(tmp_path: Path) -> None:
    """A link to a place outside leads to that path of the image, whatever the host has there."""
    base, outside = tmp_path / "base", tmp_path / "outside"
    (outside / "x").mkdir(parents=True)
    base.mkdir()
    (base / "lib").symlink_to(outside)

    assert dest(b"/lib/x", disk(base)) == bytes(outside / "x").lstrip(b"/")


def test_a_link_to_nowhere_brings_its_target(tmp_path: Path) -> None:
    """The target becomes a directory of this layer."""
    (tmp_path / "data").symlink_to("var/data")

    assert paths(written(place(SRC, b"/data"), disk(tmp_path))) == [b"var", b"var/data"]


def test_links_above_the_root_stay_in_the_image(tmp_path: Path) -> None:
    """``..`` at the top is the top, as in a chroot."""
    (tmp_path / "up").symlink_to("../../../etc")
    (tmp_path / "usr").mkdir()
    (tmp_path / "usr/beside").symlink_to("../srv")

    assert dest(b"/up/x", disk(tmp_path)) == b"etc/x"
    assert dest(b"/usr/beside/x", disk(tmp_path)) == b"srv/x"


def test_a_loop_of_links_is_told(tmp_path: Path) -> None:
    """As the system's ELOOP."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    with pytest.raises(TreeError, match="too many symlinks"):
        dest(b"/a/x", disk(tmp_path))


def test_long_ways_of_links_are_followed() -> None:
    """Two hundred and fifty-five, wherever each of them is and leads to."""
    links = Entries([symlink(f"d/l{number}", f"/d/l{number + 1}") for number in range(256)])

    assert dest(b"/d/l1", links) == b"d/l256"
    with pytest.raises(TreeError, match="too many symlinks"):
        dest(b"/d/l0", links)


def test_links_that_make_a_way_too_long_are_told() -> None:
    """Each may be as long as Linux takes; all together put no more names into a path than one."""
    links = Entries([symlink("a", "b/" * 1500), symlink("b", "c/" * 600)])

    assert dest(b"/b/x", links) == b"c/" * 600 + b"x"
    with pytest.raises(TreeError, match="too many symlinks"):
        dest(b"/a/x", links)


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    """A directory cannot be made below a file of a lower layer."""
    (tmp_path / "etc").touch()

    with pytest.raises(TreeError, match="goes through /etc, which is not a directory"):
        dest(b"/etc/app", disk(tmp_path))


def test_the_topmost_layer_that_has_a_path_decides(tmp_path: Path) -> None:
    """A directory over a file is a directory."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    (one / "etc").touch()
    (two / "etc").mkdir(parents=True)

    assert dest(b"/etc/app", disk(one), disk(two)) == b"etc/app"


def test_a_placed_tree_begins_with_the_directory_that_it_fills() -> None:
    """With the attributes of its root."""
    tree = place(Entries([directory_entry("", mode=0o700, mtime_ns=5)]), b"/opt/x")

    (root,) = tree.entries(under=b"up")

    assert (root.path, root.mode & 0o7777, root.mtime_ns) == (b"up/opt/x", 0o700, 5)
    assert tree.find(b"opt/x") == root._replace(path=b"opt/x")
    assert tree.find(b"opt") is None


def test_a_placed_tree_is_proven_by_its_stamps_at_its_place(tmp_path: Path) -> None:
    """What lies on its way, the layers below say."""
    tree = Directory(bytes(tmp_path), (1, 2))

    assert Placed(tree).stamps == tree.stamps
    assert place(tree, b"/opt/x").stamps == Stamps(bytes(tmp_path), (1, 2), b"opt/x")
    assert place(SRC, b"/opt/x").stamps is None


def test_stamps_mean_the_same_only_if_all_that_they_say_is_the_same() -> None:
    """A cache goes by their identity."""
    stamps = Stamps(b"/root", (1, 2), b"p")
    others = [Stamps(b"/other", (1, 2), b"p"), Stamps(b"/root", None, b"p"), stamps.at(b"q")]

    assert len({each.identity for each in (stamps, *others)}) == 4
    assert stamps.identity == stamps.at(b"p").identity
