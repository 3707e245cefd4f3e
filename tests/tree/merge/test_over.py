"""A layer over what lies below it: where its entries go, what stays, what is left out."""

import os
import stat
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from imgpack.api import (
    Directory,
    Entries,
    Entry,
    Placed,
    Tree,
    character_device,
    directory_entry,
    file,
    hard_link,
    symlink,
    tarball,
)
from imgpack.errors import TreeError
from imgpack.tree.destination import place
from imgpack.tree.entry import OPAQUE, OPAQUE_NAME, WHITEOUT, opaque, whiteout
from imgpack.tree.merge.listing import Listing, listing_text
from imgpack.tree.problems import Problems
from imgpack.tree.tree import join
from tests.tree.stacks import below_of, over, paths, written


class Deletions:
    """Some entries and deletions, in their order, as a tree."""

    stamps = None

    def __init__(self, *entries: Entry) -> None:
        self._entries = entries

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Sequence[Entry]:
        """Just these."""
        return [entry._replace(path=join(under, entry.path)) for entry in self._entries]

    def find(self, path: bytes) -> Entry | None:
        """One of them, or the root."""
        above, _, name = path.rpartition(b"/")
        for entry in self._entries:
            if stat.S_IFMT(entry.mode) == OPAQUE:
                if (entry.path, OPAQUE_NAME) == (above, name):
                    return entry
            elif entry.path == path:
                return entry
        return directory_entry("") if not path else None


BASE = [
    directory_entry("usr/bin", mode=0o755, uid=3),
    directory_entry("usr/lib", mode=0o751),
    directory_entry("tmp", mode=0o1777, mtime_ns=5 * 10**9),
    symlink("bin", "usr/bin"),
    symlink("lib", "/usr/lib"),
    symlink("var/run", "/run"),
    file("etc/passwd", b"root:x:0:0::/:/bin/sh\n", mode=0o600),
]
"""A base with a merged /usr."""


def test_what_lies_in_a_linked_directory_goes_through_the_link() -> None:
    """A directory entry would replace the link, and nothing would run."""
    app = Entries([file("bin/tool", b""), file("lib/sub/x.so", b""), file("usr/bin/other", b"")])

    assert paths(written(app, Entries(BASE))) == [
        b"usr", b"usr/bin", b"usr/bin/tool", b"usr/lib", b"usr/lib/sub", b"usr/lib/sub/x.so",
        b"usr/bin/other",
    ]  # fmt: skip


def test_a_link_to_the_root_leads_there() -> None:
    """What lies behind it has a path of the image, which begins with no slash."""
    base = [*BASE, symlink("self", "/"), symlink("usr/here", "..")]
    app = Entries([file("self/tmp/x", b""), file("self/y", b""), file("usr/here/etc/z", b"")])

    assert paths(written(app, Entries(base))) == [b"tmp", b"tmp/x", b"y", b"etc", b"etc/z"]
    below = below_of([Entries(base), app])
    assert below.find(b"y") is not None
    assert sorted(below.names(b"")) == [
        b"bin", b"etc", b"lib", b"self", b"tmp", b"usr", b"var", b"y"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (file("lib/x", b"1"), file("lib64/x", b"2")),
        (file("lib/x", b"1"), file("lib64/x/y", b"2")),
        (file("lib/x/y", b"1"), file("lib64/x", b"2")),
    ],
)
def test_two_links_to_one_directory_make_no_path_twice(one: Entry, other: Entry) -> None:
    """Docker and podman load no layer that has a path twice; a directory may come both ways."""
    base = Entries([*BASE, symlink("lib64", "usr/lib")])
    with pytest.raises(TreeError, match=r"is /usr/lib/x in the image, .* is in entries as well"):
        written(Entries([one, other]), base)
    both = Entries([file("lib/d/x", b""), file("lib64/d/y", b"")])
    assert paths(written(both, base)) == [
        b"usr", b"usr/lib", b"usr/lib/d", b"usr/lib/d/x", b"usr/lib/d/y"
    ]  # fmt: skip


def test_directories_that_are_below_stay_what_they_are() -> None:
    """Mode, owner and time; a directory that holds nothing new is not repeated."""
    app = Entries(
        [file("tmp/x", b""), directory_entry("etc", mode=0o700), file("usr/lib/y", b"", uid=9)]
    )

    tmp, x, usr, lib, y = written(app, Entries(BASE))

    assert (tmp.path, tmp.mode, tmp.mtime_ns) == (b"tmp", 0o41777, 5 * 10**9)
    assert (usr.path, lib.path, lib.mode) == (b"usr", b"usr/lib", 0o40751)
    assert (x.path, y.path, y.uid) == (b"tmp/x", b"usr/lib/y", 9)


def test_a_directory_that_a_rule_names_is_changed_as_lower_layers_have_it() -> None:
    """What the rule does not say stays as it is below; the next layer repeats it."""
    app = Entries([directory_entry("tmp", mode=0o700)])
    upper = Entries([file("tmp/x", b"")])

    def owned(entry: Entry) -> Entry | None:
        return entry._replace(uid=7) if entry.path == b"tmp" else None

    (tmp,) = written(app, Entries(BASE), naming=owned)
    again, _ = written(upper, Entries(BASE), app, naming=owned)

    assert (tmp.path, tmp.mode, tmp.uid) == (again.path, again.mode, again.uid)
    assert (tmp.mode, tmp.uid) == (0o41777, 7)
    assert written(app, Entries(BASE)) == []


def test_an_exact_tree_says_the_attributes_of_its_directories() -> None:
    """A difference means them."""
    app = Placed(Entries([directory_entry("tmp", mode=0o700)]), exact=True)

    assert [(one.path, one.mode) for one in written(app, Entries(BASE))] == [(b"tmp", 0o40700)]


def test_two_ways_to_one_path_are_refused() -> None:
    """Which of them counts nobody said; both are named."""
    app = Entries([file("bin/tool", b"one"), file("usr/bin/tool", b"other")])

    with pytest.raises(TreeError, match="bin/tool of entries is /usr/bin/tool in the image"):
        written(app, Entries(BASE))


def test_a_link_to_nowhere_is_followed_and_its_target_made() -> None:
    """As /var/run in many images, whose target is there at run time only."""
    app = Entries([file("var/run/app/pid", b"")])

    assert paths(written(app, Entries(BASE))) == [b"run", b"run/app", b"run/app/pid"]


def test_a_directory_that_two_ways_lead_to_is_written_once() -> None:
    """Docker refuses a layer that has it twice."""
    app = Entries([file("lib/d/x", b""), file("usr/lib/d/y", b"")])

    found = paths(written(app, Entries(BASE)))

    assert sorted(found) == [
        b"usr", b"usr/lib", b"usr/lib/d", b"usr/lib/d/x", b"usr/lib/d/y"
    ]  # fmt: skip
    assert found.index(b"usr/lib/d") < min(map(found.index, (b"usr/lib/d/x", b"usr/lib/d/y")))


def hashed(tmp_path: Path, *entries: Entry) -> Tree:
    """A base of these entries whose files are known by their sha256."""
    import hashlib
    import re

    text = listing_text(Entries(entries))
    for entry in entries:
        if stat.S_ISREG(entry.mode):
            with entry.open() as opened:
                digest = hashlib.sha256(opened.read()).hexdigest()
            line = re.compile(rb"(?m)^(\./" + re.escape(entry.path) + rb" .*size=\d+)")
            text = line.sub(rb"\1 sha256digest=" + digest.encode(), text)
    return Listing(text)


def test_what_a_base_has_just_so_is_left_out(tmp_path: Path) -> None:
    """But for its time; owner, mode, content and attributes have to be the same."""
    same = file("usr/lib/same", b"content", mtime_ns=9 * 10**9)
    base = hashed(
        tmp_path,
        *BASE,
        file("usr/lib/same", b"content"),
        file("usr/lib/mode", b"content"),
        file("usr/lib/owner", b"content"),
        file("usr/lib/text", b"content"),
        file("usr/lib/attr", b"content"),
        symlink("usr/lib/link", "same"),
    )
    app = Entries(
        [
            same,
            file("usr/lib/mode", b"content", mode=0o755),
            file("usr/lib/owner", b"content", uid=1),
            file("usr/lib/text", b"CONTENT"),
            file("usr/lib/attr", b"content", xattrs={b"user.k": b"v"}),
            symlink("usr/lib/link", "same"),
        ]
    )

    names = [path.rpartition(b"/")[2] for path in paths(written(app, base))]
    assert names == [b"usr", b"lib", b"attr", b"mode", b"owner", b"text"]
    kept = paths(written(app, base, keep_identical=True))
    assert {b"usr/lib/same", b"usr/lib/link"} <= set(kept)


def test_a_deletion_that_deletes_nothing_is_left_out() -> None:
    """Loaders would show a ghost, or refuse the layer."""
    tree = Deletions(whiteout(b"etc/nothing"), whiteout(b"etc/passwd"))

    found = written(tree, Entries(BASE))

    assert [(one.path, stat.S_IFMT(one.mode)) for one in found] == [
        (b"etc", stat.S_IFDIR), (b"etc/passwd", WHITEOUT)
    ]  # fmt: skip


def test_a_deletion_goes_through_links_as_well() -> None:
    """The path is the one that users see."""
    base = Entries([*BASE, file("usr/lib/old.so", b"")])

    assert paths(written(Deletions(whiteout(b"lib/old.so")), base)) == [
        b"usr", b"usr/lib", b"usr/lib/old.so"
    ]  # fmt: skip


def test_a_strict_deletion_has_to_delete_something() -> None:
    """Else whoever asked for it mistyped the path."""
    tree = Placed(Deletions(whiteout(b"etc/pasword")), strict=True)

    with pytest.raises(TreeError, match="/etc/pasword is to be deleted, and no lower layer has it"):
        written(tree, Entries(BASE))


def test_an_opaque_directory_becomes_deletions_of_what_is_below() -> None:
    """One by one, before their siblings, and none beside an entry of its name."""
    base = Entries([file("d/a", b""), file("d/b", b""), file("d/sub/x", b""), file("d/sub/y", b"")])
    tree = Deletions(
        directory_entry("d", mode=0o700),
        opaque(b"d"),
        file("d/b", b"new"),
        directory_entry("d/sub"),
        file("d/sub/y", b"new"),
    )

    found = [(one.path, stat.S_IFMT(one.mode)) for one in written(tree, base)]

    reg, folder = stat.S_IFREG, stat.S_IFDIR
    assert found == [
        (b"d", folder), (b"d/a", WHITEOUT), (b"d/b", reg), (b"d/sub", folder),
        (b"d/sub/x", WHITEOUT), (b"d/sub/y", reg),
    ]  # fmt: skip


def test_what_comes_behind_an_opaque_directory_is_not_emptied() -> None:
    """Directories that lower layers have stay what they are there."""
    base = Entries([file("d/a", b""), directory_entry("e", mode=0o711)])
    tree = Deletions(
        directory_entry("d"), opaque(b"d"), directory_entry("e", mode=0o700), file("e/x", b"")
    )

    assert [(one.path, one.mode & 0o7777) for one in written(tree, base)][-2:] == [
        (b"e", 0o711), (b"e/x", 0o644)
    ]  # fmt: skip


def test_an_opaque_directory_that_is_new_deletes_nothing() -> None:
    """As one that was a file before."""
    tree = Deletions(directory_entry("d"), opaque(b"d"), file("d/x", b""))

    assert paths(written(tree, Entries(BASE))) == [b"d", b"d/x"]
    assert paths(written(tree, Entries([file("d", b"")]))) == [b"d", b"d/x"]


def test_a_device_is_the_same_by_its_numbers() -> None:
    """It holds nothing else."""
    base = Listing(listing_text(Entries([character_device("null", 1, 3)])))

    assert written(Entries([character_device("null", 1, 3)]), base) == []
    assert paths(written(Entries([character_device("null", 1, 5)]), base)) == [b"null"]


def test_a_way_through_a_link_ends_at_what_the_tree_has_itself() -> None:
    """One path cannot be a directory and a file."""
    app = Entries([file("var/run/x", b""), file("run", b"")])

    with pytest.raises(TreeError, match="var/run of entries is /run in the image"):
        written(app, Entries(BASE))


def test_two_files_that_links_bring_to_one_place_are_refused() -> None:
    """Both directories lead to another one; no engine loads a layer with a path twice."""
    base = Entries([directory_entry("usr/bin"), symlink("bin", "usr/bin"), symlink("sbin", "bin")])
    app = Entries([file("bin/x", b"1"), file("sbin/x", b"2")])

    with pytest.raises(TreeError, match=r"bin/x of entries is /usr/bin/x in .* and sbin/x is"):
        written(app, base)
    both = Entries([file("bin/x/a", b"1"), file("sbin/x/b", b"2")])
    assert paths(written(both, base))[-3:] == [b"usr/bin/x", b"usr/bin/x/a", b"usr/bin/x/b"]


def test_a_link_may_lead_to_the_root() -> None:
    """What is in it lies at the top."""
    app = Entries([file("host/etc/a", b""), file("host/b", b"")])

    for target in ("/", ".", "../.."):
        base = Entries([symlink("host", target), directory_entry("etc", mode=0o700)])
        assert sorted(paths(written(app, base))) == [b"b", b"etc", b"etc/a"]


def test_an_emptied_directory_is_what_the_layer_says_for_those_above_it() -> None:
    """It was written with the layer's attributes, and what comes over it keeps them."""
    base = Entries([directory_entry("a", mode=0o755), file("a/old", b"")])
    emptied = Deletions(directory_entry("a", mode=0o700), opaque(b"a"))

    found = written(Entries([file("a/new", b"")]), base, emptied)

    assert [entry.path for entry in found if stat.S_IMODE(entry.mode) == 0o700] == [b"a"]


def test_nothing_is_told_of_a_directory_that_is_emptied() -> None:
    """It is said to be, and no file lies in its place."""
    base = Entries([file("a/old", b"")])

    assert not over(Deletions(directory_entry("a"), opaque(b"a")), [base]).survey.warnings


def test_a_directory_that_is_emptied_replaces_a_link() -> None:
    """What it leads to is not what is deleted; and deletions in it lead nowhere."""
    base = Entries([symlink("bin", "/"), file("etc/x", b"")])
    new = Deletions(directory_entry("bin"), opaque(b"bin"), file("bin/a", b""))
    exact = Placed(Deletions(directory_entry("bin"), whiteout(b"bin/etc")), exact=True)

    assert paths(written(new, base)) == [b"bin", b"bin/a"]
    assert paths(written(exact, base)) == [b"bin"]


def test_an_emptied_root_hides_all_that_is_below() -> None:
    """Once, though more is emptied in it; also from the layers above it."""
    base = Entries([file("a/x", b""), symlink("lib", "a")])
    gone = Deletions(
        opaque(b""), directory_entry("a"), opaque(b"a"), directory_entry("lib"), file("lib/y", b"")
    )

    assert paths(written(gone, base)) == [b"a", b"a/x", b"lib", b"lib/y"]
    assert paths(written(Entries([directory_entry("a/x")]), base, gone)) == [b"a", b"a/x"]
    top = Deletions(opaque(b""))
    assert paths(written(top, place(Entries([file("f", b"")]), b"/opt/sub"))) == [b"opt"]


def test_what_is_emptied_may_be_an_archive_at_another_place(tmp_path: Path) -> None:
    """Its names are those that it has there."""
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("one"))
    lower = tarball(tmp_path / "a.tar", dest="/usr")
    emptied = Deletions(directory_entry("usr"), opaque(b"usr"))

    assert [(e.path, stat.S_IFMT(e.mode)) for e in written(emptied, lower)] == [
        (b"usr", stat.S_IFDIR), (b"usr/one", WHITEOUT),
    ]  # fmt: skip


def test_only_what_a_base_has_is_left_out() -> None:
    """Not what another source has, for that would depend on what it is read from."""
    app = Entries([symlink("a", "b"), file("b", b"1")])

    assert paths(written(app, app)) == [b"a", b"b"]
    assert paths(written(app, Listing(listing_text(app)), app)) == [b"a", b"b"]


def test_an_opaque_directory_has_its_own_attributes() -> None:
    """It is another one than that which was deleted, if nothing is in it as well."""
    tree = Deletions(directory_entry("tmp", mode=0o700), opaque(b"tmp"))

    assert [(one.path, one.mode) for one in written(tree, Entries(BASE))] == [(b"tmp", 0o40700)]


def test_an_opaque_root_deletes_all_that_it_has_not() -> None:
    """Of what both have as directories, what is in there."""
    base = Entries([file("a", b""), file("d/x", b""), file("d/y", b"")])
    tree = Deletions(opaque(b""), directory_entry("d", mode=0o711), file("d/y", b"new"))

    found = [(one.path, stat.S_IFMT(one.mode)) for one in written(tree, base)]

    assert found == [
        (b"a", WHITEOUT), (b"d", stat.S_IFDIR), (b"d/x", WHITEOUT), (b"d/y", stat.S_IFREG)
    ]  # fmt: skip


def test_hard_links_stay_links_though_the_base_has_one_of_them_just_so(tmp_path: Path) -> None:
    """All names of a file are in one layer."""
    base = hashed(tmp_path, file("a", b"content"))
    app = Entries([file("a", b"content"), hard_link("b", "a")])

    assert paths(written(app, base)) == [b"a", b"b"]


def test_a_link_within_what_lies_behind_a_link_is_followed_too() -> None:
    """One level after the other, as the image has them."""
    base = Entries([*BASE, symlink("usr/lib/x", "/opt/x")])

    assert paths(written(Entries([file("lib/x/f", b"")]), base)) == [
        b"opt", b"opt/x", b"opt/x/f"
    ]  # fmt: skip


def test_what_is_made_up_is_what_the_transforms_make_of_it() -> None:
    """It is the layer's own: nobody has the directory that a link below leads through."""
    base = Entries([*BASE, symlink("x", "/opt/x")])
    app = over(Entries([file("x/f", b"")]), [base])
    arranged = replace(app, view=lambda entry: entry._replace(uid=7))

    found = [entry for _, entry in arranged((one, one) for one in app.tree.entries())]

    assert [(one.path, one.uid) for one in found] == [(b"opt", 7), (b"opt/x", 0), (b"opt/x/f", 0)]


def test_replaced_things_are_told_in_the_order_of_their_names(tmp_path: Path) -> None:
    """However the directory on disk lists them."""
    names = [f"{number:02}" for number in range(20)]
    for name in reversed(names):
        (tmp_path / name).touch()
    base = Entries([directory_entry(name) for name in names])

    told = over(Directory(bytes(tmp_path)), [base]).survey.warnings

    assert [warning.partition(" ")[0] for warning in told] == names


def test_what_a_lower_layer_deleted_is_not_below() -> None:
    """A link that is gone is not followed, a directory that is gone leaves no attributes."""
    middle = Deletions(whiteout(b"lib"), whiteout(b"tmp"))
    app = Entries([file("lib/x", b""), directory_entry("tmp", mode=0o711)])

    found = written(app, Entries(BASE), middle)

    assert [(one.path, one.mode & 0o7777) for one in found] == [
        (b"lib", 0o755), (b"lib/x", 0o644), (b"tmp", 0o711)
    ]  # fmt: skip


def test_what_a_middle_layer_put_through_a_link_is_found_there() -> None:
    """Its directories keep their attributes where they lie in the image."""
    middle = Entries([directory_entry("lib/plugins", mode=0o700)])
    app = Entries([file("usr/lib/plugins/x", b"")])

    found = written(app, Entries(BASE), middle)

    assert [(one.path, one.mode & 0o7777) for one in found][2:] == [
        (b"usr/lib/plugins", 0o700), (b"usr/lib/plugins/x", 0o644)
    ]  # fmt: skip


def test_a_layer_on_disk_is_arranged_as_one_in_memory(tmp_path: Path) -> None:
    """Whatever the trees are made of."""
    root = tmp_path / "app"
    for path in ("bin/tool", "lib/sub/x", "tmp/y", "opt/new/z"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    os.utime(root, (0, 0))
    memory = Entries([file(path, b"") for path in ("bin/tool", "lib/sub/x", "tmp/y", "opt/new/z")])

    disk = Directory(bytes(root))
    assert paths(written(disk, Entries(BASE))) == paths(written(memory, Entries(BASE)))


def test_a_placed_tree_goes_through_links_of_its_destination_and_within() -> None:
    """``app:/var`` with a run/ in it, and /var/run a link."""
    app = place(Entries([file("run/x", b"")]), b"/var")

    assert paths(written(app, Entries(BASE))) == [b"run", b"run/x"]


def test_a_file_of_the_image_is_read_through_its_links() -> None:
    """The topmost layer that has it counts; what is no file is none."""
    lower = Entries([symlink("etc/passwd", "../lib/passwd"), file("lib/passwd", b"lower"),
                     directory_entry("etc/group"), symlink("etc/shadow", "passwd/x")])  # fmt: skip
    upper = Entries([file("lib/passwd", b"upper")])

    assert below_of([lower]).read_file("/etc/passwd") == b"lower"
    assert below_of([lower, upper]).read_file("/etc/passwd") == b"upper"
    for path in ("/etc/group", "/etc/shadow", "/etc/nothing"):
        assert below_of([lower]).read_file(path) is None


def test_the_identity_is_all_that_decides() -> None:
    """A cache goes by it."""
    tree = Entries([])
    plain = over(tree, [Entries(BASE)])
    others = [
        over(tree, [Entries(BASE)], keep_identical=True),
        over(Placed(tree, exact=True), [Entries(BASE)]),
    ]

    assert len({one.identity for one in (plain, *others)}) == 3


def test_an_opaque_directory_in_another_is_emptied_once() -> None:
    """And what comes behind it in the outer one is emptied as well; nothing is to be told."""
    base = Entries([file("d/b/x", b""), file("d/c/z", b"")])
    tree = Deletions(
        directory_entry("d"), opaque(b"d"), directory_entry("d/b"), opaque(b"d/b"),
        directory_entry("d/c"), file("d/c/y", b""),
    )  # fmt: skip
    found = [(entry.path, stat.S_IFMT(entry.mode)) for entry in written(tree, base)]
    assert found == [
        (b"d", stat.S_IFDIR),
        (b"d/b", stat.S_IFDIR), (b"d/b/x", WHITEOUT),
        (b"d/c", stat.S_IFDIR), (b"d/c/z", WHITEOUT), (b"d/c/y", stat.S_IFREG),
    ]  # fmt: skip
    assert over(tree, [base]).survey.warnings == ()


def test_a_path_may_be_deeper_than_pythons_stack() -> None:
    """Each directory on its way is repeated, from the root on."""
    deep = "/".join(["d"] * 1100)
    entries = written(Entries([file(f"{deep}/new", b"")]), Entries([directory_entry(deep)]))
    assert [entry.path.count(b"/") for entry in entries] == list(range(1101))
