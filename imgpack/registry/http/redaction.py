"""What must not be shown, however a server repeats it.

A registry may quote what it was sent: in an error, a warning, a header, a URL.
Invariants: what a server had a part in passes through ``Secrets`` on its way to
a reporter and into an error; a quoted text is cut after its secrets are gone, so
none is shown in part.
"""

import base64
import html
import json
import re
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from imgpack.errors import Hint, ImgpackError
from imgpack.events import Meter, Reporter
from imgpack.registry.http.url_policy import clean, redact

LONGEST_MESSAGE: Final = 2000
"""Characters of an error's line; a URL that is quoted in it may be far longer."""
_SHORTEST: Final = 4
"""Characters from which a secret is hidden; shorter ones are in too many words."""
_LEVELS: Final = 4
"""How often a text may be encoded: JSON in HTML in a URL, say."""
_ENCODED: Final = re.compile(
    rb"%[0-9A-Fa-f]{2}|&(?:#0*[0-9]{1,7}|#[xX]0*[0-9A-Fa-f]{1,6}|[A-Za-z][0-9A-Za-z]{1,30}(?=;));?"
    rb"|(?:\\u[0-9A-Fa-f]{4})+|\\U[0-9A-Fa-f]{8}|\\x[0-9A-Fa-f]{2}|\\[0-7]{1,3}|\\[^uUx]"
)
_ESCAPES: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


class Secrets:
    """Everything that must not be shown. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._spellings: frozenset[bytes] = frozenset()

    def add(self, *secrets: str) -> None:
        """Hide these as well from now on."""
        with self._lock:
            new = {secret for secret in secrets if secret} - self._known
            if not new:
                return
            self._known |= new
            found = {spelling for secret in new for spelling in _spellings(secret)}
            self._spellings |= {one for one in found if len(one) >= _SHORTEST}

    def hide(self, text: str) -> str:
        """``text`` with every secret replaced, however it is encoded in there."""
        spellings = self._spellings
        if not spellings:
            return text
        raw = text.encode("utf-8", "surrogatepass")
        places = sorted({place for view in _views(raw) for place in view.places(spellings)})
        out, end = bytearray(), 0
        for start, stop in places:
            if start >= end:
                out += raw[end:start] + b"***"
            end = max(end, stop)
        return (out + raw[end:]).decode("utf-8", "replace") if places else text

    def quote(self, text: str, limit: int) -> str:
        """What a server said: without secrets, then cleaned and cut (``clean``)."""
        return clean(self.hide(text), limit)

    def redact(self, url: str) -> str:
        """A URL as it may be shown (``redact``), its path without secrets too."""
        return redact(self.hide(url))

    def cover(self, error: ImgpackError) -> ImgpackError:
        """``error`` without the secrets in its texts; itself, if it has none."""
        message, hint = self.hide(error.message), error.hint
        if len(message) > LONGEST_MESSAGE:
            message = message[: LONGEST_MESSAGE - 1] + "…"
        if isinstance(hint, str):
            hint = self.hide(hint)
        if (message, hint) == (error.message, error.hint):
            return error
        return error.reworded(message, hint)

    @contextmanager
    def covering(self) -> Iterator[None]:
        """Errors leave the block without secrets."""
        try:
            yield
        except ImgpackError as error:
            covered = self.cover(error)
            if covered is error:
                raise
            raise covered from error.__cause__


@dataclass(frozen=True, slots=True)
class RedactingReporter:
    """A reporter that tells another one everything but secrets."""

    reporter: Reporter
    secrets: Secrets

    def begin(self, label: str, total: int | None) -> Meter:
        """Start a piece of work."""
        return self.reporter.begin(label, total)

    def warn(self, message: str, hint: Hint = "") -> None:
        """Something the user should know."""
        self.reporter.warn(self.secrets.hide(message), hint)

    def detail(self, message: str) -> None:
        """Something for ``--verbose``."""
        self.reporter.detail(self.secrets.hide(message))


@dataclass(frozen=True, slots=True)
class _View:
    """What a text says, and which of its bytes (``starts`` to ``ends``) say each byte of that."""

    said: bytes
    starts: Sequence[int]
    ends: Sequence[int]

    def places(self, spellings: Iterable[bytes]) -> Iterator[tuple[int, int]]:
        """Where in the text one of these is said."""
        for spelling in spellings:
            at = self.said.find(spelling)
            while at >= 0:
                yield self.starts[at], self.ends[at + len(spelling) - 1]
                at = self.said.find(spelling, at + 1)

    def decoded(self) -> "_View | None":
        """One level of encoding less, if there is any."""
        said, at = bytearray(), 0
        starts: list[int] = []
        ends: list[int] = []
        for found in _ENCODED.finditer(self.said):
            plain = _plain(found[0])
            said += self.said[at : found.start()] + plain
            starts += self.starts[at : found.start()]
            ends += self.ends[at : found.start()]
            starts += [self.starts[found.start()]] * len(plain)
            ends += [self.ends[found.end() - 1]] * len(plain)
            at = found.end()
        if at == 0:
            return None
        said += self.said[at:]
        return _View(bytes(said), [*starts, *self.starts[at:]], [*ends, *self.ends[at:]])


def _views(raw: bytes) -> Iterator[_View]:
    """A text as it stands, and with one level of encoding less after the other."""
    view: _View | None = _View(raw, range(len(raw)), range(1, len(raw) + 1))
    for _ in range(_LEVELS):
        if view is None:
            return
        yield view
        view = view.decoded()


def _plain(token: bytes) -> bytes:
    """What one match of ``_ENCODED`` stands for."""
    text = token.decode("ascii", "replace")
    if token[:1] == b"%":
        return bytes([int(text[1:], 16)])
    if token[:1] == b"&":
        return html.unescape(text).encode("utf-8", "surrogatepass")
    if token[1:2] == b"u":
        return str(json.loads(f'"{text}"')).encode("utf-8", "surrogatepass")
    if token[1:2] in (b"x", b"U"):
        number = int(text[2:], 16)
        return chr(number if number <= sys.maxunicode else 0xFFFD).encode("utf-8", "surrogatepass")
    if not token[1:].strip(b"01234567"):
        return bytes([int(text[1:], 8) & 0xFF])
    return _ESCAPES.get(token[1:], token[1:])


def _spellings(secret: str) -> Iterator[bytes]:
    """The secret as it stands in a text that is not encoded any more, or in base64.

    Headers are read as Latin-1, so one that holds UTF-8 looks different; and every
    text may have been cleaned before, or redacted as a URL. A secret that looks encoded
    itself is found where it was decoded as well.
    """
    raw = secret.encode("utf-8", "surrogatepass")
    texts = {secret, raw.decode("latin-1")}
    texts |= {text.replace(" ", "+") for text in texts}
    texts |= {redact(text) for text in texts if "?" in text}
    texts |= {clean(text, len(text) + 1) for text in texts}
    for text in texts:
        for view in _views(text.encode("utf-8", "surrogatepass")):
            yield view.said
    yield from (raw.hex().encode(), raw.hex().upper().encode())
    for core in _base64_cores(raw):
        yield from (core, core.translate(_URL_SAFE))


def _base64_cores(raw: bytes) -> Iterator[bytes]:
    """What base64 of any text that holds ``raw`` has in it, for each of three places in it."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw)
        core = encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        if len(core) > _SHORTEST:
            yield core
