"""Upload sessions: opened (perhaps by a mount), asked how far they are, completed, cancelled.

OCI distribution-spec v1.1, "Pushing a blob". Invariants: every Location goes
through the session's check before it is used; an offset counts only when the
registry's own status proves it; a blob counts as stored only with evidence
(201 and a Location, its digest, or a HEAD that finds it).
"""

import re
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from imgpack.errors import DigestError, ImgpackError, RegistryError
from imgpack.registry.http.message import Body, BytesBody, Response, Scope
from imgpack.registry.http.url_policy import Origin, check_location
from imgpack.registry.repository import Repository
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.mediatype import OCTET_STREAM

NOT_A_REGISTRY = "this does not look like a container registry; check the host name"

_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,16})")


@dataclass(frozen=True, slots=True)
class Begun:
    """An upload session: where it is, how many bytes it holds, its smallest chunk (0: any)."""

    location: str
    offset: int = 0
    minimum: int = 0


def begin(client: Repository) -> Begun:
    """Open an upload session. Raises ``RegistryError`` when the answer is not a registry's."""
    with client.session.request(
        "POST",
        client.path("blobs/uploads/"),
        scopes=(client.push,),
        headers={"Content-Type": OCTET_STREAM},
        body=BytesBody(b""),
        expected=frozenset({200, 201, 202}),
    ) as response:
        if response.status != 202:
            raise RegistryError(
                f"{client.name}: the registry answered {response.status} to an upload's POST",
                NOT_A_REGISTRY,
            )
        return _begun(client, response)


def mount(client: Repository, blob: Descriptor, source: str) -> Begun | None:
    """Mount ``blob`` from the repository ``source``; ``None`` when that is done.

    Otherwise the session that the registry opened instead. Raises whatever the
    registry refuses the request with.
    """
    query = urlencode({"mount": str(blob.digest), "from": source})
    with client.session.request(
        "POST",
        client.path(f"blobs/uploads/?{query}"),
        # The scope to push comes first: some token servers grant only that one.
        scopes=(client.push, Scope(source, ("pull",))),
        headers={"Content-Type": OCTET_STREAM},
        body=BytesBody(b""),
        expected=frozenset({201, 202}),
        retry=False,
    ) as response:
        if response.status == 202:
            return _begun(client, response)
        told = response.headers.get("Docker-Content-Digest")
        location = response.headers.get("Location") or ""
    believed = told == str(blob.digest) or str(blob.digest) in location
    if not believed and not client.has_blob(blob):
        raise RegistryError(f"{client.name}: a mount was answered 201, but the blob is absent")
    return None


def status(client: Repository, begun: Begun, blob: Descriptor) -> Begun | None:
    """The same session with the offset that the registry proves; ``None`` if it proves none.

    ``0-0`` proves nothing: Distribution says it for no byte and for one.
    """
    for location in (begun.location, _without_state(begun.location)):
        if location is None:
            continue
        try:
            with client.session.request(
                "GET", location, scopes=(client.push,), expected=frozenset({204}), retry=False
            ) as response:
                found = _RANGE.fullmatch(response.headers.get("Range") or "")
                offset = int(found[1]) + 1 if found else 0
                if not 1 < offset <= blob.size:
                    return None
                told = response.headers.get("Location")
                where = client.session.location(response) if told else location
                return replace(begun, location=where, offset=offset)
        except ImgpackError:
            continue
    return None


def reopened(client: Repository, location: str, blob: Descriptor) -> Begun | None:
    """The session at a ``location`` from an earlier process, if it is the registry's and lives."""
    session = client.session
    try:
        url = check_location(location, session.url("/v2/"), session.origin)
        if Origin.of(url) != session.origin:
            return None
    except ImgpackError:
        return None
    return status(client, Begun(url), blob)


def patch(client: Repository, begun: Begun, body: Body, *, ranged: bool) -> Begun:
    """Send bytes into a session; the session as the registry leaves it."""
    headers = {"Content-Type": OCTET_STREAM}
    end = begun.offset + body.size
    if ranged:
        headers["Content-Range"] = f"{begun.offset}-{end - 1}"
    with client.session.request(
        "PATCH",
        begun.location,
        scopes=(client.push,),
        headers=headers,
        body=body,
        expected=frozenset({201, 202, 204}),
        retry=False,
    ) as response:
        told = response.headers.get("Location")
        where = client.session.location(response) if told else begun.location
        found = _RANGE.fullmatch(response.headers.get("Range") or "")
    if found and int(found[1]) + 1 < end and end > 1:
        raise RegistryError(
            f"{client.name}: {end} bytes of a blob were sent, and the registry kept "
            f"{int(found[1]) + 1}"
        )
    return replace(begun, location=where, offset=end)


def complete(client: Repository, begun: Begun, blob: Descriptor, body: Body) -> None:
    """Close a session with a PUT of the remaining bytes, and see that the blob is stored."""
    with client.session.request(
        "PUT",
        _with_digest(begun.location, blob),
        scopes=(client.push,),
        headers={"Content-Type": OCTET_STREAM},
        body=body,
        expected=frozenset({200, 201, 202, 204}),
        retry=False,
    ) as response:
        told = response.headers.get("Docker-Content-Digest")
        location = response.headers.get("Location")
        code = response.status
    if told and told != str(blob.digest) and told.startswith(blob.digest.algorithm + ":"):
        said = client.session.secrets.quote(told, 80)
        raise DigestError(
            f"{client.name}: the registry stored the digest {said!r} for {blob.digest}",
            "the blob was changed on the way, or the registry is broken",
        )
    believed = told == str(blob.digest) or (code == 201 and location)
    if not believed and not client.has_blob(blob):
        raise RegistryError(
            f"{client.name}: the registry answered {code} to an upload and does not have the blob",
            NOT_A_REGISTRY,
        )


def cancel(client: Repository, begun: Begun) -> bool:
    """Give a session up; whether the registry lets us (many do not)."""
    # Distribution wants the action delete, for which a token server may refuse any token: with
    # scopes of its own, this does not touch the token that the push goes on with.
    scope = Scope(client.repository, ("delete", "pull", "push"))
    try:
        client.session.request(
            "DELETE",
            begun.location,
            scopes=(scope,),
            expected=frozenset({200, 202, 204, 404}),
            retry=False,
        ).close()
    except ImgpackError:
        return False
    return True


def _begun(client: Repository, response: Response) -> Begun:
    told = response.headers.get("OCI-Chunk-Min-Length") or ""
    minimum = int(told) if re.fullmatch(r"[0-9]{1,12}", told) else 0
    return Begun(client.session.location(response), 0, minimum)


def _with_digest(location: str, blob: Descriptor) -> str:
    joint = "&" if urlsplit(location).query else "?"
    return f"{location}{joint}digest={quote(str(blob.digest), safe='')}"


def _without_state(location: str) -> str | None:
    """The location without Distribution's ``_state``, whose offset may be an old one."""
    parts = urlsplit(location)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(key, value) for key, value in pairs if key != "_state"]
    if len(kept) == len(pairs):
        return None
    return urlunsplit(parts._replace(query=urlencode(kept)))
