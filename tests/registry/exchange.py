"""One request and its answer in the hostile registry: HTTP, and the endpoints of the protocol."""

import base64
import contextlib
import json
import re
import socket
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from tests.registry.hostile import HostileRegistry, Repository, Upload

PIECE = 65536


@dataclass
class Recorded:
    """A request as it arrived; ``received`` counts the bytes of its body."""

    method: str
    target: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    received: int = 0
    status: int = 0


Action = Callable[["Exchange"], bool]
"""Takes over an exchange: ``True`` when it is over, ``False`` to go on as a correct registry."""


class Exchange(BaseHTTPRequestHandler):
    """The handler of one connection."""

    protocol_version = "HTTP/1.1"
    registry: ClassVar["HostileRegistry"]
    record: Recorded

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def handle(self) -> None:
        """A client that goes away is not this server's error."""
        with contextlib.suppress(OSError):
            super().handle()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    # HTTP

    def body(self, limit: int | None = None) -> bytes:
        """Up to ``limit`` further bytes of the request's body (all of it by default)."""
        declared = int(self.headers.get("content-length") or 0) - self.record.received
        wanted = declared if limit is None else min(limit, declared)
        out = bytearray()
        while len(out) < wanted:
            try:
                piece = self.rfile.read1(min(PIECE, wanted - len(out)))  # type: ignore[attr-defined]
            except OSError:
                break
            if not piece:
                break
            out += piece
            self.record.received += len(piece)
        return bytes(out)

    def answer(
        self,
        status: int,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        *,
        length: int | None = None,
    ) -> bool:
        """Send one answer; a body that was not read costs the connection."""
        unread = int(self.headers.get("content-length") or 0) - self.record.received
        if unread > 0:
            self.close_connection = True
        self.record.status = status
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()
        return True

    def refuse(self, status: int, code: str, detail: Any = None, message: str = "refused") -> bool:
        """An error document."""
        error = {"code": code, "message": message, "detail": detail}
        return self.answer(
            status,
            {"Content-Type": "application/json"},
            json.dumps({"errors": [error]}).encode(),
        )

    def reset(self) -> bool:
        """Break the connection with RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        # rfile and wfile hold the socket open too, so it is shut by its descriptor.
        self.rfile.close()
        with contextlib.suppress(OSError):
            self.connection.close()
        return True

    def serve(self) -> None:
        """Record the request, let a fault take it, or answer as a registry does."""
        parts = urlsplit(self.path)
        self.record = Recorded(
            self.command,
            self.path,
            parts.path,
            parse_qs(parts.query, keep_blank_values=True),
            {name.lower(): value for name, value in self.headers.items()},
        )
        self.registry.requests.append(self.record)
        with self.registry.lock:
            actions = [f.action for f in self.registry.faults if f.takes(self.record)]
        if any(action(self) for action in actions):
            return
        if not self._authorised() or self._too_large():
            return
        self._route()
        self.body()

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = serve

    def _authorised(self) -> bool:
        habits, path = self.registry.habits, self.record.path
        if not habits.auth:
            return True
        if path == "/token":
            token = self.registry.grant(self.record.query)
            self.answer(200, {}, json.dumps({"token": token, "expires_in": 300}).encode())
            return False
        if self.registry.allows(self.record):
            return True
        scope = " ".join(f"repository:{n}:{a}" for n, a in sorted(self.registry.needs(self.record)))
        challenge = (
            'Basic realm="test"'
            if habits.auth == "basic"
            else f'Bearer realm="http://{self.registry.host}/token",service="test",scope="{scope}"'
        )
        body = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "no"}]}).encode()
        self.answer(401, {"WWW-Authenticate": challenge}, body)
        return False

    def _too_large(self) -> bool:
        limit = self.registry.habits.body_limit
        if limit is None or int(self.headers.get("content-length") or 0) <= limit:
            return False
        return self.answer(413, {"Content-Type": "text/html"}, b"<html>413 Too Large</html>")

    def _route(self) -> bool:
        path = self.record.path
        if path in ("/v2/", "/v2"):
            return self.answer(200, {"Docker-Distribution-API-Version": "registry/2.0"}, b"{}")
        for pattern, endpoint in (
            (r"/v2/(.+)/blobs/uploads/([^/]*)", self._upload),
            (r"/v2/(.+)/blobs/([^/]+)", self._blob),
            (r"/v2/(.+)/manifests/([^/]+)", self._manifest),
            (r"/v2/(.+)/tags/(list)", self._tags),
        ):
            found = re.fullmatch(pattern, path)
            if found:
                return endpoint(found[1], found[2])
        return self.refuse(404, "UNSUPPORTED")

    # Endpoints

    def _blob(self, name: str, digest: str) -> bool:
        repository = self.registry.repository(name)
        if self.command == "HEAD" and not self.registry.habits.head:
            return self.answer(405)
        if digest not in repository.blobs:
            return self.refuse(404, "BLOB_UNKNOWN")
        if self.command == "DELETE":
            repository.blobs.discard(digest)
            return self.answer(202)
        data = self.registry.content[digest]
        headers = {"Docker-Content-Digest": digest, "Content-Type": "application/octet-stream"}
        if self.command == "HEAD":
            return self.answer(200, headers, length=len(data))
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        if not (found and self.registry.habits.ranges):
            return self.answer(200, headers, data)
        start = int(found[1])
        headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return self.answer(206, headers, data[start:])

    def _manifest(self, name: str, target: str) -> bool:
        repository = self.registry.repository(name)
        if self.command == "PUT":
            return self._put_manifest(repository, name, target)
        if self.command == "DELETE":
            return self._delete_manifest(repository, target)
        if self.command == "HEAD" and not self.registry.habits.head:
            return self.answer(405)
        digest = repository.tags.get(target, target)
        if digest not in repository.manifests:
            return self.refuse(404, "MANIFEST_UNKNOWN")
        media_type, raw = repository.manifests[digest]
        accepted = self.headers.get("accept", "")
        if media_type.startswith("application/vnd.oci") and media_type not in accepted:
            return self.refuse(404, "MANIFEST_UNKNOWN")
        headers = {"Docker-Content-Digest": digest, "Content-Type": media_type}
        return self.answer(200, headers, raw)

    def _put_manifest(self, repository: "Repository", name: str, target: str) -> bool:
        from tests.registry.hostile import digest_of

        raw, media_type = self.body(), self.headers.get("content-type", "")
        if len(raw) > 4 << 20:
            return self.refuse(413, "MANIFEST_INVALID")
        document = json.loads(raw)
        stored = raw
        if document.get("schemaVersion") == 1:
            if not self.registry.habits.schema1:
                return self.refuse(500, "UNKNOWN", {}, "unknown error")
            protected = json.loads(_unb64(document["signatures"][0]["protected"]))
            stored = raw[: protected["formatLength"]] + _unb64(protected["formatTail"])
        digest = digest_of(stored)
        if target.startswith("sha256:") and target != digest:
            return self.refuse(400, "DIGEST_INVALID")
        with self.registry.lock:
            unknown = self.registry.unknown(repository, stored)
            if unknown:
                return self.refuse(400, "MANIFEST_BLOB_UNKNOWN", unknown[0])
            repository.manifests[digest] = (media_type, raw)
            if not target.startswith("sha256:"):
                repository.tags[target] = digest
        location = f"/v2/{name}/manifests/{digest}"
        return self.answer(201, {"Location": location, "Docker-Content-Digest": digest})

    def _delete_manifest(self, repository: "Repository", target: str) -> bool:
        if not self.registry.habits.deletes:
            return self.refuse(405, "UNSUPPORTED")
        if repository.tags.pop(target, None) is not None:
            return self.answer(202)
        if repository.manifests.pop(target, None) is None:
            return self.refuse(404, "MANIFEST_UNKNOWN")
        repository.tags = {tag: d for tag, d in repository.tags.items() if d != target}
        return self.answer(202)

    def _tags(self, name: str, _: str) -> bool:
        if name not in self.registry.repositories:
            return self.refuse(404, "NAME_UNKNOWN")
        tags = sorted(self.registry.repository(name).tags)
        last = self.record.query.get("last", [""])[0]
        count = min(int(self.record.query.get("n", ["100"])[0]), self.registry.habits.page)
        rest = [tag for tag in tags if tag > last]
        headers = {"Content-Type": "application/json"}
        if len(rest) > count:
            path = f"/v2/{name}/tags/list?last={rest[count - 1]}&n={count}"
            headers["Link"] = f'<{path}>; rel="next"'
        body = json.dumps({"name": name, "tags": rest[:count]}).encode()
        return self.answer(200, headers, body)

    # Uploads

    def _upload(self, name: str, session: str) -> bool:
        if self.command == "POST":
            return self._open(name)
        upload = self.registry.uploads.get(session)
        if upload is None:
            return self.refuse(404, "BLOB_UPLOAD_UNKNOWN")
        state = self.record.query.get("_state", ["0"])[0]
        if self.registry.habits.strict_state and int(state) != len(upload.data):
            del self.registry.uploads[session]
            return self.refuse(404, "BLOB_UPLOAD_INVALID")
        if self.command == "DELETE":
            if not self.registry.habits.cancels:
                return self.refuse(405, "UNSUPPORTED")
            del self.registry.uploads[session]
            return self.answer(204)
        if self.command == "GET":
            return self.answer(204, self._progress(name, session, upload))
        if self.command == "PATCH":
            return self._patch(name, session, upload)
        return self._complete(name, session, upload)

    def _open(self, name: str) -> bool:
        from tests.registry.hostile import Upload

        self.body()
        query, habits = self.record.query, self.registry.habits
        mount, source = query.get("mount", [""])[0], query.get("from", [""])[0]
        if mount and habits.mounts:
            held = self.registry.repository(source).blobs if source else set()
            if mount in held:
                self.registry.repository(name).blobs.add(mount)
                location = f"/v2/{name}/blobs/{mount}"
                return self.answer(201, {"Location": location, "Docker-Content-Digest": mount})
        session = uuid.uuid4().hex
        upload = self.registry.uploads[session] = Upload(name)
        headers = self._progress(name, session, upload)
        if habits.min_chunk is not None:
            headers["OCI-Chunk-Min-Length"] = str(habits.min_chunk)
        return self.answer(202, headers)

    def _progress(self, name: str, session: str, upload: "Upload") -> dict[str, str]:
        path = f"/v2/{name}/blobs/uploads/{session}?_state={len(upload.data)}"
        habits = self.registry.habits
        if habits.location is not None:
            path = habits.location(path)
        elif habits.absolute:
            path = f"http://{self.registry.host}{path}"
        return {
            "Location": path,
            "Docker-Upload-UUID": session,
            "Range": f"0-{max(len(upload.data) - 1, 0)}",
        }

    def _take(self, session: str, upload: "Upload") -> bool:
        """Append the body; ``False`` when the client went away before its end."""
        declared = int(self.headers.get("content-length") or 0)
        while self.record.received < declared:
            piece = self.body(PIECE)
            if not piece:
                if not self.registry.habits.keep_sessions:
                    self.registry.uploads.pop(session, None)
                self.close_connection = True
                return False
            upload.data += piece
        return True

    def _patch(self, name: str, session: str, upload: "Upload") -> bool:
        habits = self.registry.habits
        length = int(self.headers.get("content-length") or 0)
        if habits.patch_limit is not None and length > habits.patch_limit:
            return self.refuse(416, "BLOB_UPLOAD_INVALID", message="exceeds the permissible limit")
        ranged = re.fullmatch(r"(\d+)-(\d+)", self.headers.get("content-range", ""))
        if not ranged and not habits.streamed:
            return self.refuse(413, "SIZE_INVALID")
        if ranged and int(ranged[1]) != len(upload.data):
            self.body()
            headers = self._progress(name, session, upload)
            return self.answer(416, headers)
        upload.patches += 1
        if habits.one_patch and upload.patches > 1:
            self.body()
            return self.answer(201, self._progress(name, session, upload))
        if not self._take(session, upload):
            return True
        status = 201 if habits.one_patch else 202
        return self.answer(status, self._progress(name, session, upload))

    def _complete(self, name: str, session: str, upload: "Upload") -> bool:
        from tests.registry.hostile import digest_of

        length = int(self.headers.get("content-length") or 0)
        if length and not self.registry.habits.monolithic:
            return self.refuse(404, "BLOB_UNKNOWN")
        if not self._take(session, upload):
            return True
        data = bytes(upload.data)
        digest = self.record.query.get("digest", [""])[0]
        self.registry.uploads.pop(session, None)
        if digest_of(data) != digest:
            return self.refuse(400, "DIGEST_INVALID")
        self.registry.content[digest] = data
        self.registry.repository(name).blobs.add(digest)
        location = f"/v2/{name}/blobs/{digest}"
        return self.answer(201, {"Location": location, "Docker-Content-Digest": digest})


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
