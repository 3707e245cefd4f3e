"""The images of an archive, a layout or a registry, open to be read.

What is there is told by *roots*: a descriptor each, with what points at it. Documents
are read when an image is asked for, and no sooner.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from imgpack.errors import (
    AmbiguousError,
    ArchiveError,
    DigestError,
    DocumentError,
    ImgpackError,
    NotFoundError,
    Remedy,
    UnsupportedError,
)
from imgpack.image.image import AnyImage, Image, ImageIndex, Named, walk
from imgpack.image.resolve import Resolver
from imgpack.spec import mediatype
from imgpack.spec.config import ImageConfig
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest, is_short
from imgpack.spec.manifest import Index, Manifest
from imgpack.spec.platform import Platform
from imgpack.spec.reference import Reference

_LISTED = 10
"""Names that an error lists."""
_UNREADABLE = (ArchiveError, DigestError, DocumentError, NotFoundError, UnsupportedError)
"""What is wrong with one image, and says nothing of the others."""


@dataclass(frozen=True, slots=True)
class Root:
    """A document that is pointed at; ``names`` to ``fields`` are as in ``Named``.

    ``platforms`` are those that ``index.json`` says it is for, which chooses nothing.
    """

    descriptor: Descriptor
    names: tuple[Reference, ...] = ()
    labels: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    fields: tuple[tuple[str, Any], ...] = ()
    platforms: tuple[Platform, ...] = ()

    def shown(self) -> str:
        """What it can be asked for by, for people."""
        names = [name.shown() for name in self.names]
        return (*names, *self.labels, str(self.descriptor.digest))[0]


class Opened:
    """What a location holds: a ``BlobSource`` and a context manager.

    ``schema1_payload`` is the unsigned payload that an archive carries, if it does; ``served``
    what a registry's tag named when it was read, which of schema1 is not what the root is.
    """

    def __init__(
        self,
        location: str,
        roots: Sequence[Root],
        resolver: Resolver,
        close: Callable[[], None],
        schema1_payload: bytes | None = None,
        served: Digest | None = None,
    ) -> None:
        self.location = location
        self.roots = tuple(roots)
        self.schema1_payload = schema1_payload
        self.served = served
        self._resolver = resolver
        self._images: dict[tuple[Descriptor, Platform | None], AnyImage] = {}
        self._close = close

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the location; its images can no longer be read."""
        self._close()

    def images(self, platform: Platform | None = None) -> tuple[Named, ...]:
        """All images, in the location's order; of each only what is for ``platform``, if given.

        Raises ``NotFoundError`` if there is none, or one has nothing for ``platform``: whoever
        wants the others says which. And what reading raises.
        """
        if not self.roots:
            raise NotFoundError(f"{self.location} holds no image")
        return tuple(self._for_platform(root, platform) for root in self.roots)

    def image(self, root: Root | None = None, platform: Platform | None = None) -> Named:
        """What ``root`` (``None``: the only one) points at, or of it the one for ``platform``.

        An index of which only one manifest is there, as Docker saves what it pulled of
        one, is that one image. Raises ``NotFoundError``, and what reading raises.
        """
        root = root or self.select(None)
        key = root.descriptor, platform
        if key not in self._images:
            found = self._resolver.image(*key)
            self._images[key] = self._reduced(found) if isinstance(found, ImageIndex) else found
        image = self._images[key]
        whole = image.document.descriptor.digest == root.descriptor.digest
        fields = root.fields if whole else ()  # data, for one, is of that document
        return Named(image, root.names, root.labels, root.annotations, fields)

    def document(self, root: Root | None = None) -> Manifest | Index:
        """The one document that ``root`` points at, and nothing that it names."""
        descriptor = (root or self.select(None)).descriptor
        if not mediatype.is_document(descriptor.media_type):
            raise UnsupportedError(
                f"{self.location}: {descriptor.digest} is {descriptor.media_type[:80]!r}, which "
                "is neither a manifest nor an index"
            )
        return self._resolver.document(descriptor)

    def config(self, manifest: Manifest) -> ImageConfig:
        """The configuration of an image's ``manifest``. Raises as ``document``."""
        return self._resolver.config(manifest)

    def absent(self, manifest: Manifest) -> frozenset[Digest]:
        """The layers of ``manifest`` that are not here, and need not be."""
        return self._resolver.absent(manifest)

    def select(self, text: str | None, *, base: bool = False) -> Root:
        """The one root that ``text`` names: a name, else a tag, manifest digest or image ID.

        A digest may be its beginning, if only one has it. ``None`` is for a location with
        one. Raises ``NotFoundError``, ``AmbiguousError``; of a ``base`` they list what
        can be chosen as ``LOCATION:NAME``.
        """
        chosen = [root for root in self.roots if text is None or _is_called(root, text)]
        chosen = chosen or [root for root in self.roots if text and self._answers(root, text)]
        if len(chosen) == 1:
            return chosen[0]
        if not self.roots:
            raise NotFoundError(f"{self.location} holds no image")
        front, remedy = "", Remedy.CHOOSE_IMAGE
        if base:
            front, remedy = f"{self.location}:", Remedy.CHOOSE_BASE
        there = ", ".join(front + root.shown() for root in self.roots[:_LISTED])
        more = ", …" if len(self.roots) > _LISTED else ""
        hint = remedy(f"{there}{more}")
        if not chosen:
            missing = NotFoundError(f"{self.location} holds no image {text!r}", hint)
            if not (text and text.startswith("/")):
                raise missing
            apart = f"a path in an image is written apart: {self.location} {text}"
            raise missing.reworded(missing.message, apart)  # docker cp has it so
        found = f"{len(chosen)} images" + ("" if text is None else f" {text!r}")
        raise AmbiguousError(f"{self.location} holds {found}", hint)

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a blob from ``offset``, not verified; safe in threads."""
        return self._resolver.source.read_blob(descriptor, offset)

    def describe(self, digest: Digest) -> Descriptor:
        """The descriptor of any blob by its digest. Raises ``NotFoundError``.

        What names it may not be there or be damaged; the rest is told all the same.
        """
        for descriptor in self._descriptors():
            if descriptor.digest == digest:
                return descriptor
        size = self._resolver.source.size(digest)
        if size is None:
            raise NotFoundError(f"{self.location} has no blob {digest}", Remedy.LIST_DIGESTS())
        return Descriptor(mediatype.OCTET_STREAM, digest, size)

    def complete(self, text: str) -> Digest:
        """The digest ``text``, or the only one in the documents here that begins with it.

        Raises ``InvalidReferenceError``, ``NotFoundError``, ``AmbiguousError``.
        """
        if not is_short(text):
            return Digest.parse(text)
        found = sorted({one.digest for one in self._descriptors() if _begins(one, text)})
        if len(found) == 1:
            return found[0]
        if not found:
            raise NotFoundError(f"{self.location} has no blob {text}…", Remedy.LIST_DIGESTS())
        more = ", …" if len(found) > _LISTED else ""
        raise AmbiguousError(
            f"{self.location} has {len(found)} blobs {text}…",
            f"say more of it: {', '.join(map(str, found[:_LISTED]))}{more}",
        )

    def _descriptors(self) -> Iterator[Descriptor]:
        """What all documents here are and name, as far as they can be read."""
        for root in self.roots:
            yield root.descriptor
            with suppress(*_UNREADABLE):
                for one in walk(self.image(root).image):
                    yield from _named_by(one)

    def _for_platform(self, root: Root, platform: Platform | None) -> Named:
        try:
            return self.image(root, platform)
        except NotFoundError as error:
            if platform is None or len(self.roots) == 1:
                raise
            raise error.reworded(f"{root.shown()}: {error.message}") from error

    def _reduced(self, image: ImageIndex) -> AnyImage:
        index = image.index
        if not image.members and index.manifests:
            raise NotFoundError(
                f"{self.location} has none of the manifests of the index {index.descriptor.digest}"
            )
        partial = len(image.members) < len(index.manifests)
        images = [one for one in image.members if isinstance(one, Image)]
        return images[0] if partial and len(images) == 1 else image

    def _answers(self, root: Root, text: str) -> bool:
        if text in root.labels or _begins(root.descriptor, text):
            return True
        if any(text == name.tag for name in root.names):
            return True
        config = self._config(root) if is_short(text) or _is_digest(text) else None
        return config is not None and _begins(config, text)

    def _config(self, root: Root) -> Descriptor | None:
        """What an image has for its ID."""
        if not mediatype.is_document(root.descriptor.media_type):
            return None
        with suppress(*_UNREADABLE):
            document = self._resolver.document(root.descriptor)
            return None if isinstance(document, Index) else document.config
        return None  # another may be the one


def _is_called(root: Root, text: str) -> bool:
    """Whether ``text`` is one of its names; the tag is ``latest`` if it has none."""
    with suppress(ImgpackError):
        return Reference.parse(text).tagged() in root.names
    return False


def _begins(descriptor: Descriptor, text: str) -> bool:
    """Whether ``text`` is the descriptor's digest, or the beginning of it."""
    whole = str(descriptor.digest)
    return text == whole or (is_short(text) and whole.startswith(text))


def _named_by(one: AnyImage) -> tuple[Descriptor, ...]:
    """Itself, and the blobs that a manifest names."""
    document = one.document
    inner = (document.config, *document.layers) if isinstance(document, Manifest) else ()
    return document.descriptor, *inner


def _is_digest(text: str) -> bool:
    try:
        Digest.parse(text)
    except ImgpackError:
        return False
    return True


def with_names(named: Named, names: Sequence[Reference]) -> Named:
    """``named`` under other names and nothing else."""
    return replace(named, names=tuple(names), labels=())
