"""What a record says is what a build reads from it."""

import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.tree import xattrs
from imgpack.tree.tables.rows import TableRow
from imgpack.tree.unpack.records import override_record, rootless_record

_IDS = st.sampled_from((0, 1, 127, 128, 16383, 16384, 65535, 2**31)) | st.integers(0, 2**32 - 2)
_DEVICES = st.builds(os.makedev, st.integers(0, 4095), st.integers(0, 2**20 - 1))


@given(_IDS, _IDS)
def test_an_owner_is_read_back(uid: int, gid: int) -> None:
    """Root is written as what is on disk, which a user who builds is taken for."""
    found = xattrs.interpret({xattrs.ROOTLESS: rootless_record(uid, gid)}, b"f")
    assert (found.uid, found.gid) == (uid or None, gid or None)


@pytest.mark.parametrize(
    ("owner", "record"),
    [
        ((1000, 5), "08 e8 07 10 05"),
        ((0, 127), "08 ff ff ff ff 0f 10 7f"),
        ((128, 0), "08 80 01 10 ff ff ff ff 0f"),
    ],
)
def test_the_message_is_the_one_of_umoci(owner: tuple[int, int], record: str) -> None:
    """Two fields, in this order, the same bytes."""
    assert rootless_record(*owner) == bytes.fromhex(record)


@given(
    _IDS,
    _IDS,
    st.integers(0, 0o7777),
    st.sampled_from((stat.S_IFREG, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFBLK, stat.S_IFCHR)),
    _DEVICES,
)
def test_a_mode_and_a_device_are_read_back(
    uid: int, gid: int, mode: int, kind: int, rdev: int
) -> None:
    """With the owner; a device only of what is one."""
    row = TableRow(b"f", kind | mode, uid, gid, rdev=rdev)
    found = xattrs.interpret({xattrs.OVERRIDE: override_record(row)}, b"f")
    assert (found.uid, found.gid, found.mode, found.kind) == (uid, gid, mode, kind)
    assert found.rdev == (rdev if kind in (stat.S_IFBLK, stat.S_IFCHR) else 0)


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        (stat.S_IFREG, b"1:2:0005:file"),
        (stat.S_IFSOCK, b"1:2:0005:socket"),
        (stat.S_IFBLK, b"1:2:0005:block-3-4"),
    ],
)
def test_the_record_is_the_one_of_podman(kind: int, record: bytes) -> None:
    """The mode in octal, of four digits at least."""
    assert override_record(TableRow(b"f", kind | 5, 1, 2, rdev=os.makedev(3, 4))) == record
