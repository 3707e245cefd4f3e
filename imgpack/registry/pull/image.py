"""Images in a registry, as images that can be copied anywhere.

OCI distribution-spec v1.1, "Pull". Invariants: every document is verified
before it is used, against the digest that named it or was pinned; layers are
read when they are asked for, except those of schema1 (see ``schema1``); a
document names one kind of thing only.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from imgpack.errors import (
    DigestError,
    DocumentError,
    NotFoundError,
    RegistryError,
    Remedy,
    UnsupportedError,
)
from imgpack.files.blobs import verify_stream
from imgpack.image.image import BlobSource
from imgpack.image.opened import Opened, Root
from imgpack.image.resolve import Resolver
from imgpack.registry.pull.download import RemoteSource
from imgpack.registry.pull.schema1 import convert_schema1
from imgpack.registry.registries import Registries
from imgpack.registry.repository import ACCEPT_SCHEMA1, Repository
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.reference import Reference

_NOT_SO: Final = frozenset({400, 404, 406, 415, 501})
"""How a registry says that it does not have a document in the form that was asked for."""


def open_remote(
    registries: Registries,
    reference: Reference,
    *,
    scratch: Callable[[], str] = tempfile.gettempdir,
) -> Opened:
    """What lies at ``reference`` (its digest, if it is pinned; else its tag).

    One document is read; others, and blobs, as long as ``registries`` is open. ``scratch``
    finds the directory for a schema1 image's layers. Raises ``NotFoundError``,
    ``DocumentError``, ``DigestError`` and others.
    """
    reference = reference.tagged()
    client = registries.repository(reference)
    served = client.get_manifest(reference.digest or reference.target)
    names = (reference.with_tag(reference.tag),) if reference.tag is not None else ()
    shown = reference.shown()
    blobs: BlobSource = RemoteSource(client)
    if served.media_type in mediatype.SCHEMA1_TYPES:
        manifest, config, blobs = convert_schema1(client, served, shown, scratch)
        described = manifest.descriptor
        made = {described.digest: manifest.raw, config.digest: config.raw}
    else:
        described = served.described(shown)
        made = {described.digest: served.raw}
    resolver = Resolver(_RemoteImages(client, blobs, made, shown), shown)
    return Opened(shown, [Root(described, names)], resolver, lambda: None, served=served.digest)


def fetch_schema1(registries: Registries, reference: Reference) -> bytes:
    """What the registry answers when only schema1 is asked for; its signature is checked."""
    client = registries.repository(reference)
    target = reference.digest or reference.tagged().target
    try:
        served = client.get_manifest(target, ACCEPT_SCHEMA1)
    except (NotFoundError, RegistryError) as error:
        # Most registries of today say so that there is no schema1 manifest; or there is nothing.
        if error.answer is None or error.answer.status not in _NOT_SO:
            raise
        served = client.get_manifest(target)
    if served.media_type not in mediatype.SCHEMA1_TYPES:
        raise UnsupportedError(
            f"{reference.shown()}: the registry answers no schema1 manifest, but "
            f"{served.media_type or 'something else'}",
            Remedy.MAKE_SCHEMA1(),
        )
    return served.raw


@dataclass(frozen=True, slots=True)
class _RemoteImages:
    """One repository as an ``ImageSource``; ``made`` are documents that are known already."""

    client: Repository
    blobs: BlobSource
    made: dict[Digest, bytes]
    shown: str

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a blob from ``offset``, not verified."""
        if descriptor.digest in self.made:
            return iter((self.made[descriptor.digest][offset:],))
        return self.blobs.read_blob(descriptor, offset)

    def fetch(self, descriptor: Descriptor) -> bytes:
        """A document, verified: manifests and indexes by their endpoint, others as blobs."""
        digest = descriptor.digest
        if digest in self.made:
            return self.made[digest]
        if descriptor.media_type not in mediatype.MANIFESTS | mediatype.INDEXES | {""}:
            what = f"{self.shown}: document {digest}"
            return b"".join(verify_stream(self.read_blob(descriptor), descriptor, what))
        served = self.client.get_manifest(digest)
        if len(served.raw) != descriptor.size:
            raise DigestError(
                f"{self.shown}: the manifest {digest} has {len(served.raw)} bytes, "
                f"not {descriptor.size}"
            )
        kind = served.described(self.shown).media_type if served.media_type else ""
        if kind and descriptor.media_type not in ("", kind):
            raise DocumentError(
                f"{self.shown}: {digest} is {kind!r}, and the index says {descriptor.media_type!r}"
            )
        return served.raw

    def size(self, digest: Digest) -> int | None:
        """The bytes that the registry says a blob has; ``None`` if it has none."""
        try:
            return self.client.blob_size(digest)
        except NotFoundError:
            return None
