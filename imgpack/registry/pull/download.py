"""Blobs read from a registry, going on after a broken connection where it broke.

OCI distribution-spec v1.1, "Pulling blobs"; RFC 9110, section 14 (ranges).
Invariants: no more bytes are handed out than the descriptor declares; a part is
appended only where its Content-Range says it belongs; attempts without progress
are bounded. Whoever takes the bytes in checks the digest; ``read_remote_blob``
does it itself.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from imgpack.errors import DigestError, InvalidReferenceError, NotFoundError, UnreachableError
from imgpack.files.blobs import verify_stream
from imgpack.image.image import absent_layer
from imgpack.registry.http.message import Response
from imgpack.registry.registries import Registries
from imgpack.registry.repository import Repository
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.reference import Reference

PROGRESS: Final = 1 << 16
"""Bytes that an attempt must bring to count as progress."""

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,16})-([0-9]{1,16})/(?:([0-9]{1,16})|\*)")


@dataclass(frozen=True, slots=True)
class RemoteSource:
    """The blobs of one repository. Safe to use from many threads."""

    client: Repository

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes from ``offset``, not verified.

        Raises ``UnsupportedError`` for a layer that is kept elsewhere and nowhere else,
        and what the registry or the connection raises.
        """
        policy = self.client.session.options.retry
        position = mark = offset
        failed = 0
        while position < descriptor.size:
            try:
                for piece in self._attempt(descriptor, position):
                    position += len(piece)
                    yield piece
                if position >= descriptor.size:
                    return
                raise UnreachableError(
                    f"{self.client.name}: {descriptor.digest} ended after {position} of "
                    f"{descriptor.size} bytes"
                )
            except NotFoundError as error:
                if mediatype.is_foreign(descriptor.media_type):
                    raise absent_layer(descriptor, self.client.name) from error
                raise
            except UnreachableError as error:
                failed = 1 if position - mark >= PROGRESS else failed + 1
                mark = position
                if failed >= policy.attempts:
                    raise
                self.client.session.pause(failed, error, f"going on at byte {position}")

    def _attempt(self, descriptor: Descriptor, position: int) -> Iterator[bytes]:
        left = descriptor.size - position
        with self._opened(descriptor, position) as response:
            skip = self._skipped(response, descriptor, position)
            for piece in response.stream():
                rest = piece[skip:]
                skip -= len(piece) - len(rest)
                if len(rest) > left:
                    raise DigestError(
                        f"{self.client.name}: the registry sends more than the "
                        f"{descriptor.size} bytes of {descriptor.digest}"
                    )
                left -= len(rest)
                if rest:
                    yield rest

    def _opened(self, descriptor: Descriptor, position: int) -> Response:
        """The blob from ``position``, or the whole of it where the registry gives no such part."""
        response = self.client.open_blob(descriptor.digest, position)
        if response.status == 200 or (response.status == 206 and _start(response) == position):
            return response
        response.close()
        return self.client.open_blob(descriptor.digest)

    def _skipped(self, response: Response, descriptor: Descriptor, position: int) -> int:
        """The bytes of the answer that come before ``position``."""
        if response.status == 206:
            total = response.headers.get("Content-Range", "").rpartition("/")[2]
        else:
            total = response.headers.get("Content-Length", "")
        size = int(total) if re.fullmatch(r"[0-9]{1,19}", total) else descriptor.size
        if size != descriptor.size:
            raise DigestError(
                f"{self.client.name}: the registry's blob {descriptor.digest} has {size} bytes, "
                f"not {descriptor.size}",
                "the registry is broken or was tampered with",
            )
        return 0 if response.status == 206 else position


def _start(response: Response) -> int | None:
    """Where a part begins that was answered."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def read_remote_blob(registries: Registries, reference: Reference) -> Iterator[bytes]:
    """One blob by its digest, verified: a wrong one ends with ``DigestError``.

    Raises ``InvalidReferenceError`` for a reference without a digest.
    """
    if reference.digest is None:
        raise InvalidReferenceError(
            f"{reference.shown()} names no blob", "a blob is named by its digest: REF@sha256:…"
        )
    client = registries.repository(reference)
    what = f"{client.name}: blob {reference.digest}"
    blob = Descriptor(mediatype.OCTET_STREAM, reference.digest, client.blob_size(reference.digest))
    return verify_stream(RemoteSource(client).read_blob(blob), blob, what)
