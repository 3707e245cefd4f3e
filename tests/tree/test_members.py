"""What a member of a layer means: an entry, a deletion, or nothing."""

import stat

import pytest

from imgpack.errors import LimitError, TreeError
from imgpack.tar.stream import StreamMember
from imgpack.tree.entry import opaque, whiteout
from imgpack.tree.members import member_entry


def member(path: bytes, kind: int = stat.S_IFREG, link: bytes = b"") -> StreamMember:
    """A member with a number of its own in each field."""
    return StreamMember(path, kind, 0o640, 1, 2, 3, 4, link, 5, {}, 512)


def test_a_member_is_an_entry_with_the_content_that_is_given() -> None:
    """A symbolic link has the size of its target, as on disk; a hard link has no type."""
    found = member_entry(member(b"d/f"), b"/somewhere")
    assert found is not None
    assert (found.path, found.content, found.mode) == (b"d/f", b"/somewhere", stat.S_IFREG | 0o640)
    assert (found.uid, found.gid, found.mtime_ns, found.size, found.rdev) == (1, 2, 3, 4, 5)
    link = member_entry(member(b"l", stat.S_IFLNK, b"target"), b"")
    hard = member_entry(member(b"h", 0, b"d/f"), b"")
    assert link is not None
    assert hard is not None
    assert (link.size, hard.mode) == (6, 0o640)


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        (b".wh.x", whiteout(b"x")),
        (b"d/.wh.x", whiteout(b"d/x")),
        (b"d/.wh.x.wh.", whiteout(b"d/x.wh.")),
        (b".wh..wh..opq", opaque(b"")),
        (b"d/.wh..wh..opq", opaque(b"d")),
        (b".wh..wh.plnk", None),
        (b".wh..wh.plnk/1.2", None),
        (b".wh..wh.orph/.wh..wh..opq", None),
        (b"d/.wh..wh.aufs", None),
    ],
)
def test_names_that_mean_a_deletion_are_told(path: bytes, entry: object) -> None:
    """What else AUFS left is nothing."""
    assert member_entry(member(path), b"") == entry


@pytest.mark.parametrize(
    "path", [b".wh.", b"d/.wh.", b".wh..", b".wh...", b".wh.d/f", b".wh.d/.wh..wh..opq"]
)
def test_names_that_delete_nothing_are_refused(path: bytes) -> None:
    """With the name."""
    with pytest.raises(TreeError, match=r"\.wh\..* cannot be in a layer"):
        member_entry(member(path), b"")


def test_a_name_that_is_too_long_is_refused() -> None:
    """Of a deletion as well."""
    for path in (b"d/" + b"x" * 256, b".wh." + b"x" * 256):
        with pytest.raises(LimitError, match="Linux takes 255"):
            member_entry(member(path), b"")
