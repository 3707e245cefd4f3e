"""What a registry says when it refuses: the errors document of the distribution spec.

OCI distribution-spec v1.1, "Error Codes". Invariants: the registry's text is
bounded, on one line and free of control characters and of the secrets that were
sent; every status has one leaf of ``imgpack.errors``, whose ``answer``
is for callers who decide by status and code.
"""

import json
import math
import re
from typing import Any, Final

from imgpack.errors import (
    Answer,
    Hint,
    ImgpackError,
    NotFoundError,
    RateLimitError,
    RegistryError,
    Remedy,
    UnauthorizedError,
    UnreachableError,
)
from imgpack.registry.http.connection import PROXY_CREDENTIALS
from imgpack.registry.http.message import Response
from imgpack.registry.http.redaction import Secrets
from imgpack.registry.http.retry import parse_retry_after
from imgpack.registry.http.url_policy import clean

ERROR_LIMIT: Final = 64 << 10
"""Bytes of an error answer that are looked at."""
_MAX_ERRORS: Final = 20
_UNITS: Final = ((172800, 86400, "days"), (7200, 3600, "hours"), (120, 60, "minutes"), (1, 1, "s"))
"""The wait in seconds from which a unit is used, the unit in seconds, and its name."""
_LONGEST_WAIT: Final = 30 * 86400
_UPLOAD_CODES: Final = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"})


def read_answer(response: Response, secrets: Secrets, now: float, *, foreign: bool) -> Answer:
    """Read an answer that was not expected; whatever cannot be read is left out.

    ``now`` is seconds since 1970.
    """
    try:
        body = response.read_at_most(ERROR_LIMIT)
    except ImgpackError:
        body = b""
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
        content_type = response.headers.get("content-type", "")
        texts.append(_plain_text(body, content_type.partition(";")[0].strip()))
    text = secrets.quote("; ".join(texts), 400)
    return Answer(
        response.status,
        tuple(codes),
        text,
        tuple(details),
        parse_retry_after(response.headers.get("retry-after"), now),
        response.header_values("www-authenticate"),
        foreign,
    )


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


def refusal(answer: Answer, method: str, shown: str, *, hint: Hint = "") -> ImgpackError:
    """The leaf for an ``answer`` to a request; ``hint`` if there is something better to say."""
    told = f": {answer.text}" if answer.text else ""
    who = "proxy" if answer.status == 407 else "registry"
    message = f"{method} {shown}: the {who} answered {answer.status}{told}"
    leaf, usual = _leaf(answer)
    return leaf(message, hint or usual, answer)


def _leaf(answer: Answer) -> tuple[type[ImgpackError], Hint]:
    status = answer.status
    if status in (401, 403):
        return UnauthorizedError, "these credentials may not do this"
    if status == 404 and not _UPLOAD_CODES.intersection(answer.codes):
        unknown = "MANIFEST_UNKNOWN" in answer.codes
        return NotFoundError, Remedy.LIST_TAGS() if unknown else "check the name"
    if status == 429 or "TOOMANYREQUESTS" in answer.codes:
        return RateLimitError, f"try again {_when(answer.retry_after)}"
    if status == 413:
        return RegistryError, "a proxy before the registry limits the body size"
    if status == 400 and "HTTPS" in answer.text:
        return RegistryError, Remedy.USE_HTTPS()
    if 300 <= status < 400:
        return RegistryError, "such a redirect is not followed"
    if status == 407:
        return UnreachableError, PROXY_CREDENTIALS
    return RegistryError, ""


def _when(seconds: float | None) -> str:
    """When to try again, in a unit for people; rounded up, and nothing exact beyond a month."""
    if seconds is not None and seconds <= _LONGEST_WAIT:
        for least, unit, name in _UNITS:
            if seconds >= least:
                return f"in {math.ceil(seconds / unit)} {name}"
    return "later"
