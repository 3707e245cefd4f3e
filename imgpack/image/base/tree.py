"""What the layers of a base make together, as a listing; remembered in the cache.

The listing depends on the ``diff_id``s of the layers and on nothing else. It is kept under the
hash of all of them and of the layers' digests: that a digest has a ``diff_id`` is known only of
those that were read. Whoever may write the cache may say what the base holds.
"""

import hashlib
import json
import stat
from collections.abc import Iterator
from typing import Any, Final

from imgpack.events import SILENT, Reporter
from imgpack.image.base.layer import MAX_KEPT, BaseLayer
from imgpack.image.image import Image
from imgpack.layer.cache.segments import SegmentCache
from imgpack.spec.format import Compression
from imgpack.tree.below import Below, Laid
from imgpack.tree.merge.listing import Listing, listing_text
from imgpack.tree.merge.merged import Merged

ACCOUNTS: Final = (b"etc/passwd", b"etc/group")
"""Files that are kept beside a listing, for the names of users and groups."""

_FORMAT: Final = "imgpack-tree-2"
_MAX_SIZE: Final = 1 << 30
"""Bytes of a listing and what is kept beside it: more than the entries of any image take."""


def base_tree(
    image: Image,
    where: str = "the base",
    *,
    cache: SegmentCache | None = None,
    jobs: int = 1,
    reporter: Reporter = SILENT,
) -> Listing:
    """The tree of ``image``, which lies ``where``; the bytes of ``ACCOUNTS`` are kept beside it.

    They lie at the paths that the links of the tree lead to. Each layer is read once, unless
    ``cache`` has the tree. What engines have trouble with is warned of, the cache's word for it
    as well. Raises ``DigestError``, ``ArchiveError``, ``TreeError``, ``LimitError``,
    ``UnsupportedError`` naming the layer, and what the source raises.
    """
    key = _key(image)
    found = None if cache is None else _kept(cache, key, where)
    if found is None:
        layers = [BaseLayer(image, layer, where, jobs, reporter) for layer in image.layers]
        for layer in layers:
            layer.check_held()
        merged = Merged((layer.members() for layer in layers), where)
        found = Listing(listing_text(merged), dict(_accounts(merged)), where), merged.remarks
        if cache is not None:
            cache.keep_tree(key, _packed(key, *found))
    listing, remarks = found
    for remark in remarks:
        reporter.warn(remark)
    return listing


def _key(image: Image) -> str:
    layers = (f"{layer.diff_id} {layer.descriptor.digest}" for layer in image.layers)
    return hashlib.sha256("\n".join((_FORMAT, *layers)).encode()).hexdigest()


def _accounts(tree: Merged) -> Iterator[tuple[bytes, bytes]]:
    image = Below((Laid(tree),))
    for path in ACCOUNTS:
        found = image.follow(path)
        if found is not None and stat.S_ISREG(found.mode) and found.size <= MAX_KEPT:
            with found.open() as content:
                yield found.path, content.read()


def _packed(key: str, listing: Listing, remarks: tuple[str, ...]) -> Iterator[bytes]:
    """A tree as the cache keeps it: a JSON line of what follows it, compressed as a whole."""
    from imgpack.compression.zstd import compress_pieces

    kept = [(path.hex(), len(data)) for path, data in listing.kept.items()]
    head = {"key": key, "remarks": remarks, "text": len(listing.text), "kept": kept}
    return compress_pieces((json.dumps(head).encode(), b"\n", listing.text, *listing.kept.values()))


def _kept(cache: SegmentCache, key: str, where: str) -> tuple[Listing, tuple[str, ...]] | None:
    """The tree that ``_packed`` made, if the cache has it; what is damaged is removed."""
    from imgpack.compression.codec import decompress

    def read(pieces: Iterator[bytes]) -> tuple[Listing, tuple[str, ...]]:
        whole = b"".join(decompress(pieces, Compression.ZSTD, limit=_MAX_SIZE))
        return _unpacked(whole, key, where)

    return cache.tree(key, read)


def _unpacked(whole: bytes, key: str, where: str) -> tuple[Listing, tuple[str, ...]]:
    end = whole.index(b"\n") + 1
    head: dict[str, Any] = json.loads(whole[:end])
    if head["key"] != key:
        raise ValueError("it is that of other layers")
    at = end + head["text"]
    text, kept = whole[end:at], {}
    for path, size in head["kept"]:
        kept[bytes.fromhex(path)] = whole[at : at + size]
        at += size
    if at != len(whole):
        raise ValueError("it is cut short")
    return Listing(text, kept, where), tuple(map(str, head["remarks"]))
