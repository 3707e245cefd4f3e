"""A base as a small file to commit: its documents, the names of its layers, what they make.

JSON, a value a line, so that ``git diff`` shows what moved. With it an image is built without
the base: the documents are there word for word, and so is the tree (``listing``), compressed.

Invariants: the same base makes the same bytes; every document is checked against the digest
that names it, and what the lock says twice must agree, before any of it is used; a tree is
unpacked when it is asked for, and to no more than it says. What the tree says of the layers can
only be checked with the layers: whoever may change a lock may say what the base holds.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from imgpack.errors import ArchiveError, DigestError, DocumentError, LimitError, about
from imgpack.spec.config import ImageConfig
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.format import Compression
from imgpack.spec.json import decode, encode, member
from imgpack.spec.manifest import Index, Manifest
from imgpack.spec.platform import Platform
from imgpack.spec.reference import Reference
from imgpack.tree.merge.listing import Listing, listed_sha256

VERSION: Final = 1
MAX_LOCK: Final = 128 << 20
"""Bytes of a lock."""
MAX_TREE: Final = 256 << 20
"""Bytes of the listing of one platform: more than a million entries."""
_MAX_IMAGES: Final = 64
_LEVEL: Final = 3
"""Of zstd. Hashes are most of what a listing is: 19 saves a fifth and takes 200 times as long."""

_KEYS: Final = frozenset(
    {"imgpackLock", "asked", "reference", "name", "pointsTo", "index", "images"}
)
_IMAGE_KEYS: Final = frozenset({"platform", "manifest", "config", "layers", "tree"})
_LAYER_KEYS: Final = frozenset({"mediaType", "digest", "size", "diffId"})
_TREE_KEYS: Final = frozenset({"sha256", "size", "zstd", "kept"})


@dataclass(frozen=True, slots=True)
class LockedTree:
    """What the layers make: a listing of ``size`` bytes, ``packed`` as base64 of a zstd frame.

    ``kept`` are the bytes of some files by their paths.
    """

    sha256: str
    size: int
    packed: str
    kept: Mapping[str, bytes]

    @classmethod
    def of(cls, listing: Listing) -> Self:
        """``listing`` for a lock. Raises ``LimitError``."""
        from imgpack.compression.codec import Codec

        size = len(listing.text)
        if size > MAX_TREE:
            raise LimitError(
                f"the list of the base's files has {size} bytes", f"a lock takes {MAX_TREE}"
            )
        packed = base64.b64encode(Codec(Compression.ZSTD, _LEVEL).compress(listing.text))
        kept = {path.decode(): data for path, data in listing.kept.items() if _is_text(path)}
        return cls(listing.identity, size, packed.decode(), kept)

    def listing(self, name: str) -> Listing:
        """The tree, which messages call ``name``. Raises ``DocumentError``, ``DigestError``."""
        from imgpack.compression.codec import decompress

        raw = _bytes(self.packed)
        try:
            text = b"".join(decompress([raw], Compression.ZSTD, limit=self.size))
        except ArchiveError as error:
            raise DocumentError(error.message) from error
        listing = Listing(text, {path.encode(): data for path, data in self.kept.items()}, name)
        if len(text) != self.size or listing.identity != self.sha256:
            raise DigestError("the list of files is not the one whose sha256 it says")
        for path, data in listing.kept.items():
            entry = listing.find(path)
            if entry is None or listed_sha256(entry) != hashlib.sha256(data).hexdigest():
                raise DigestError(f"{path.decode()} is not the file in the list")
        return listing

    @classmethod
    def parse(cls, obj: dict[str, Any]) -> Self:
        """What ``as_json`` made. Raises ``DocumentError``, ``LimitError``."""
        _check(obj, _TREE_KEYS)
        size = member(obj, "size", int)
        if not 0 < size <= MAX_TREE:
            raise LimitError(f"its size is {size}", f"at most {MAX_TREE} bytes are accepted")
        kept = member(obj, "kept", dict)
        if not all(isinstance(data, str) for data in kept.values()):
            raise DocumentError("'kept' is no list of files")
        files = {path: _bytes(data) for path, data in kept.items()}
        return cls(member(obj, "sha256", str), size, member(obj, "zstd", str), files)

    def as_json(self) -> dict[str, Any]:
        """The JSON object."""
        kept = {path: base64.b64encode(data).decode() for path, data in sorted(self.kept.items())}
        return {"sha256": self.sha256, "size": self.size, "zstd": self.packed, "kept": kept}


@dataclass(frozen=True, slots=True)
class LockedImage:
    """The image of one platform."""

    manifest: Manifest
    config: ImageConfig
    tree: LockedTree

    @property
    def platform(self) -> Platform:
        """What it is for."""
        return self.config.platform

    def as_json(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "platform": str(self.platform),
            "manifest": self.manifest.raw.decode(),
            "config": self.config.raw.decode(),
            "layers": self._layers(),
            "tree": self.tree.as_json(),
        }

    @classmethod
    def parse(cls, obj: Any, named: Mapping[Digest, Descriptor]) -> Self:
        """What ``as_json`` made; its manifest is one of ``named``.

        Raises ``DocumentError``, ``DigestError``, ``LimitError``.
        """
        _check(obj, _IMAGE_KEYS)
        raw = member(obj, "manifest", str).encode()
        digests = {one.rehash(raw) for one in {one.algorithm: one for one in named}.values()}
        descriptor = next((named[one] for one in digests if one in named), None)
        if descriptor is None or descriptor.size != len(raw):
            raise DigestError("'manifest' is not what the name pointed to: its digest is another")
        with about("manifest"):
            manifest = Manifest.parse(raw, descriptor.media_type, descriptor.digest)
        raw = member(obj, "config", str).encode()
        digest = manifest.config.digest
        if digest.rehash(raw) != digest or len(raw) != manifest.config.size:
            raise DigestError(f"'config' is not {digest}, which the manifest names")
        with about("config"):
            config = ImageConfig.parse(raw, digest)
        with about("tree"):
            tree = LockedTree.parse(member(obj, "tree", dict))
        made = cls(manifest, config, tree)
        for layer in member(obj, "layers", list):
            _check(layer, _LAYER_KEYS)
        if obj["layers"] != made._layers() or member(obj, "platform", str) != str(config.platform):
            raise DocumentError("'layers' or 'platform' is not what its documents say")
        return made

    def _layers(self) -> list[dict[str, Any]]:
        pairs = zip(self.manifest.layers, self.config.diff_ids, strict=False)
        return [
            {
                "mediaType": layer.media_type,
                "digest": str(layer.digest),
                "size": layer.size,
                "diffId": str(diff_id),
            }
            for layer, diff_id in pairs
        ]


@dataclass(frozen=True, slots=True)
class Lock:
    """A base, as it was: ``asked`` for, with ``target`` what that pointed to.

    ``reference`` is it in full, if it is no path; ``name`` what the base is called in an image
    on top of it; ``index`` what was pointed to, if it is one.
    """

    asked: str
    reference: Reference | None
    name: Reference | None
    target: Descriptor
    index: Index | None
    images: tuple[LockedImage, ...]

    @property
    def documents(self) -> dict[Digest, bytes]:
        """All documents that it holds."""
        found = {} if self.index is None else {self.target.digest: self.index.raw}
        for image in self.images:
            found[image.manifest.descriptor.digest] = image.manifest.raw
            found[image.config.digest] = image.config.raw
        return found

    def encode(self) -> bytes:
        """The bytes of the file."""
        return (
            encode(
                {
                    "imgpackLock": VERSION,
                    "asked": self.asked,
                    "reference": None if self.reference is None else str(self.reference),
                    "name": None if self.name is None else str(self.name),
                    "pointsTo": self.target.as_json(),
                    "index": None if self.index is None else self.index.raw.decode(),
                    "images": [image.as_json() for image in self.images],
                },
                indent=1,
            )
            + b"\n"
        )

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """What ``encode`` made. Raises ``DocumentError``, ``DigestError``, ``LimitError``."""
        if not raw.startswith(b"{"):
            raise DocumentError("it is no lock of a base", "lock the base to have one")
        obj = decode(raw, MAX_LOCK)
        version = obj.get("imgpackLock")
        if version is None:
            raise DocumentError("it is JSON, but no lock of a base", "lock the base to have one")
        if version != VERSION or isinstance(version, bool):
            raise DocumentError(
                f"it is a lock of the version {str(version)[:40]}, and {VERSION} is known",
                "make it again, or use the release of imgpack that made it",
            )
        _check(obj, _KEYS)
        with about("pointsTo"):
            target = Descriptor.parse(member(obj, "pointsTo", dict))
        index = _index(member(obj, "index", str, default=None), target)
        named = {target.digest: target}
        if index is not None:
            named = {entry.digest: entry for entry in index.manifests}
        images = member(obj, "images", list)
        if not 1 <= len(images) <= _MAX_IMAGES:
            raise DocumentError(f"'images' has {len(images)}, and 1 to {_MAX_IMAGES} are accepted")
        found = []
        for number, image in enumerate(images):
            with about(f"images[{number}]"):
                found.append(LockedImage.parse(image, named))
        if len({image.platform for image in found}) != len(found):
            raise DocumentError("'images' has two of one platform")
        reference, name = (
            None if text is None else Reference.parse(text)
            for text in (member(obj, key, str, default=None) for key in ("reference", "name"))
        )
        return cls(member(obj, "asked", str), reference, name, target, index, tuple(found))


def _index(text: str | None, target: Descriptor) -> Index | None:
    if text is None:
        return None
    raw = text.encode()
    if target.digest.rehash(raw) != target.digest or len(raw) != target.size:
        raise DigestError(f"'index' is not {target.digest}, which the name pointed to")
    with about("index"):
        return Index.parse(raw, target.media_type, target.digest)


def _check(obj: Any, known: frozenset[str]) -> None:
    """Refuse what is no object of the ``known`` keys, all of them."""
    if not isinstance(obj, dict):
        raise DocumentError("it is no object")
    if wrong := sorted(obj.keys() ^ known):
        what = "is missing" if wrong[0] in known else "is no key of a lock"
        raise DocumentError(f"{wrong[0][:80]!r} {what}")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise DocumentError(f"it is no base64: {error}") from None


def _is_text(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True
