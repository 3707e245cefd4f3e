"""One repository's endpoints: blobs, manifests and deletion.

OCI distribution-spec v1.1, "Endpoints"; tags are in ``tags``, uploads in
``upload``. Invariants: a digest is a ``Digest`` before it enters a URL; bytes
asked for by digest are hashed and compared; a digest that a registry answers is
compared when it is one; an answer counts as success only with evidence that a
registry gave it (a web server that says 200 to everything is none); what a HEAD
does not tell is asked for by a GET, and so is the reason why it was refused.
"""

import re
from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Final
from urllib.parse import quote

from imgpack.errors import (
    Answer,
    DigestError,
    DocumentError,
    ImgpackError,
    InvalidReferenceError,
    NotFoundError,
    RegistryError,
    UnsupportedError,
    about,
)
from imgpack.registry.http.message import DOCUMENT_LIMIT, BytesBody, Response, Scope
from imgpack.registry.http.url_policy import redact
from imgpack.registry.session import Session
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.json import decode
from imgpack.spec.manifest import parse_document

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

NOT_A_REGISTRY: Final = "this does not look like a container registry; check the host name"

NO_PART: Final = frozenset({400, 405, 412, 416, 501})
"""Answers to a request for a part of a blob that do not speak of the blob."""
_OK: Final = frozenset({200})
_ABSENT: Final = frozenset({403, 404})
_NO_LOOK: Final = frozenset({400, 405, 406, 410, 411, 415, 416, 422, 501})
"""Answers to a GET of a blob that say nothing of whether it is there."""


@dataclass(frozen=True, slots=True)
class Served:
    """A manifest, index or schema1 document as a registry answered it; ``digest`` is checked."""

    raw: bytes
    media_type: str
    digest: Digest

    def has(self, digest: Digest) -> bool:
        """Whether ``digest``, by whatever algorithm, is the document's."""
        return digest in (self.digest, digest.rehash(self.raw))

    def described(self, what: str) -> Descriptor:
        """What it is, by the registry's word and its own; ``what`` is for messages.

        Some registries say application/json: then it has to say so itself. Raises
        ``DocumentError``, ``UnsupportedError``.
        """
        if self.media_type in mediatype.SCHEMA1_TYPES:
            return Descriptor(self.media_type, self.digest, len(self.raw))
        with about(what):
            if not self.media_type and not decode(self.raw).get("mediaType"):
                raise DocumentError("the registry does not say what this is")
            return parse_document(self.raw, self.media_type, self.digest).descriptor


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

    def _request(
        self,
        method: str,
        rest: str,
        scope: Scope,
        headers: Mapping[str, str] | None = None,
        *,
        body: BytesBody | None = None,
        expected: Container[int] = _OK,
        retry: bool = True,
    ) -> Response:
        return self.session.request(
            method,
            self.path(rest),
            scopes=(scope,),
            headers=headers,
            body=body,
            expected=expected,
            retry=retry,
        )

    def _look(
        self,
        rest: str,
        scope: Scope,
        headers: Mapping[str, str],
        *,
        expected: Container[int] = _OK,
        instead: Mapping[str, str] | None = None,
    ) -> Response:
        """The answer to a HEAD; where that is refused, to a GET with the headers ``instead``."""
        try:
            return self._request("HEAD", rest, scope, headers, expected=expected)
        except ImgpackError as error:
            # Credentials that were refused are not tried a second time.
            if error.answer is None or error.answer.status == 401:
                raise
        headers = headers if instead is None else instead
        return self._request("GET", rest, scope, headers, expected=expected, retry=False)

    # Blobs

    def has_blob(
        self, descriptor: Descriptor, *, pushing: bool = True, certain: bool = False
    ) -> bool:
        """Whether the repository says it has the blob, and says so as a registry does.

        A 403 counts as absent (GHCR answers it for what is not linked yet), and so does,
        unless it has to be ``certain``, a registry that does not let us look: the
        upload that follows gives the real answer.
        """
        rest, scope = f"blobs/{descriptor.digest}", self.push if pushing else self.pull
        # The first byte is enough to know, where HEAD is not allowed.
        first, expected = {"Range": "bytes=0-0"}, _OK | _ABSENT | {206}
        try:
            with self._look(rest, scope, {}, expected=expected, instead=first) as response:
                return response.status in (200, 206) and _is_blob(response, descriptor)
        except ImgpackError as error:
            if certain or error.answer is None or error.answer.status not in _NO_LOOK:
                raise
            return False

    def open_blob(self, digest: Digest, offset: int = 0) -> Response:
        """Start reading a blob at ``offset``: status 206, or 200 and the whole blob.

        Any of ``NO_PART`` means that there is no part to be had.
        """
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        expected = _OK | {206} | NO_PART if offset else _OK
        return self._request("GET", f"blobs/{digest}", self.pull, headers, expected=expected)

    def blob_size(self, digest: Digest) -> int:
        """The bytes that the registry says a blob has, for those who have no descriptor."""
        response = self._look(f"blobs/{digest}", self.pull, {})
        response.close()
        if (size := _length(response)) is None:
            response = self.open_blob(digest)
            response.close()
            size = _length(response)
        if size is None:
            raise RegistryError(f"{self.name}: the registry does not say how long {digest} is")
        return size

    # Manifests

    def get_manifest(
        self, target: str | Digest, accept: tuple[str, ...] = ACCEPT_ALL, *, pushing: bool = False
    ) -> Served:
        """Fetch a manifest by tag or digest, and check it against every digest there is.

        Raises ``NotFoundError``, ``DigestError``, ``DocumentError``,
        ``SignatureError`` (schema1).
        """
        scope, headers = self.push if pushing else self.pull, {"Accept": ", ".join(accept)}
        with self._request("GET", _manifest(target), scope, headers) as response:
            raw = response.read_document(DOCUMENT_LIMIT)
        what = f"{self.name}{'@' if isinstance(target, Digest) else ':'}{target}"
        served = _examined(raw, response.headers.get("Content-Type") or "", what, target)
        self._compare(response, served.digest, what)
        return served

    def head_manifest(self, target: str | Digest, *, pushing: bool = False) -> Digest | None:
        """The digest that a tag has, or ``None`` when there is none or it is not told."""
        scope, headers = self.push if pushing else self.pull, {"Accept": ", ".join(ACCEPT_ALL)}
        expected = _OK | _ABSENT | {405}
        with self._request(
            "HEAD", _manifest(target), scope, headers, expected=expected
        ) as response:
            told = response.headers.get("Docker-Content-Digest")
            return _digest_or_none(told) if response.status == 200 else None

    def put_manifest(
        self, raw: bytes, media_type: str, target: str | Digest, digest: Digest
    ) -> None:
        """Store a document under a tag or its own digest, and compare what the registry says.

        ``digest`` is the document's (of the payload, for schema1). Raises
        ``DigestError`` when the registry answers another one.
        """
        headers, expected = {"Content-Type": media_type}, _OK | {201, 202, 204}
        policy, what = self.session.options.retry, f"{self.name}, {target}"
        for attempt in count(1):
            response = self._request(
                "PUT", _manifest(target), self.push, headers, body=BytesBody(raw), expected=expected
            )
            response.close()
            self._compare(response, digest, what)
            if says_stored(response, digest) or self._stored(target, media_type, digest):
                return
            error = RegistryError(
                f"{what}: the registry answered {response.status} without saying what it stored",
                NOT_A_REGISTRY,
                Answer(response.status),
            )
            if attempt >= policy.limit("PUT", response.url, error.answer):
                raise error
            self.session.pause(attempt, error)

    def _stored(self, target: str | Digest, media_type: str, digest: Digest) -> bool:
        try:
            return self.get_manifest(target, (media_type,), pushing=True).has(digest)
        except (DigestError, DocumentError, NotFoundError, RegistryError):
            return False

    def delete_tag(self, tag: str, digest: Digest) -> None:
        """Delete a tag of what has ``digest``, and nothing else.

        Raises ``DigestError`` if the tag is another document's.
        """
        served = self.get_manifest(tag)
        if not served.has(digest):
            raise DigestError(
                f"{self.name}:{tag} is {served.digest}, not {digest}", "nothing was deleted"
            )
        self.delete_manifest(tag)

    def delete_manifest(self, target: str | Digest) -> None:
        """Delete a tag or a manifest. Raises ``NotFoundError``, ``RegistryError``."""
        scope, expected = Scope(self.repository, ("delete",)), _OK | {202, 204}
        response = self._request("DELETE", _manifest(target), scope, expected=expected)
        response.close()
        if response.status != 202 and self._exists(target):
            raise RegistryError(
                f"{self.name}, {target}: the registry answered {response.status} to a deletion "
                "and still has it",
                NOT_A_REGISTRY,
            )

    def _exists(self, target: str | Digest) -> bool:
        headers = {"Accept": ", ".join(ACCEPT_ALL)}
        try:
            self._look(_manifest(target), self.pull, headers).close()
        except ImgpackError as error:
            if error.answer is None:
                raise
            return False
        return True

    def _compare(self, response: Response, digest: Digest, what: str) -> None:
        """Refuse a ``Docker-Content-Digest`` of the same algorithm that says something else."""
        told = told_digest(response, digest)
        if told is not None and told != str(digest):
            said = self.session.secrets.quote(told, 80)
            raise DigestError(
                f"{what}: the registry answered the digest {said!r} for {digest}",
                "the document was changed on the way, or the registry is broken",
            )


def told_digest(response: Response, digest: Digest) -> str | None:
    """The ``Docker-Content-Digest`` if it is there, and by the algorithm of ``digest``."""
    told = response.headers.get("Docker-Content-Digest", "")
    return told if told.startswith(f"{digest.algorithm}:") else None


def says_stored(response: Response, digest: Digest) -> bool:
    """Whether the answer to a PUT proves that what has ``digest`` is stored."""
    if told_digest(response, digest) == str(digest):
        return True
    return response.status == 201 and bool(response.headers.get("Location"))


def missing_blobs(error: ImgpackError, known: Collection[Digest]) -> set[Digest]:
    """The blobs that a refused manifest PUT says are missing; all of ``known`` if it names none.

    Empty when the refusal was for another reason.
    """
    answer = error.answer
    codes = {"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"}
    if answer is None or not codes.intersection(answer.codes):
        return set()
    said = " ".join((*answer.details, answer.text))
    return {digest for digest in known if str(digest) in said} or set(known)


def _manifest(target: str | Digest) -> str:
    return f"manifests/{quote(str(target), safe=':')}"


def _is_blob(response: Response, descriptor: Descriptor) -> bool:
    """Whether the headers are those of this blob: its digest, or at least its size."""
    if (told := told_digest(response, descriptor.digest)) is not None:
        return told == str(descriptor.digest)
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    return (total or response.headers.get("Content-Length")) == str(descriptor.size)


def _length(response: Response) -> int | None:
    told = response.headers.get("Content-Length", "")
    return int(told) if re.fullmatch(r"[0-9]{1,15}", told) else None


def _digest_or_none(text: str | None) -> Digest | None:
    try:
        return Digest.parse(text or "")
    except (InvalidReferenceError, UnsupportedError):
        return None


def _examined(raw: bytes, media_type: str, what: str, target: str | Digest) -> Served:
    """Find out what was served, and its digest; compare it when it was asked for by digest."""
    kind = media_type.partition(";")[0].strip()
    if kind not in ACCEPT_ALL:
        with about(redact(what)):
            # Registries before Distribution serve schema1 as application/json.
            schema1 = decode(raw).get("schemaVersion") == 1
        kind = mediatype.SCHEMA1_SIGNED if schema1 else ""
    if kind in mediatype.SCHEMA1_TYPES:
        from imgpack.spec.schema1.signature import verify

        with about(what):
            digest = verify(raw).digest
    elif isinstance(target, Digest):
        digest = target.rehash(raw)
    else:
        digest = Digest.of(raw)
    if isinstance(target, Digest) and digest != target:
        raise DigestError(
            f"{what}: the registry answered a document with the digest {digest}",
            "the registry is broken or was tampered with",
        )
    return Served(raw, kind, digest)
