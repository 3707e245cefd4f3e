"""Segments: a valid tar, cut by content alone, and honest about what it could not read."""

import errno
import gc
import os
import socket
import stat
import weakref
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import ClampTime, Directory, Entry, SetOwner, Transform
from imgpack.compression.algorithm import SMALL
from imgpack.errors import SourceChangedError, SourceError, TreeError
from imgpack.layer import encoder
from imgpack.layer.segments import Segments
from imgpack.layer.stages import NO_STAGES, Stages
from imgpack.tar import header
from imgpack.tree import xattrs
from imgpack.tree.disk.directory import entry_of
from imgpack.tree.problems import Problems
from tests.layer.trees import MIB, cuts, entry, fill, noise, opened, segments_of, settle

SEGMENT, MAX_SEGMENT, LAST_PIECE = SMALL.mean, SMALL.largest, SMALL.last_piece


def test_the_segments_are_a_tar_of_the_tree(tmp_path: Path) -> None:
    """Every name, content and mode, in the order of the walk."""
    fill(tmp_path)
    (tmp_path / "large").write_bytes(noise(5 * MIB + 7))
    (tmp_path / "empty").touch()

    with opened(b"".join(cuts(tmp_path))) as tar:
        names = []
        for member in tar:
            source = tmp_path / member.name
            names.append(member.name.encode())
            assert member.mode == stat.S_IMODE(source.stat().st_mode)
            assert member.mtime == int(source.stat().st_mtime)
            if member.isfile():
                content = tar.extractfile(member)
                assert content is not None
                assert content.read() == source.read_bytes()
            else:
                assert source.is_dir()

    assert names == [found.path for found in Directory(bytes(tmp_path)).entries(Problems())]


def test_a_tree_is_always_cut_in_the_same_way(tmp_path: Path) -> None:
    """Twice, and when it lies somewhere else."""
    one, two = fill(tmp_path / "one"), fill(tmp_path / "elsewhere/two")

    assert cuts(one) == cuts(one)
    assert cuts(one) == cuts(two)
    assert len(cuts(one)) > 3


@pytest.mark.parametrize("change", ["longer", "shorter", "gone", "new"])
def test_a_change_of_one_file_moves_no_other_cut(tmp_path: Path, change: str) -> None:
    """All segments but the one or two around it keep their bytes."""
    fill(tmp_path)
    before = cuts(tmp_path)
    file = tmp_path / "d4" / "file0067"
    if change == "longer":
        file.write_bytes(file.read_bytes() + b"more")
    elif change == "shorter":
        file.write_bytes(b"")
    elif change == "gone":
        file.unlink()
    else:
        (tmp_path / "d4" / "file0068.new").write_bytes(b"new")
    settle(tmp_path)

    after = cuts(tmp_path)

    assert after != before
    assert len(set(after) - set(before)) <= 2
    assert len(set(before) - set(after)) <= 2


def test_a_change_at_the_end_of_a_large_file_keeps_its_other_pieces(tmp_path: Path) -> None:
    """The cuts inside a file are at fixed steps."""
    data = noise(8 * MIB)
    (tmp_path / "large").write_bytes(data)
    settle(tmp_path)
    before = cuts(tmp_path)
    (tmp_path / "large").write_bytes(data[:-1] + b"!")
    settle(tmp_path)

    after = cuts(tmp_path)

    assert before[:-1] == after[:-1]
    assert len(before) == 8


@given(
    st.lists(
        st.tuples(st.binary(min_size=1, max_size=6), st.integers(0, 60)), min_size=1, max_size=40
    )
)
def test_no_segment_is_much_larger_than_the_bound(found: list[tuple[bytes, int]]) -> None:
    """Whatever the paths: a segment holds at most MAX_SEGMENT and one entry's PAX records."""
    entries = [
        entry(name + b"/" + b"x" * (70_000 * length // 60))
        for name, length in found
        for _ in "1234"
    ]
    segments = [len(found.data) for found in Segments(NO_STAGES, Problems()).cut(iter(entries))]

    assert max(segments) <= MAX_SEGMENT + 2 * 70_000 + header.BLOCK * 8


@pytest.mark.parametrize(
    "size",
    [0, 1, 511, 512, 513, SEGMENT, LAST_PIECE - 1, LAST_PIECE, LAST_PIECE + 1, 2 * SEGMENT,
     2 * SEGMENT + SEGMENT // 2, 2 * SEGMENT + SEGMENT // 2 + 1],
)  # fmt: skip
def test_files_of_any_size_are_encoded_whole(tmp_path: Path, size: int) -> None:
    """At every border of the cut rule, with a file before and one behind."""
    for name, length in (("a", 10), ("b", size), ("c", 10)):
        (tmp_path / name).write_bytes(noise(length))

    segments = cuts(tmp_path)
    with opened(b"".join(segments)) as tar:
        content = tar.extractfile("b")
        assert content is not None
        assert content.read() == noise(size)
        assert tar.getnames() == ["a", "b", "c"]
    assert max(map(len, segments)) <= MAX_SEGMENT
    if size > LAST_PIECE:
        assert len(segments[0]) == 1024, "a large file begins a segment"
        assert len(segments[1]) == SEGMENT + 512


def test_an_empty_tree_is_an_empty_tar(tmp_path: Path) -> None:
    """One segment of two zero blocks."""
    assert cuts(tmp_path) == [bytes(1024)]


def test_every_kind_of_file_has_its_type(tmp_path: Path) -> None:
    """Sockets are skipped and told."""
    os.mkfifo(tmp_path / "fifo", 0o640)
    (tmp_path / "link").symlink_to(b"/any\xff\nthing")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))
    problems = Problems()
    segments = Segments(NO_STAGES, problems)
    data = b"".join(
        bytes(found.data) for found in segments.cut(Directory(bytes(tmp_path)).entries(problems))
    )

    with opened(data) as tar:
        fifo, link = tar.getmembers()
    assert fifo.isfifo()
    assert link.issym()
    assert link.mode == 0o777
    assert link.linkname.encode("utf-8", "surrogateescape") == b"/any\xff\nthing"
    assert segments.warnings == [f"skipped the socket {tmp_path}/socket: tar has none"]


def test_devices_keep_their_numbers() -> None:
    """Character and block, as the tree has them."""
    entries = [
        entry(b"null", stat.S_IFCHR | 0o666, rdev=os.makedev(1, 3)),
        entry(b"sda", stat.S_IFBLK | 0o660, rdev=os.makedev(259, 1048575)),
    ]
    data = b"".join(bytes(found.data) for found in Segments(NO_STAGES, Problems()).cut(entries))

    with opened(data) as tar:
        null, disk = tar.getmembers()
    assert (null.ischr(), null.devmajor, null.devminor) == (True, 1, 3)
    assert (disk.isblk(), disk.devmajor, disk.devminor) == (True, 259, 1048575)


def test_an_overlay_whiteout_is_refused() -> None:
    """The character device 0:0 would delete a file of a lower layer."""
    entries = [entry(b"gone", stat.S_IFCHR, rdev=0)]

    with pytest.raises(TreeError, match="overlayfs whiteout"):
        list(Segments(NO_STAGES, Problems()).cut(entries))


def test_hard_links_point_at_the_first_name(tmp_path: Path) -> None:
    """Also those of large files, links and fifos; the content is there once."""
    for name, size in (("small", 100), ("large", 3 * MIB)):
        (tmp_path / name).write_bytes(noise(size))
    (tmp_path / "symlink").symlink_to("small")
    os.mkfifo(tmp_path / "pipe")
    for name in ("small", "large", "symlink", "pipe"):
        for number in (1, 2):
            os.link(tmp_path / name, tmp_path / f"z-{name}-{number}", follow_symlinks=False)

    with opened(b"".join(cuts(tmp_path))) as tar:
        links = {member.name: member.linkname for member in tar if member.islnk()}
        sizes = {member.name: member.size for member in tar.getmembers()}
    assert links == {
        f"z-{name}-{number}": name
        for name in ("small", "large", "symlink", "pipe")
        for number in (1, 2)
    }
    assert sum(sizes.values()) == 100 + 3 * MIB


def test_links_to_a_large_file_share_a_segment(tmp_path: Path) -> None:
    """They bring no content, so they are no place to cut: git has a hundred of them."""
    (tmp_path / "a").write_bytes(noise(3 * MIB))
    for number in range(60):
        os.link(tmp_path / "a", tmp_path / f"b{number:03}")

    assert len(cuts(tmp_path)) <= 4


def test_equal_inodes_of_two_file_systems_are_two_files(tmp_path: Path) -> None:
    """A bind mount below the tree must not link different files."""
    os.mkfifo(tmp_path / "pipe")
    entries = [
        entry(name, stat.S_IFIFO | 0o644, device=device, inode=7, links=2)._replace(
            content=bytes(tmp_path / "pipe")
        )
        for name, device in ((b"a", 1), (b"b", 2), (b"c", 1))
    ]
    data = b"".join(bytes(found.data) for found in Segments(NO_STAGES, Problems()).cut(entries))

    with opened(data) as tar:
        assert [member.linkname for member in tar] == ["", "", "a"]


def test_links_whose_other_names_are_elsewhere_are_files(tmp_path: Path) -> None:
    """A name outside of the tree, or in another layer, is not linked to."""
    (tmp_path / "out").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "out" / "a").write_bytes(b"content")
    os.link(tmp_path / "out" / "a", tmp_path / "in" / "b")

    with opened(b"".join(cuts(tmp_path / "in"))) as tar:
        (member,) = tar.getmembers()
        assert member.isfile()
        assert member.size == 7


def test_links_repeat_owner_mode_and_attributes(tmp_path: Path) -> None:
    """Loaders apply the link's own header to the inode."""
    (tmp_path / "a").touch()
    (tmp_path / "a").chmod(0o4755)
    try:
        os.setxattr(tmp_path / "a", "user.k", b"v")
    except OSError:
        pytest.skip("the file system takes no attributes")
    os.link(tmp_path / "a", tmp_path / "b")

    with opened(b"".join(cuts(tmp_path, SetOwner(5, 6)))) as tar:
        first, second = tar.getmembers()
    assert second.islnk()
    for member in (first, second):
        assert (member.uid, member.gid, member.mode) == (5, 6, 0o4755)
        assert member.pax_headers == {"SCHILY.xattr.user.k": "v"}


def test_a_record_of_a_rootless_tool_is_the_owner(tmp_path: Path) -> None:
    """Unless an owner was asked for."""
    (tmp_path / "a").touch()
    try:
        os.setxattr(tmp_path / "a", "user.containers.override_stat", b"7:8:4711:file")
    except OSError:
        pytest.skip("the file system takes no attributes")

    def only(
        caller: tuple[int, int] | None, *transforms: Transform
    ) -> tuple[int, int, int, dict[str, str]]:
        with opened(b"".join(cuts(Directory(bytes(tmp_path), caller), *transforms))) as tar:
            (member,) = tar.getmembers()
        return member.uid, member.gid, member.mode, dict(member.pax_headers)

    assert only((7, 8)) == (7, 8, 0o4711, {})
    assert only(None, SetOwner(1, 2)) == (1, 2, 0o4711, {})


def vanish(file: Path) -> None:
    file.unlink()


def grow(file: Path) -> None:
    with file.open("ab") as more:
        more.write(b"more")


def shrink(file: Path) -> None:
    os.truncate(file, 10)


def rewrite(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def swap(file: Path) -> None:
    file.with_name("new").write_bytes(file.read_bytes())
    os.utime(file.with_name("new"), ns=(0, file.stat().st_mtime_ns))
    file.with_name("new").rename(file)


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("change", [vanish, grow, shrink, rewrite, swap, pipe])
@pytest.mark.parametrize("size", [1000, 4 * MIB])
def test_a_file_that_changes_between_walk_and_read_is_told(
    tmp_path: Path, change: Callable[[Path], None], size: int
) -> None:
    """Its path, and what to do; a fifo in its place does not block."""
    file = tmp_path / "file"
    file.write_bytes(noise(size))
    entries = list(Directory(bytes(tmp_path)).entries(Problems()))
    change(file)

    with pytest.raises(SourceChangedError, match="while it was being read") as caught:
        list(Segments(NO_STAGES, Problems()).cut(entries))

    assert str(file) in str(caught.value)


@pytest.mark.parametrize("change", [grow, shrink, rewrite])
def test_a_large_file_that_changes_while_it_is_read_is_told(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """Between its first piece and its last."""
    file = tmp_path / "file"
    file.write_bytes(noise(6 * MIB))
    pieces = segments_of(tmp_path)
    next(pieces)
    next(pieces)
    change(file)

    with pytest.raises(SourceChangedError, match=r"file (changed|was truncated)"):
        list(pieces)


@pytest.mark.parametrize("name", ["d", "l", "second"])
def test_what_vanishes_before_it_is_encoded_is_told(tmp_path: Path, name: str) -> None:
    """A directory, a symbolic link, a hard link."""
    (tmp_path / "d").mkdir()
    (tmp_path / "first").touch()
    (tmp_path / "l").symlink_to("first")
    os.link(tmp_path / "first", tmp_path / "second")
    entries = list(Directory(bytes(tmp_path)).entries(Problems()))
    (tmp_path / "d").rmdir() if name == "d" else (tmp_path / name).unlink()

    # Of a name that goes, the file's other names tell by their ctime.
    with pytest.raises(SourceChangedError, match=f"({name}|first) (vanished|changed) while"):
        list(Segments(NO_STAGES, Problems()).cut(entries))


def test_a_link_that_becomes_a_file_is_told(tmp_path: Path) -> None:
    """readlink fails; the build does not guess."""
    (tmp_path / "l").symlink_to("x")
    entries = list(Directory(bytes(tmp_path)).entries(Problems()))
    (tmp_path / "l").unlink()
    (tmp_path / "l").touch()

    with pytest.raises(SourceChangedError, match="l changed"):
        list(Segments(NO_STAGES, Problems()).cut(entries))


def test_all_files_that_cannot_be_opened_are_named(tmp_path: Path) -> None:
    """At the end, together: here links where files were."""
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"x" * (2 * MIB if name == "b" else 5))
    found = list(Directory(bytes(tmp_path)).entries(Problems()))
    for name in ("a", "b"):
        (tmp_path / name).unlink()
        (tmp_path / name).symlink_to("c")

    with pytest.raises(SourceError, match="cannot read 2 paths") as caught:
        list(Segments(NO_STAGES, Problems()).cut(found))

    assert f"{tmp_path}/a (" in str(caught.value)
    assert f"{tmp_path}/b (" in str(caught.value)


def test_times_that_no_header_holds_are_told() -> None:
    """Once, with how many there were."""
    segments = Segments(NO_STAGES, Problems())
    entries = [entry(b"a", mtime_ns=-1), entry(b"b", mtime_ns=10**20), entry(b"c", mtime_ns=5)]
    list(segments.cut(entries))

    assert len(segments.warnings) == 1
    assert segments.warnings[0].startswith("2 entries have a time")


def test_ids_that_rootless_runtimes_lack_are_told() -> None:
    """65535 is the last that they have."""
    segments = Segments(NO_STAGES, Problems())
    list(segments.cut([entry(b"a", uid=65536), entry(b"b", gid=2**31), entry(b"c", uid=65535)]))

    assert segments.warnings[0].startswith("2 entries have a uid or gid above 65535")


def test_holes_that_unpack_in_full_are_told(tmp_path: Path) -> None:
    """A lastlog of hundreds of gigabytes costs every machine that runs the image."""
    with (tmp_path / "lastlog").open("wb") as file:
        file.truncate(2 << 30)
    problems = Problems()
    segments = Segments(NO_STAGES, problems)
    pieces = segments.cut(Directory(bytes(tmp_path)).entries(problems))
    next(pieces)
    pieces.close()

    assert "lastlog has 2 GiB of holes" in segments.warnings[0]


def test_segments_that_are_released_share_memory(tmp_path: Path) -> None:
    """However long the tree, it is read into the same few buffers."""
    fill(tmp_path)
    seen = set()
    for segment in segments_of(tmp_path):
        assert isinstance(segment.data, memoryview)
        seen.add(id(segment.data.obj))
        segment.release()

    assert len(seen) <= 2


def test_the_memory_of_a_layer_is_free_when_the_layer_is_done(tmp_path: Path) -> None:
    """At once, and not when the collector of cycles gets to it: an image has many layers."""
    fill(tmp_path, files=3)
    segments = Segments(NO_STAGES, Problems())
    for segment in segments.cut(Directory(bytes(tmp_path)).entries(Problems())):
        segment.release()
    kept = weakref.ref(segments._encoder)
    gc.disable()
    try:
        del segments, segment
        assert kept() is None
    finally:
        gc.enable()


def test_the_newest_time_is_known(tmp_path: Path) -> None:
    """As it was written: clamped."""
    for name, at in (("a", 100), ("b", 300), ("c", 200)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (at, at))
    for clamp, newest in ((None, 300), (250, 250)):
        transforms = () if clamp is None else (ClampTime(clamp),)
        segments = Segments(Stages(tuple(transforms)), Problems())
        list(segments.cut(Directory(bytes(tmp_path)).entries(Problems())))
        assert segments.newest == newest


@given(st.lists(st.binary(min_size=1, max_size=30), min_size=2, max_size=60, unique=True))
def test_a_cut_before_an_entry_depends_on_nothing_else(names: list[bytes]) -> None:
    """Dropping an entry leaves the cuts before all others, but for the bound's."""
    entries = [entry(name) for name in names]

    def firsts(some: list[Entry]) -> set[bytes]:
        parts = list(Segments(NO_STAGES, Problems()).cut(some))
        return {bytes(found.data[: header.BLOCK]) for found in parts[1:]}

    everything = firsts(entries)
    for left, right in pairwise(range(len(entries) + 1)):
        fewer = entries[:left] + entries[right:]
        lost = header.encode(entries[left].path + b"/", mode=0o755, typeflag=header.DIRECTORY)
        if fewer:
            first = header.encode(fewer[0].path + b"/", mode=0o755, typeflag=header.DIRECTORY)
            assert firsts(fewer) - {first} == everything - {lost, first}


def test_a_file_whose_reading_fails_is_named_and_never_left_out() -> None:
    """It can be opened, and what is in it cannot be read."""
    source = b"/proc/self/mem"
    entries = [entry_of(b"mem", source, os.lstat(source))]

    with pytest.raises(SourceError, match=r"1 path of the source: /proc/self/mem \(Input"):
        list(Segments(NO_STAGES, Problems()).cut(entries))


def _broken(*arguments: object) -> int:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_large_file_whose_reading_fails_is_named_and_never_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a disk with a bad block does it, here at once."""
    (tmp_path / "large").write_bytes(noise(3 * MIB))
    problems = Problems()
    entries = list(Directory(bytes(tmp_path)).entries(problems))
    monkeypatch.setattr(os, "readv", _broken)

    with pytest.raises(SourceError, match=r"large \(Input/output error\)"):
        list(Segments(NO_STAGES, problems).cut(entries))


def test_a_directory_whose_attributes_cannot_be_read_is_named_and_never_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without them it would be another directory."""
    (tmp_path / "directory").mkdir()
    problems = Problems()
    entries = list(Directory(bytes(tmp_path)).entries(problems))
    monkeypatch.setattr(xattrs, "read", _broken)

    with pytest.raises(SourceError, match=r"directory \(Input/output error\)"):
        list(Segments(NO_STAGES, problems).cut(entries))


@pytest.mark.parametrize("holes", [False, True])
def test_only_holes_are_told_and_no_dense_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holes: bool
) -> None:
    """However large it is; the bound is made small here, so that the file may be small."""
    monkeypatch.setattr(encoder, "SPARSE_WARNING", MIB)
    with (tmp_path / "file").open("wb") as file:
        file.truncate(3 * MIB)
        file.write(b"" if holes else noise(3 * MIB))
        file.flush()
        os.fsync(file.fileno())
    problems = Problems()
    segments = Segments(NO_STAGES, problems)
    list(segments.cut(Directory(bytes(tmp_path)).entries(problems)))

    assert len(segments.warnings) == holes


# Vectors of the cut rule, each at a border. The names were found by trying numbers until
# the four bytes that bring the CRC-32 to the number wanted were letters and digits.


@pytest.mark.parametrize(
    ("name", "check", "begins"),
    [
        (b"d3631rcop", 0x1FFFFF, True),
        (b"d1229frxk", 0x200000, False),
        (b"d33211a68", 0x200FFF, False),
    ],
)
def test_a_directory_begins_a_segment_below_its_border_and_not_on_it(
    name: bytes, check: int, begins: bool
) -> None:
    """It weighs one block: 512 times 4096 is 0x200000."""
    segments = list(Segments(NO_STAGES, Problems()).cut([entry(b"a"), entry(name)]))

    assert zlib.crc32(name) == check
    assert len(segments) == 1 + begins


def sparse(root: Path, names: list[bytes], size: int) -> list[int]:
    """The sizes of the segments of files that hold nothing but a hole."""
    for name in names:
        with (root / os.fsdecode(name)).open("wb") as file:
            file.truncate(size)
    return [len(found) for found in cuts(root)]


HIGH = [b"f33", b"f37", b"f62", b"f66", b"f81", b"f85", b"f89", b"f110", b"f114"]
"""Names whose CRC-32 is at least 0xF0000000: their files begin a segment for its size alone."""


def test_a_segment_is_full_when_the_next_file_would_lead_beyond_four_mebibytes(
    tmp_path: Path,
) -> None:
    """What is in the segment counts, and what is to come: four files of eight."""
    assert all(zlib.crc32(name) >= 0xF0000000 for name in HIGH)
    assert sparse(tmp_path, HIGH[:8], 900_000) == [3602432, 3603456]


def test_a_segment_may_have_four_mebibytes_and_no_more(tmp_path: Path) -> None:
    """Eight files of half a mebibyte with their headers fill it; a ninth begins the next."""
    size = SEGMENT // 2 - header.BLOCK

    assert sparse(tmp_path, HIGH[:8], size) == [MAX_SEGMENT + len(header.END)]
    assert sparse(tmp_path, HIGH, size) == [MAX_SEGMENT, SEGMENT // 2 + len(header.END)]


def test_the_last_piece_of_a_file_may_have_one_and_a_half_mebibytes(tmp_path: Path) -> None:
    """It is cut when it has a byte more."""
    whole = sparse(tmp_path, [b"large"], SEGMENT + LAST_PIECE)
    assert whole == [1049088, 1573888]

    assert sparse(tmp_path, [b"large"], SEGMENT + LAST_PIECE + 1) == [1049088, SEGMENT, 525824]


def test_paths_that_no_engine_unpacks_are_told() -> None:
    """Once, with their number and the first: 4,095 bytes are what Linux takes."""
    segments = Segments(NO_STAGES, Problems())
    list(segments.cut([entry(b"d/" * 2000 + b"x" * size) for size in (94, 95, 200)]))

    assert len(segments.warnings) == 1
    assert "2 entries have a path above 4,095 bytes" in segments.warnings[0]
    assert len(segments.warnings[0]) < 1200


def test_many_warnings_are_counted() -> None:
    """A hundred are told; a million would fill the memory and the screen."""
    sockets = [entry(b"s%03d" % number, stat.S_IFSOCK) for number in range(130)]
    segments = Segments(NO_STAGES, Problems())
    list(segments.cut(sockets))

    assert len(segments.warnings) == 101
    assert segments.warnings[-1] == "and 30 more warnings like these"
