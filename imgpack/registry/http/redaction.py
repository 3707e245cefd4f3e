"""What must not be shown, however a server repeats it.

A registry may quote what it was sent: in an error, a warning, a header, a URL.
Invariants: what a server had a part in passes through ``Secrets`` on its way to
a reporter and into an error; a quoted text is cut after its secrets are gone, so
none is shown in part.
"""

import html
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, quote_plus

from imgpack.errors import Hint, ImgpackError
from imgpack.events import Meter, Reporter
from imgpack.registry.http.url_policy import clean, redact

LONGEST_MESSAGE: Final = 2000
"""Characters of an error's line; a URL that is quoted in it may be far longer."""
_SHORTEST: Final = 4
"""Characters from which a secret is hidden; shorter ones are in too many words."""
_GO: Final = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
_PERCENT = re.compile(r"%[0-9A-F]{2}")


class Secrets:
    """Everything that must not be shown. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._spellings: tuple[str, ...] = ()

    def add(self, *secrets: str) -> None:
        """Hide these as well from now on."""
        with self._lock:
            new = {secret for secret in secrets if secret} - self._known
            if not new:
                return
            self._known |= new
            found = {spelling for secret in new for spelling in _spellings(secret)}
            longest_first = sorted({*self._spellings, *found}, key=len, reverse=True)
            self._spellings = tuple(s for s in longest_first if len(s) >= _SHORTEST)

    def hide(self, text: str) -> str:
        """``text`` with every secret replaced."""
        for spelling in self._spellings:
            text = text.replace(spelling, "***")
        return text

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


def _spellings(secret: str) -> Iterator[str]:
    """The secret as it stands in a text, in JSON, a URL, HTML or a Python literal.

    Headers are read as Latin-1, so one that holds UTF-8 looks different; and every
    text may have been cleaned before, or redacted as a URL.
    """
    texts = {secret, secret.encode().decode("latin-1")}
    for plain in texts | {redact(text) for text in texts if "?" in text}:
        for spelling in (plain, *_in_json(plain), *_in_a_url(plain), html.escape(plain)):
            yield spelling
            yield clean(spelling, len(spelling) + 1)
        doubled = plain.replace("\\", "\\\\")
        yield doubled
        yield doubled.replace("'", "\\'")


def _in_json(text: str) -> Iterator[str]:
    """As Python, Go (which escapes HTML's characters) and PHP (the slash) write it."""
    for ascii_only in (False, True):
        inside = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield from (inside, inside.translate(_GO), inside.replace("/", "\\/"))


def _in_a_url(text: str) -> Iterator[str]:
    """As a path, a segment or a query has it, with hexadecimal digits of either case."""
    some = quote(text, safe="$&+,/:;=@")
    for encoded in (quote(text), quote(text, safe=""), some, quote_plus(text)):
        yield from (encoded, _PERCENT.sub(lambda found: found[0].lower(), encoded))
