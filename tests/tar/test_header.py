"""Tar headers: the bytes themselves, and what another reader makes of them."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.errors import LimitError
from imgpack.tar import header

PART = st.binary(min_size=1, max_size=90).map(lambda raw: raw.translate(None, b"/\0") or b"x")
PATH = st.lists(PART, min_size=1, max_size=5).map(b"/".join)


def opened(data: bytes) -> tarfile.TarFile:
    """The entries, as Python's own reader sees them."""
    return tarfile.open(fileobj=io.BytesIO(data + header.END), encoding="utf-8")


def read_back(data: bytes) -> tarfile.TarInfo:
    """The one entry that a header describes."""
    with opened(data) as tar:
        entry = tar.next()
        assert entry is not None
        assert tar.next() is None
        return entry


def raw(text: str) -> bytes:
    """The bytes that Python's reader decoded."""
    return text.encode("utf-8", "surrogateescape")


def test_a_plain_header_is_these_bytes() -> None:
    """Every field where POSIX has it; no owner names; devices 0000000."""
    expected = (
        b"etc/motd".ljust(100, b"\0") + b"0000644\0" + b"0000000\0" + b"0000000\0"
        + b"00000000005\0" + b"14770306743\0" + b"010713\0 " + b"0" + bytes(100)
        + b"ustar\0" + b"00" + bytes(32) + bytes(32) + b"0000000\0" + b"0000000\0"
        + bytes(155) + bytes(12)
    )  # fmt: skip

    assert len(expected) == 512
    assert header.encode(b"etc/motd", size=5, mtime=1742835171) == expected


def test_a_pax_header_is_these_bytes() -> None:
    """One fixed name, mode 0644, no time, sorted records, padding."""
    block = header.encode(
        b"f", uid=3000000, gid=4294967294, xattrs={b"user.b": b"\n\xff", b"a": b"1"}
    )
    body = (
        b"20 SCHILY.xattr.a=1\n26 SCHILY.xattr.user.b=\n\xff\n18 gid=4294967294\n15 uid=3000000\n"
    )

    assert block[:100] == b"PaxHeaders.0/x".ljust(100, b"\0")
    assert block[100:124] == b"0000644\0" + b"0000000\0" * 2
    assert block[124:148] == b"%011o\0" % len(body) + b"00000000000\0"
    assert block[156:157] == b"x"
    assert block[512 : 512 + len(body)] == body
    assert block[512 + len(body) : 1024] == bytes(512 - len(body))
    assert len(block) == 1536
    assert block[1024 + 108 : 1024 + 124] == b"0000000\0" * 2


@given(
    st.binary(max_size=header.MAX_NAME),
    st.integers(0, 0o7777),
    st.integers(0, header.MAX_ID),
    st.integers(0, header.MAX_ID),
    st.integers(0, header.MAX_SIZE),
    st.integers(0, header.MAX_SIZE),
)
def test_the_short_way_to_a_files_header_gives_the_same_bytes(
    name: bytes, mode: int, uid: int, gid: int, size: int, mtime: int
) -> None:
    """Whatever fits a ustar header."""
    whole = header.encode(name, size=size, mode=mode, mtime=mtime, uid=uid, gid=gid)

    assert header.plain(name, header.owner(mode, uid, gid), size, mtime) == whole


def test_the_end_is_two_zero_blocks() -> None:
    """And no padding to a record, as Go writes it."""
    assert bytes(1024) == header.END


@pytest.mark.parametrize(("size", "length"), [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)])
def test_content_is_padded_to_a_block(size: int, length: int) -> None:
    """With zeros, and not at all when it fits."""
    assert header.padding(size) == bytes(length)


@pytest.mark.parametrize(
    ("name", "pax"),
    [
        (b"a" * 100, False),
        (b"a" * 101, True),
        (b"d/" + b"a" * 100, False),
        (b"d/" + b"a" * 101, True),
        (b"a" * 155 + b"/" + b"b" * 100, False),
        (b"a" * 156 + b"/" + b"b" * 99, True),
        (b"a" * 155 + b"/" + b"b" * 101, True),
        (b"a" * 99 + b"/", False),
        (b"a" * 100 + b"/", True),
        (b"d/" + b"a" * 98 + b"/", False),
        (b"a" * 155 + b"/" + b"b" * 99 + b"/", False),
        (b"a" * 155 + b"/" + b"b" * 100 + b"/", True),
        (b"\xff" * 101, True),
        ("ä/".encode() * 60 + b"x", False),
    ],
)
def test_names_at_the_borders_of_the_fields(name: bytes, pax: bool) -> None:
    """100 bytes, a prefix of 155, and a PAX record only beyond them."""
    kind = header.DIRECTORY if name.endswith(b"/") else header.FILE
    block = header.encode(name, typeflag=kind)

    assert (len(block) > 512) is pax
    assert raw(read_back(block).name) == name.rstrip(b"/")


@given(path=PATH)
def test_a_split_is_the_name_and_as_long_a_prefix_as_fits(path: bytes) -> None:
    """Nothing is lost, both parts fit, neither is empty."""
    split = header.split_name(path)
    if split is None:
        assert len(path) > 100
        return
    prefix, name = split
    assert len(prefix) <= 155
    assert 0 < len(name) <= 100
    assert (prefix + b"/" + name if prefix else name) == path


@given(
    path=PATH,
    link=st.just(b"") | PATH,
    size=st.integers(0, 2**62),
    mode=st.integers(0, 0o7777),
    mtime=st.integers(0, header.MAX_SIZE),
    uid=st.integers(0, 2**32 - 1),
    gid=st.sampled_from([0, 65535, 2097151, 2097152, 2**32 - 2]),
    device=st.tuples(st.integers(0, 4095), st.integers(0, 2**20 - 1)),
    xattrs=st.dictionaries(
        st.sampled_from([b"user.a", b"user.b", b"security.capability"]),
        st.binary(min_size=1, max_size=1200),
    ),
)
def test_pythons_reader_sees_what_was_written(
    path: bytes, link: bytes, size: int, mode: int, mtime: int, uid: int, gid: int,
    device: tuple[int, int], xattrs: dict[bytes, bytes],
) -> None:  # fmt: skip
    """Any name, link, number and attribute survives, and the header is whole blocks."""
    kind = header.CHARACTER_DEVICE if not link else header.SYMLINK
    block = header.encode(
        path, mode=mode, mtime=mtime, uid=uid, gid=gid, typeflag=kind, link=link,
        device=device, xattrs=xattrs,
    )  # fmt: skip

    entry = read_back(block)

    assert len(block) % 512 == 0
    assert (raw(entry.name), raw(entry.linkname)) == (path, link)
    assert (entry.mode, entry.mtime, entry.uid, entry.gid) == (mode, mtime, uid, gid)
    assert (entry.devmajor, entry.devminor, entry.uname, entry.gname) == (*device, "", "")
    found = {
        raw(key).removeprefix(b"SCHILY.xattr."): raw(value)
        for key, value in entry.pax_headers.items()
        if key.startswith("SCHILY.xattr.")
    }
    assert found == xattrs
    sized = header.encode(path, size=size)
    with opened(sized) as tar:
        head = tar.next()
    assert head is not None
    assert head.size == size


@pytest.mark.parametrize(("size", "pax"), [(2**33 - 1, False), (2**33, True)])
def test_sizes_at_the_border_of_the_field(size: int, pax: bool) -> None:
    """8 GiB need a PAX record, never base 256."""
    block = header.encode(b"f", size=size)

    assert (b"size=%d\n" % size in block) is pax
    assert (len(block) > 512) is pax
    assert not block[-512:][124] & 0x80


@pytest.mark.parametrize("length", [*range(1, 20), *range(80, 130), *range(985, 1010)])
def test_a_record_says_its_own_length(length: int) -> None:
    """Also where the length's own digits make it longer."""
    block = header.pax({b"k": b"v" * length})
    size = int(block[124:135], 8)
    body = block[512 : 512 + size]

    said, _, rest = body.partition(b" ")
    assert int(said) == len(body)
    assert rest == b"k=" + b"v" * length + b"\n"


def test_more_records_than_a_loader_reads_are_refused() -> None:
    """Go's reader, and so every engine, takes a mebibyte of them for one entry."""
    fits = header.MAX_PAX - len(b"1048576 SCHILY.xattr.user.k=\n")
    raw = header.encode(b"srv/f", xattrs={b"user.k": bytes(fits)})
    assert len(raw) == header.MAX_PAX + 2 * header.BLOCK
    with pytest.raises(LimitError, match="the attributes of srv/f take 1048577 bytes") as caught:
        header.encode(b"srv/f", xattrs={b"user.k": bytes(fits + 1)})

    assert "remove some" in str(caught.value.hint)


def test_nothing_of_gnu_and_nothing_global() -> None:
    """Long names and links have PAX records; ``docker build`` breaks on global headers."""
    block = header.encode(b"a" * 300, link=b"b" * 300, typeflag=header.SYMLINK)

    assert [block[at + 156 : at + 157] for at in (0, len(block) - 512)] == [b"x", b"2"]
    assert raw(read_back(block).linkname) == b"b" * 300
