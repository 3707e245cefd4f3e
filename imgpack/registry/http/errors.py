"""What a registry says when it refuses: the errors document of the distribution spec.

OCI distribution-spec v1.1, "Error Codes". Invariants: the registry's text is
bounded, on one line and free of control characters and of the secrets that were
sent; every status has one leaf of ``imgpack.errors``; what was refused is
attached to the error, for callers who decide by status and code.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Final

from imgpack.errors import (
    ImgpackError,
    NotFoundError,
    RateLimitError,
    RegistryError,
    UnauthorizedError,
    UnreachableError,
)
from imgpack.registry.http.redaction import Secrets
from imgpack.registry.http.url_policy import clean, redact

ERROR_LIMIT: Final = 64 << 10
"""Bytes of an error answer that are looked at."""
_MAX_ERRORS: Final = 20
_UNITS: Final = ((172800, 86400, "days"), (7200, 3600, "hours"), (120, 60, "minutes"), (1, 1, "s"))
"""The wait in seconds from which a unit is used, the unit in seconds, and its name."""
_LONGEST_WAIT: Final = 30 * 86400
_UPLOAD_CODES: Final = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"})


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that was not expected: status, error codes and the registry's own words.

    ``details`` holds one text for each error's ``detail`` (JSON unless it was a
    string): the digest, for ``MANIFEST_BLOB_UNKNOWN``. ``retry_after`` is what
    the registry asked for, in seconds. ``headers`` are some of the answer's:
    ``range``, ``location``, ``docker-upload-uuid``, ``oci-chunk-min-length``.
    """

    status: int
    codes: tuple[str, ...] = ()
    text: str = ""
    details: tuple[str, ...] = ()
    retry_after: float | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def header(self, name: str) -> str | None:
        """One of the kept headers, by its lower-case name."""
        return dict(self.headers).get(name)


def attach(error: ImgpackError, failure: Failure | None) -> ImgpackError:
    """Attach what the registry answered to ``error``; returns it."""
    vars(error)["failure"] = failure
    return error


def failure_of(error: BaseException) -> Failure | None:
    """What the registry answered, if ``error`` comes from an answer."""
    failure = getattr(error, "failure", None)
    return failure if isinstance(failure, Failure) else None


def is_connection_loss(error: BaseException) -> bool:
    """Whether ``error`` is a broken or silent connection rather than an answer."""
    return isinstance(error, UnreachableError) and failure_of(error) is None


def is_unconnected(error: BaseException) -> bool:
    """Whether there was no connection at all: no such name, refused, or no answer to the call."""
    return getattr(error, "unconnected", False) is True


def mark_unconnected(error: ImgpackError) -> ImgpackError:
    """Say that there was no connection at all; returns the error."""
    vars(error)["unconnected"] = True
    return error


def is_final(error: BaseException) -> bool:
    """Whether the retries for ``error`` are used up already (those of a token request)."""
    return getattr(error, "final", False) is True


def mark_final(error: ImgpackError) -> ImgpackError:
    """Say that nothing is to be tried again for ``error``; returns it."""
    vars(error)["final"] = True
    return error


def parse_failure(
    status: int,
    body: bytes,
    content_type: str,
    *,
    retry_after: float | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    secrets: Secrets,
) -> Failure:
    """Read an error answer; whatever cannot be read is left out."""
    codes: list[str] = []
    texts: list[str] = []
    details: list[str] = []
    for entry in _entries(body):
        code, message, detail = entry.get("code"), entry.get("message"), entry.get("detail")
        if isinstance(code, str) and code:
            codes.append(clean(code.upper(), 64))
        words = [part for part in (code, message) if isinstance(part, str) and part]
        if detail not in (None, "", {}, []):
            text = detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)
            details.append(secrets.quote(text, 300))
            words.append(text)
        texts.append(": ".join(words))
    if not texts:
        texts.append(_plain_text(body, content_type.partition(";")[0].strip()))
    text = secrets.quote("; ".join(texts), 400)
    return Failure(status, tuple(codes), text, tuple(details), retry_after, headers)


def _plain_text(body: bytes, content_type: str) -> str:
    """What an answer without an errors document says: its text, or the title of its page."""
    text = body.decode("utf-8", "replace")
    title = re.search(r"<title>([^<]*)</title>", text, re.IGNORECASE)
    if title:
        return title.group(1)
    return text if content_type in ("", "text/plain", "application/json") else ""


def _entries(body: bytes) -> list[dict[str, Any]]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return []
    if not isinstance(document, dict):
        return []
    errors = document.get("errors")
    if isinstance(errors, list):
        return [entry for entry in errors[:_MAX_ERRORS] if isinstance(entry, dict)]
    if isinstance(document.get("error"), str):  # OAuth 2.0, RFC 6749, section 5.2
        return [{"code": document["error"], "message": document.get("error_description")}]
    if isinstance(document.get("details"), str):
        return [{"message": document["details"]}]
    return []


def make_error(failure: Failure, method: str, url: str, *, hint: str = "") -> ImgpackError:
    """The leaf for ``failure``, with the failure attached (see ``failure_of``)."""
    told = f": {failure.text}" if failure.text else ""
    message = f"{method} {redact(url)}: the registry answered {failure.status}{told}"
    return attach(_leaf(failure, message, hint), failure)


def _leaf(failure: Failure, message: str, hint: str) -> ImgpackError:
    status = failure.status
    if status == 401:
        return UnauthorizedError(message, hint or "log in with imgpack login")
    if status == 403:
        return UnauthorizedError(message, hint or "these credentials may not do this")
    if status == 404 and not _UPLOAD_CODES.intersection(failure.codes):
        return NotFoundError(message, hint or "check the name")
    if status == 429 or "TOOMANYREQUESTS" in failure.codes:
        return RateLimitError(message, hint or f"try again {_when(failure.retry_after)}")
    if status == 413:
        return RegistryError(message, hint or "a proxy before the registry limits the body size")
    if status == 400 and "HTTPS" in failure.text:
        return RegistryError(message, hint or "the server wants https: give --no-plain-http")
    if 300 <= status < 400:
        return RegistryError(message, hint or "redirects are followed for reading only")
    return RegistryError(message, hint)


def _when(seconds: float | None) -> str:
    """When to try again, in a unit for people; rounded up, and nothing exact beyond a month."""
    if seconds is not None and seconds <= _LONGEST_WAIT:
        for least, unit, name in _UNITS:
            if seconds >= least:
                return f"in {math.ceil(seconds / unit)} {name}"
    return "later"
