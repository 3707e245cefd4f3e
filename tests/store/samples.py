"""Small images made in memory, and archives of them, for the tests of this room."""

import gzip
import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imgpack.image.image import Image, MultiImage, copy_image
from imgpack.spec import mediatype
from imgpack.spec.config import History, ImageConfig, build_config
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.manifest import Manifest, build_index, build_manifest
from imgpack.spec.platform import Platform
from imgpack.spec.reference import Reference, parse_name
from imgpack.store.archive.write import open_writer

CREATED = "2020-01-02T03:04:05Z"
NAMES = (parse_name("foo:1"), parse_name("localhost:5000/bar/foo:v2"))


@dataclass
class Memory:
    """Blobs in memory: a source that counts how often it was asked."""

    blobs: dict[Digest, bytes] = field(default_factory=dict)
    reads: list[Digest] = field(default_factory=list)

    def add(self, raw: bytes) -> Digest:
        """Keep ``raw``."""
        self.blobs[Digest.of(raw)] = raw
        return Digest.of(raw)

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """In small chunks, as a network would."""
        self.reads.append(descriptor.digest)
        raw = self.blobs[descriptor.digest]
        for at in range(offset, len(raw), 1000):
            yield raw[at : at + 1000]


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """A layer's tar stream."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


LAYERS = (tar_of({"etc/one": b"1" * 700}), tar_of({"etc/two": b"2" * 70_000, "x": b""}))


def make_config(layers: Sequence[bytes], platform: Platform | None = None) -> ImageConfig:
    """A configuration for raw tar layers."""
    return build_config(
        platform or Platform(),
        [Digest.of(layer) for layer in layers],
        [History(CREATED, f"layer {number}") for number, _ in enumerate(layers)],
        created=CREATED,
    )


def make_image(
    source: Memory,
    layers: Sequence[bytes] = LAYERS,
    *,
    docker: bool = True,
    names: tuple[Reference, ...] = NAMES,
    platform: Platform | None = None,
    compress: bool = True,
) -> Image:
    """An image whose blobs are in ``source``."""
    config = make_config(layers, platform)
    source.add(config.raw)
    plain = mediatype.DOCKER_LAYER if docker else mediatype.OCI_LAYER
    packed = mediatype.DOCKER_LAYER_GZIP if docker else mediatype.OCI_LAYER_GZIP
    descriptors = []
    for layer in layers:
        blob = gzip.compress(layer, mtime=0) if compress else layer
        descriptors.append(Descriptor(packed if compress else plain, source.add(blob), len(blob)))
    kind = mediatype.DOCKER_CONFIG if docker else mediatype.OCI_CONFIG
    manifest = build_manifest(
        Descriptor(kind, config.digest, len(config.raw)),
        descriptors,
        mediatype.DOCKER_MANIFEST if docker else mediatype.OCI_MANIFEST,
    )
    source.add(manifest.raw)
    return Image(manifest, config, source, names)


def make_multi(source: Memory, *platforms: str) -> MultiImage:
    """A multi-platform image, one layer each."""
    images = tuple(
        make_image(
            source,
            [tar_of({"arch": text.encode()})],
            docker=False,
            names=(),
            platform=Platform.parse(text),
        )
        for text in platforms
    )
    entries = [
        Descriptor(
            one.manifest.media_type,
            one.manifest.descriptor.digest,
            len(one.manifest.raw),
            platform=one.config.platform,
        )
        for one in images
    ]
    return MultiImage(build_index(entries), images, NAMES)


def write_image(target: Path | str, image: Image | MultiImage) -> Path:
    """Copy ``image`` under its names to an archive or layout."""
    with open_writer(str(target)) as writer:
        copy_image(image, writer, image.names)
        writer.finish()
    return Path(target)


def make_tar(
    path: Path, files: Mapping[str, bytes], links: Mapping[str, str] | None = None
) -> Path:
    """Any tar archive, by Python's own writer."""
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for name, link in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type = tarfile.SYMTYPE
            member.linkname = link
            tar.addfile(member)
    return path


def read_layers(image: Image) -> list[bytes]:
    """The bytes of every layer, from the image's own source."""
    return [b"".join(image.source.read_blob(layer)) for layer in image.manifest.layers]


def manifests_of(image: Image | MultiImage) -> list[Manifest]:
    """The manifests of one or several platforms."""
    if isinstance(image, MultiImage):
        return [one.manifest for one in image.images]
    return [image.manifest]
