"""Opening an archive or layout of any kind, and finding one image in it.

``oci-layout`` present: ``index.json`` decides, and a ``manifest.json`` beside it
must agree; absent: ``manifest.json`` decides. Nothing is extracted. Manifests
and configurations are verified here; layers are verified by whoever reads them
(``store.verify_stream``), all of them by ``verify_images``.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from imgpack.errors import ArchiveError, ImgpackError, NotFoundError, Remedy
from imgpack.events import SILENT, Reporter
from imgpack.image.image import BlobSource, Image, MultiImage
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.mediatype import OCTET_STREAM
from imgpack.spec.reference import Reference
from imgpack.store.archive.docker_save import check_agreement, parse_manifest_json, read_docker
from imgpack.store.contents import SCHEMA1_NAME
from imgpack.store.documents import Blobs, Container, Found, read_small
from imgpack.store.layout.files import Directory
from imgpack.store.layout.read import read_layout
from imgpack.tar.index import TarFile


class OpenedImages:
    """The images of an open archive or layout; a ``BlobSource`` and a context manager."""

    def __init__(
        self, path: str, blobs: Blobs, found: list[Found], schema1_payload: bytes | None
    ) -> None:
        self.path = path
        self.schema1_payload = schema1_payload
        self._blobs = blobs
        self._found = found

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
        """Close the archive; its images can no longer be read."""
        self._blobs.container.close()

    @property
    def images(self) -> tuple[Image | MultiImage, ...]:
        """All images, in the archive's order."""
        return tuple(found.image for found in self._found)

    def select(self, text: str | None) -> Image | MultiImage:
        """The one image that ``text`` names: a name, tag, manifest digest or image ID.

        ``None`` is for an archive with one image. Raises ``NotFoundError``.
        """
        chosen = [one for one in self._found if text is None or _answers(one, text)]
        if len(chosen) == 1:
            return chosen[0].image
        if not self._found:
            raise NotFoundError(f"{self.path} holds no image")
        there = ", ".join(_shown(one) for one in self._found[:10])
        more = ", …" if len(self._found) > 10 else ""
        if text is None:
            problem = f"{self.path} holds {len(self._found)} images"
        else:
            problem = f"{self.path} holds {'several images' if chosen else 'no image'} {text!r}"
        raise NotFoundError(problem, Remedy.CHOOSE_IMAGE(f"{there}{more}"))

    def title(self, image: Image | MultiImage) -> str:
        """All that an image can be selected by but its digests, for people."""
        for one in self._found:
            if one.image is image or one.image.names == image.names != ():
                names = [name.shown() for name in image.names]
                return ", ".join(names or one.labels)
        return ""

    def describe(self, digest: Digest) -> Descriptor:
        """The descriptor of any blob by its digest. Raises ``NotFoundError``."""
        for one in self.images:
            for image in one.members:
                for known in (image.manifest.descriptor, image.manifest.config, *image.layers):
                    if known.digest == digest:
                        return known
        size = self._blobs.container.size(self._blobs.name(digest))
        if size is None:
            raise NotFoundError(
                f"{self.path} has no blob {digest}",
                Remedy.LIST_DIGESTS(),
            )
        return Descriptor(OCTET_STREAM, digest, size)

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a blob from ``offset``, not verified; safe in threads."""
        return self._blobs.read_blob(descriptor, offset)


def _shown(found: Found) -> str:
    names = [name.shown() for name in found.image.names]
    return (*names, *found.labels, str(found.image.document.descriptor.digest))[0]


def _answers(found: Found, text: str) -> bool:
    image = found.image
    ids = {str(image.document.descriptor.digest)}
    if isinstance(image, Image):
        ids.add(str(image.config.digest))
    if text in found.labels or text in ids:
        return True
    try:
        wanted = Reference.parse(text).tagged()
    except ImgpackError:
        return False
    return wanted in image.names


def open_images(path: str, reporter: Reporter = SILENT) -> OpenedImages:
    """Open an archive file or an OCI layout directory; use the result in a ``with``.

    Raises ``ArchiveError`` for what is truncated, compressed as a whole, ambiguous
    or no image; ``DocumentError``, ``DigestError`` and ``LimitError`` for documents.
    """
    with ExitStack() as stack:
        container = _open(path)
        stack.callback(container.close)
        blobs = Blobs(container, path)
        oci = container.size("oci-layout") is not None
        tar = container if isinstance(container, TarFile) else None
        if tar is None and not oci:
            # What skopeo calls dir: and podman docker-dir.
            dumped = all(container.size(name) is not None for name in ("manifest.json", "version"))
            hint = f"convert it: skopeo copy dir:{path} oci:NEW" if dumped else ""
            raise ArchiveError(f"{path} is a directory and no OCI layout", hint)
        raw = None if tar is None else read_small(tar, "manifest.json", path)
        items = None if raw is None else parse_manifest_json(raw, f"{path}: manifest.json")
        if oci:
            found = read_layout(blobs)
            if items is not None:
                check_agreement(items, found, path)
        elif tar is not None and items is not None:
            found = read_docker(blobs, tar, items, reporter)
        else:
            raise ArchiveError(
                f"{path} is a tar archive and no image: it has no manifest.json and no oci-layout",
                Remedy.BUILD_A_TREE(),
            )
        payload = read_small(container, SCHEMA1_NAME, path) if oci and items else None
        stack.pop_all()
        return OpenedImages(path, blobs, found, payload)


def _open(path: str) -> Container:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NotFoundError(f"{path} does not exist") from None
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise ArchiveError(f"{path} is neither a file nor a directory") from error
        raise ArchiveError(f"cannot read {path}: {error.strerror}") from error
    with ExitStack() as stack:
        stack.callback(os.close, fd)
        mode = os.fstat(fd).st_mode
        if stat.S_ISDIR(mode):
            return Directory(path)
        if not stat.S_ISREG(mode):
            raise ArchiveError(
                f"{path} is neither a file nor a directory",
                "an archive is read at any place, so it cannot be a pipe: save it to a file",
            )
        container = TarFile(fd, path)
        stack.pop_all()
        return container


if TYPE_CHECKING:

    def _meets(opened: OpenedImages) -> BlobSource:
        return opened
