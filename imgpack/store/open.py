"""Opening an archive or layout of any kind.

``oci-layout`` present: ``index.json`` decides, and a ``manifest.json`` beside it
must agree; absent: ``manifest.json`` decides, or ``repositories``, as Docker before 1.10
wrote it. Nothing is extracted. Manifests and configurations are verified when they are
read; layers are verified by whoever reads them (``verify_stream``), all of them by
``verify_images``.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from imgpack.errors import ArchiveError, ImgpackError, Remedy, about
from imgpack.files.reading import input_errors
from imgpack.image.base.locked import is_lock, open_lock
from imgpack.image.opened import Opened, Root
from imgpack.image.resolve import Resolver
from imgpack.spec.digest import Digest
from imgpack.store.archive.docker_legacy import read_legacy
from imgpack.store.archive.docker_save import (
    Item,
    check_agreement,
    parse_manifest_json,
    read_docker,
)
from imgpack.store.archive.spool import open_archive
from imgpack.store.contents import SCHEMA1_NAME, blob_path
from imgpack.store.documents import ContainerSource, read_small
from imgpack.store.layout.files import LayoutFiles
from imgpack.store.layout.read import read_dump, read_layout
from imgpack.tar.index import TarFile


def open_images(
    path: str,
    *,
    scratch: Callable[[], str] = tempfile.gettempdir,
    disagreement: Callable[[ArchiveError], object] | None = None,
) -> Opened:
    """Open an archive, a layout, a ``dir:`` of skopeo, or a lock; use the result in a ``with``.

    An archive may come from a pipe, or be compressed as a whole (gzip, zstd); ``scratch``
    finds the directory where it then lies, without a name. ``disagreement`` is told what else is
    raised: that ``manifest.json`` and ``index.json`` say different things. Raises
    ``ArchiveError`` for what is truncated, ambiguous or no image; ``DocumentError``,
    ``DigestError`` and ``LimitError`` for documents.
    """
    if is_lock(path):
        return open_lock(path)
    with ExitStack() as stack:
        container = _open(path, scratch)
        stack.callback(container.close)
        source = ContainerSource(container, path)
        resolver = Resolver(source, path, source.check_size, source.lacks)
        if isinstance(container, LayoutFiles):
            roots = _directory(container, source)
            opened = Opened(path, roots, resolver, container.close)
        else:
            opened = _archive(container, source, resolver, disagreement)
        stack.pop_all()
        return opened


@contextmanager
def open_blobs(
    path: str, *, scratch: Callable[[], str] = tempfile.gettempdir
) -> Iterator[ContainerSource]:
    """The blobs of an archive, an OCI layout, or any directory with files named by digests.

    Those are ``HEX``, ``sha256:HEX`` or ``sha256/HEX``. Raises what ``open_images`` does.
    """
    container = _open(path, scratch)
    try:
        source = ContainerSource(container, path)
        if isinstance(container, TarFile):
            _archive(container, source, Resolver(source, path))
        elif container.size("oci-layout") is None:
            source.paths = _named_files
        yield source
    finally:
        container.close()


def _named_files(digest: Digest) -> tuple[str, ...]:
    return digest.hex, f"{digest}", f"{digest.algorithm}/{digest.hex}", blob_path(digest)


def _archive(
    tar: TarFile,
    source: ContainerSource,
    resolver: Resolver,
    disagreement: Callable[[ArchiveError], object] | None = None,
) -> Opened:
    path, items = source.path, _items(tar, source.path)
    if tar.size("oci-layout") is None:
        roots = _docker(tar, source, resolver, items)
        return Opened(path, roots, resolver, tar.close)
    payload = None if items is None else read_small(tar, SCHEMA1_NAME, path)
    opened = Opened(path, read_layout(source), resolver, tar.close, payload)
    if items is not None:
        _check(items, opened, disagreement)
    return opened


def _check(
    items: tuple[Item, ...],
    opened: Opened,
    disagreement: Callable[[ArchiveError], object] | None,
) -> None:
    """Compare both halves; to whoever wants to be told, an image that is unsound says so itself."""
    try:
        images = opened.images()
    except ImgpackError:
        if disagreement is None:
            raise
        return
    try:
        check_agreement(items, images, opened.location)
    except ArchiveError as error:
        if disagreement is None:
            raise
        disagreement(error)


def _docker(
    tar: TarFile, source: ContainerSource, resolver: Resolver, items: tuple[Item, ...] | None
) -> list[Root]:
    if items is not None:
        return read_docker(source, tar, items, resolver.parse_config)
    repositories = read_small(tar, "repositories", source.path)
    if repositories is not None:
        return read_legacy(source, tar, repositories)
    raise ArchiveError(
        f"{source.path} is a tar archive and no image: it has no manifest.json and no oci-layout",
        Remedy.BUILD_A_TREE(),
    )


def _items(tar: TarFile, path: str) -> tuple[Item, ...] | None:
    raw = read_small(tar, "manifest.json", path)
    if raw is None:
        return None
    with about(f"{path}: manifest.json"):
        return parse_manifest_json(raw)


def _directory(container: LayoutFiles, source: ContainerSource) -> list[Root]:
    if container.size("oci-layout") is not None:
        return read_layout(source)
    if all(container.size(name) is not None for name in ("manifest.json", "version")):
        return read_dump(source)
    raise ArchiveError(f"{source.path} is a directory and no OCI layout")


def _open(path: str, scratch: Callable[[], str]) -> LayoutFiles | TarFile:
    with input_errors(path):
        if os.path.isdir(path):
            return LayoutFiles(path)
        fd = open_archive(path, scratch)
    with ExitStack() as stack:
        stack.callback(os.close, fd)
        container = TarFile(fd, path)
        stack.pop_all()
        return container
