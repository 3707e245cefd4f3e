"""Two blobs that unpack to the same: how they are compressed, as far as their first bytes tell.

RFC 1952 (gzip), section 2.3; RFC 8878 (zstd), section 3.1.1.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from imgpack.spec.format import Compression, detect

_HEAD: Final = 64
_OS: Final = {0: "FAT", 3: "Unix", 7: "Macintosh", 10: "NTFS", 255: "unknown"}
_EFFORT: Final = {0: "unsaid", 2: "best", 4: "fastest"}


class BlobDifference(NamedTuple):
    """What two blobs have otherwise, and what each says."""

    what: str
    a: str
    b: str


def blob_difference(
    a: Iterator[bytes], b: Iterator[bytes], sizes: tuple[int, int]
) -> BlobDifference:
    """What of two blobs with ``sizes`` in bytes is compressed otherwise."""
    first, second = _first(a), _first(b)
    kinds = detect(first), detect(second)
    if kinds[0] != kinds[1]:
        return BlobDifference("compression", *kinds)
    if kinds[0] == Compression.GZIP.value:
        for (what, before), (_, after) in zip(_gzip(first), _gzip(second), strict=True):
            if before != after:
                return BlobDifference(f"gzip header: {what}", before, after)
    same = sizes[0] == sizes[1]
    said = ("", "") if same else (f"{sizes[0]} bytes", f"{sizes[1]} bytes")
    return BlobDifference(f"{kinds[0]} by another program or level", *said)


def _first(chunks: Iterator[bytes]) -> bytes:
    head = b""
    for chunk in chunks:
        head += chunk[:_HEAD]
        if len(head) >= _HEAD:
            break
    return head[:_HEAD]


def _gzip(head: bytes) -> list[tuple[str, str]]:
    head = head.ljust(_HEAD, b"\0")
    name = head[10:].partition(b"\0")[0] if head[3] & 8 and not head[3] & 4 else b""
    return [
        ("time", str(int.from_bytes(head[4:8], "little"))),
        ("name", name.decode("latin-1") if head[3] & 8 else "none"),
        ("flags", f"{head[3]:#04x}"),
        ("effort", _EFFORT.get(head[8], str(head[8]))),
        ("system", _OS.get(head[9], str(head[9]))),
    ]
