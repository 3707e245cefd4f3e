"""Archives that can't be read at any place: a pipe, and what is compressed as a whole.

They go, as plain tar, into a file without a name, and are read there. Docker and podman
take both from a pipe. Invariant: what is no tar is refused after its first block, and
what unpacks to more than ``MAX_SPOOLED`` bytes before it is there.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from typing import Final

from imgpack.errors import ArchiveError, UnsupportedError, about
from imgpack.files.incoming import is_regular, open_input, read_input
from imgpack.files.scratch import nameless_file
from imgpack.files.writing import pwrite_all, scratch_errors
from imgpack.spec.format import Compression, detect
from imgpack.tar.header import BLOCK
from imgpack.tar.index import is_tar

MAX_SPOOLED: Final = 1 << 38
"""Bytes: the largest archive that is taken from a pipe or decompressed."""

_TOOLS: Final = {"xz": "unxz", "bzip2": "bunzip2"}


def open_archive(path: str, scratch: Callable[[], str]) -> int:
    """A descriptor of the plain tar archive at ``path``, to be read at any place.

    ``scratch`` finds the directory for one that can't. Raises ``ArchiveError``,
    ``LimitError``, ``UnsupportedError``, ``OutputError`` and ``OSError``.
    """
    with ExitStack() as stack:
        fd = open_input(path)
        stack.callback(os.close, fd)
        if is_regular(fd) and detect(os.pread(fd, BLOCK, 0)) == "none":
            stack.pop_all()
            return fd
        with about(path):
            return _spooled(_plain(read_input(fd)), scratch())


def _plain(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes of the tar in ``chunks``, compressed or not, once it is clear that it is one."""
    from imgpack.compression.codec import decompress

    chunks = _with_block(chunks)
    head = next(chunks, b"")
    found = detect(head)
    if found in _TOOLS:
        raise UnsupportedError(
            f"it is compressed as a whole, with {found}",
            f"gzip and zstd are read; decompress it first ({_TOOLS[found]})",
        )
    plain = decompress(chain([head], chunks), Compression(found), limit=MAX_SPOOLED)
    plain = _with_block(plain)
    head = next(plain, b"")
    if not head:
        raise ArchiveError("it is empty", "it is not an image archive")
    if not is_tar(head[:BLOCK]):
        raise ArchiveError("it is not a tar archive")
    yield head
    yield from plain


def _with_block(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """``chunks``, of which the first is a block at least, if there is as much."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= BLOCK:
            break
    yield head
    yield from chunks


def _spooled(chunks: Iterator[bytes], directory: str) -> int:
    with ExitStack() as stack:
        with scratch_errors(directory):
            fd = nameless_file(directory)
        stack.callback(os.close, fd)
        size = 0
        for chunk in chunks:
            with scratch_errors(directory):
                pwrite_all(fd, chunk, size)
            size += len(chunk)
        stack.pop_all()
        return fd
