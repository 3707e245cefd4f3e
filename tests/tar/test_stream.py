"""The forward reader: each member with all that is said of it, whatever the chunks."""

import hashlib
import io
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.errors import ArchiveError, ImgpackError, LimitError
from imgpack.tar import header
from imgpack.tar.extension import MAX_EXTENSION
from imgpack.tar.stream import StreamMember, read_file_members, read_members
from tests.tar.making import REAL, SPARSE, member, padded, patched, pax, sparse_1_0

END = bytes(1024)


def chunked(raw: bytes, size: int) -> Iterator[bytes]:
    """``raw`` in pieces."""
    return (raw[at : at + size] for at in range(0, len(raw), size))


def read(raw: bytes, size: int = 1 << 18) -> list[tuple[StreamMember, bytes]]:
    """All members and their bytes."""
    return [(one, b"".join(data)) for one, data in read_members(chunked(raw, size))]


def one(raw: bytes) -> StreamMember:
    """The only member."""
    ((found, _),) = read(raw + END)
    return found


@pytest.mark.parametrize("size", [1, 511, 512, 513, 5000, 1 << 18])
@pytest.mark.parametrize("sparse", SPARSE.values(), ids=SPARSE)
def test_chunks_of_any_size_give_the_same_members(sparse: bytes, size: int) -> None:
    """Sparse ones with zeros for their holes, and what follows them."""
    found = read(sparse + member("next", b"n") + END, size)

    assert [(one.path, one.size, data) for one, data in found] == [
        (b"f", len(REAL), REAL), (b"next", 1, b"n"),
    ]  # fmt: skip


@pytest.mark.parametrize("sparse", [*SPARSE.values(), member("f", REAL)])
def test_content_may_be_left_unread_or_be_read_in_part(sparse: bytes) -> None:
    """The next member is found; what was left is over by then."""
    raw = member("a", b"abc") + sparse + member("next", b"n") + END
    members = read_members(chunked(raw, 100))
    _, left = next(members)
    _, partly = next(members)
    assert next(partly)
    last, data = next(members)

    assert (list(left), list(partly)) == ([], [])
    assert (last.path, b"".join(data)) == (b"next", b"n")
    assert list(members) == []


def test_a_file_says_the_same_as_a_stream() -> None:
    """Whether its content is read or passed over."""
    raw = b"".join(SPARSE.values()) + member("big", b"x" * 700_000) + member("z", b"z") + END
    with tempfile.TemporaryFile() as file:
        file.write(raw)
        file.flush()
        whole = [(one, b"".join(data)) for one, data in read_file_members(file.fileno())]
        passed = [one for one, _ in read_file_members(file.fileno())]
        file.truncate(raw.index(b"xxx") + 600_000)
        with pytest.raises(ArchiveError, match=r"it is truncated at byte \d+, in the member 'big'"):
            list(read_file_members(file.fileno()))

    assert whole == read(raw)
    assert passed == [one for one, _ in whole]


def test_every_field_is_read() -> None:
    """And what has no content has none, whatever its size says."""
    raw = header.encode(b"d/f", size=3, mode=0o4755, mtime=7, uid=1, gid=2) + padded(b"abc")
    raw += header.encode(b"d/l", typeflag=header.SYMLINK, link=b"../x")
    raw += header.encode(b"d/h", typeflag=header.HARD_LINK, link=b"./d/f", size=9)
    raw += header.encode(b"c", typeflag=header.CHARACTER_DEVICE, device=(5, 1))
    raw += header.encode(b"b", typeflag=header.BLOCK_DEVICE, device=(8, 700), size=9)
    raw += header.encode(b"p", typeflag=header.FIFO)
    raw += header.encode(b"d/", typeflag=header.DIRECTORY, mode=0o1777)
    file, link, hard, char, block, fifo, directory = (found for found, _ in read(raw + END))

    assert file == (b"d/f", stat.S_IFREG, 0o4755, 1, 2, 7_000_000_000, 3, b"", 0, {}, 512, None, ())
    assert (link.kind, link.link) == (stat.S_IFLNK, b"../x")
    assert (hard.kind, hard.link, hard.size) == (0, b"d/f", 0)
    assert (char.kind, char.rdev) == (stat.S_IFCHR, os.makedev(5, 1))
    assert (block.kind, block.rdev) == (stat.S_IFBLK, os.makedev(8, 700))
    assert fifo.kind == stat.S_IFIFO
    assert (directory.path, directory.kind, directory.mode) == (b"d", stat.S_IFDIR, 0o1777)


def test_pax_says_what_ustar_cannot() -> None:
    """Each record over its field; an empty value leaves the field as it is."""
    records = pax(
        ("path", "n" * 300), ("uid", "3000000"), ("gid", "4000000000"), ("mtime", "-1.5"),
        ("SCHILY.xattr.user.raw", b"\xff=\n"), ("LIBARCHIVE.xattr.user.a%25b", "eA"),
        ("LIBARCHIVE.xattr.user.raw", "eA"), ("hdrcharset", "BINARY"), ("comment", "x"),
        ("atime", "1"), ("linkpath", ""),
    )  # fmt: skip
    found = one(records + member("f", b"12"))

    assert (found.path, found.uid, found.gid) == (b"n" * 300, 3_000_000, 4_000_000_000)
    assert found.mtime_ns == -1_500_000_000
    assert found.xattrs == {b"user.raw": b"\xff=\n", b"user.a%b": b"x"}
    assert one(pax(("mtime", "1.0000000019")) + member("f")).mtime_ns == 1_000_000_001
    assert one(pax(("size", "2")) + member("f") + padded(b"12")).size == 2


def test_gnu_says_long_names_and_large_numbers() -> None:
    """With headers of their own, and in base 256."""
    long = member("././@LongLink", b"n" * 300 + b"\0", b"L")
    found = one(long + member("././@LongLink", b"t" * 200, b"K") + member("s", b"", b"2", "x"))
    assert (found.path, found.link) == (b"n" * 300, b"t" * 200)

    large = patched(
        member("f"),
        (108, b"\x80" + (70_000_000).to_bytes(7)),
        (136, b"\xff" * 11 + b"\xfe"),
    )
    assert (one(large).uid, one(large).mtime_ns) == (70_000_000, -2_000_000_000)


def test_the_oldest_and_the_odd_formats_are_read() -> None:
    """v7's directories, star's prefix, GNU's volume label, a git archive's comment."""
    v7 = patched(member("d/"), (156, b"\0"), (257, bytes(8)))
    assert (one(v7).path, one(v7).kind) == (b"d", stat.S_IFDIR)
    star = patched(member("f"), (345, b"up".ljust(131, b"\0") + b"123 456"), (508, b"tar\0"))
    assert one(star).path == b"up/f"
    assert one(patched(member("label"), (156, b"V")) + member("f")).path == b"f"
    assert one(pax(("comment", "0" * 40), kind=b"g") + member("f")).path == b"f"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("./d/f", b"d/f"), ("/d/f", b"d/f"), ("d//f/", b"d/f"), ("d/./f/.", b"d/f"), ("./", b""),
        ("/", b""), (".f", b".f"), ("...", b"..."), ("d/..f", b"d/..f"), ("././f", b"f"),
    ],
)  # fmt: skip
def test_names_are_clean(name: str, path: bytes) -> None:
    """However they are spelled."""
    assert one(member(name)).path == path


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (member("a/../../etc/passwd"), r"the member 'a/\.\./\.\./etc/passwd': the name .* leads"),
        (member(".."), "leads out of the archive"),
        (member("l", kind=b"1", link="../x"), r"the member 'l': the name '\.\./x' leads out"),
        (member("l", kind=b"2"), "the member 'l': it is a link without a target"),
        (member(""), "it has no name"),
        (member("f", kind=b"D"), "'f': it is of the type 'D'"),
        (pax(("path", "a\0b")) + member("f"), "a name has a zero byte"),
        (pax(("uid", "-1")) + member("f"), "the uid b'-1' is no number"),
        (pax(("gid", "4294967295")) + member("f"), "the gid 4294967295 is above the largest"),
        (pax(("mtime", "noon")) + member("f"), "the time b'noon' is no number"),
        (pax(("LIBARCHIVE.xattr.user.k", "e")) + member("f"), "the attribute user.k is malformed"),
        (pax(("path", "x"), kind=b"g") + member("f"), "gives one path to all members"),
        (pax(("mtime", "1"), kind=b"g") + member("f"), "gives one mtime to all members"),
        (patched(member("f"), (100, b"rw-r--r-")), "the mode b'rw-r--r-' is no number"),
        (patched(member("f"), (124, b"\xff" * 12)), "the size is negative"),
        (patched(member("f", kind=b"3"), (329, b"\x80" + b"\1" * 7)), "the device .* is above"),
        (b"x" * 600, "it is not a tar archive: there is no tar header at byte 0"),
        (member("f") + b"x" * 512, "it is damaged: there is no tar header at byte 512"),
        (member("f") + bytes(512) + member("f"), "a lone zero block at byte 512"),
        (sparse_1_0("9\n"), "'f': its sparse map is truncated"),
    ],
)
def test_what_is_wrong_is_named(raw: bytes, message: str) -> None:
    """By the member, or by the place where its header should be."""
    with pytest.raises(ArchiveError, match=message):
        read(raw + END)


def test_headers_are_bounded() -> None:
    """One, and all in front of a member."""
    too_long = patched(member("pax", b"", b"x"), (124, b"%011o\0" % (MAX_EXTENSION + 1)))
    with pytest.raises(LimitError, match="the header at byte 0: it has"):
        read(too_long)
    many = b"".join(pax((f"k{number}", "v" * (MAX_EXTENSION - 99))) for number in range(5))
    with pytest.raises(LimitError, match="too large together"):
        read(many + member("f"))
    with pytest.raises(LimitError, match="a name of 70000 bytes"):
        read(member("l", b"n" * 70_000, b"L"))


def test_an_archive_may_lack_its_end_or_have_more_behind_it() -> None:
    """All of which is read, for a digest covers it."""
    raw = member("f", b"abc")
    for whole in (raw, raw[:-100], raw + bytes(512), raw + END, raw + END + b"more" * 500):
        digest = hashlib.sha256()

        def hashed(whole: bytes = whole, digest: "hashlib._Hash" = digest) -> Iterator[bytes]:
            for chunk in chunked(whole, 700):
                digest.update(chunk)
                yield chunk

        assert [found.path for found, _ in read_members(hashed())] == [b"f"]
        assert digest.digest() == hashlib.sha256(whole).digest()
    for cut in (raw[:513], raw + raw[:300]):
        with pytest.raises(ArchiveError, match="truncated"):
            read(cut)


def test_no_bytes_are_no_members() -> None:
    """As Go's reader, and so every engine, takes it."""
    assert read(b"") == []


NAMES = st.binary(min_size=1, max_size=300).filter(
    lambda name: not {b"", b".", b".."} & set(name.split(b"/")) and b"\0" not in name
)


@given(
    name=NAMES,
    link=st.none() | NAMES,
    numbers=st.tuples(st.integers(0, 2**32 - 2), st.integers(0, 2**32 - 2)),
    mode=st.integers(0, 0o7777),
    mtime=st.integers(0, header.MAX_SIZE),
    xattrs=st.dictionaries(st.just(b"user.k"), st.binary(min_size=1, max_size=30)),
    data=st.binary(max_size=2000),
    size=st.integers(1, 3000),
)
def test_what_is_written_is_read(
    name: bytes, link: bytes | None, numbers: tuple[int, int], mode: int, mtime: int,
    xattrs: dict[bytes, bytes], data: bytes, size: int,
) -> None:  # fmt: skip
    """Every field of any entry."""
    uid, gid = numbers
    kind, data = (b"0", data) if link is None else (b"2", b"")
    raw = header.encode(
        name, size=len(data), mode=mode, mtime=mtime, uid=uid, gid=gid, typeflag=kind,
        link=link or b"", xattrs=xattrs,
    )  # fmt: skip
    ((found, content),) = read(raw + padded(data) + END, size)

    type_bits = stat.S_IFREG if link is None else stat.S_IFLNK
    assert found[:8] == (
        name, type_bits, mode, uid, gid, mtime * 10**9, len(data), link or b"",
    )  # fmt: skip
    assert (found.xattrs, found.offset, content) == (xattrs, len(raw), data)


@given(data=st.data(), form=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_what_python_writes_is_read(data: st.DataObject, form: int) -> None:
    """With its own names for what ustar cannot say."""
    name = data.draw(st.text("aé/.x", min_size=1, max_size=120))
    clean = "/".join(part for part in name.split("/") if part not in ("", "."))
    info = tarfile.TarInfo(name)
    info.uid, info.mtime = data.draw(st.integers(0, 2**32 - 2)), data.draw(st.integers(0, 2**33))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        tar.addfile(info)
    if ".." in name.split("/"):
        with pytest.raises(ArchiveError, match="leads out"):
            read(buffer.getvalue())
        return
    found = one(buffer.getvalue())
    assert (found.path, found.uid, found.mtime_ns) == (
        clean.encode(), info.uid, int(info.mtime) * 10**9,
    )  # fmt: skip


PIECES = st.one_of(
    st.sampled_from([*SPARSE.values(), member("a", b"abc"), pax(("path", "p"))]),
    st.binary(max_size=64).map(lambda data: member("pax", data, b"x")),
    st.binary(max_size=600).map(padded),
)


@given(
    pieces=st.lists(PIECES, max_size=5),
    patches=st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=8))),
    cut=st.integers(0, 700),
    size=st.integers(1, 5000),
)
def test_whatever_a_stream_holds_its_reader_ends(
    pieces: list[bytes], patches: list[tuple[int, bytes]], cut: int, size: int
) -> None:
    """With members, each of the size it says, or with an error of imgpack's."""
    raw = bytearray(b"".join(pieces) + END)
    for at, patch in patches:
        raw[at : at + len(patch)] = patch
    try:
        for found, content in read_members(chunked(bytes(raw[: len(raw) - cut]), size)):
            if found.size < 1 << 20:
                assert sum(map(len, content)) == found.size
    except ImgpackError as error:
        assert error.message
