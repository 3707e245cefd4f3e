"""What is at a path of an image: links followed as the image has them, and what is missing told."""

import tarfile
from collections.abc import Callable

import pytest

from imgpack.errors import Hint, NoSuchPathError
from imgpack.image.files import owners
from imgpack.image.files.files import ImageFiles
from imgpack.image.files.owners import owner_names
from imgpack.image.files.paths import find_path
from imgpack.image.files.subtrees import ShownTree, Subtrees
from imgpack.tree.tree import Tree
from tests.image.base.test_tree import linked
from tests.image.files.test_extract import DIR, LNK, REG, SYM, files_of, layer, member
from tests.store.samples import tar_of

LINKS = (
    ("a", DIR, ""), ("a/b", DIR, ""), ("a/b/file", REG, "x"), ("a/c", DIR, ""),
    ("a/rel", SYM, "../a/./b//"), ("a/abs", SYM, "/a/b"), ("a/up", SYM, "../../../a"),
    ("a/b/top", SYM, "/"), ("loop", SYM, "a/../loop"), ("dead", SYM, "a/none"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"a/b/../b/file", b"a/b/file"),
        (b"a/b/../c", b"a/c"),
        (b"a/b/../../../a/c", b"a/c"),
        (b"a/rel/file", b"a/b/file"),
        (b"a/rel/../c", b"a/c"),
        (b"/a/abs/file", b"a/b/file"),
        (b"a/abs/./../c/", b"a/c"),
        (b"a/up", b"a"),
        (b"a/b/top/a", b"a"),
        (b"a/b/top", b""),
        (b"a/b/..", b"a"),
        (b"..", b""),
        (b"", b""),
    ],
)
def test_links_and_dots_lead_where_the_image_has_them(path: bytes, expected: bytes) -> None:
    """Never above the root."""
    assert find_path(files_of(linked(*LINKS)), path).row.path == expected


def test_a_link_at_the_end_is_followed_if_wanted_or_with_a_slash() -> None:
    """One that leads nowhere is there all the same."""
    files = files_of(linked(*LINKS))
    assert find_path(files, b"a/rel", follow=False).row.path == b"a/rel"
    assert find_path(files, b"a/rel/", follow=False).row.path == b"a/b"
    assert find_path(files, b"dead", follow=False).row.path == b"dead"


def _refused(path: bytes, *layers: bytes, **options: bool) -> tuple[str, str | Hint]:
    """What is said of a path that is not there, and what to do."""
    with pytest.raises(NoSuchPathError) as caught:
        find_path(files_of(*layers), path, **options)
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (b"loop", "/loop leads through too many symlinks"),
        (b"dead", "/dead is not in the image: /a/none is missing"),
        (b"a/none/deep", "/a/none/deep is not in the image: /a/none is missing"),
        (b"/zzzzz/", "/zzzzz/ is not in the image"),
        (b"a/b/file/x", "/a/b/file/x is not in the image: /a/b/file is not a directory"),
        (b"a/b/file/", "/a/b/file/ is not a directory in the image"),
        (b"loop/", "/loop/ leads through too many symlinks"),
    ],
)
def test_what_is_missing_on_the_way_is_told(path: bytes, message: str) -> None:
    """Once, if it is the end of the way."""
    assert _refused(path, linked(*LINKS))[0] == message


@pytest.mark.parametrize(("links", "there"), [(40, True), (41, False)])
def test_as_many_links_are_followed_as_on_linux(links: int, there: bool) -> None:
    """Forty of one path."""
    chain = [(f"l{number}", SYM, f"l{number + 1}") for number in range(links)]
    image = linked(*chain, (f"l{links}", REG, "x"))
    if there:
        assert find_path(files_of(image), b"l0").row.path == b"l%d" % links
    else:
        assert "too many" in _refused(b"l0", image)[0]


def test_the_layer_that_deleted_it_or_the_nearest_name_is_told() -> None:
    """Of names right beside it alone."""
    low = tar_of({"etc/gone": b"", "etc/conf": b"", "was/in": b"", "d/fil": b""})
    high = linked(("etc", DIR, ""), ("etc/.wh.gone", REG, ""), ("was", REG, "now"))
    assert _refused(b"etc/gone", low, high)[1] == "layer 1 has it, and layer 2 deletes it"
    again = linked(("was", DIR, ""))
    assert _refused(b"was/in", low, high, again)[1] == "layer 1 has it, and layer 2 replaces it"
    assert _refused(b"etc/cnof", low, high)[1] == "there is /etc/conf"
    assert _refused(b"ect", low, high)[1] == "there is /etc"
    assert _refused(b"etc/con*", low, high)[1] == "it is taken as it is, and no pattern"
    assert _refused(b"d_fil", low, high)[1] == ""
    assert _refused(b"etc/etc", low, high)[1] == ""


PASSWD = b"root:x:0:0::/:/bin/sh\nfirst:x:5:5::/:/bin/sh\nsecond:x:5:5::/:/bin/sh\n"


def test_numbers_have_the_first_name_that_the_image_gives_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Through links, and up to a size; of a device none."""
    accounts = layer(
        member("etc", DIR), member("etc/passwd", SYM, linkname="/usr/passwd"),
        member("usr/passwd", data=PASSWD), member("etc/group", tarfile.CHRTYPE),
    )  # fmt: skip
    found = owner_names(files_of(accounts))
    assert (found.users, found.groups) == ({0: "root", 5: "first"}, {})
    monkeypatch.setattr(owners, "MAX_KEPT", len(PASSWD))
    assert owner_names(files_of(accounts)).users == {0: "root", 5: "first"}
    monkeypatch.setattr(owners, "MAX_KEPT", len(PASSWD) - 1)
    assert owner_names(files_of(accounts)).users == {}
    assert owner_names(files_of(tar_of({"x": b""}))).users == {}


@pytest.mark.parametrize(
    "tree_of",
    [lambda files: files, lambda files: ShownTree(files, files, Subtrees(files, ()))],
    ids=["all", "own"],
)
def test_an_image_fills_a_directory_as_any_tree_does(tree_of: Callable[[ImageFiles], Tree]) -> None:
    """Its root is that directory; without one it is not among the entries."""
    tree = tree_of(
        files_of(
            layer(member(".", DIR, mode=0o700), member("d", DIR), member("d/f", data=b"x")),
            linked(("a", REG, "one"), ("b", LNK, "a")),
        )
    )
    there = [(entry.path, oct(entry.mode)) for entry in tree.entries()]
    inside = [(entry.path, oct(entry.mode)) for entry in tree.entries(under=b"x/y")]
    assert [path for path, _ in there] == [b"a", b"b", b"d", b"d/f"]
    assert inside == [(b"x/y", "0o40700"), *((b"x/y/" + path, mode) for path, mode in there)]
    single, first, second = tree.find(b"d/f"), tree.find(b"a"), tree.find(b"b")
    assert single is not None and first is not None and second is not None
    assert (single.links, first.links, second.links) == (1, 2, 2)
    assert (first.device, first.inode) == (second.device, second.inode)
    assert tree.find(b"none") is None
    assert tree.stamps is None
    assert str(tree) == "here"


def test_paths_are_chosen_in_whatever_order_they_are_asked_for() -> None:
    """With all above and below, and nothing beside."""
    files = files_of(tar_of(dict.fromkeys(("a/b/c", "a/b.x", "a/bb", "z/y", "q/r/s"), b"")))
    chosen = Subtrees(files, [b"a/b", b"q"])
    meant = {b"", b"a", b"a/b", b"a/b/c", b"q", b"q/r", b"q/r/s"}
    paths = [one.row.path for one in files.shown()] + [b""]
    for order in (paths, paths[::-1], sorted(paths, key=lambda path: path[::-1])):
        assert {path for path in order if path in chosen} == meant
    assert all(path in Subtrees(files, []) for path in paths)
    assert all(path in Subtrees(files, [b"a/b", b"/"]) for path in paths)
