"""Transforms of owners and times, and which extended attributes belong to an image."""

import errno
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import ClampTime, Directory, Entry, SetOwner, SetTime, directory_entry, file
from imgpack.errors import TreeError
from imgpack.tree import xattrs
from imgpack.tree.disk.directory import mapped
from imgpack.tree.transform import MAX_TIME

CAPS = struct.pack("<IIII", 0x3000, 0, 0, 0)
V3 = struct.pack("<I", 0x03000001) + CAPS + struct.pack("<I", 100000)
V2 = struct.pack("<I", 0x02000001) + CAPS
OVERRIDE = b"user.containers.override_stat"
FUSE = b"user.fuseoverlayfs.override_stat"
ROOTLESS = b"user.rootlesscontainers"


def entry(mtime_ns: int = 0) -> Entry:
    """A file of somebody's."""
    return file(b"f", b"", uid=9, gid=9, mtime_ns=mtime_ns)


def test_ids_are_kept_by_default(tmp_path: Path) -> None:
    """Large ones too."""
    found = Directory(bytes(tmp_path)).find(b"")

    assert found is not None
    assert (found.uid, found.gid) == (tmp_path.stat().st_uid, tmp_path.stat().st_gid)
    assert mapped(12, 4294967294, (1, 1)) == (12, 4294967294)


def test_the_callers_own_ids_become_roots() -> None:
    """Each id for itself; those of others stay."""
    assert mapped(1000, 100, (1000, 100)) == (0, 0)
    assert mapped(1000, 5, (1000, 100)) == (0, 5)
    assert mapped(7, 100, (1000, 100)) == (7, 0)


def test_an_owner_is_everybodys() -> None:
    """Zero is an owner like any other."""
    assert SetOwner(0, 0)(entry()) == entry()._replace(uid=0, gid=0)


@given(st.integers(-(10**20), 10**21), st.integers(0, 2 * MAX_TIME))
def test_times_that_are_clamped_are_those_that_a_header_can_say(mtime_ns: int, at: int) -> None:
    """Rounded down, and never outside of eleven octal digits."""
    seconds = ClampTime(at)(entry(mtime_ns)).mtime_ns // 10**9

    assert 0 <= seconds <= min(MAX_TIME, at)
    if 0 <= mtime_ns < min(MAX_TIME, at) * 10**9:
        assert seconds == mtime_ns // 10**9


def test_times_are_clamped_or_set() -> None:
    """A clamp lowers later times only; zero is a time."""
    for before, after in ((51, 50), (50, 50), (49, 49), (-1, 0)):
        assert ClampTime(50)(entry(before * 10**9)).mtime_ns == after * 10**9
    assert ClampTime(0)(entry(10**9)).mtime_ns == 0
    assert SetTime(0)(entry(99 * 10**9)).mtime_ns == 0


@given(st.lists(st.tuples(st.sampled_from([SetTime, ClampTime]), st.integers(0, 2)), max_size=2))
def test_another_transform_has_another_identity(
    made: list[tuple[type[SetTime] | type[ClampTime], int]],
) -> None:
    """A layer in the cache is never taken for one built under other transforms."""
    others = [SetOwner(1, 2), SetOwner(2, 1), SetTime(3), ClampTime(3)]
    transforms = [kind(number) for kind, number in made]

    for other in others:
        assert other.identity not in [transform.identity for transform in transforms]
    assert [kind(number).identity for kind, number in made] == [
        transform.identity for transform in transforms
    ]


def test_capabilities_of_a_user_namespace_become_portable() -> None:
    """Version 3 loses its root id; version 2 stays."""
    assert xattrs.portable_capability(V3) == V2
    assert xattrs.portable_capability(V2) == V2
    assert xattrs.interpret({b"security.capability": V3}, b"f").xattrs == (
        (b"security.capability", V2),
    )


def test_what_describes_the_host_stays_behind() -> None:
    """Labels, overlay bookkeeping and Finder's notes are dropped without a word."""
    values = {
        b"security.selinux": b"x",
        b"security.evm": b"x",
        b"system.nfs4_acl": b"x",
        b"trusted.overlay.origin": b"x",
        b"trusted.overlay.impure": b"y",
        b"trusted.overlay.later": b"x",
        b"user.overlay.uuid": b"x",
        b"user.fuseoverlayfs.origin": b"x",
        b"security.fuseoverlayfs.origin": b"x",
        b"com.apple.quarantine": b"x",
    }

    assert xattrs.interpret(values, b"f") == xattrs.NONE


@pytest.mark.parametrize(
    "name", ["opaque", "redirect", "metacopy", "whiteout", "whiteouts", "overlay.opaque"]
)
@pytest.mark.parametrize(
    "prefix", ["trusted.overlay", "user.overlay", "user.fuseoverlayfs", "security.fuseoverlayfs"]
)
@pytest.mark.parametrize("value", [b"", b"x", b"y", b"/elsewhere"])
def test_half_of_an_overlay_is_no_tree(prefix: str, name: str, value: bytes) -> None:
    """Its files are empty or elsewhere, and what was deleted would come back."""
    attribute = f"{prefix}.{name}"
    with pytest.raises(TreeError, match=f"/f has the attribute {attribute}, ") as caught:
        xattrs.interpret({attribute.encode(): value}, b"/f")

    assert "build from the merged tree" in caught.value.hint


def test_what_pax_cannot_say_is_dropped_and_told() -> None:
    """Empty values, and names with an equals sign."""
    found = xattrs.interpret({b"user.empty": b"", b"user.a=b": b"x", b"user.ok": b"\0\xff"}, b"f")

    assert found.xattrs == ((b"user.ok", b"\0\xff"),)
    assert [name for name, _ in found.dropped] == [b"user.a=b", b"user.empty"]
    assert {why for _, why in found.dropped} == {"PAX cannot say an empty value, or = in a name"}


def test_rootless_records_are_the_owner_and_mode() -> None:
    """What a rootless tool could not chown it wrote down."""
    found = xattrs.interpret({OVERRIDE: b"1000:1001:0104755:file"}, b"f")
    assert (found.uid, found.gid, found.mode, found.xattrs) == (1000, 1001, 0o4755, ())

    found = xattrs.interpret({FUSE: b"1:2:755"}, b"d")
    assert (found.uid, found.gid, found.mode, found.xattrs) == (1, 2, 0o755, ())

    found = xattrs.interpret({OVERRIDE: b"1:2:755:dir\0"}, b"d")
    assert (found.uid, found.gid, found.mode) == (1, 2, 0o755)

    found = xattrs.interpret({ROOTLESS: b"\x08\xe8\x07\x10\x00"}, b"f")
    assert (found.uid, found.gid, found.mode) == (1000, 0, None)

    found = xattrs.interpret({ROOTLESS: b"\x08\xff\xff\xff\xff\x0f\x10\x05"}, b"f")
    assert (found.uid, found.gid) == (None, 5)


@pytest.mark.parametrize(
    ("kind", "mode", "rdev"),
    [
        ("char-1-3", stat.S_IFCHR, os.makedev(1, 3)),
        ("block-259-70000", stat.S_IFBLK, os.makedev(259, 70000)),
        ("char-5-1-more", stat.S_IFCHR, os.makedev(5, 1)),
        ("pipe", stat.S_IFIFO, 0),
        ("socket", stat.S_IFSOCK, 0),
        ("file", stat.S_IFREG, 0),
    ],
)
def test_an_empty_file_stands_for_what_is_recorded(kind: str, mode: int, rdev: int) -> None:
    """What a normal user cannot make."""
    found = xattrs.interpret({OVERRIDE: b"1:2:4600:" + kind.encode()}, b"f").recorded(entry())

    assert (found.mode, found.rdev) == (mode | 0o4600, rdev)
    assert (found.uid, found.gid) == (1, 2)
    again = xattrs.interpret({OVERRIDE: b"1:2:4600:" + kind.encode()}, b"f").recorded(found)
    assert again == found


@pytest.mark.parametrize("kind", ["symlink", "dir"])
def test_a_file_that_cannot_be_what_is_recorded_is_told(kind: str) -> None:
    """Whatever it was, it is not here."""
    found = xattrs.interpret({OVERRIDE: b"0:0:600:" + kind.encode()}, b"f")

    with pytest.raises(TreeError, match=f"f is recorded as {kind} by its attribute override_stat"):
        found.recorded(entry())
    pipe = xattrs.interpret({OVERRIDE: b"0:0:600:pipe"}, b"f")
    with pytest.raises(TreeError, match="recorded as pipe"):
        pipe.recorded(file(b"f", b"content"))
    with pytest.raises(TreeError, match="recorded as file"):
        xattrs.interpret({OVERRIDE: b"0:0:600:file"}, b"d").recorded(directory_entry(b"d"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (OVERRIDE, b""),
        (FUSE, b"-1:0:755"),
        (OVERRIDE, b"0:0"),
        (OVERRIDE, b"-1:0:755"),
        (OVERRIDE, b"0:4294967295:755"),
        (OVERRIDE, b"0:0:9"),
        (OVERRIDE, b"1_0:0:755"),
        (OVERRIDE, b"0:0:755junk"),
        (OVERRIDE, b"0:0:755:?"),
        (OVERRIDE, b"0:0:755:char"),
        (OVERRIDE, b"0:0:755:char-1"),
        (OVERRIDE, b"0:0:755:char-1-1048576"),
        (OVERRIDE, b"0:0:755:block-99999999999999-1"),
        (ROOTLESS, b"\x08"),
        (ROOTLESS, b"\x09\x01"),
        (ROOTLESS, b"\x18\x01"),
        (ROOTLESS, b"\x08" + b"\xff" * 20),
        (ROOTLESS, b"\x08\xff\xff\xff\xff\x7f"),
    ],
)
def test_a_malformed_record_is_told(name: bytes, value: bytes) -> None:
    """With the path, the attribute and the command that removes it."""
    with pytest.raises(TreeError, match=f"/f has a malformed {name.decode()}") as caught:
        xattrs.interpret({name: value}, b"/f")

    assert "setfattr -x" in caught.value.hint


@given(st.binary(max_size=20))
def test_any_record_is_valid_or_an_error(value: bytes) -> None:
    """Ids that come out fit 32 bits, whatever went in."""
    for name in (OVERRIDE, FUSE, ROOTLESS):
        try:
            found = xattrs.interpret({name: value}, b"f")
        except TreeError:
            continue
        assert all(number is None or 0 <= number < 2**32 for number in (found.uid, found.gid))


def test_attributes_are_read_from_files_and_links(tmp_path: Path) -> None:
    """From a descriptor or a path, sorted, and not through a link."""
    file = tmp_path / "f"
    file.touch()
    (tmp_path / "l").symlink_to("f")
    try:
        os.setxattr(file, "user.b", b"2")
        os.setxattr(file, "user.a", b"\xff\0")
    except OSError:
        pytest.skip("the file system takes no attributes")
    descriptor = os.open(file, os.O_RDONLY)
    try:
        found = xattrs.read(descriptor, b"f")
    finally:
        os.close(descriptor)

    assert found.xattrs == ((b"user.a", b"\xff\0"), (b"user.b", b"2"))
    assert xattrs.read(bytes(file), b"f") == found
    assert xattrs.read(bytes(tmp_path / "l"), b"l") == xattrs.NONE


def test_only_a_capability_may_overflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other attribute that cannot be read is an error, as is any other reason."""

    def failing(number: int) -> Callable[..., bytes]:
        def getxattr(*_: object, **__: object) -> bytes:
            raise OSError(number, os.strerror(number))

        return getxattr

    monkeypatch.setattr(os, "listxattr", lambda *_, **__: ["security.capability"])
    monkeypatch.setattr(os, "getxattr", failing(errno.EOVERFLOW))
    assert xattrs.read(bytes(tmp_path), b"d").dropped[0][0] == b"security.capability"
    monkeypatch.setattr(os, "getxattr", failing(errno.EACCES))
    with pytest.raises(PermissionError):
        xattrs.read(bytes(tmp_path), b"d")
    monkeypatch.setattr(os, "listxattr", lambda *_, **__: ["user.x"])
    monkeypatch.setattr(os, "getxattr", failing(errno.EOVERFLOW))
    with pytest.raises(OSError, match="too large"):
        xattrs.read(bytes(tmp_path), b"d")


def test_a_file_system_without_attributes_has_none() -> None:
    """/proc, for one."""
    assert xattrs.read(b"/proc/self/status", b"s") == xattrs.NONE


def test_only_security_capability_is_rewritten() -> None:
    """A user's own attribute may be as long, and begin with the same bytes."""
    values = {b"user.x": V3, b"security.capability": V3, b"security.other": V3}

    assert xattrs.interpret(values, b"f").xattrs == (
        (b"security.capability", V2),
        (b"security.other", V3),
        (b"user.x", V3),
    )
