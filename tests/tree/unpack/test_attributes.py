"""What rows say of things is set on them; what cannot be is counted, and told of the first."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgpack.tree.tables.rows import TableRow
from imgpack.tree.unpack.attributes import AttributeSetter
from imgpack.tree.xattrs import OVERRIDE, ROOTLESS

REG, DIR, LNK, FIFO, CHR = stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR
PAIRS = ((b"user.a", b"1"), (b"user.b", b"2"))


@pytest.fixture
def file(tmp_path: Path) -> bytes:
    """The path of an empty file."""
    (tmp_path / "file").touch()
    return os.fsencode(tmp_path / "file")


def _refusing(monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> list[Any]:
    """Let a function of the system refuse; what it was called with."""
    asked: list[Any] = []

    def refuse(*arguments: Any, **_: Any) -> None:
        asked.append(arguments[1:])
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, name, refuse)
    return asked


NOT_ALLOWED = [errno.EPERM, errno.EACCES, errno.EINVAL]
NO_ATTRIBUTE = [*NOT_ALLOWED, errno.ENOTSUP, errno.ENOSYS, errno.E2BIG, errno.ERANGE]


@pytest.mark.parametrize("code", NOT_ALLOWED)
def test_without_the_owner_nothing_lends_rights(
    file: bytes, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is set all the same; of several the first is told."""
    _refusing(monkeypatch, "chown", code)
    setter = AttributeSetter()
    setter.set(file, TableRow(b"one", REG | 0o7751, 5, 6, 7_000_000_000))
    setter.set(file, TableRow(b"two", REG | 0o7751, 5, 6, 7_000_000_000))
    found = os.stat(file)
    assert (stat.S_IMODE(found.st_mode), found.st_mtime) == (0o1751, 7)
    assert (setter.unset.owners, setter.unset.owner) == (2, b"one")


@pytest.mark.parametrize("code", NO_ATTRIBUTE)
def test_an_entry_without_its_attributes_is_counted_once(
    file: bytes, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them are tried; those of a record are not."""
    asked = _refusing(monkeypatch, "setxattr", code)
    setter = AttributeSetter()
    for path in (b"one", b"two"):
        setter.set(file, TableRow(path, REG, xattrs=(*PAIRS, (OVERRIDE, b"x"), (ROOTLESS, b"x"))))
    assert asked == [*PAIRS, *PAIRS]
    assert (setter.unset.attributes, setter.unset.attribute) == (2, b"one")
    assert setter.unset.owners == 0


def test_an_attribute_that_has_no_name_for_the_system_hides_no_other(file: bytes) -> None:
    """Such as one with a NUL."""
    setter = AttributeSetter()
    setter.set(file, TableRow(b"f", REG, xattrs=((b"user.\0", b"1"), (b"user.b", b"2"))))
    assert os.listxattr(file) == ["user.b"]
    assert setter.unset.attributes == 1


@pytest.mark.parametrize("name", ["chown", "setxattr"])
@pytest.mark.parametrize("rootless", [False, True])
def test_what_is_no_matter_of_rights_is_an_error(
    file: bytes, name: str, rootless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails, or is full."""
    _refusing(monkeypatch, name, errno.ENOSPC)
    setter = AttributeSetter(rootless=rootless)
    row = TableRow(b"f", REG, 5, 6, xattrs=() if rootless else PAIRS)
    if name == "chown" and rootless:
        setter.set(file, row)
        return
    with pytest.raises(OSError, match="No space"):
        setter.set(file, row)


@pytest.mark.parametrize(
    ("row", "records"),
    [
        (TableRow(b"f", REG | 0o755), set()),
        (TableRow(b"f", REG | 0o755, 5), {ROOTLESS}),
        (TableRow(b"f", REG | 0o755, 0, 5), {ROOTLESS}),
        (TableRow(b"f", REG | 0o4755), {OVERRIDE}),
        (TableRow(b"f", REG | 0o2755, 5), {OVERRIDE, ROOTLESS}),
        (TableRow(b"f", CHR | 0o644), {OVERRIDE}),
        (TableRow(b"f", FIFO | 0o644, 5), {OVERRIDE, ROOTLESS}),
        (TableRow(b"f", FIFO | 0o644, 0, 5), {OVERRIDE, ROOTLESS}),
    ],
)
def test_a_record_is_kept_of_what_only_root_can_set(
    file: bytes, row: TableRow, records: set[bytes]
) -> None:
    """And of nothing else; on disk it belongs to the user, without set-id bits."""
    before = os.stat(file)
    setter = AttributeSetter(rootless=True)
    setter.set(file, row)
    assert {os.fsencode(name) for name in os.listxattr(file)} == records
    after = os.stat(file)
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert stat.S_IMODE(after.st_mode) == stat.S_IMODE(row.mode) & ~0o6000
    assert setter.unset.owners == 0


@pytest.mark.parametrize("code", NO_ATTRIBUTE)
def test_an_owner_that_cannot_be_recorded_is_counted_once(
    file: bytes, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many records it would take; set-id bits are not set either."""
    asked = _refusing(monkeypatch, "setxattr", code)
    setter = AttributeSetter(rootless=True)
    setter.set(file, TableRow(b"f", REG | 0o6755, 5))
    assert [name for name, _ in asked] == [OVERRIDE]
    assert (setter.unset.owners, setter.unset.owner) == (1, b"f")
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o755


@pytest.mark.parametrize(
    ("mode", "owner", "stands"),
    [
        (FIFO, (0, 0), False),
        (FIFO, (1, 0), True),
        (FIFO, (0, 1), True),
        (CHR, (0, 0), True),
        (stat.S_IFBLK, (0, 0), True),
        (stat.S_IFSOCK, (0, 0), True),
    ],
)
def test_a_file_stands_for_what_a_user_cannot_make(
    mode: int, owner: tuple[int, int], stands: bool
) -> None:
    """Only with records; a pipe can be made, and has no attributes for an owner."""
    assert AttributeSetter(rootless=True).stands_in(TableRow(b"f", mode, *owner)) == stands
    assert not AttributeSetter().stands_in(TableRow(b"f", mode, *owner))


@pytest.mark.parametrize(
    ("owner", "rootless", "unset"),
    [((5, 0), True, 1), ((0, 5), True, 1), ((0, 0), True, 0), ((5, 5), False, 0)],
)
def test_a_link_gets_its_own_owner_and_time(
    tmp_path: Path, owner: tuple[int, int], rootless: bool, unset: int
) -> None:
    """What it points to keeps what it has; a record of it there is none."""
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to("target")
    target = (tmp_path / "target").stat()
    above = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    setter = AttributeSetter(rootless=rootless)
    try:
        setter.set_link(above, b"link", TableRow(b"l", LNK | 0o777, *owner, 3_000_000_001))
    finally:
        os.close(above)
    found = (tmp_path / "link").lstat()
    assert found.st_mtime_ns == 3_000_000_001
    assert (found.st_uid, found.st_gid) == ((0, 0) if rootless else owner)
    assert (setter.unset.owners, setter.unset.owner) == (unset, b"l" * unset)
    after = (tmp_path / "target").stat()
    assert (after.st_uid, after.st_mtime_ns) == (target.st_uid, target.st_mtime_ns)


def test_attributes_of_a_link_are_set_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the directory that is open, whatever its path means now."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "link").symlink_to("nowhere")
    above = os.open(tmp_path / "d", os.O_RDONLY | os.O_DIRECTORY)
    (tmp_path / "d").rename(tmp_path / "e")
    setter = AttributeSetter()
    try:
        setter.set_link(above, b"link", TableRow(b"l", LNK, xattrs=((b"trusted.a", b"1"),)))
    finally:
        os.close(above)
    assert os.listxattr(tmp_path / "e" / "link", follow_symlinks=False) == ["trusted.a"]
    assert setter.unset.attributes == 0


def test_privileges_come_after_the_owner(file: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which clears them; the time comes last, for all else changes it."""
    order: list[str] = []

    def noted(name: str, act: Callable[..., None]) -> Callable[..., None]:
        def run(*arguments: Any, **options: Any) -> None:
            order.append(name)
            act(*arguments, **options)

        return run

    for name in ("chown", "setxattr", "chmod", "utime"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    AttributeSetter().set(file, TableRow(b"f", REG | 0o4755, xattrs=PAIRS[:1]))
    assert order == ["chown", "setxattr", "chmod", "utime"]
