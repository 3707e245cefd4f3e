"""Opening an archive or layout of any kind.

``oci-layout`` present: ``index.json`` decides, and a ``manifest.json`` beside it
must agree; absent: ``manifest.json`` decides. Nothing is extracted. Manifests
and configurations are verified when they are read; layers are verified by whoever
reads them (``verify_stream``), all of them by ``verify_images``.
"""

import errno
import os
import stat
from contextlib import ExitStack

from imgpack.errors import ArchiveError, Remedy, SourceError, about
from imgpack.image.opened import Opened
from imgpack.image.resolve import Resolver
from imgpack.store.archive.docker_save import (
    Item,
    check_agreement,
    parse_manifest_json,
    read_docker,
)
from imgpack.store.contents import SCHEMA1_NAME
from imgpack.store.documents import ContainerSource, read_small
from imgpack.store.layout.files import Directory
from imgpack.store.layout.read import read_layout
from imgpack.tar.index import TarFile


def open_images(path: str) -> Opened:
    """Open an archive file or an OCI layout directory; use the result in a ``with``.

    Raises ``ArchiveError`` for what is truncated, compressed as a whole, ambiguous
    or no image; ``DocumentError``, ``DigestError`` and ``LimitError`` for documents.
    """
    with ExitStack() as stack:
        container = _open(path)
        stack.callback(container.close)
        source = ContainerSource(container, path)
        resolver = Resolver(source, path, source.check_size)
        if isinstance(container, Directory):
            _check_directory(container, path)
            opened = Opened(path, read_layout(source), resolver, container.close)
        else:
            opened = _archive(container, source, resolver)
        stack.pop_all()
        return opened


def _archive(tar: TarFile, source: ContainerSource, resolver: Resolver) -> Opened:
    path, items = source.path, _items(tar, source.path)
    if tar.size("oci-layout") is None:
        if items is None:
            raise ArchiveError(
                f"{path} is a tar archive and no image: it has no manifest.json and no oci-layout",
                Remedy.BUILD_A_TREE(),
            )
        return Opened(
            path, read_docker(source, tar, items, resolver.parse_config), resolver, tar.close
        )
    payload = None if items is None else read_small(tar, SCHEMA1_NAME, path)
    opened = Opened(path, read_layout(source), resolver, tar.close, payload)
    if items is not None:
        check_agreement(items, opened.images(), path)
    return opened


def _items(tar: TarFile, path: str) -> tuple[Item, ...] | None:
    raw = read_small(tar, "manifest.json", path)
    if raw is None:
        return None
    with about(f"{path}: manifest.json"):
        return parse_manifest_json(raw)


def _check_directory(container: Directory, path: str) -> None:
    if container.size("oci-layout") is None:
        # What skopeo calls dir: and podman docker-dir.
        dumped = all(container.size(name) is not None for name in ("manifest.json", "version"))
        hint = f"convert it: skopeo copy dir:{path} oci:NEW" if dumped else ""
        raise ArchiveError(f"{path} is a directory and no OCI layout", hint)


def _open(path: str) -> Directory | TarFile:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise SourceError(f"{path} does not exist") from None
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise ArchiveError(f"{path} is neither a file nor a directory") from error
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
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
