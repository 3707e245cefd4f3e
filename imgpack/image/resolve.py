"""From a descriptor to the image, index or artifact that it names, wherever that lies.

OCI image-spec ``image-index.md`` and ``manifest.md``. Invariants: a document is read
whole only if it is small, is checked against its digest before it is parsed, is read
and parsed once, and counts towards ``MAX_DOCUMENTS`` as often as it is named, so that
little input cannot stand for much work, memory or output; a platform is chosen by
descriptors first, and only what it needs is read.
"""

from collections.abc import Callable, Iterator
from typing import Final, Protocol

from imgpack.errors import (
    LimitError,
    NotFoundError,
    Remedy,
    about,
)
from imgpack.image.image import AnyImage, Artifact, BlobSource, Image, ImageIndex, Opaque
from imgpack.spec import mediatype
from imgpack.spec.config import ImageConfig
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.json import MAX_DOCUMENT, MAX_DOCUMENTS
from imgpack.spec.manifest import MAX_INDEX_ENTRIES, Index, Manifest, parse_document
from imgpack.spec.platform import Platform

MAX_DEPTH: Final = 4
"""Indexes within indexes."""
_LEAST: Final = 1 << 10
"""What the smallest document counts for: so their number is bounded too."""


class ImageSource(BlobSource, Protocol):
    """Where documents are read from as well."""

    def fetch(self, descriptor: Descriptor) -> bytes | None:
        """A document's bytes, verified against digest and size; ``None`` if it is not held."""

    def size(self, digest: Digest) -> int | None:
        """The size in bytes of any blob, or ``None`` if it is not there."""


class Resolver:
    """Reads what descriptors name from one source; errors name ``location``.

    A document that was read stays here, so that it is read once. ``check_blob`` raises
    for a blob that is there and cannot be what its manifest says; ``lacks`` says whether
    the source says itself that it does not have a blob (and else it should).
    """

    def __init__(
        self,
        source: ImageSource,
        location: str,
        check_blob: Callable[[Descriptor], None] = lambda blob: None,
        lacks: Callable[[Digest], bool] = lambda digest: False,
    ) -> None:
        self.source = source
        self.location = location
        self._check_blob = check_blob
        self._lacks = lacks
        self._raws: dict[tuple[Digest, int], bytes | None] = {}
        self._documents: dict[tuple[Digest, int, str], Manifest | Index] = {}
        self._configs: dict[Digest, ImageConfig] = {}
        self._counted = 0

    def document(self, descriptor: Descriptor) -> Manifest | Index:
        """The manifest or index that ``descriptor`` names; to ask again costs nothing.

        Raises ``NotFoundError``, ``DigestError``, ``DocumentError``, ``LimitError``.
        """
        known = self._documents.get(_key(descriptor))
        return self._named_document(descriptor) if known is None else known

    def _named_document(self, descriptor: Descriptor) -> Manifest | Index:
        """The same for a document that names it, which counts each time."""
        raw = self._fetched(descriptor, "manifest")
        key = _key(descriptor)
        if key not in self._documents:
            with about(f"{self.location}: manifest {descriptor.digest}"):
                self._documents[key] = parse_document(raw, descriptor.media_type, descriptor.digest)
        return self._documents[key]

    def config(self, manifest: Manifest) -> ImageConfig:
        """The configuration of an image's ``manifest``."""
        raw = self._fetched(manifest.config, "configuration")
        return self.parse_config(raw, manifest.config.digest)

    def parse_config(self, raw: bytes, digest: Digest) -> ImageConfig:
        """The configuration ``raw``, parsed once. Raises ``DocumentError``."""
        if digest not in self._configs:
            with about(f"{self.location}: configuration {digest}"):
                self._configs[digest] = ImageConfig.parse(raw, digest)
        return self._configs[digest]

    def image(self, descriptor: Descriptor, platform: Platform | None = None) -> AnyImage:
        """All that ``descriptor`` names, or of it the one image for ``platform``.

        Raises ``NotFoundError`` naming the platforms there are.
        """
        if not mediatype.is_document(descriptor.media_type):
            if platform is not None:
                raise self._no_platform(platform, [])
            if not self._is_there(descriptor):
                raise NotFoundError(f"{self.location} has no blob {descriptor.digest}")
            return Opaque(descriptor, self.source)
        document = self.document(descriptor)
        if platform is None:
            return self._whole(document, 0)
        if isinstance(document, Manifest):
            image = self._whole(document, 0)
            if isinstance(image, Image) and platform.matches(image.config.platform):
                return image
            there = [str(image.config.platform)] if isinstance(image, Image) else []
            raise self._no_platform(platform, there)
        there = []
        found = next(self._matching(document, platform, 0, there), None)
        if found is None:
            raise self._no_platform(platform, there)
        return found

    def single(self, manifest: Manifest) -> Image | Artifact:
        """The image of ``manifest``, or the artifact."""
        artifact = self._artifact(manifest)
        if not manifest.is_image:
            return artifact
        config = self.config(manifest)
        with about(self.location):
            return Image(manifest, config, self.source, artifact.absent)

    def _artifact(self, manifest: Manifest) -> Artifact:
        absent = self.absent(manifest)
        for blob in manifest.layers:
            if blob.digest not in absent:
                self._check_blob(blob)
        return Artifact(manifest, self.source, absent)

    def absent(self, manifest: Manifest) -> frozenset[Digest]:
        """The layers that the source does not hold, and need not."""
        absent = {blob.digest for blob in manifest.layers if self._lacks(blob.digest)}
        foreign = {blob.digest for blob in manifest.layers if mediatype.is_foreign(blob.media_type)}
        return frozenset(absent | {one for one in foreign if self.source.size(one) is None})

    def holds(self, descriptor: Descriptor) -> bool:
        """Whether the source has the document."""
        return self._fetch(descriptor) is not None

    def count(self, size: int) -> None:
        """Take note that a document of ``size`` bytes is named. Raises ``LimitError``."""
        self._counted += max(size, _LEAST)
        if self._counted > MAX_DOCUMENTS:
            raise too_many(self.location)

    def _whole(self, document: Manifest | Index, depth: int) -> AnyImage:
        if isinstance(document, Manifest):
            return self.single(document)
        self._check_depth(depth)
        members = (self._member(entry, depth + 1) for entry in document.manifests)
        return ImageIndex(document, tuple(one for one in members if one is not None))

    def _member(self, entry: Descriptor, depth: int) -> AnyImage | None:
        """What an index names, if it is there."""
        if not mediatype.is_document(entry.media_type):
            return Opaque(entry, self.source) if self._is_there(entry) else None
        if not self.holds(entry):
            return None
        document = self._named_document(entry)
        if not self._has_config(document):
            return None
        if isinstance(document, Manifest) and is_attestation(entry):
            return self._artifact(document)
        return self._whole(document, depth)

    def _is_there(self, blob: Descriptor) -> bool:
        self._check_blob(blob)
        try:
            return self.source.size(blob.digest) is not None
        except NotFoundError:  # a registry's way to say it
            return False

    def _has_config(self, document: Manifest | Index) -> bool:
        """Whether a member can be read; Docker saves the manifest alone of what it did not pull."""
        if isinstance(document, Index) or not document.is_image:
            return True
        return self.holds(document.config)

    def _matching(
        self, index: Index, platform: Platform, depth: int, there: list[str]
    ) -> Iterator[Image]:
        """The images for ``platform``, those first whose descriptors say so; ``there`` learns."""
        self._check_depth(depth)
        silent: list[Descriptor] = []
        for entry in index.manifests:
            if entry.platform is None:
                silent.append(entry)
                continue
            there.append(str(entry.platform))
            if platform.matches(entry.platform) and self._is_usable(entry):
                yield from self._of(self._named_document(entry), platform, depth, there)
        for entry in filter(self._is_usable, silent):
            document = self._named_document(entry)
            if isinstance(document, Index):
                yield from self._matching(document, platform, depth + 1, there)
            elif document.is_image:
                there.append(str(self.config(document).platform))
                if platform.matches(self.config(document).platform):
                    yield from self._of(document, platform, depth, there)

    def _of(
        self, document: Manifest | Index, platform: Platform, depth: int, there: list[str]
    ) -> Iterator[Image]:
        if isinstance(document, Index):
            yield from self._matching(document, platform, depth + 1, there)
        elif isinstance(image := self.single(document), Image):
            yield image

    def _is_usable(self, entry: Descriptor) -> bool:
        return mediatype.is_document(entry.media_type) and self.holds(entry)

    def _check_depth(self, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise LimitError(
                f"{self.location}: indexes are nested more than {MAX_DEPTH} deep",
                f"at most {MAX_INDEX_ENTRIES} entries and {MAX_DEPTH} levels are accepted",
            )

    def _fetched(self, descriptor: Descriptor, what: str) -> bytes:
        raw = self._fetch(descriptor)
        if raw is None:
            raise NotFoundError(f"{self.location} has no {what} {descriptor.digest}")
        self.count(descriptor.size)
        return raw

    def _fetch(self, descriptor: Descriptor) -> bytes | None:
        if descriptor.size > MAX_DOCUMENT:
            raise LimitError(
                f"{self.location}: the document {descriptor.digest} has {descriptor.size} bytes",
                f"at most {MAX_DOCUMENT} are accepted",
            )
        key = descriptor.digest, descriptor.size
        if key not in self._raws:
            self._raws[key] = self.source.fetch(descriptor)
        return self._raws[key]

    def _no_platform(self, platform: Platform, there: list[str]) -> NotFoundError:
        real = [name for name in dict.fromkeys(there) if not name.startswith("unknown/")]
        return NotFoundError(
            f"{self.location} has no image for {platform}",
            f"choose one of: {', '.join(real)}" if real else "it has none at all",
        )


def is_attestation(entry: Descriptor) -> bool:
    """Whether BuildKit says of an ``entry`` of an index that it is one, dressed as an image."""
    return entry.annotation("vnd.docker.reference.type") == "attestation-manifest"


def _key(descriptor: Descriptor) -> tuple[Digest, int, str]:
    return descriptor.digest, descriptor.size, descriptor.media_type


def too_many(location: str) -> LimitError:
    """The error for more documents than ``MAX_DOCUMENTS``."""
    return LimitError(
        f"{location} names manifests and configurations of more than "
        f"{MAX_DOCUMENTS} bytes together",
        Remedy.CHOOSE_PLATFORM(),
    )
