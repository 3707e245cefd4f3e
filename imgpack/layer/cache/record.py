"""The record of a layer that was built before, as one line of the file that keeps it.

The line is the sha256 of a JSON object, a space, and the object; the snapshot of the
tree follows it, whose size and CRC-32 the object has. Invariants: what ``parse``
returns is whole and well-formed: keys are names that the cache gives, sizes are those
of the segments, times can be written. That it is *true* of the tree and the segments,
the check sum says only against damage: whoever may write the cache may write images.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from imgpack.compression.codec import MAX_LAYER
from imgpack.errors import ImgpackError
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.layer import Layer
from imgpack.tree.transform import MAX_TIME

FORMAT: Final = "imgpack-cache-10"

CHECK_PATTERN: Final = r"[0-9a-f]{17,24}"
"""What ``checksum.fingerprint`` gives: 16 digits of check sums, then the length in bytes."""
KEY_PATTERN: Final = CHECK_PATTERN + r"-[0-9a-f]{16}"
"""The fingerprint of the raw bytes, then the codec; used as a path, so nothing else is."""
_CHECK: Final = re.compile(CHECK_PATTERN)
_KEY: Final = re.compile(KEY_PATTERN)
_MAX_RULES: Final = 1 << 20
_STAMPS: Final = re.compile(r"(?:[0-9a-f]{64})?")


@dataclass(frozen=True, slots=True)
class CachedSegment:
    """One compressed segment of a layer: its key, and the check sum of its bytes.

    ``stamps`` is the hash of the stamps that it was made of, empty if one of them may
    not be trusted. Of one that is ``copied`` the cache has a recipe at most, and ``check`` is
    that of the raw bytes, with its own length.
    """

    key: str
    check: str
    stamps: str = ""
    copied: bool = False

    @property
    def raw_sum(self) -> str:
        """The fingerprint of the raw bytes."""
        return self.key.partition("-")[0]

    @property
    def raw_size(self) -> int:
        """The length of the raw bytes."""
        return int(self.raw_sum[16:], 16)


@dataclass(frozen=True, slots=True)
class Written:
    """The bytes of a layer: digests and sizes (bytes) of the raw and the compressed stream."""

    diff_id: Digest
    digest: Digest
    raw_size: int
    size: int

    def layer(self, media_type: str) -> Layer:
        """The layer that a manifest and a configuration name."""
        return Layer(Descriptor(media_type, self.digest, self.size), self.diff_id)


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """A layer that was built: its bytes, what to say of it, and its segments in the cache.

    ``newest`` is the newest time in it, in seconds; ``matched`` are the numbers of the rules
    that something in it was changed by.
    """

    written: Written
    newest: int
    warnings: tuple[str, ...]
    segments: tuple[CachedSegment, ...]
    matched: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Filed:
    """What the first line of a file says: the layer, its key, and what follows the line."""

    key: str
    layer: LayerRecord
    snapshot_size: int
    snapshot_crc: int


def line_of(filed: Filed) -> bytes:
    """``filed`` as the first line of its file."""
    layer, written = filed.layer, filed.layer.written
    obj = {
        "format": FORMAT,
        "key": filed.key,
        "snapshot": filed.snapshot_size,
        "snapshot_crc": filed.snapshot_crc,
        "diff_id": str(written.diff_id),
        "digest": str(written.digest),
        "size": written.size,
        "raw_size": written.raw_size,
        "newest": layer.newest,
        "warnings": layer.warnings,
        "matched": layer.matched,
        "pieces": [(one.key, one.check, one.stamps, one.copied) for one in layer.segments],
    }
    text = json.dumps(obj).encode() + b"\n"
    return hashlib.sha256(text).hexdigest().encode() + b" " + text


def parse(line: bytes) -> Filed | None:
    """What ``line_of`` wrote; ``None`` for anything that it would not have written."""
    summed, text = line[:65], line[65:]
    if summed != hashlib.sha256(text).hexdigest().encode() + b" ":
        return None
    try:
        return _filed(json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError, ImgpackError):
        return None


def _filed(obj: Any) -> Filed:
    if obj["format"] != FORMAT:
        raise ValueError("another format")
    written = Written(
        _digest(obj["diff_id"]),
        _digest(obj["digest"]),
        _number(obj["raw_size"], MAX_LAYER),
        _number(obj["size"], MAX_LAYER),
    )
    layer = LayerRecord(
        written,
        _number(obj["newest"], MAX_TIME),
        tuple(_string(warning) for warning in _array(obj["warnings"])),
        tuple(_segment(*_array(segment)) for segment in _array(obj["pieces"])),
        tuple(_number(one, _MAX_RULES) for one in _array(obj["matched"])),
    )
    keys, checks = zip(*((one.key, one.check) for one in layer.segments), strict=True)
    if (written.raw_size, written.size) != (_length(keys), _length(checks)):
        raise ValueError("a size is not that of the segments")
    return Filed(
        _string(obj["key"]),
        layer,
        _number(obj["snapshot"], 1 << 63),
        _number(obj["snapshot_crc"], (1 << 32) - 1),
    )


def _segment(key: Any, check: Any, stamps: Any, copied: Any) -> CachedSegment:
    if type(copied) is not bool:
        raise TypeError("not a boolean")
    return CachedSegment(
        _matching(_KEY, key), _matching(_CHECK, check), _matching(_STAMPS, stamps), copied
    )


def _length(fingerprints: Iterable[str]) -> int:
    return sum(int(text[16:].partition("-")[0], 16) for text in fingerprints)


def _digest(value: Any) -> Digest:
    found = Digest.parse(_string(value))
    if found.algorithm != "sha256":
        raise ValueError("not what the pipeline computes")
    return found


def _number(value: Any, largest: int) -> int:
    if type(value) is not int or not 0 <= value <= largest:
        raise ValueError("not a number in its range")
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("not an array")
    return value


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    if not pattern.fullmatch(_string(value)):
        raise ValueError("not of its form")
    return _string(value)
