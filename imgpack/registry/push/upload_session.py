"""Upload sessions: opened (perhaps by a mount), asked how far they are, completed, cancelled.

OCI distribution-spec v1.1, "Pushing a blob". Invariants: every Location goes
through the session's check before it is used; an offset counts only when the
registry's own status proves it; a blob counts as stored only with evidence
(201 and a Location, its digest, or a HEAD that finds it).
"""

import contextlib
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from imgpack.errors import Answer, DigestError, ImgpackError, RegistryError
from imgpack.registry.http.message import Body, BytesBody, Response, Scope
from imgpack.registry.http.url_policy import Origin, check_location
from imgpack.registry.repository import NOT_A_REGISTRY, Repository, says_stored, told_digest
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.mediatype import OCTET_STREAM

NOTHING: Final = BytesBody(b"")
_OUT_OF_RANGE: Final = Answer(416, ("RANGE_INVALID",))
"""As good as which it is that a registry kept less than it was sent."""
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,16})")


@dataclass(frozen=True, slots=True)
class UploadSession:
    """A session: where it goes on, how many bytes it holds, its smallest chunk (0: any)."""

    client: Repository
    location: str
    offset: int = 0
    minimum: int = 0

    @classmethod
    def begin(cls, client: Repository) -> "UploadSession":
        """Open a session. Raises ``RegistryError`` when the answer is not a registry's."""
        path = client.path("blobs/uploads/")
        try:
            with _request(client, "POST", path, {202}, NOTHING, retry=True) as response:
                return cls._opened(client, response)
        except RegistryError as error:
            if error.answer is None or not 200 <= error.answer.status < 300:
                raise
            raise error.reworded(error.message, NOT_A_REGISTRY) from error.__cause__

    @classmethod
    def mount(cls, client: Repository, blob: Descriptor, source: str) -> "UploadSession | None":
        """Mount ``blob`` from the repository ``source``; ``None`` when that is done.

        Otherwise the session that the registry opened instead. Raises whatever the
        registry refuses the request with.
        """
        digest = str(blob.digest)
        path = client.path(f"blobs/uploads/?{urlencode({'mount': digest, 'from': source})}")
        # The scope to push comes first: some token servers grant only that one.
        scopes = (client.push, Scope(source, ("pull",)))
        with _request(client, "POST", path, {201, 202}, NOTHING, scopes=scopes) as response:
            if response.status == 202:
                return cls._opened(client, response)
        told = told_digest(response, blob.digest)
        believed = told == digest or digest in (response.headers.get("Location") or "")
        if not believed and not client.has_blob(blob):
            raise RegistryError(f"{client.name}: a mount was answered 201, but the blob is absent")
        return None

    @classmethod
    def reopen(cls, client: Repository, location: str, blob: Descriptor) -> "UploadSession | None":
        """The session at an earlier process's ``location``, if it is the registry's and lives."""
        session = client.session
        with contextlib.suppress(ImgpackError):
            url = check_location(location, session.url("/v2/"), session.origin)
            if Origin.of(url) == session.origin:
                return cls(client, url).proved(blob)
        return None

    @classmethod
    def _opened(cls, client: Repository, response: Response) -> "UploadSession":
        told = response.headers.get("OCI-Chunk-Min-Length") or ""
        minimum = int(told) if re.fullmatch(r"[0-9]{1,12}", told) else 0
        return cls(client, client.session.location(response), 0, minimum)

    def proved(self, blob: Descriptor) -> "UploadSession | None":
        """The same session with the offset that the registry proves; ``None`` if it proves none.

        ``0-0`` proves nothing: Distribution says it for no byte and for one.
        """
        for location in dict.fromkeys((self.location, _without_state(self.location))):
            with (
                contextlib.suppress(ImgpackError),
                _request(self.client, "GET", location, {204}) as response,
            ):
                offset = _held(response)
                if not 1 < offset <= blob.size:
                    return None
                return replace(self, location=self._next(response, location), offset=offset)
        return None

    def patch(self, body: Body, *, ranged: bool) -> "UploadSession":
        """Send bytes; the session as the registry leaves it."""
        end = self.offset + body.size
        headers = {"Content-Range": f"{self.offset}-{end - 1}"} if ranged else {}
        expected = {201, 202, 204}
        with _request(self.client, "PATCH", self.location, expected, body, headers) as response:
            where, held = self._next(response, self.location), _held(response)
        if 0 < held < end and end > 1:
            raise RegistryError(
                f"{self.client.name}: {end} bytes of a blob were sent, the registry kept {held}",
                answer=_OUT_OF_RANGE,
            )
        return replace(self, location=where, offset=end)

    def complete(self, blob: Descriptor, body: Body) -> None:
        """Close the session with a PUT of the remaining bytes, and see that the blob is stored."""
        client, digest = self.client, str(blob.digest)
        joint = "&" if urlsplit(self.location).query else "?"
        url = f"{self.location}{joint}digest={quote(digest, safe='')}"
        response = _request(client, "PUT", url, {200, 201, 202, 204}, body)
        response.close()
        told = told_digest(response, blob.digest)
        if told is not None and told != digest:
            said = client.session.secrets.quote(told, 80)
            raise DigestError(
                f"{client.name}: the registry stored the digest {said!r} for {blob.digest}",
                "the blob was changed on the way, or the registry is broken",
            )
        if not says_stored(response, blob.digest) and not client.has_blob(blob):
            raise RegistryError(
                f"{client.name}: the registry answered {response.status} to an upload "
                "and does not have the blob",
                NOT_A_REGISTRY,
                Answer(response.status),
            )

    def cancel(self) -> bool:
        """Give the session up; whether the registry lets us (many do not)."""
        # Distribution wants the action delete, for which a token server may refuse any token: with
        # scopes of its own, this does not touch the token that the push goes on with.
        scopes = (Scope(self.client.repository, ("delete", "pull", "push")),)
        expected = {200, 202, 204, 404}
        try:
            _request(self.client, "DELETE", self.location, expected, scopes=scopes).close()
        except ImgpackError:
            return False
        return True

    def _next(self, response: Response, location: str) -> str:
        told = response.headers.get("Location")
        return self.client.session.location(response) if told else location


def _request(
    client: Repository,
    method: str,
    url: str,
    expected: Container[int],
    body: Body | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    scopes: tuple[Scope, ...] = (),
    retry: bool = False,
) -> Response:
    kind = {} if body is None else {"Content-Type": OCTET_STREAM}
    return client.session.request(
        method,
        url,
        scopes=scopes or (client.push,),
        headers={**kind, **(headers or {})},
        body=body,
        expected=expected,
        retry=retry,
    )


def _held(response: Response) -> int:
    """The bytes that the registry says a session holds; 0 if it says nothing."""
    found = _RANGE.fullmatch(response.headers.get("Range") or "")
    return int(found[1]) + 1 if found else 0


def _without_state(location: str) -> str:
    """The location without Distribution's ``_state``, whose offset may be an old one."""
    parts = urlsplit(location)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(key, value) for key, value in pairs if key != "_state"]
    return location if kept == pairs else urlunsplit(parts._replace(query=urlencode(kept)))
