"""Blobs of a layout that no document names any more, counted or removed.

OCI image-spec ``image-layout.md``: blobs may be there that nothing refers to. Invariants:
what any document that ``index.json`` leads to names stays, whatever its type; if one of them
cannot be read, nothing goes; only regular files under a digest go, and none through a link.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from typing import Any, Final

from imgpack.errors import DocumentError, ImgpackError, LimitError
from imgpack.files.blobs import verify_stream
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.json import MAX_DOCUMENT, MAX_DOCUMENTS, decode
from imgpack.store.contents import blob_path
from imgpack.store.layout.files import LayoutFiles

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NAMING: Final = ("digest", "blobSum")
"""The keys by which documents name blobs: descriptors, and the layers of schema1."""


def prune(root: str, index: dict[str, Any], until: int, *, remove: bool) -> tuple[int, int]:
    """Count, or ``remove``, the blobs of the layout at ``root`` that nothing names.

    ``index`` is its ``index.json``; what has a ctime after ``until`` (nanoseconds) may be
    another writer's, and stays. The number and the bytes. Raises ``OSError``, and an
    ``ImgpackError`` if a document cannot be read; then nothing was removed.
    """
    count = size = 0
    with closing(LayoutFiles(root)) as files:
        named = _named(files, index)
    with ExitStack() as stack:
        directories = dict(_directories(root, stack))
        found = {
            (algorithm, name): os.stat(name, dir_fd=where, follow_symlinks=False)
            for algorithm, where in directories.items()
            for name in os.listdir(where)
        }
        # Tools write equal blobs as links to one: what a link leads to is the link's as well.
        links = (place for place, status in found.items() if stat.S_ISLNK(status.st_mode))
        linked = {_target(directories[algorithm], name) for algorithm, name in links}
        for (algorithm, name), status in found.items():
            if not stat.S_ISREG(status.st_mode) or (status.st_dev, status.st_ino) in linked:
                continue
            if status.st_ctime_ns <= until and not _is_named(algorithm, name, named):
                if remove:
                    os.unlink(name, dir_fd=directories[algorithm])
                count += 1
                size += status.st_size
    return count, size


def _directories(root: str, stack: ExitStack) -> Iterator[tuple[str, int]]:
    """The directories of blobs by algorithm, open; none that is a link."""
    with suppress(FileNotFoundError):
        blobs = os.open(os.path.join(root, "blobs"), _DIRECTORY)
        stack.callback(os.close, blobs)
        for algorithm in ("sha256", "sha512"):
            with suppress(FileNotFoundError):
                where = os.open(algorithm, _DIRECTORY, dir_fd=blobs)
                stack.callback(os.close, where)
                yield algorithm, where


def _target(where: int, name: str) -> tuple[int, int] | None:
    with suppress(OSError):
        status = os.stat(name, dir_fd=where)
        return status.st_dev, status.st_ino
    return None


def _is_named(algorithm: str, name: str, named: set[Digest]) -> bool:
    try:
        return Digest(algorithm, name) in named
    except ImgpackError:
        return True  # no blob of ours to judge


def _named(files: LayoutFiles, index: dict[str, Any]) -> set[Digest]:
    """All digests that ``index``, and every document that it leads to, names."""
    named: set[Digest] = set()
    read: set[Digest] = set()
    waiting, total = [index], 0
    while waiting:
        document = waiting.pop()
        named.update(_digests(document))
        for descriptor in _inner(document):
            if descriptor.digest in read:
                continue
            read.add(descriptor.digest)
            raw = _read(files, descriptor)
            total += len(raw)
            if total > MAX_DOCUMENTS:
                raise LimitError(f"its documents have more than {MAX_DOCUMENTS} bytes together")
            waiting += _decoded(raw, descriptor)
    return named


def _inner(document: dict[str, Any]) -> list[Descriptor]:
    """The descriptors in a document that stand where documents stand."""
    manifests = document.get("manifests")
    listed = manifests if isinstance(manifests, list) else []
    found = (one for one in (*listed, document.get("subject")) if isinstance(one, dict))
    return [Descriptor.parse(one) for one in found]


def _read(files: LayoutFiles, descriptor: Descriptor) -> bytes:
    """The bytes of a document; none of what is not there, or is too long to be one."""
    path = blob_path(descriptor.digest)
    size = files.size(path)
    if size is None or (size > MAX_DOCUMENT and not mediatype.is_document(descriptor.media_type)):
        return b""
    if size > MAX_DOCUMENT:
        raise LimitError(f"the document {descriptor.digest} has {size} bytes")
    return b"".join(verify_stream(files.chunks(path), descriptor, f"{descriptor.digest}"))


def _decoded(raw: bytes, descriptor: Descriptor) -> list[dict[str, Any]]:
    try:
        return [decode(raw)] if raw else []
    except DocumentError:
        if mediatype.is_document(descriptor.media_type):
            raise
        return []  # of an unknown type, and no JSON: it names nothing


def _digests(value: Any) -> Iterator[Digest]:
    if isinstance(value, list):
        for one in value:
            yield from _digests(one)
    elif isinstance(value, dict):
        for text in (value.get(key) for key in _NAMING):
            if isinstance(text, str):
                try:
                    yield Digest.parse(text)
                except ImgpackError:
                    continue
        for one in value.values():
            yield from _digests(one)
