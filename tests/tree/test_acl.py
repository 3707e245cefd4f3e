"""Access control lists of archives: the attributes that the kernel would give."""

import struct

import pytest

from imgpack.errors import TreeError
from imgpack.tree.inputs.acl import acl_mode, parse_acl

NONE = 0xFFFFFFFF
VALUE = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *item)
    for item in [
        (1, 6, NONE), (2, 7, 0), (2, 5, 4242), (4, 4, NONE), (8, 1, 7), (0x10, 7, NONE),
        (0x20, 0, NONE),
    ]
)  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        b"user::rw-\nuser:root:rwx\nuser:4242:r-x\ngroup::r--\ngroup:7:--x\nmask::rwx\nother::---\n",
        b"user::rw-,group::r--,other::---,user:root:rwx:0,user:joe:r-x:4242,group:g:--x:7,mask::rwx",
        b"other:---,mask:rwx,user::rw-,user:4242:r-x,user:0:rwx,group::r--,group:7:--x",
    ],
)
def test_every_writer_means_the_same_value(text: bytes) -> None:
    """GNU tar, bsdtar, and any order."""
    assert parse_acl(text) == VALUE
    assert acl_mode(VALUE) == 0o670


def test_a_list_that_says_what_the_mode_says_is_none() -> None:
    """Files without one have no attribute either."""
    assert parse_acl(b"user::rwx\ngroup::r-x\nother::r-x\n") is None
    assert parse_acl(b"") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"user:joe:rwx,mask::rwx", "names 'joe', and no number for it"),
        (b"user:4294967295:rwx", "and no number"),
        (b"user::rwz", "malformed line 'user::rwz'"),
        (b"mask:joe:rwx", "malformed"),
        (b"who::rwx", "malformed"),
        (b"\xff", "malformed"),
    ],
)
def test_what_cannot_be_kept_is_refused(text: bytes, message: str) -> None:
    """Rather than lost."""
    with pytest.raises(TreeError, match=message):
        parse_acl(text)
