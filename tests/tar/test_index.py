"""The index of a tar archive: every kind of member that loaders read, and nothing endless."""

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.errors import ArchiveError, ImgpackError, LimitError
from imgpack.tar.index import MAX_NAMES, TarFile
from imgpack.tar.sparse import MAX_EXTENTS, MAX_SPARSE
from tests.tar.making import REAL, SPARSE, member, padded, pax, sparse_1_0


@contextmanager
def opened(path: Path, raw: bytes) -> Iterator[TarFile]:
    """The archive whose bytes are ``raw``."""
    path.write_bytes(raw)
    tar = TarFile(os.open(path, os.O_RDONLY), path.name)
    try:
        yield tar
    finally:
        tar.close()


@pytest.mark.parametrize("sparse", SPARSE.values(), ids=SPARSE)
def test_a_sparse_member_is_read_with_its_holes(tmp_path: Path, sparse: bytes) -> None:
    """Whole, from any place, and what follows it is found."""
    with opened(tmp_path / "x.tar", sparse + member("next", b"n") + bytes(1024)) as tar:
        assert tar.size("f") == len(REAL)
        for offset in (0, 1, 511, 512, 4000, 4608, 4700, len(REAL)):
            assert b"".join(tar.chunks("f", offset)) == REAL[offset:]
        assert b"".join(tar.chunks("next")) == b"n"


def test_a_hole_at_the_end_is_read(tmp_path: Path) -> None:
    """A file of nothing else, too."""
    raw = sparse_1_0(size=10_000_000) + bytes(1024)
    with opened(tmp_path / "x.tar", raw) as tar:
        assert b"".join(tar.chunks("f")) == REAL.ljust(10_000_000, b"\0")


@pytest.mark.parametrize(
    "text",
    [
        "2\n0\n512\n500\n100\n",
        "2\n4608\n100\n0\n512\n",
        "2\n0\n512\n4608\n101\n",
        "2\n0\n512\n4608\n",
        "2\n0\n512\n9999\n100\n",
        "-1\n",
        "x\n",
        "",
        "1\n0\n612",
        "9" * 600,
    ],
)
def test_a_sparse_map_that_lies_is_refused(tmp_path: Path, text: str) -> None:
    """Extents that overlap, go back, end behind the end, or are not what is stored."""
    with (
        pytest.raises(ArchiveError, match=r"x\.tar: the member 'f': its sparse map"),
        opened(tmp_path / "x.tar", sparse_1_0(text) + bytes(1024)),
    ):
        pass


def test_sparse_maps_and_members_are_bounded(tmp_path: Path) -> None:
    """A few bytes never stand for a year of zeros."""
    too_long = sparse_1_0(f"{MAX_EXTENTS + 1}\n")
    with pytest.raises(LimitError, match="too long"), opened(tmp_path / "x.tar", too_long):
        pass
    too_large = sparse_1_0(size=MAX_SPARSE // 2 + 1) * 2
    with pytest.raises(LimitError, match="too large"), opened(tmp_path / "x.tar", too_large):
        pass


def test_a_hard_link_is_the_member_in_front_of_it(tmp_path: Path) -> None:
    """By its name in the archive; one that names a later member can't be unpacked either."""
    raw = member("d/a", b"abc") + member("d/b", kind=b"1", link="./d/a")
    with opened(tmp_path / "x.tar", raw + bytes(1024)) as tar:
        assert b"".join(tar.chunks("d/b")) == b"abc"
    late = member("b", kind=b"1", link="a") + member("c", kind=b"1", link="c") + member("a", b"x")
    with opened(tmp_path / "x.tar", late + bytes(1024)) as tar:
        for name in "bc":
            with pytest.raises(ArchiveError, match="names no member in front of it"):
                tar.size(name)


def test_a_member_twice_is_read_if_both_are_equal(tmp_path: Path) -> None:
    """Then it does not matter which of them a loader takes."""
    with opened(tmp_path / "x.tar", member("a", b"abc") * 2 + bytes(1024)) as tar:
        assert b"".join(tar.chunks("a")) == b"abc"
    for other in (member("a", b"abd"), member("a", b"ab"), member("a", kind=b"2", link="b")):
        with (
            opened(tmp_path / "x.tar", member("a", b"abc") + other + bytes(1024)) as tar,
            pytest.raises(ArchiveError, match="'a' twice"),
        ):
            tar.size("a")


@pytest.mark.parametrize("name", ["./d/a", "d//a", "d/./a", "d/x/../a", "././d/a"])
def test_a_name_has_one_meaning_however_it_is_spelled(tmp_path: Path, name: str) -> None:
    """In the archive, and where it is asked for."""
    with opened(tmp_path / "x.tar", member(name, b"abc") + bytes(1024)) as tar:
        assert tar.size("d/a") == tar.size(name) == 3


def test_an_archive_may_lack_its_end_and_says_so(tmp_path: Path) -> None:
    """Even the padding of its last member."""
    raw = member("a", b"abc")
    for cut in (raw, raw + bytes(512), raw[:-100]):
        with opened(tmp_path / "x.tar", cut) as tar:
            assert (tar.size("a"), tar.ended) == (3, False)
    with opened(tmp_path / "x.tar", raw + bytes(1024)) as tar:
        assert tar.ended
    for cut in (raw + raw[:100], raw[:514]):
        with pytest.raises(ArchiveError, match="truncated"), opened(tmp_path / "x.tar", cut):
            pass
    with (
        pytest.raises(ArchiveError, match="lone zero block"),
        opened(tmp_path / "x.tar", raw + bytes(512) + raw),
    ):
        pass


def test_a_pax_record_without_a_length_is_damage(tmp_path: Path) -> None:
    """A reader that takes "not found" for a place goes round for ever."""
    for records in (b"10 a=xxxx\n\0", b"0 a=b\n", b"2 ", b" 5 a=\n", b"+9 a=bcd\n"):
        raw = member("pax", records, b"x") + member("a") + bytes(1024)
        with pytest.raises(ArchiveError, match="malformed"), opened(tmp_path / "x.tar", raw):
            pass


def test_all_names_together_are_bounded(tmp_path: Path) -> None:
    """One wide character makes four bytes of each in memory."""
    name = "é" + "n" * 60_000
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for number in range(MAX_NAMES // 60_000 + 1):
            tar.addfile(tarfile.TarInfo(f"{number}{name}"))
    with (
        pytest.raises(LimitError, match="too long together"),
        opened(tmp_path / "x.tar", buffer.getvalue()),
    ):
        pass


PIECES = st.one_of(
    st.sampled_from(
        [*SPARSE.values(), member("a", b"abc"), pax(("path", "p")), member("l", b"n", b"L")]
    ),
    st.binary(max_size=64).map(lambda data: member("pax", data, b"x")),
    st.binary(max_size=600).map(padded),
)


@given(
    pieces=st.lists(PIECES, max_size=5),
    patches=st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=8))),
    cut=st.integers(0, 700),
)
def test_whatever_an_archive_holds_its_reader_ends(
    tmp_path: Path, pieces: list[bytes], patches: list[tuple[int, bytes]], cut: int
) -> None:
    """With its members, each of the size it says, or with an error of imgpack's."""
    raw = bytearray(b"".join(pieces) + bytes(1024))
    for at, patch in patches:
        raw[at : at + len(patch)] = patch
    try:
        with opened(tmp_path / "x.tar", bytes(raw[: len(raw) - cut])) as tar:
            for name in ("f", "a", "p", "n"):
                size = tar.size(name)
                if size is not None and size < 1 << 20:
                    assert sum(map(len, tar.chunks(name))) <= size
    except ImgpackError as error:
        assert error.message


@given(records=st.binary(max_size=200) | st.text("0123456789 =\n\0apth", max_size=60))
def test_whatever_a_pax_header_holds_its_reader_ends(tmp_path: Path, records: bytes | str) -> None:
    """Records, or an error."""
    data = records if isinstance(records, bytes) else records.encode()
    raw = member("pax", data, b"x") + member("a") + bytes(1024)
    try:
        with opened(tmp_path / "x.tar", raw):
            pass
    except ImgpackError as error:
        assert error.message
