"""Layers as their tar streams, and which of them an engine has below one another.

OCI image-spec ``config.md``, "Layer DiffID" and "Layer ChainID". Invariant: every byte that
leaves here is checked, the compressed ones against their digest and what comes of them
against the ``diff_id``.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import NamedTuple

from imgpack.compression.unpack import unpack
from imgpack.errors import DigestError, about
from imgpack.files.blobs import verify_stream
from imgpack.files.scratch import ScratchFile
from imgpack.image.image import Image, absent_layer
from imgpack.spec.digest import Digest
from imgpack.spec.layer import Layer


class PlainLayer(NamedTuple):
    """A tar stream: its bytes, and how many they are."""

    size: int
    chunks: Iterator[bytes]


@contextmanager
def plain_layer(image: Image, layer: Layer, scratch: Callable[[], str]) -> Iterator[PlainLayer]:
    """A layer without its compression, to be read inside the ``with``.

    How long that is only decompressing tells: it lies in a nameless file then, in the directory
    that ``scratch`` finds. Raises ``DigestError``, ``UnsupportedError`` for a layer that
    is not there, and what reading raises.
    """
    descriptor, diff_id = layer.descriptor, layer.diff_id
    if descriptor.digest in image.absent:
        raise absent_layer(descriptor, "the image's source")
    chunks = image.source.read_blob(descriptor)
    checked = verify_stream(chunks, descriptor, f"blob {descriptor.digest}")
    if descriptor.digest == diff_id:
        yield PlainLayer(descriptor.size, checked)
        return
    with closing(ScratchFile(scratch())) as file:
        hasher = diff_id.hasher()
        with about(f"the layer {descriptor.digest}"):
            for chunk in unpack(checked)[1]:
                hasher.update(chunk)
                file.append(chunk)
        if hasher.hexdigest() != diff_id.hex:
            raise DigestError(
                f"the layer {descriptor.digest} unpacks to {diff_id.algorithm}:"
                f"{hasher.hexdigest()}, and its configuration says {diff_id}"
            )
        yield PlainLayer(file.size, file.read(0, file.size))


def chain_ids(diff_ids: Iterable[Digest | str]) -> Iterator[str]:
    """What identifies each layer with all below it."""
    chain = ""
    for diff_id in diff_ids:
        text = str(diff_id)
        if chain:
            text = f"sha256:{hashlib.sha256(f'{chain} {text}'.encode()).hexdigest()}"
        chain = text
        yield chain


def known_below(images: Sequence[Image], chains: frozenset[str]) -> frozenset[Digest]:
    """The ``diff_id``s of layers that are in ``chains`` wherever ``images`` have them."""
    known: set[Digest] = set()
    unknown: set[Digest] = set()
    for image in images:
        diff_ids = image.config.diff_ids
        for diff_id, chain in zip(diff_ids, chain_ids(diff_ids), strict=True):
            (known if chain in chains else unknown).add(diff_id)
    return frozenset(known - unknown)
