"""Images in a registry, as images that can be copied anywhere.

OCI distribution-spec v1.1, "Pull". Invariants: every document is verified
before it is used, against the digest that named it or was pinned; layers are
read when they are asked for, except those of schema1 (see ``schema1``); a
document names one kind of thing only.
"""

import tempfile
from collections.abc import Callable, Sequence
from typing import Final

from imgpack.errors import (
    DigestError,
    DocumentError,
    LimitError,
    NotFoundError,
    RegistryError,
    Remedy,
    UnsupportedError,
    about,
)
from imgpack.files.blobs import verify_stream
from imgpack.image.image import Image, MultiImage, artifact
from imgpack.registry.pull.download import RemoteSource
from imgpack.registry.pull.schema1 import schema1_image
from imgpack.registry.registries import Registries
from imgpack.registry.repository import ACCEPT_SCHEMA1, Served
from imgpack.spec import mediatype
from imgpack.spec.config import ImageConfig
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.json import MAX_DOCUMENT, MAX_DOCUMENTS, decode
from imgpack.spec.manifest import Index, Manifest, parse_document
from imgpack.spec.platform import Platform
from imgpack.spec.reference import Reference

MAX_NESTING: Final = 3
"""Indexes within indexes that are followed on the way to one platform."""


def open_remote(
    registries: Registries,
    reference: Reference,
    platform: Platform | None = None,
    *,
    scratch: Callable[[], str] = tempfile.gettempdir,
) -> Image | MultiImage:
    """The image at ``reference`` (its digest, if it is pinned; else its tag).

    With ``platform`` an index gives that platform's image; without, it stays
    whole. Its blobs can be read as long as the connections are open. ``scratch``
    finds the directory for a schema1 image's layers. Raises ``NotFoundError`` (naming
    the platforms there are), ``DocumentError``, ``DigestError`` and others.
    """
    remote = _Remote(registries, reference, scratch)
    return remote.open(platform)


def fetch_schema1(registries: Registries, reference: Reference) -> bytes:
    """What the registry answers when only schema1 is asked for; its signature is checked."""
    client = registries.repository(reference)
    target = reference.digest or reference.tagged().target
    served = client.get_manifest(target, ACCEPT_SCHEMA1)
    if served.media_type not in mediatype.SCHEMA1_TYPES:
        raise UnsupportedError(
            f"{reference.shown()}: the registry answers no schema1 manifest, but "
            f"{served.media_type or 'something else'}",
            Remedy.MAKE_SCHEMA1(),
        )
    return served.raw


class _Remote:
    def __init__(
        self,
        registries: Registries,
        reference: Reference,
        scratch: Callable[[], str],
    ) -> None:
        self._reference = reference
        self._shown = reference.shown()
        self._client = registries.repository(reference)
        self._source = RemoteSource(self._client)
        self._scratch = scratch
        self._held = 0

    def _count(self, size: int) -> None:
        """Refuse an index whose documents together would fill the memory."""
        self._held += size
        if self._held > MAX_DOCUMENTS:
            raise LimitError(
                f"{self._shown}: its manifests and configurations have more than "
                f"{MAX_DOCUMENTS} bytes",
                Remedy.CHOOSE_PLATFORM(),
            )

    def open(self, platform: Platform | None) -> Image | MultiImage:
        """The image that the reference names."""
        reference = self._reference.tagged()
        served = self._client.get_manifest(reference.digest or reference.target)
        names = (reference.with_tag(reference.tag),) if reference.tag is not None else ()
        if served.media_type in mediatype.SCHEMA1_TYPES:
            image = schema1_image(self._client, served, self._shown, self._scratch)
            return self._fitting(Image(image.manifest, image.config, image.source, names), platform)
        document = self._parsed(served)
        if isinstance(document, Manifest):
            return self._fitting(self._image(document, names), platform)
        if platform is not None:
            return self._chosen(document, platform, names, MAX_NESTING)
        children = tuple(self._child(entry) for entry in document.manifests)
        return MultiImage(document, children, names)

    def _parsed(self, served: Served) -> Manifest | Index:
        # Some registries say application/json; then the body itself must say what it is.
        told = served.media_type or decode(served.raw, self._shown).get("mediaType")
        if not told:
            raise DocumentError(f"{self._shown}: the registry does not say what this is")
        return parse_document(served.raw, served.media_type, self._shown)

    def _image(self, manifest: Manifest, names: tuple[Reference, ...] = ()) -> Image:
        raw = self._config(manifest)
        config = ImageConfig.parse(raw, f"{self._shown}: image configuration")
        with about(self._shown):
            return Image(manifest, config, self._source, names)

    def _member(self, manifest: Manifest, names: tuple[Reference, ...] = ()) -> Image:
        """What an index names: an image, or an artifact beside the images."""
        if manifest.config.media_type in mediatype.IMAGE_CONFIGS:
            return self._image(manifest, names)
        return artifact(manifest, self._config(manifest), self._source)

    def _config(self, manifest: Manifest) -> bytes:
        described = manifest.config
        if described.size > MAX_DOCUMENT:
            raise LimitError(
                f"{self._shown}: the configuration has {described.size} bytes",
                f"at most {MAX_DOCUMENT} are accepted",
            )
        self._count(described.size)
        chunks = self._source.read_blob(described)
        return b"".join(verify_stream(chunks, described, f"{self._shown}: the configuration"))

    def _child(self, entry: Descriptor) -> Image:
        document = self._document(entry)
        if isinstance(document, Index):
            raise UnsupportedError(
                f"{self._shown}: there is an index in the index", Remedy.CHOOSE_PLATFORM()
            )
        return self._member(document)

    def _document(self, entry: Descriptor) -> Manifest | Index:
        if entry.size > MAX_DOCUMENT:
            raise LimitError(f"{self._shown}: the manifest {entry.digest} is too large")
        self._count(entry.size)
        served = self._client.get_manifest(entry.digest)
        if len(served.raw) != entry.size:
            raise DigestError(
                f"{self._shown}: the manifest {entry.digest} has {len(served.raw)} bytes, "
                f"not {entry.size}"
            )
        document = self._parsed(served)
        if entry.media_type and entry.media_type != document.media_type:
            raise DocumentError(
                f"{self._shown}: {entry.digest} is {document.media_type!r}, "
                f"and the index says {entry.media_type!r}"
            )
        return document

    def _chosen(
        self, index: Index, platform: Platform, names: tuple[Reference, ...], depth: int
    ) -> Image:
        if depth == 0:
            raise RegistryError(f"{self._shown}: the indexes are nested too deeply")
        silent: list[Descriptor] = []
        for entry in index.manifests:
            if entry.platform is None:
                silent.append(entry)
            elif platform.matches(entry.platform):
                document = self._document(entry)
                if isinstance(document, Index):
                    return self._chosen(document, platform, names, depth - 1)
                return self._image(document, names)
        there = [str(entry.platform) for entry in index.manifests if entry.platform is not None]
        for entry in silent:
            document = self._document(entry)
            if isinstance(document, Manifest):
                image = self._member(document, names)
                there.append(str(image.config.platform))
                if platform.matches(image.config.platform):
                    return image
        raise self._no_platform(platform, there)

    def _fitting(self, image: Image, platform: Platform | None) -> Image:
        if platform is not None and not platform.matches(image.config.platform):
            raise self._no_platform(platform, [str(image.config.platform)])
        return image

    def _no_platform(self, platform: Platform, there: Sequence[str]) -> NotFoundError:
        real = [name for name in dict.fromkeys(there) if not name.startswith("unknown/")]
        return NotFoundError(
            f"{self._shown} has no image for {platform}",
            f"choose one of: {', '.join(real)}" if real else "it has none at all",
        )
