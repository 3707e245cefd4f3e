"""Two blobs of the same bytes: what their first bytes say of how they were compressed."""

import gzip
from collections.abc import Iterator

import pytest

from imgpack.image.compare.blobs import blob_difference

HEAD = gzip.compress(b"x" * 500, mtime=0)[:10]
"""Of no name, no flag; effort and system are its last two bytes."""


def head(flags: int = 0, effort: int = 0, system: int = 255, rest: bytes = b"") -> bytes:
    """How a gzip stream begins."""
    return HEAD[:3] + bytes([flags]) + HEAD[4:8] + bytes([effort, system]) + rest


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """``data`` as it comes."""
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize(
    ("a", "b", "what", "said"),
    [
        (head(system=0), head(system=3), "gzip header: system", ("FAT", "Unix")),
        (head(system=7), head(system=10), "gzip header: system", ("Macintosh", "NTFS")),
        (head(system=255), head(system=99), "gzip header: system", ("unknown", "99")),
        (head(effort=0), head(effort=2), "gzip header: effort", ("unsaid", "best")),
        (head(effort=4), head(effort=9), "gzip header: effort", ("fastest", "9")),
        (head(8, rest=b"a.tar\0"), head(8, rest=b"b\0r\0"), "gzip header: name", ("a.tar", "b")),
        (head(8, rest=b"\0"), head(), "gzip header: name", ("", "none")),
        (head(1), head(8, rest=b"\0"), "gzip header: name", ("none", "")),
        (head(4), head(), "gzip header: flags", ("0x04", "0x00")),
        # A name behind extra fields is not looked for.
        (head(12, rest=b"\1\1aa.tar\0"), head(12, rest=b"\1\1bb.tar\0"),
         "gzip by another program or level", ("7 bytes", "8 bytes")),
        (head(), head(), "gzip by another program or level", ("7 bytes", "8 bytes")),
        (b"\x28\xb5\x2f\xfd1", b"\x28\xb5\x2f\xfd2",
         "zstd by another program or level", ("7 bytes", "8 bytes")),
        (head(), b"\x28\xb5\x2f\xfd2", "compression", ("gzip", "zstd")),
        (b"ustar", head(), "compression", ("none", "gzip")),
    ],
)  # fmt: skip
def test_what_the_first_bytes_say_otherwise_is_told(
    a: bytes, b: bytes, what: str, said: tuple[str, str]
) -> None:
    """However these come; nothing else of gzip's header is taken for it."""
    for size in (1, 64, 1000):
        told = blob_difference(pieces(a, size), pieces(b, size), (7, 8))

        assert (told.what, told.a, told.b) == (what, *said)


def test_sizes_are_told_only_if_they_differ() -> None:
    """Two numbers that are the same are no difference."""
    assert blob_difference(iter([HEAD]), iter([HEAD]), (7, 7))[1:] == ("", "")


def test_no_more_than_the_beginning_is_read() -> None:
    """A blob may be large."""
    left = [iter([HEAD, bytes(54), b"rest"]) for _ in range(2)]

    blob_difference(left[0], left[1], (7, 8))

    assert [list(one) for one in left] == [[b"rest"], [b"rest"]]
