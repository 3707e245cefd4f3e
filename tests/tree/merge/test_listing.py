"""The tree of a base as text."""

import hashlib
import re
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import Entries, Tree, file, symlink
from imgpack.errors import DocumentError, NotFoundError
from imgpack.tree.below import Below, Laid
from imgpack.tree.merge.listing import Listing, listed_sha256, listing_text
from tests.tree.merge.generated import paths, trees

HELLO = hashlib.sha256(b"hello").hexdigest()
TEXT = (
    b"#mtree\n"
    b". type=dir mode=0755 uid=0 gid=0 time=0.000000000\n"
    b"./bin type=link mode=0777 uid=0 gid=0 time=0.000000000 link=usr/bin\n"
    b"./etc type=dir mode=0755 uid=0 gid=0 time=1.500000000 xattr.user.a=YQ==\n"
    b"./etc/a\\040b type=file mode=4711 uid=1 gid=2 time=-1.000000001 size=5 sha256digest=%b\n"
    b"./etc-old type=file mode=0644 uid=0 gid=0 time=0.000000000 size=1 nlink=2 inode=1\n"
    b"./f type=fifo mode=0644 uid=0 gid=0 time=0.000000000\n"
    b"./l type=file mode=0644 uid=0 gid=0 time=0.000000000 size=1 nlink=2 inode=1\n"
    b"./tty type=char mode=0620 uid=0 gid=5 time=0.000000000 device=linux,5,0\n"
) % HELLO.encode()


def facts(tree: Tree) -> list[tuple[object, ...]]:
    """All that a tree says of its root and entries; inodes as the first path that has them."""
    root, firsts, found = tree.find(b""), dict[tuple[int, int], bytes](), []
    assert root is not None
    for entry in (root, *tree.entries()):
        content = entry.content
        assert not isinstance(content, bytes) or not content
        is_link = stat.S_ISLNK(entry.mode)
        several = entry.links > 1 and not entry.is_directory
        inode = (entry.device, entry.inode)
        found.append(
            (
                entry.path, entry.mode, entry.uid, entry.gid, entry.size, entry.mtime_ns,
                entry.rdev,
                entry.target() if is_link else b"",
                dict(content.xattrs) if not isinstance(content, bytes) else {},
                firsts.setdefault(inode, entry.path) if several else b"",
                entry.links if several else 1,
            )
        )  # fmt: skip
    return found


@given(trees())
def test_every_tree_is_read_back_as_it_was(tree: Entries) -> None:
    """Fields, targets, attributes and hard links; and the text of that is the same text."""
    text = listing_text(tree)

    assert facts(Listing(text)) == facts(tree)
    assert listing_text(Listing(text)) == text


@given(trees(), st.lists(paths(), max_size=5))
def test_whatever_is_looked_up_is_what_the_tree_has(tree: Entries, others: list[bytes]) -> None:
    """What is not there, too, and the names in every directory."""
    listing = Listing(listing_text(tree))
    there = {entry.path: entry for entry in listing.entries()}

    for path in (*there, *others):
        assert listing.find(path) == there.get(path)
    for path in (b"", *there, *others):
        inside = path + b"/" if path else b""
        names = [one[len(inside) :] for one in there if one.startswith(inside)]
        assert listing.names(path) == sorted(name for name in names if b"/" not in name)


def test_each_keyword_is_one_that_other_programs_read() -> None:
    """The text in full, which decides what a lock is."""
    assert facts(Listing(TEXT))[3][:6] == (
        b"etc/a b", stat.S_IFREG | 0o4711, 1, 2, 5, -999_999_999,
    )  # fmt: skip
    assert listing_text(Listing(TEXT)) == TEXT


def test_a_digest_is_that_of_the_bytes() -> None:
    """Of a file whose digest nobody computed, and of what is no file, there is none."""
    listing = Listing(TEXT)

    found = {entry.path: listed_sha256(entry) for entry in listing.entries()}
    assert {path for path, digest in found.items() if digest} == {b"etc/a b"}
    assert found[b"etc/a b"] == HELLO
    assert listed_sha256(next(Entries([file("a", b"")]).entries())) is None


def test_what_a_listing_is_has_a_digest() -> None:
    """That of its text."""
    assert Listing(TEXT).identity == hashlib.sha256(TEXT).hexdigest()


def test_only_what_is_kept_beside_it_can_be_opened() -> None:
    """The error names the path."""
    listing = Listing(TEXT, {b"etc-old": b"x"})

    assert opened(listing, b"etc-old") == b"x"
    with pytest.raises(NotFoundError, match="the bytes of etc/a b are in a layer"):
        opened(listing, b"etc/a b")


def opened(tree: Tree, path: bytes) -> bytes:
    """The bytes of a file."""
    found = tree.find(path)
    assert found is not None
    with found.open() as content:
        return content.read()


def test_entries_can_be_had_below_a_directory() -> None:
    """As those of every tree: the root is that directory."""
    root, first, *_ = Listing(TEXT).entries(under=b"mnt")

    assert (root.path, first.path) == (b"mnt", b"mnt/bin")
    assert root.is_directory


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"x type=dir", "does not start with a path below ."),
        (b"./x", "it has no type"),
        (b"./\\9 type=dir", "an escape is none of three octal digits"),
        (b"./../x type=dir mode=0755 uid=0 gid=0 time=0.000000000", "'../x' is no path in a tree"),
        (b"./x/ type=dir mode=0755 uid=0 gid=0 time=0.000000000", "'x/' is no path in a tree"),
        (b"./x mode=0755 uid=0 gid=0 time=0.000000000", "it has no type"),
        (b"./x type=door mode=0755 uid=0 gid=0 time=0.000000000", "its type is none"),
        (b"./x type=dir mode=0755 uid=0 time=0.000000000", "it has no gid"),
        (b"./x type=dir mode=755 uid=0 gid=0 time=0.000000000", "'755' is no value"),
        (b"./x type=dir mode=0755 uid=4294967295 gid=0 time=0.000000000", "more than 4294967294"),
        (b"./x type=dir mode=0755 uid=0 gid=0 time=1.5", "'1.5' is no value"),
        (b"./x type=dir mode=0755 uid=0 gid=0 time=0.000000000 uid=1", "'uid' has no value"),
        (b"./x type=dir mode=0755 uid=0 gid=0 time=0.000000000 size=1", "size is no keyword"),
        (b"./x type=dir mode=0755 uid=0 gid=0 time=0.000000000 optional", "'optional' has no"),
        (b"./x type=file mode=0644 uid=0 gid=0 time=0.000000000", "it has no size"),
        (b"./x type=file mode=0644 uid=0 gid=0 time=0.000000000 size=1 sha256digest=a", "no value"),
        (b"./x type=link mode=0777 uid=0 gid=0 time=0.000000000", "it has no link"),
        (b"./x type=char mode=0644 uid=0 gid=0 time=0.000000000 device=5", "'5' is no value"),
        (
            b"./x type=char mode=0644 uid=0 gid=0 time=0.000000000 device=linux,9999999999,0",
            "too (large|big)|greater than",
        ),
        (b"./x type=dir mode=0755 uid=0 gid=0 time=0.000000000 xattr.user.a=YQ", "padding"),
        (b"./bin type=dir mode=0755 uid=0 gid=0 time=0.000000000", "it is out of order"),
    ],
)  # fmt: skip
def test_a_malformed_line_is_named(line: bytes, why: str) -> None:
    """By its number, and with what is wrong with it."""
    listing = Listing(TEXT + line + b"\n", name="base.lock")

    with pytest.raises(DocumentError, match=f"^base.lock: line 10 is malformed: .*(?:{why})"):
        list(listing.entries())


@pytest.mark.parametrize("text", [b"", b"#mtree\n", TEXT[:-1], TEXT[1:], b"#mtree\n./x\n"])
def test_a_text_that_is_cut_short_is_refused(text: bytes) -> None:
    """Before anything is looked up in it."""
    with pytest.raises(DocumentError, match=re.escape("listing is no list of files")):
        Listing(text)


@given(st.binary(max_size=40), st.integers(7, len(TEXT) - 1), paths())
def test_any_damage_is_found_or_harmless(junk: bytes, at: int, path: bytes) -> None:
    """Whatever the bytes are, reading ends, and only in one kind of error."""
    try:
        listing = Listing(TEXT[:at] + junk + TEXT[at + len(junk) :] + b"\n")
        listing.find(path)
        listing.names(path)
        list(listing.entries())
    except DocumentError:
        pass


def test_links_are_followed_as_a_process_in_the_tree_would() -> None:
    """From the root of the tree, never out of it."""
    tree = Entries(
        [
            file("usr/lib/f", b"f"),
            symlink("lib", "usr/lib"),
            symlink("abs", "/lib/f"),
            symlink("up", "../../../abs"),
            symlink("usr/back", "../lib/./f"),
            symlink("loop", "pool"),
            symlink("pool", "loop"),
            symlink("dangling", "nowhere"),
        ]
    )

    for path in (b"usr/lib/f", b"lib/f", b"abs", b"up", b"usr/back"):
        found = Below((Laid(tree),)).follow(path)
        assert found is not None
        assert found.path == b"usr/lib/f"
    for path in (b"loop", b"dangling", b"none", b"lib/f/x"):
        assert Below((Laid(tree),)).follow(path) is None
