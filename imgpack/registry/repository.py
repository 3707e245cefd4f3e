"""One repository's endpoints: blobs, manifests and deletion.

OCI distribution-spec v1.1, "Endpoints"; tags are in ``tags``, uploads in
``upload``. Invariants: a digest is a ``Digest`` before it enters a URL; bytes
asked for by digest are hashed and compared; a digest that a registry answers is
compared when it is one; an answer counts as success only with evidence that a
registry gave it (a web server that says 200 to everything is none).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from imgpack.errors import (
    DigestError,
    DocumentError,
    ImgpackError,
    InvalidReferenceError,
    RegistryError,
    about,
)
from imgpack.registry.http.message import DOCUMENT_LIMIT, BytesBody, Response, Scope
from imgpack.registry.http.url_policy import redact
from imgpack.registry.session import Session
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.json import decode

ACCEPT_ALL: Final = (
    mediatype.DOCKER_MANIFEST,
    mediatype.OCI_MANIFEST,
    mediatype.DOCKER_INDEX,
    mediatype.OCI_INDEX,
    mediatype.SCHEMA1_SIGNED,
    mediatype.SCHEMA1,
)
"""Every type, each by name: registries do not count ``*/*`` and convert what is left out."""
ACCEPT_SCHEMA1: Final = (mediatype.SCHEMA1_SIGNED, mediatype.SCHEMA1)

_OK: Final = frozenset({200})
_ABSENT: Final = frozenset({403, 404})


@dataclass(frozen=True, slots=True)
class Served:
    """A manifest, index or schema1 document as a registry answered it; ``digest`` is checked."""

    raw: bytes
    media_type: str
    digest: Digest


class Repository:
    """The endpoints of ``repository`` at the session's registry. Safe to use from many threads."""

    def __init__(self, session: Session, repository: str) -> None:
        self.session = session
        self.reporter = session.reporter
        self.repository = repository
        self.pull = Scope(repository, ("pull",))
        self.push = Scope(repository, ("pull", "push"))

    @property
    def name(self) -> str:
        """``registry/repository``, for messages."""
        return f"{self.session.registry}/{self.repository}"

    def path(self, rest: str) -> str:
        """The path of an endpoint."""
        return f"/v2/{self.repository}/{rest}"

    # Blobs

    def has_blob(self, descriptor: Descriptor, *, pushing: bool = True) -> bool:
        """Whether the repository says it has the blob, and says so as a registry does.

        A 403 counts as absent (GHCR answers it for what is not linked yet): the
        upload that follows gives the real answer.
        """
        path = self.path(f"blobs/{descriptor.digest}")
        scopes = (self.push if pushing else self.pull,)
        expected = _OK | _ABSENT | {405, 206}
        with self.session.request("HEAD", path, scopes=scopes, expected=expected) as response:
            if response.status != 405:
                return response.status == 200 and _is_blob(response, descriptor)
        # The first byte is enough to know, where HEAD is not allowed.
        headers = {"Range": "bytes=0-0"}
        with self.session.request(
            "GET", path, scopes=scopes, headers=headers, expected=expected | {416}
        ) as response:
            return response.status in (200, 206) and _is_blob(response, descriptor)

    def open_blob(self, descriptor: Descriptor, offset: int = 0) -> Response:
        """Start reading a blob at ``offset``: status 206, or 200 and the whole blob."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        return self.session.request(
            "GET",
            self.path(f"blobs/{descriptor.digest}"),
            scopes=(self.pull,),
            headers=headers,
            expected=frozenset({200, 206}) if offset else _OK,
        )

    def blob_size(self, digest: Digest) -> int:
        """The bytes that the registry says a blob has, for those who have no descriptor."""
        path, expected = self.path(f"blobs/{digest}"), _OK | {405}
        with self.session.request("HEAD", path, scopes=(self.pull,), expected=expected) as response:
            allowed, told = response.status == 200, response.headers.get("Content-Length") or ""
        if not allowed:
            with self.open_blob(Descriptor(mediatype.OCTET_STREAM, digest, 0)) as response:
                told = response.headers.get("Content-Length") or ""
        if not re.fullmatch(r"[0-9]{1,15}", told):
            raise RegistryError(f"{self.name}: the registry does not say how long {digest} is")
        return int(told)

    # Manifests

    def get_manifest(
        self, target: str | Digest, accept: tuple[str, ...] = ACCEPT_ALL, *, pushing: bool = False
    ) -> Served:
        """Fetch a manifest by tag or digest, and check it against every digest there is.

        Raises ``NotFoundError``, ``DigestError``, ``DocumentError``,
        ``SignatureError`` (schema1).
        """
        path = self.path(f"manifests/{quote(str(target), safe=':')}")
        scopes = (self.push if pushing else self.pull,)
        with self.session.request(
            "GET", path, scopes=scopes, headers={"Accept": ", ".join(accept)}, expected=_OK
        ) as response:
            raw = response.read(DOCUMENT_LIMIT)
            told = response.headers.get("Docker-Content-Digest")
            media_type = response.headers.get("Content-Type") or ""
        what = f"{self.name}{'@' if isinstance(target, Digest) else ':'}{target}"
        served = _examined(raw, media_type, what, target)
        self._compare(told, served.digest, what)
        return served

    def head_manifest(self, target: str | Digest, *, pushing: bool = False) -> Digest | None:
        """The digest that a tag has, or ``None`` when there is none or it is not told."""
        path = self.path(f"manifests/{quote(str(target), safe=':')}")
        with self.session.request(
            "HEAD",
            path,
            scopes=(self.push if pushing else self.pull,),
            headers={"Accept": ", ".join(ACCEPT_ALL)},
            expected=_OK | _ABSENT | {405},
        ) as response:
            if response.status != 200:
                return None
            return _digest_or_none(response.headers.get("Docker-Content-Digest"))

    def put_manifest(
        self, raw: bytes, media_type: str, target: str | Digest, digest: Digest
    ) -> None:
        """Store a document under a tag or its own digest, and compare what the registry says.

        ``digest`` is the document's (of the payload, for schema1). Raises
        ``DigestError`` when the registry answers another one.
        """
        path = self.path(f"manifests/{quote(str(target), safe=':')}")
        with self.session.request(
            "PUT",
            path,
            scopes=(self.push,),
            headers={"Content-Type": media_type},
            body=BytesBody(raw),
            expected=frozenset({200, 201, 202, 204}),
        ) as response:
            told = response.headers.get("Docker-Content-Digest")
            location = response.headers.get("Location")
            status = response.status
        what = f"{self.name}, {target}"
        self._compare(told, digest, what)
        believed = told == str(digest) or (status == 201 and location)
        if not believed and self._stored(target, media_type) != digest:
            raise RegistryError(
                f"{what}: the registry answered {status} without saying what it stored",
                "this does not look like a container registry; check the host name",
            )

    def _stored(self, target: str | Digest, media_type: str) -> Digest | None:
        try:
            return self.get_manifest(target, (media_type,), pushing=True).digest
        except (DigestError, DocumentError, RegistryError):
            return None

    def delete_manifest(self, target: str | Digest) -> None:
        """Delete a tag or a manifest. Raises ``NotFoundError``, ``RegistryError``."""
        path = self.path(f"manifests/{quote(str(target), safe=':')}")
        scopes = (Scope(self.repository, ("delete",)),)
        expected = frozenset({200, 202, 204})
        self.session.request("DELETE", path, scopes=scopes, expected=expected).close()

    def _compare(self, told: str | None, digest: Digest, what: str) -> None:
        """Refuse a ``Docker-Content-Digest`` of the same algorithm that says something else."""
        given = _digest_or_none(told)
        if told is not None and given is None:
            said = self.session.secrets.quote(told, 80)
            raise RegistryError(f"{what}: the registry answered the digest {said!r}")
        if given is not None and given.algorithm == digest.algorithm and given != digest:
            raise DigestError(
                f"{what}: the registry answered the digest {given} for {digest}",
                "the document was changed on the way, or the registry is broken",
            )


def missing_blobs(error: ImgpackError, known: Mapping[Digest, Descriptor]) -> set[Digest]:
    """The blobs that a refused manifest PUT says are missing; all of ``known`` if it names none.

    Empty when the refusal was for another reason.
    """
    answer = error.answer
    codes = {"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"}
    if answer is None or not codes.intersection(answer.codes):
        return set()
    said = " ".join((*answer.details, answer.text))
    return {digest for digest in known if str(digest) in said} or set(known)


def _is_blob(response: Response, descriptor: Descriptor) -> bool:
    """Whether the headers are those of this blob: its digest, or at least its size."""
    told = response.headers.get("Docker-Content-Digest")
    if told is not None:
        return told == str(descriptor.digest)
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    return (total or response.headers.get("Content-Length")) == str(descriptor.size)


def _digest_or_none(text: str | None) -> Digest | None:
    try:
        return Digest.parse(text or "")
    except InvalidReferenceError:
        return None


def _examined(raw: bytes, media_type: str, what: str, target: str | Digest) -> Served:
    """Find out what was served, and its digest; compare it when it was asked for by digest."""
    kind = media_type.partition(";")[0].strip()
    if kind not in ACCEPT_ALL and _is_schema1(raw, what):
        # Registries before Distribution serve schema1 as application/json.
        kind = mediatype.SCHEMA1_SIGNED
    if kind in mediatype.SCHEMA1_TYPES:
        from imgpack.spec.schema1.signature import verify

        with about(what):
            digest = verify(raw).digest
    else:
        digest = Digest.of(raw)
    if isinstance(target, Digest) and kind not in mediatype.SCHEMA1_TYPES:
        hasher = target.hasher()
        hasher.update(raw)
        digest = Digest(target.algorithm, hasher.hexdigest())
    if isinstance(target, Digest) and digest != target:
        raise DigestError(
            f"{what}: the registry answered a document with the digest {digest}",
            "the registry is broken or was tampered with",
        )
    return Served(raw, kind if kind in ACCEPT_ALL else "", digest)


def _is_schema1(raw: bytes, what: str) -> bool:
    with about(redact(what)):
        document = decode(raw)
    return document.get("schemaVersion") == 1
