"""Images, artifacts and indexes made in memory, and a source that holds what it was given."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from imgpack.api import (
    AnyImage,
    Artifact,
    Descriptor,
    Digest,
    Image,
    ImageConfig,
    ImageIndex,
    Platform,
)
from imgpack.events import Silent
from imgpack.spec import mediatype
from imgpack.spec.config import History, build_config
from imgpack.spec.descriptor import describe
from imgpack.spec.manifest import build_index, build_manifest


@dataclass(slots=True)
class Memory:
    """Blobs by their digests, and what was asked for."""

    blobs: dict[Digest, bytes] = field(default_factory=dict)
    fetched: list[Digest] = field(default_factory=list)

    def fetch(self, descriptor: Descriptor) -> bytes | None:
        """A document, or ``None``."""
        self.fetched.append(descriptor.digest)
        return self.blobs.get(descriptor.digest)

    def size(self, digest: Digest) -> int | None:
        """The size of a blob, or ``None``."""
        return len(self.blobs[digest]) if digest in self.blobs else None

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a blob."""
        yield self.blobs[descriptor.digest][offset:]


class Recorder(Silent):
    """A reporter that keeps, for each label, the total, what is done, and whether it ended."""

    def __init__(self) -> None:
        self.meters: dict[str, list[Any]] = {}

    def begin(self, label: str, total: int | None) -> "_Recording":
        """Start to count."""
        self.meters[label] = [total, 0, False]
        return _Recording(self.meters[label])


@dataclass(slots=True)
class _Recording:
    counts: list[Any]

    def advance(self, count: int) -> None:
        self.counts[1] += count

    def end(self) -> None:
        assert not self.counts[2]
        self.counts[2] = True


def put(memory: Memory, media_type: str, raw: bytes) -> Descriptor:
    """Keep ``raw`` and describe it."""
    found = describe(media_type, raw)
    memory.blobs[found.digest] = raw
    return found


def config(platform: Platform, layers: int = 1) -> ImageConfig:
    """A configuration of as many layers."""
    return build_config(
        platform,
        [Digest.of(b"diff %d" % number) for number in range(layers)],
        [History("", f"step {number}") for number in range(layers)],
        created="2026-01-02T03:04:05Z",
    )


def image(memory: Memory, platform: str = "linux/amd64", *layers: Descriptor) -> Image:
    """An image of one layer, or of those given."""
    made = layers or (put(memory, mediatype.OCI_LAYER_GZIP, platform.encode()),)
    own = config(Platform.parse(platform), len(made))
    described = put(memory, mediatype.OCI_CONFIG, own.raw)
    manifest = build_manifest(described, made, mediatype.OCI_MANIFEST)
    put(memory, manifest.media_type, manifest.raw)
    return Image(manifest, own, memory)


def artifact(memory: Memory, kind: str = "application/vnd.example.chart+json") -> Artifact:
    """A chart, or something like it."""
    described = put(memory, kind, b"{}")
    blob = put(memory, "application/vnd.example.content", b"a chart")
    manifest = build_manifest(described, [blob], mediatype.OCI_MANIFEST)
    put(memory, manifest.media_type, manifest.raw)
    return Artifact(manifest, memory)


def index(memory: Memory, *members: AnyImage) -> ImageIndex:
    """An index of ``members``, which says the platform of each image."""
    entries = []
    for one in members:
        own = one.document.descriptor
        platform = one.config.platform if isinstance(one, Image) else None
        entries.append(Descriptor(own.media_type, own.digest, own.size, platform=platform))
    made = build_index(entries)
    put(memory, made.media_type, made.raw)
    return ImageIndex(made, members)
