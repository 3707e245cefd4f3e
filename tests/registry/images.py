"""Small images for the registry's tests, in memory, and sessions that do not wait."""

import gzip
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from imgpack.api import (
    AnyImage,
    Artifact,
    Descriptor,
    Digest,
    Image,
    ImageIndex,
    Named,
    Platform,
    Published,
    PushOptions,
    Reference,
    Registries,
    RegistrySink,
    RetryPolicy,
    SessionOptions,
    TransportOptions,
)
from imgpack.events import SILENT, Reporter
from imgpack.spec import mediatype
from imgpack.spec.config import History, build_config
from imgpack.spec.manifest import build_index, build_manifest

MIB = 1 << 20


@dataclass(frozen=True)
class Memory:
    """A blob source in memory; what it holds need not be true."""

    blobs: Mapping[Digest, bytes]
    piece: int = 65536

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes, in pieces."""
        data = self.blobs[descriptor.digest]
        for start in range(offset, len(data), self.piece):
            yield data[start : start + self.piece]


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def make_image(
    *contents: bytes,
    platform: str = "linux/amd64",
    annotations: Mapping[str, str] | None = None,
    empty: bool = False,
    oci: bool = False,
) -> Image:
    """An image with one gzip layer for each content; ``empty`` adds an entry without a layer."""
    layer_type = mediatype.OCI_LAYER_GZIP if oci else mediatype.DOCKER_LAYER_GZIP
    blobs = [gzip.compress(content, 1, mtime=0) for content in contents]
    layers = [Descriptor(layer_type, Digest.of(blob), len(blob)) for blob in blobs]
    time = "2020-01-01T00:00:00Z"
    history = [History(time, f"layer {n}") for n in range(len(contents))]
    if empty:
        history.append(History(time, "CMD x", empty_layer=True))
    config = build_config(
        Platform.parse(platform), [Digest.of(c) for c in contents], history, created=time
    )
    manifest = build_manifest(
        Descriptor(
            mediatype.OCI_CONFIG if oci else mediatype.DOCKER_CONFIG,
            config.digest,
            len(config.raw),
        ),
        layers,
        mediatype.OCI_MANIFEST if oci else mediatype.DOCKER_MANIFEST,
        annotations,
    )
    return Image(manifest, config, Memory({Digest.of(blob): blob for blob in blobs}))


def make_artifact(content: bytes, kind: str = "application/vnd.example.chart+json") -> Artifact:
    """A manifest that is no image: its configuration is of type ``kind``, its layer ``content``."""
    blobs = {Digest.of(raw): raw for raw in (b"{}", content)}
    config = Descriptor(kind, Digest.of(b"{}"), 2)
    layer = Descriptor("application/octet-stream", Digest.of(content), len(content))
    manifest = build_manifest(config, [layer], mediatype.OCI_MANIFEST)
    return Artifact(manifest, Memory(blobs))


def make_index(*members: AnyImage, oci: bool = True) -> ImageIndex:
    """An index over images, indexes and artifacts."""
    entries = [
        replace(
            one.document.descriptor,
            platform=one.config.platform if isinstance(one, Image) else None,
        )
        for one in members
    ]
    kind = mediatype.OCI_INDEX if oci else mediatype.DOCKER_INDEX
    return ImageIndex(build_index(entries, kind), members)


def connect(*, attempts: int = 5, reporter: Reporter = SILENT, silence: float = 5.0) -> Registries:
    """Registries whose waits take no time."""
    options = SessionOptions(retry=RetryPolicy(attempts=attempts), sleep=lambda seconds: None)
    transport = TransportOptions(connect_timeout=5.0, silence_timeout=silence)
    return Registries(transport, options, None, reporter)


def push_to(
    host: str,
    image: AnyImage,
    *names: str,
    attempts: int = 5,
    reporter: Reporter = SILENT,
    jobs: int = 4,
    **options: object,
) -> tuple[Published, ...]:
    """Push ``image`` to names at ``host``."""
    references = tuple(Reference.parse(f"{host}/{name}") for name in names)
    with connect(attempts=attempts, reporter=reporter) as registries:
        sink = RegistrySink(registries, PushOptions(**options))  # type: ignore[arg-type]
        return sink.write([Named(image, references)], jobs=jobs)
