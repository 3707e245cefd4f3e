"""A tar archive as a source: what unpacking would leave, whatever the archive's order."""

import bz2
import contextlib
import gzip
import lzma
import os
import shutil
import stat
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from imgpack.api import Directory, Tree
from imgpack.compression.codec import Codec
from imgpack.errors import (
    ArchiveError,
    ImgpackError,
    LimitError,
    OutputError,
    SourceChangedError,
    SourceError,
    TreeError,
)
from imgpack.tar import header
from imgpack.tree.entry import OPAQUE, WHITEOUT
from imgpack.tree.inputs.tarball import Tarball, tarball
from imgpack.tree.problems import Problems
from tests.layer.trees import cuts, noise, settle
from tests.tar.making import REAL, SPARSE, member, padded, pax, sparse_1_0

END = bytes(1024)
DIR = header.encode(b"d/", mode=0o750, mtime=5, typeflag=header.DIRECTORY)
Warn = Callable[[str], None]


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Tarball]:
    """What makes a tree of an archive's bytes."""

    def make(*raw: bytes, warn: Warn = lambda message: None) -> Tarball:
        path = tmp_path / "x.tar"
        path.unlink(missing_ok=True)
        path.write_bytes(b"".join(raw))
        return tarball(str(path), "x.tar", scratch=lambda: str(tmp_path), warn=warn)

    return make


Made = Callable[..., Tarball]


def link(name: str, target: str) -> bytes:
    """A hard link."""
    return member(name, kind=b"1", link=target)


def content(tree: Tree, path: bytes) -> bytes:
    """The bytes of a file."""
    found = tree.find(path)
    assert found is not None
    with found.open() as file:
        return file.read()


def test_the_last_of_a_path_counts_and_is_told(made: Made) -> None:
    """What was linked to the first keeps that, as GNU tar leaves it."""
    told: list[str] = []
    tree = made(
        member("f", b"one"), link("g", "f"), member("f", b"two!"), member("s", kind=b"2", link="x"),
        member("s", b"file"), END, warn=told.append,
    )  # fmt: skip

    assert [content(tree, path) for path in (b"f", b"g", b"s")] == [b"two!", b"one", b"file"]
    assert [one.links for one in tree.entries()] == [1, 1, 1]
    assert told == ["x.tar has f and 1 more more than once; the last counts"]


def test_a_directory_twice_is_one_with_the_last_attributes(made: Made) -> None:
    """What is in it stays; the very same is not told."""
    told: list[str] = []
    again = header.encode(b"d/", mode=0o700, typeflag=header.DIRECTORY)
    tree = made(DIR, member("d/f", b"x"), DIR, again, END, warn=told.append)

    found = tree.find(b"d")
    assert found is not None
    assert (found.mode, content(tree, b"d/f")) == (stat.S_IFDIR | 0o700, b"x")
    assert told == ["x.tar has d more than once; the last counts"]


def test_an_empty_directory_is_replaced_and_another_is_not(made: Made) -> None:
    """By anything else; a directory takes the place of anything."""
    tree = made(DIR, member("d", b"file"), END)
    assert content(tree, b"d") == b"file"
    tree = made(member("d", b"file"), DIR, member("d/f", b"x"), END)
    assert content(tree, b"d/f") == b"x"
    with pytest.raises(TreeError, match=r"x\.tar: d is a directory with something in it"):
        made(DIR, member("d/f"), member("d", kind=b"2", link="/"), END)
    with pytest.raises(TreeError, match="something in it"):
        made(member("d/.wh.f"), member("d"), END)


def test_missing_directories_are_made_up_and_the_root_is_the_archives(made: Made) -> None:
    """With its attributes, which count where the tree is put into a directory."""
    root = header.encode(b"./", mode=0o711, mtime=9, typeflag=header.DIRECTORY)
    tree = made(member("a/b/c"), root, END)

    assert [one.path for one in tree.entries()] == [b"a", b"a/b", b"a/b/c"]
    above = tree.find(b"a/b")
    assert above is not None
    assert (above.mode, above.mtime_ns) == (stat.S_IFDIR | 0o755, 0)
    first = next(tree.entries(under=b"opt/x"))
    assert (first.path, first.mode, first.mtime_ns) == (b"opt/x", stat.S_IFDIR | 0o711, 9 * 10**9)
    assert (tree.names(b""), tree.names(b"a"), tree.names(b"x")) == ([b"a"], [b"b"], [])


def test_hard_links_are_one_inode_with_the_attributes_of_the_first(made: Made) -> None:
    """Through links to links, and of no other archive."""
    tree = made(header.encode(b"z", mode=0o4755, size=1), padded(b"z"), link("a", "z"),
                link("b", "./a"), link("b", "b"), END)  # fmt: skip
    other = made(member("z"), link("y", "z"), END)

    entries = list(tree.entries())
    assert {(one.mode & 0o7777, one.links) for one in entries} == {(0o4755, 3)}
    assert len({(one.device, one.inode) for one in entries}) == 1
    assert {one.device for one in entries}.isdisjoint(one.device for one in other.entries())


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (link("a", "b") + member("b"), "a is a hard link to b, which is not there, or behind it"),
        (link("a", "gone"), "a is a hard link to gone, which is not there"),
        (link("a", "a"), "a is a hard link to a, which is not there"),
        (DIR + link("a", "d"), "a is a hard link to d, which is a directory"),
        (member("l", kind=b"2", link="/etc") + member("l/f"), "l/f is below l, which is the symb"),
        (member("f") + member("f/g/h"), "f/g/h is below f, which is a file"),
        (member("f") + member("f/.wh.g"), "f/g is below f, which is a file"),
        (member("./", kind=b"2", link="x"), "the root of the archive is not a directory"),
        (member(".wh."), r"\.wh\. cannot be in a layer"),
    ],
)
def test_what_cannot_be_unpacked_is_refused(made: Made, raw: bytes, message: str) -> None:
    """With the archive and both names."""
    with pytest.raises(TreeError, match=rf"x\.tar: .*{message}"):
        made(raw, END)


def test_deletions_are_kept_wherever_they_stand(made: Made) -> None:
    """Before what is in their directory; what AUFS left is not."""
    tree = made(
        member("d/a"), member("d/.wh.z"), member("b"), member(".wh.gone"), member("d/.wh.b"),
        member("d/.wh..wh..opq"), member(".wh..wh.plnk/1"), member("d-e"), END,
    )  # fmt: skip

    assert [(one.path, one.mode) for one in tree.entries() if not one.mode & 0o777] == [
        (b"gone", WHITEOUT), (b"d", OPAQUE), (b"d/b", WHITEOUT), (b"d/z", WHITEOUT),
    ]  # fmt: skip
    assert [one.path for one in tree.entries()] == [
        b"gone", b"b", b"d", b"d", b"d/b", b"d/z", b"d/a", b"d-e",
    ]  # fmt: skip
    found = tree.find(b"gone")
    marker = tree.find(b"d/.wh..wh..opq")
    assert found is not None
    assert marker is not None
    assert (found.mode, marker.mode) == (WHITEOUT, OPAQUE)


def test_a_deletion_and_an_entry_of_one_name_are_one(made: Made) -> None:
    """A directory hides all of a lower one; another entry replaces what is there anyway."""
    tree = made(member("d/f"), member(".wh.d"), member(".wh.f"), member("f"), END)

    assert [(one.path, stat.S_IFMT(one.mode)) for one in tree.entries()] == [
        (b"d", stat.S_IFDIR), (b"d", OPAQUE), (b"d/f", stat.S_IFREG), (b"f", stat.S_IFREG),
    ]  # fmt: skip


@pytest.mark.parametrize("sparse", SPARSE.values(), ids=SPARSE)
def test_holes_are_zeros(made: Made, sparse: bytes) -> None:
    """Compressed or not."""
    assert content(made(sparse, END), b"f") == REAL
    assert content(made(gzip.compress(sparse + END)), b"f") == REAL


def test_large_holes_are_told_and_bounded(made: Made) -> None:
    """A layer stores them."""
    told: list[str] = []
    made(sparse_1_0(size=3 << 30), END, warn=told.append)
    assert len(told) == 1
    assert "has 2 GiB of holes, in f first" in told[0]
    with pytest.raises(LimitError, match=r"x\.tar: it has too many"):
        made(sparse_1_0(size=1 << 39), END)


def zstd(data: bytes) -> bytes:
    """One frame."""
    return Codec.parse("zstd").compress(data)


COMPRESSORS = {
    "none": bytes, "gzip": gzip.compress, "zstd": zstd, "xz": lzma.compress, "bzip2": bz2.compress,
}  # fmt: skip


@pytest.mark.parametrize("compress", COMPRESSORS.values(), ids=COMPRESSORS)
def test_every_common_compression_is_read(
    made: Made, tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    """In one stream or several, from a file or a pipe; nothing is left behind."""
    raw = member("f", noise(3_000_000)) + member("g", b"g") + END
    one = made(compress(raw))
    several = made(compress(raw[:70_000]), compress(raw[70_000:]))
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[compress(raw)])
    writer.start()
    piped = tarball(str(tmp_path / "pipe"), "-", scratch=lambda: str(tmp_path))
    writer.join()

    assert cuts(one) == cuts(several) == cuts(piped)
    assert content(one, b"f") == noise(3_000_000)
    assert sorted(os.listdir(tmp_path)) == ["pipe", "x.tar"]


@pytest.mark.parametrize("compress", COMPRESSORS.values(), ids=COMPRESSORS)
def test_what_is_cut_off_is_refused(
    made: Made, compress: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """As a pipe that is closed early is."""
    raw = compress(member("f", noise(100_000)) + END)
    with pytest.raises(ArchiveError, match=r"x\.tar: .*(truncated|damaged)"):
        made(raw[: len(raw) // 2])
    os.mkfifo(tmp_path / "pipe")
    half = raw[: len(raw) // 2]
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[half])
    writer.start()
    with pytest.raises(ArchiveError, match=r"-: .*(truncated|damaged)"):
        tarball(str(tmp_path / "pipe"), "-", scratch=lambda: str(tmp_path))
    writer.join()


def test_xz_that_wants_much_memory_is_refused(made: Made) -> None:
    """Before it gets it."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 29}]
    with pytest.raises(LimitError, match="256 MiB of memory"):
        made(lzma.compress(member("f") + END, filters=filters))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "it is empty"),
        (gzip.compress(b"", mtime=0), "it is empty"),
        (b"#!/bin/sh\n" * 100, "it is not a tar archive"),
        (gzip.compress(b"text" * 500, mtime=0), "it is not a tar archive"),
        (member("f", b"x" * 600)[:900], "it is truncated at byte 900, in the member 'f'"),
        (member("f") + b"\1" * 512, "no tar header at byte 512"),
        (member("../f"), "leads out of the archive"),
        (pax(("path", "x"), kind=b"g") + member("f"), "gives one path to all"),
    ],
)
def test_what_is_no_archive_is_refused(made: Made, raw: bytes, message: str) -> None:
    """With its name."""
    with pytest.raises(ArchiveError, match=rf"x\.tar: .*{message}"):
        made(raw)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A directory is no archive."""
    for path, error in ((tmp_path / "gone", SourceError), (tmp_path, ArchiveError)):
        with pytest.raises(error, match=path.name):
            tarball(str(path), "x", scratch=lambda: str(tmp_path))


def test_an_archive_of_nothing_is_a_tree_of_nothing(made: Made) -> None:
    """With a root."""
    assert list(made(END).entries()) == []
    root = made(END).find(b"")
    assert root is not None
    assert (root.path, root.mode) == (b"", stat.S_IFDIR | 0o755)


def test_an_archive_that_is_written_to_is_told(made: Made, tmp_path: Path) -> None:
    """Meanwhile or by the build itself."""
    tree = made(member("f", b"x"), END)
    found = os.stat(tmp_path / "x.tar")
    with pytest.raises(OutputError, match=r"x\.tar is a source of what would be written over it"):
        list(tree.entries(Problems(frozenset({(found.st_dev, found.st_ino)}))))
    with (tmp_path / "x.tar").open("ab") as file:
        file.write(b"more")
    with pytest.raises(SourceChangedError, match="changed while"):
        list(tree.entries())


ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *item)
    for item in [
        (1, 6, 0xFFFFFFFF), (2, 7, 4242), (4, 4, 0xFFFFFFFF), (0x10, 7, 0xFFFFFFFF),
        (0x20, 4, 0xFFFFFFFF),
    ]
)  # fmt: skip
"""user::rw- user:4242:rwx group::r-- mask::rwx other::r--"""


def everything(root: Path) -> Directory:
    """A tree with all that a root file system has."""
    (root / "d" / ("n" * 200)).mkdir(parents=True)
    (root / "d" / ("n" * 200) / ("m" * 100)).write_bytes(b"long")
    (root / "b\udcff\n").write_bytes(b"odd")
    (root / "setuid").write_bytes(b"x")
    (root / "setuid").chmod(0o4711)
    os.link(root / "setuid", root / "a-link")
    (root / "sym").symlink_to("/" + "t" * 150)
    os.link(root / "sym", root / "sym2", follow_symlinks=False)
    os.mkfifo(root / "fifo")
    with (root / "sparse").open("wb") as file:
        file.truncate(5_000_000)
        file.seek(2_000_000)
        file.write(b"data")
    os.chown(root / "setuid", 3_000_000, 100)
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "loop", stat.S_IFBLK | 0o660, os.makedev(7, 300))
    with contextlib.suppress(OSError):  # a file system without them
        os.setxattr(root / "setuid", "user.k", b"v\0=\n")
        os.setxattr(root / "d", "trusted.k", b"dir")
        capability = bytes.fromhex("0100000200200000000000000000000000000000")
        os.setxattr(root / "b\udcff\n", "security.capability", capability)
        os.setxattr(root / "fifo", "system.posix_acl_access", ACL)
        os.setxattr(root / "d", "system.posix_acl_default", ACL)
    settle(root)
    return Directory(bytes(root))


WRITERS = {
    "gnu": ["tar", "--format=gnu", "--sparse", "-cf"],
    "gnu-pax": ["tar", "--format=posix", "--xattrs", "--xattrs-include=*", "--sparse", "-cf"],
    "gnu-acls": [
        "tar",
        "--format=posix",
        "--xattrs",
        "--xattrs-include=*",
        "--acls",
        "--sparse",
        "-cf",
    ],
    "bsd": ["bsdtar", "--format=pax", "--xattrs", "-cf"],
}


@pytest.mark.skipif(os.geteuid() != 0, reason="devices and owners take root")
@pytest.mark.parametrize("writer", WRITERS)
def test_a_root_file_system_in_a_tar_is_the_layer_of_the_directory(
    tmp_path: Path, writer: str
) -> None:
    """To the byte, whoever wrote it."""
    command = WRITERS[writer]
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no {command[0]}")
    disk = everything(tmp_path / "tree")
    if writer == "gnu":  # a format that has no attributes
        for name in ("setuid", "d", "b\udcff\n", "fifo"):
            for key in os.listxattr(tmp_path / "tree" / name):
                os.removexattr(tmp_path / "tree" / name, key)
    archive = tmp_path / "t.tar"
    subprocess.run([*command, archive, "-C", tmp_path / "tree", "."], check=True)

    tree = tarball(str(archive), "t.tar", scratch=lambda: str(tmp_path))
    assert cuts(tree) == cuts(disk)


def test_errors_are_of_one_kind(made: Made) -> None:
    """Whatever bytes there are."""
    for seed in range(20):
        with pytest.raises(ImgpackError):
            made(noise(2000, seed))
