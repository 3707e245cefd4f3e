"""Small images made in memory, and archives of them, for the tests of this room."""

import gzip
import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imgpack.api import (
    AnyImage,
    Artifact,
    Descriptor,
    Digest,
    Image,
    ImageConfig,
    ImageIndex,
    Manifest,
    Named,
    Opened,
    Platform,
    Reference,
    images_in,
    parse_name,
)
from imgpack.image.image import walk
from imgpack.spec import mediatype
from imgpack.spec.config import History, build_config
from imgpack.spec.json import encode
from imgpack.spec.manifest import build_index, build_manifest
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

    def size(self, digest: Digest) -> int | None:
        """As an ``ImageSource``."""
        return len(self.blobs[digest]) if digest in self.blobs else None

    def fetch(self, descriptor: Descriptor) -> bytes | None:
        """As an ``ImageSource``, which counts as a read."""
        self.reads.append(descriptor.digest)
        return self.blobs.get(descriptor.digest)

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
    return Image(manifest, config, source)


def make_multi(source: Memory, *platforms: str) -> ImageIndex:
    """A multi-platform image, one layer each."""
    images = tuple(
        make_image(
            source,
            [tar_of({"arch": text.encode()})],
            docker=False,
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
    index = build_index(entries)
    source.add(index.raw)
    return ImageIndex(index, images)


def write_image(target: Path | str, image: AnyImage, names: tuple[Reference, ...] = NAMES) -> Path:
    """Copy ``image`` to an archive or layout."""
    return write_all(target, Named(image, names))


def write_all(target: Path | str, *images: Named) -> Path:
    """Copy ``images`` to one archive or layout."""
    with open_writer(str(target)) as writer:
        writer.write(images)
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


def manifests_of(image: AnyImage) -> list[Manifest]:
    """The manifests of one or several platforms."""
    return [one.manifest for one in images_in(image)]


def opened_images(opened: Opened) -> list[AnyImage]:
    """All images of a location, to be verified."""
    return [named.image for named in opened.images()]


def only_image(opened: Opened, text: str | None = None) -> Image:
    """The one image that ``text`` names, which is of one platform."""
    image = opened.image(opened.select(text)).image
    assert isinstance(image, Image)
    return image


def make_artifact(source: Memory) -> Artifact:
    """A chart: a manifest whose configuration is none of an image's."""
    config, chart = b'{"name":"chart"}', b"chart" * 500
    manifest = build_manifest(
        Descriptor("application/vnd.cncf.helm.config.v1+json", source.add(config), len(config)),
        [Descriptor("application/vnd.cncf.helm.chart", source.add(chart), len(chart))],
        mediatype.OCI_MANIFEST,
    )
    source.add(manifest.raw)
    return Artifact(manifest, source)


def make_nested(source: Memory) -> ImageIndex:
    """An index of an index of two platforms, and of an artifact."""
    members = (make_multi(source, "linux/amd64", "linux/arm64"), make_artifact(source))
    index = build_index([one.document.descriptor for one in members])
    source.add(index.raw)
    return ImageIndex(index, members)


def read_blobs(image: AnyImage) -> dict[Digest, bytes]:
    """All that is no document, at any depth, from the sources that the images have."""
    out: dict[Digest, bytes] = {}
    for one in walk(image):
        if not isinstance(one, ImageIndex):
            own = (one.manifest.config,) if isinstance(one, Artifact) else ()
            for blob in (*own, *one.manifest.layers):
                out[blob.digest] = b"".join(one.source.read_blob(blob))
    return out


def saved(path: Path) -> Path:
    """An archive of ``LAYERS`` as ``docker save`` of old wrote it, with one name."""
    config = make_config(LAYERS)
    name = f"{config.digest.hex}.json"
    item = {"Config": name, "RepoTags": ["foo:1"], "Layers": ["a/layer.tar", "b/layer.tar"]}
    files = {"manifest.json": encode([item]), name: config.raw}
    return make_tar(path, files | {"a/layer.tar": LAYERS[0], "b/layer.tar": LAYERS[1]})
