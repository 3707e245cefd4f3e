"""Tar archives made header by header, for the tests of what reads them."""

import tarfile


def member(name: str, data: bytes = b"", kind: bytes = b"0", link: str = "") -> bytes:
    """One header with its content, padded."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, len(data), link
    return info.tobuf(tarfile.USTAR_FORMAT) + padded(data)


def padded(data: bytes) -> bytes:
    """``data`` and zeros to the end of a block."""
    return data + bytes(-len(data) % 512)


def pax(*records: tuple[str, str | bytes], kind: bytes = b"x") -> bytes:
    """A pax header in front of a member, records in this order, keys as often as given."""
    lines = b""
    for key, value in records:
        data = value.encode() if isinstance(value, str) else value
        rest = b" " + key.encode() + b"=" + data + b"\n"
        length = len(rest) + 1
        while length != len(rest) + len(str(length)):
            length = len(rest) + len(str(length))
        lines += str(length).encode() + rest
    return member("pax", lines, kind)


def patched(block: bytes, *fields: tuple[int, bytes]) -> bytes:
    """A member whose header has other bytes at some places, and their checksum."""
    header = bytearray(block[:512])
    for at, value in fields:
        header[at : at + len(value)] = value
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + block[512:]


REAL = b"a" * 512 + bytes(4096) + b"b" * 100
"""What each sparse member holds."""
STORED = b"a" * 512 + b"b" * 100
EXTENTS = ((0, 512), (4608, 100))


def sparse_0_0() -> bytes:
    """GNU tar's first pax format: two records for each extent."""
    pairs = [
        record
        for at, length in EXTENTS
        for record in (("GNU.sparse.offset", str(at)), ("GNU.sparse.numbytes", str(length)))
    ]
    front = [("GNU.sparse.size", str(len(REAL))), ("GNU.sparse.numblocks", "2")]
    return pax(*front, *pairs) + member("f", STORED)


def sparse_0_1() -> bytes:
    """Its second: the map in one record, the name in another."""
    numbers = ",".join(str(number) for extent in EXTENTS for number in extent)
    records = {"size": str(len(REAL)), "numblocks": "2", "name": "f", "map": numbers}
    named = [(f"GNU.sparse.{key}", value) for key, value in records.items()]
    return pax(*named) + member("GNUSparseFile.1/f", STORED)


def sparse_1_0(text: str | None = None, size: int = len(REAL)) -> bytes:
    """Its third, which bsdtar writes: the map in front of the content."""
    numbers = [len(EXTENTS), *(number for extent in EXTENTS for number in extent)]
    lines = "".join(f"{number}\n" for number in numbers) if text is None else text
    records = {"major": "1", "minor": "0", "name": "f", "realsize": str(size)}
    named = [(f"GNU.sparse.{key}", value) for key, value in records.items()]
    return pax(*named) + member("GNUSparseFile.1/f", padded(lines.encode()) + STORED)


def sparse_old(count: int = 1) -> bytes:
    """Old GNU tar's type S; the map goes on behind the header."""
    entries = [b"%011o\0%011o\0" % extent for extent in EXTENTS]
    header = patched(
        tarfile.TarInfo("f").tobuf(tarfile.GNU_FORMAT),
        (124, b"%011o\0" % len(STORED)), (156, b"S"), (386, entries[0]), (482, b"\1"),
        (483, b"%011o\0" % len(REAL)),
    )  # fmt: skip
    more = (bytes(504) + b"\1").ljust(512, b"\0") * (count - 1) + entries[1].ljust(512, b"\0")
    return header + more + padded(STORED)


SPARSE = {
    "0.0": sparse_0_0(), "0.1": sparse_0_1(), "1.0": sparse_1_0(),
    "old": sparse_old(), "old-long": sparse_old(3),
}  # fmt: skip
"""The sparse member ``f`` in each format."""
