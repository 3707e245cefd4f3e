"""Snapshots: what changed, without reading a file."""

import io
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from imgpack.api import Change, Directory, Entry, Placed
from imgpack.tree.destination import place
from imgpack.tree.disk.mounts import Mount
from imgpack.tree.disk.snapshot import RACY_NS, Comparison, Recorder, differences, recording, replay
from imgpack.tree.problems import Problems

LATER = 1 << 62
"""Nanoseconds: so long after every change that nothing is racy."""


def snapshot(tree: Placed[Directory], started_ns: int = LATER) -> io.BytesIO:
    """A snapshot of a tree, taken at some time."""
    file = io.BytesIO()
    recorder = Recorder(file, started_ns)
    for _ in recording(tree.stamps, Problems(), recorder):
        pass
    assert recorder.flush() is None
    return io.BytesIO(file.getvalue())


def compared(tree: Placed[Directory], old: io.BytesIO, at: int = LATER) -> Comparison:
    """A tree next to its old snapshot."""
    new = io.BytesIO()
    return Comparison(tree.stamps, Problems(), old, Recorder(new, at))


@pytest.fixture
def tree(tmp_path: Path) -> Placed[Directory]:
    """A small tree."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "file").write_bytes(b"content")
    (tmp_path / "d" / "other").write_bytes(b"content")
    (tmp_path / "link").symlink_to("d")
    return place(Directory(bytes(tmp_path)), b"/opt/app")


def test_two_snapshots_of_one_tree_are_equal(tree: Placed[Directory]) -> None:
    """To the byte, whenever they were taken."""
    assert snapshot(tree).getvalue() == snapshot(tree, LATER + 5).getvalue()
    assert compared(tree, snapshot(tree)).unchanged()
    assert list(differences(snapshot(tree), snapshot(tree), tree.stamps)) == []


def bare(entries: Iterable[Entry]) -> list[Entry]:
    """The entries without their records, which a plain walk does not make, and directories."""
    return [entry._replace(stamp=b"", within=None) for entry in entries]


def test_a_snapshot_replays_the_walk(tree: Placed[Directory]) -> None:
    """The same entries, so that the tree is walked once."""
    assert bare(replay(snapshot(tree), tree.stamps, Problems())) == bare(tree.entries(Problems()))


def test_recording_yields_the_walk(tree: Placed[Directory]) -> None:
    """And writes what is replayed."""
    file = io.BytesIO()
    recorder = Recorder(file, LATER)

    entries = list(recording(tree.stamps, Problems(), recorder))
    recorder.flush()

    assert bare(entries) == bare(tree.entries(Problems()))
    assert file.getvalue() == snapshot(tree).getvalue()
    assert [entry.stamp for entry in replay(file, tree.stamps, Problems())] == [
        entry.stamp for entry in entries
    ]
    assert all(entry.stamp for entry in entries if entry.content)


def rewrite(root: Path) -> None:
    (root / "d/file").write_bytes(b"contenx")


def grow(root: Path) -> None:
    (root / "d/file").write_bytes(b"more content")


def chmod(root: Path) -> None:
    (root / "d/file").chmod(0o4711)


def touch(root: Path) -> None:
    os.utime(root / "d/file", ns=(1, 1))


def replace(root: Path) -> None:
    (root / "new").write_bytes(b"content")
    (root / "new").rename(root / "d/file")


def retarget(root: Path) -> None:
    (root / "link").unlink()
    (root / "link").symlink_to("e")


def link(root: Path) -> None:
    os.link(root / "d/file", root / "linked")


def attribute(root: Path) -> None:
    try:
        os.setxattr(root / "d/file", "user.x", b"1")
    except OSError:
        (root / "d/file").chmod(0o600)


def retype(root: Path) -> None:
    (root / "d/other").unlink()
    (root / "d/other").mkdir()


@pytest.mark.parametrize(
    ("change", "path", "how"),
    [
        (rewrite, b"opt/app/d/file", "mtime"),
        (grow, b"opt/app/d/file", "mtime, size"),
        (chmod, b"opt/app/d/file", "type or mode"),
        (touch, b"opt/app/d/file", "mtime"),
        (replace, b"opt/app/d/file", "inode"),
        (retarget, b"opt/app/link", "changed"),
        (link, b"opt/app/d/file", "ctime"),
        (link, b"opt/app/linked", "added"),
        (attribute, b"opt/app/d/file", "c"),
        (retype, b"opt/app/d/other", "type or mode"),
    ],
)
def test_a_change_is_seen_and_named(
    tree: Placed[Directory], change: Callable[[Path], None], path: bytes, how: str
) -> None:
    """Whatever it is: content, mode, time, attributes, links, type."""
    os.utime(os.fsdecode(tree.tree.root + b"/d/file"), ns=(5, 5))
    before = snapshot(tree)
    change(Path(os.fsdecode(tree.tree.root)))
    after = snapshot(tree)

    changes = {found.path: found.how for found in differences(before, after, tree.stamps)}

    assert not compared(tree, io.BytesIO(before.getvalue())).unchanged()
    assert how in changes[path]
    assert b"opt/app/d/other" not in changes or path == b"opt/app/d/other"


@pytest.mark.parametrize("name", ["a", "d/a", "d/zz", "zz"])
@pytest.mark.parametrize("gone", [True, False])
def test_a_comparison_gives_every_entry_wherever_the_change_is(
    tree: Placed[Directory], name: str, gone: bool
) -> None:
    """At the front, in the middle, at the end: those seen before it and those after it."""
    file = Path(os.fsdecode(tree.tree.root)) / name
    file.touch()
    old = snapshot(tree)
    if gone:
        file.unlink()
    else:
        file.write_bytes(b"new")
    new = io.BytesIO()
    recorder = Recorder(new, LATER)
    seen = Comparison(tree.stamps, Problems(), old, recorder)

    assert not seen.unchanged()
    seen.record()
    entries = list(seen.entries())
    recorder.flush()

    assert bare(entries) == bare(tree.entries(Problems()))
    assert new.getvalue() == snapshot(tree).getvalue()
    assert all(entry.stamp for entry in entries if entry.content)


def test_a_comparison_at_an_unchanged_tree_gives_every_entry_too(tree: Placed[Directory]) -> None:
    """The cache may have lost what the layer consists of."""
    seen = compared(tree, snapshot(tree))

    assert seen.unchanged()
    seen.record()
    assert bare(seen.entries()) == bare(tree.entries(Problems()))


def test_a_comparison_ends_where_the_first_change_is(
    tree: Placed[Directory], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the walk goes along with the reading."""
    old = snapshot(tree)
    (Path(os.fsdecode(tree.tree.root)) / "d" / "file").write_bytes(b"changed")
    looked: list[bytes] = []
    lstat = os.lstat
    monkeypatch.setattr(os, "lstat", lambda path, **at: looked.append(path) or lstat(path, **at))

    assert not compared(tree, old).unchanged()

    assert looked == [tree.tree.root, b"d", b"file"]


def test_added_and_removed_paths_are_named_in_order(tree: Placed[Directory]) -> None:
    """In the order of the walk, directories with what they held."""
    root = Path(os.fsdecode(tree.tree.root))
    before = snapshot(tree)
    (root / "d/file").unlink()
    (root / "d.new").touch()
    os.utime(root / "d", ns=(7, 7))

    found = list(differences(before, snapshot(tree), tree.stamps))

    assert Change(b"opt/app/d/file", "removed") in found
    assert Change(b"opt/app/d.new", "added") in found
    assert [change.path for change in found] == sorted(
        (change.path for change in found), key=lambda path: path.split(b"/")
    )


def test_a_young_entry_never_compares_equal(tree: Placed[Directory]) -> None:
    """Another change within the clock's grain could carry the same times."""
    ctime = max(entry.ctime_ns for entry in tree.entries(Problems()))
    at = ctime + RACY_NS
    young, later = snapshot(tree, at), snapshot(tree, at + 1_000_000_000)

    assert not compared(tree, io.BytesIO(young.getvalue()), at=at + 1_000_000_000).unchanged()
    assert {found.how for found in differences(young, later, tree.stamps)} <= {
        "changed too recently to tell by its times"
    }


def test_times_of_a_far_future_are_exact(tree: Placed[Directory]) -> None:
    """Nanoseconds after the year 2262 need more than 64 bits."""
    file = os.fsdecode(tree.tree.root + b"/d/file")
    for far in (32503680000123456789, -1, -1_500_000_001):
        os.utime(file, ns=(0, far))
        if os.lstat(file).st_mtime_ns != far:
            continue  # this file system cannot say it either
        entries = {entry.path: entry for entry in replay(snapshot(tree), tree.stamps, Problems())}
        assert entries[b"opt/app/d/file"].mtime_ns == far


def test_a_full_disk_ends_no_walk(tree: Placed[Directory]) -> None:
    """The recorder remembers the failure and tells it at the end."""
    with open("/dev/full", "r+b", buffering=0) as full:
        recorder = Recorder(full, LATER)
        entries = list(recording(tree.stamps, Problems(), recorder))
        failure = recorder.flush()

    assert bare(entries) == bare(tree.entries(Problems()))
    assert failure is not None
    assert failure.strerror == "No space left on device"


def test_a_cut_snapshot_is_different_and_no_crash(tree: Placed[Directory]) -> None:
    """A damaged cache costs a rebuild."""
    whole = snapshot(tree).getvalue()
    for length in range(0, len(whole), 7):
        assert not compared(tree, io.BytesIO(whole[:length])).unchanged()
        list(differences(io.BytesIO(whole[:length]), snapshot(tree), tree.stamps))


def test_a_change_of_the_directory_that_becomes_the_destination_is_seen(
    tree: Placed[Directory],
) -> None:
    """Its mode and owner are in the layer."""
    old = snapshot(tree)
    os.chmod(tree.tree.root, 0o700)

    assert not compared(tree, io.BytesIO(old.getvalue())).unchanged()
    changes = list(differences(io.BytesIO(old.getvalue()), snapshot(tree), tree.stamps))
    assert [change.path for change in changes] == [b"opt/app"]


def mounted(monkeypatch: pytest.MonkeyPatch, kind: str, number: int) -> None:
    monkeypatch.setattr("imgpack.tree.disk.snapshot.mount_of", lambda *_: Mount(kind, number))


def test_a_tree_that_was_mounted_again_is_not_the_same(
    tree: Placed[Directory], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another image may be there, with the same numbers and times; it is told once."""
    mounted(monkeypatch, "ext4", 5)
    old = snapshot(tree)
    assert compared(tree, io.BytesIO(old.getvalue())).unchanged()
    mounted(monkeypatch, "ext4", 6)

    assert not compared(tree, io.BytesIO(old.getvalue())).unchanged()
    (change,) = differences(io.BytesIO(old.getvalue()), snapshot(tree), tree.stamps)
    assert "mounted again" in change.how


def test_times_that_prove_nothing_are_not_believed(
    tree: Placed[Directory], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of squashfs, say: every answer is as it was, and the tree is read."""
    mounted(monkeypatch, "squashfs", 0)
    old, recorder = snapshot(tree), Recorder(io.BytesIO(), LATER + 1)
    seen = Comparison(tree.stamps, Problems(), io.BytesIO(old.getvalue()), recorder)

    assert not seen.unchanged()
    assert recorder.distrusted == "squashfs"
    assert list(differences(old, snapshot(tree, LATER + 1), tree.stamps)) == []


def test_a_snapshot_that_is_cut_while_it_is_compared_is_told(tree: Placed[Directory]) -> None:
    """The rest of what was the same is nowhere: what is recorded must not pass for the tree."""
    old, recorder = snapshot(tree), Recorder(io.BytesIO(), LATER)
    seen = Comparison(tree.stamps, Problems(), old, recorder)
    assert seen.unchanged()
    old.truncate(10)
    seen.record()

    assert recorder.flush() is not None
