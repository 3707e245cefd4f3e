"""Destinations: where a tree lands above the trees below it."""

from pathlib import Path

import pytest

from imgpack.errors import TreeError
from imgpack.tree.place import parse_dest, place
from imgpack.tree.walk import Tree


def test_a_destination_is_its_components() -> None:
    """Slashes at the end and twice do not matter."""
    assert parse_dest(b"/") == ()
    assert parse_dest(b"//opt/app/") == (b"opt", b"app")


@pytest.mark.parametrize("text", [b"opt", b"", b"/a/../b", b"/a/./b", b"/..", b"/a/.wh.b", b"/a\0"])
def test_an_unsafe_destination_is_refused(text: bytes) -> None:
    """Relative, with dots, or with a name that means a deletion."""
    with pytest.raises(TreeError, match="destination"):
        parse_dest(text)


def test_without_layers_below_all_parents_are_brought() -> None:
    """Nothing is there yet."""
    assert place(b"/src", b"/opt/app", []) == Tree(b"/src", b"opt/app", (b"opt", b"opt/app"))


def test_parents_of_a_lower_layer_are_left_alone(tmp_path: Path) -> None:
    """Their owner and mode stay what they are."""
    (tmp_path / "opt").mkdir()

    assert place(b"/s", b"/opt/app", [Tree(bytes(tmp_path))]).parents == (b"opt/app",)
    assert place(b"/s", b"/opt", [Tree(bytes(tmp_path))]).parents == ()


def test_parents_that_a_lower_destination_made_are_left_alone(tmp_path: Path) -> None:
    """Made-up directories count as well."""
    below = place(bytes(tmp_path), b"/srv/www", [])

    assert place(b"/s", b"/srv/www/x", [below]).parents == (b"srv/www/x",)
    assert place(b"/s", b"/srv/ftp", [below]).parents == (b"srv/ftp",)


def test_symlinked_parents_are_followed(tmp_path: Path) -> None:
    """``/lib/x`` on a merged /usr lands in /usr/lib, absolute links or not."""
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "abs").symlink_to("/usr/./lib/")
    (tmp_path / "usr/up").symlink_to("../lib")
    below = [Tree(bytes(tmp_path))]

    for dest in (b"/lib/x", b"/abs/x", b"/usr/up/x"):
        assert place(b"/s", dest, below) == Tree(b"/s", b"usr/lib/x", (b"usr/lib/x",))


def test_symlinks_of_a_lower_layer_are_never_followed_on_the_host(tmp_path: Path) -> None:
    """A link that a middle layer replaced by a directory says nothing of the host's files."""
    base, middle, outside = tmp_path / "base", tmp_path / "middle", tmp_path / "outside"
    (outside / "x").mkdir(parents=True)
    base.mkdir()
    (base / "lib").symlink_to(outside)
    (middle / "lib").mkdir(parents=True)
    below = [Tree(bytes(base)), Tree(bytes(middle))]

    assert place(b"/s", b"/lib/x", below) == Tree(b"/s", b"lib/x", (b"lib/x",))


def test_a_link_to_nowhere_brings_its_target(tmp_path: Path) -> None:
    """The target becomes a directory of this layer."""
    (tmp_path / "data").symlink_to("var/data")

    assert place(b"/s", b"/data", [Tree(bytes(tmp_path))]) == Tree(
        b"/s", b"var/data", (b"var", b"var/data")
    )


def test_links_above_the_root_stay_in_the_image(tmp_path: Path) -> None:
    """``..`` at the top is the top, as in a chroot."""
    (tmp_path / "up").symlink_to("../../../etc")

    assert place(b"/s", b"/up/x", [Tree(bytes(tmp_path))]).dest == b"etc/x"


def test_a_loop_of_links_is_told(tmp_path: Path) -> None:
    """As the system's ELOOP."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    with pytest.raises(TreeError, match="too many symlinks"):
        place(b"/s", b"/a/x", [Tree(bytes(tmp_path))])


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    """A directory cannot be made below a file of a lower layer."""
    (tmp_path / "etc").touch()

    with pytest.raises(TreeError, match="goes through /etc, which is not a directory"):
        place(b"/s", b"/etc/app", [Tree(bytes(tmp_path))])


def test_the_topmost_layer_that_has_a_path_decides(tmp_path: Path) -> None:
    """A directory over a file is a directory."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    (one / "etc").touch()
    (two / "etc").mkdir(parents=True)

    assert place(b"/s", b"/etc/app", [Tree(bytes(one)), Tree(bytes(two))]).dest == b"etc/app"
