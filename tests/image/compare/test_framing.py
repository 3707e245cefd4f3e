"""Two tar streams that differ in one known place, which is told with what stands there."""

import io
import tarfile
from typing import Any

import pytest

from imgpack.image.compare.framing import StreamDifference, first_byte

LONG = "d/" + "long/" * 40 + "f"


def header(name: str = "f", **fields: Any) -> bytes:
    """A header in the format of POSIX, without extensions."""
    one = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(one, field, value)
    return one.tobuf(tarfile.USTAR_FORMAT)


def patched(at: int, text: bytes, block: bytes | None = None) -> bytes:
    """A header with other bytes ``at`` a place, and the sum that goes with it."""
    whole = bytearray(header() if block is None else block)
    whole[at : at + len(text)] = text
    whole[148:156] = b" " * 8
    whole[148:156] = b"%06o\0 " % sum(whole)
    return bytes(whole)


def pax(records: dict[str, str], name: str = "f", size: int = 0) -> bytes:
    """A member behind a header of POSIX with ``records``."""
    one = tarfile.TarInfo(name)
    one.size, one.pax_headers = size, records
    return one.tobuf(tarfile.PAX_FORMAT)


def block(data: bytes) -> bytes:
    """Content, filled up."""
    return data.ljust(-len(data) % 512 + len(data), b"\0")


END = bytes(1024)


def told(a: bytes, b: bytes) -> StreamDifference | None:
    """What is told, which depends on no piece in which the streams come."""
    whole = first_byte([a], [b])
    assert first_byte([a[:700], a[700:]], [b[n : n + 333] for n in range(0, len(b), 333)]) == whole
    return whole


@pytest.mark.parametrize(
    ("changed", "what", "a", "b", "at"),
    [
        (patched(100, b"0000755"), "mode", "0000644", "0000755", 100),
        (patched(108, b"0000007"), "uid", "0000000", "0000007", 108),
        (patched(116, b"0000007"), "gid", "0000000", "0000007", 116),
        (patched(136, b"00000000007"), "mtime", "00000000000", "00000000007", 136),
        (patched(157, b"x"), "linkname", "", "x", 157),
        (patched(265, b"me"), "uname", "", "me", 265),
        (patched(297, b"us"), "gname", "", "us", 297),
        (patched(329, b"1"), "devmajor", "", "1", 329),
        (patched(337, b"1"), "devminor", "", "1", 337),
        (patched(345, b"p"), "prefix", "", "p", 345),
        (patched(500, b"star"), "padding", "", "star", 500),
        (patched(257, b"ustar  \0"), "magic", "ustar\\x0000", "ustar  ", 257),
        (patched(156, b"1"), "type", "0", "1", 156),
        (patched(0, b"g"), "name", "f", "g", 0),
        (patched(148, b"")[:148] + header()[148:156].replace(b"\0 ", b" \0") + header()[156:],
         "checksum", "", "", 148),
    ],
)  # fmt: skip
def test_the_field_of_a_header_is_named(changed: bytes, what: str, a: str, b: str, at: int) -> None:
    """The first that differs, with both values and the byte where it begins."""
    front = header("before", size=3) + block(b"abc")

    found = told(front + header() + END, front + changed + END)

    assert found is not None
    assert (found.what, found.path, found.offset) == (f"header field {what}", b"f", 1024 + at)
    if what != "checksum":
        assert (found.a.startswith(a), found.b) == (True, b)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (header() + END, header() + header("g") + END,
         ("the end", "a block of zeros", "another member", None, 512)),
        (header(), header() + END,
         ("the end", "nothing after byte 512", "a block of zeros", None, 512)),
        (header() + END, header() + bytes(512),
         ("after the last member", "byte 0x00", "nothing", None, 1024)),
        (header() + END, header() + bytes(600) + b"\7" + bytes(423),
         ("after the last member", "byte 0x00", "byte 0x07", None, 1112)),
        (header("e/f", size=600) + block(b"x" * 600) + END,
         header("e/f", size=600) + block(b"x" * 555 + b"y" + b"x" * 44) + END,
         ("the content", "byte 0x78", "byte 0x79", b"e/f", 1067)),
        (header("e/f", size=3) + block(b"abc") + END, header("e/f", size=3) + b"ab",
         ("the content", "byte 0x63", "nothing", b"e/f", 514)),
        # Of a link the size counts for nothing.
        (header(type=tarfile.LNKTYPE, size=512, linkname="g") + header("g") + END,
         header(type=tarfile.LNKTYPE, size=512, linkname="g") + header("h") + END,
         ("header field name", "g", "h", b"g", 512)),
        (header() + END, header(type=b"M") + END,
         ("header field type", "0", "M", b"f", 156)),
        (header() + END, header(type=b"K", size=2) + block(b"x\0") + header() + END,
         ("header", "a file", "a GNU long link", b"f", 0)),
        (header(type=b"M") + END, header(type=b"g", size=512) + bytes(512) + END,
         ("header", "a member of type 'M'", "a global pax header", b"f", 0)),
        (header(type=b"L", size=2) + block(b"x\0") + header() + END,
         header(type=b"L", size=2) + block(b"y\0") + header() + END,
         ("GNU long name", "x", "y", None, 512)),
        (header(type=b"L", size=2) + block(b"x\0") + header() + END,
         header(type=b"L", size=2) + block(b"x\0") + header("g") + END,
         ("header field name", "f", "g", b"x", 1024)),
        (pax({"path": "p", "comment": "1"}) + END, pax({"path": "p", "comment": "2"}) + END,
         ("pax header comment", "1", "2", None, 512)),
        (pax({"comment": "1"}) + END, pax({"another": "1"}) + END,
         ("pax header comment", "1", "nothing", None, 512)),
        (pax({"a": "1", "b": "2"}) + END, pax({"b": "2", "a": "1"}) + END,
         ("pax header", "", "", None, 512)),
        (pax({"path": "p"}) + END, pax({"path": "p"}, "g") + END,
         ("header field name", "f", "g", b"p", 1024)),
        # The size that a header says counts, and of the next member its own.
        (pax({"size": "4"}) + block(b"1234") + header("n", size=1) + block(b"1") + END,
         pax({"size": "4"}) + block(b"1234") + header("n", size=1) + block(b"2") + END,
         ("the content", "byte 0x31", "byte 0x32", b"n", 2560)),
        (pax({"size": "4"}) + block(b"1234") + END, pax({"size": "4"}) + block(b"1235") + END,
         ("the content", "byte 0x34", "byte 0x35", b"f", 1539)),
        (b"no tar", b"no bar",
         ("the end", "another member", "another member", None, 0)),
    ],
)  # fmt: skip
def test_the_place_where_streams_part_is_told(
    a: bytes, b: bytes, expected: tuple[object, ...]
) -> None:
    """In headers, in front of them, in contents, and at the end; from either side."""
    assert told(a, b) == expected
    what, left, right, path, offset = expected
    other = told(b, a)
    assert other is not None
    if what == "header":
        assert {other.a, other.b} == {left, right}
    if not str(what).startswith(("header", "pax")):
        assert other == (what, right, left, path, offset)


def test_every_byte_of_a_header_is_in_a_field() -> None:
    """Which is the one that is told."""
    for at in (*range(148), *range(156, 512)):
        old = header()
        changed = patched(at, bytes([old[at] ^ 1]), old)

        found = told(old + END, changed + END)

        assert found is not None
        assert found.what.startswith("header field "), at
        assert found.offset <= at


def test_streams_that_are_the_same_do_not_part() -> None:
    """With whatever headers."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in (LONG, "f"):
            one = tarfile.TarInfo(name)
            one.size = 700
            tar.addfile(one, io.BytesIO(bytes(range(256)) * 3))
    for data in (buffer.getvalue(), b"", b"no tar", header(), header(size=9) + b"short"):
        assert told(data, data) is None
