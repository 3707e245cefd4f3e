"""Private keys and tokens in a text, told by forms that nothing else has.

A form has a *mark*, which is looked for first: most texts have none of them, and a search for
a few bytes costs next to nothing. Examples of documentation and placeholders are passed over.
Invariant: a secret is never given whole.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_SHOWN: Final = 4
_LEAST_DIFFERENT: Final = 8
"""Different characters of a token: placeholders have few."""
_PLACEHOLDERS: Final = (b"EXAMPLE", b"example", b"xxxx", b"XXXX", b"1234567890")
_MOST: Final = 20
"""Secrets of one text that are told."""


class Secret(NamedTuple):
    """A secret: what ``kind`` it is, its first characters and its length, and the line, from 1."""

    kind: str
    shown: str
    line: int


class _Form(NamedTuple):
    kind: str
    marks: tuple[bytes, ...]
    pattern: re.Pattern[bytes]


def _form(kind: str, marks: str, pattern: bytes) -> _Form:
    return _Form(kind, tuple(mark.encode() for mark in marks.split()), re.compile(pattern))


_END: Final = rb"(?![A-Za-z0-9])"
_BEGIN: Final = rb"(?<![A-Za-z0-9_])"
_KEY: Final = _Form(
    "a private key",
    (b"PRIVATE KEY",),
    # Within JSON the ends of lines are written \n; in front of the body there may be headers.
    re.compile(
        rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[nr])"
        rb"(?:[A-Za-z-]{1,40}: [^\r\n]{0,200}[\r\n]{1,2}){0,8}(?:\s|\\[nr]){0,8}"
        rb"[A-Za-z0-9+/]{60,}"
    ),
)
_TOKENS: Final = (
    _form("a token of GitHub", "ghp_ gho_ ghu_ ghs_ ghr_",
          _BEGIN + rb"gh[pousr]_[A-Za-z0-9]{36,251}" + _END),
    _form("a token of GitHub", "github_pat_", _BEGIN + rb"github_pat_[A-Za-z0-9_]{60,251}" + _END),
    _form("a token of GitLab", "glpat-", _BEGIN + rb"glpat-[A-Za-z0-9_-]{20,200}" + _END),
    _form("an access key of AWS", "AKIA ASIA", _BEGIN + rb"A[KS]IA[A-Z2-7]{16}" + _END),
    _form("a token of Slack", "xox", _BEGIN + rb"xox[abposr]-[0-9]{8,}-[A-Za-z0-9-]{10,200}"),
    _form("a key of Google", "AIza", _BEGIN + rb"AIza[A-Za-z0-9_-]{35}" + _END),
    _form("a key of Stripe", "k_live_", _BEGIN + rb"[sr]k_live_[A-Za-z0-9]{24,200}" + _END),
    _form("a token of npm", "npm_", _BEGIN + rb"npm_[A-Za-z0-9]{36}" + _END),
    _form("a token of PyPI", "pypi-AgE", _BEGIN + rb"pypi-AgE[A-Za-z0-9_-]{50,1000}"),
    _form("a token of Docker", "dckr_pat_", _BEGIN + rb"dckr_pat_[A-Za-z0-9_-]{27,200}"),
    _form("a token of Hugging Face", "hf_", _BEGIN + rb"hf_[A-Za-z0-9]{34}" + _END),
    _form("a token of DigitalOcean", "dop_v1_", _BEGIN + rb"dop_v1_[a-f0-9]{64}" + _END),
    _form("a key of SendGrid", "SG.", _BEGIN + rb"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}" + _END),
    _form("a key of Anthropic", "sk-ant-",
          _BEGIN + rb"sk-ant-[a-z0-9]{3,10}-[A-Za-z0-9_-]{80,200}"),
    _form("a key of OpenAI", "T3BlbkFJ",
          _BEGIN + rb"sk-[A-Za-z0-9_-]{20,100}T3BlbkFJ[A-Za-z0-9_-]{20,100}"),
    _form("a key of Azure storage", "AccountKey=", rb"AccountKey=[A-Za-z0-9+/]{86}=="),
)  # fmt: skip
_JWT: Final = _form(
    "a JSON web token", "eyJ",
    rb"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{15,1000}\.eyJ[A-Za-z0-9_-]{15,4000}\.[A-Za-z0-9_-]{20,1000}",
)  # fmt: skip
_URL: Final = _form(
    "a password in a URL", "://",
    rb"[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"'<>${}*]{0,100}:[^\s/@\"'<>${}*]{3,200}@[A-Za-z0-9\[]",
)  # fmt: skip


def secrets_in(text: bytes, *, urls: bool = False) -> Iterator[Secret]:
    """The secrets of ``text``, at most 20 of them; passwords in URLs only with ``urls``."""
    told = 0
    for form in (_KEY, *_TOKENS, _JWT, *((_URL,) if urls else ())):
        if not any(mark in text for mark in form.marks):
            continue
        for match in form.pattern.finditer(text):
            if told < _MOST and _is_real(form, match[0]):
                told += 1
                shown = "" if form is _KEY else redacted(match[0].decode("ascii", "replace"))
                yield Secret(form.kind, shown, text.count(b"\n", 0, match.start()) + 1)


def redacted(value: str) -> str:
    """The first characters of a secret and how many it has; of a short one, only that."""
    start = value[:_SHOWN] if len(value) >= 3 * _SHOWN else ""
    return f"{start}… ({len(value)} characters)"


def _is_real(form: _Form, value: bytes) -> bool:
    if form is _KEY or form is _URL:
        return True
    if form is _JWT:
        return _is_header(value.partition(b".")[0])
    different = len(set(value)) >= _LEAST_DIFFERENT
    return different and not any(one in value for one in _PLACEHOLDERS)


def _is_header(part: bytes) -> bool:
    """Whether it is the header of a token: it says its algorithm (RFC 7515, section 4.1)."""
    try:
        return b'"alg"' in base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except (ValueError, binascii.Error):
        return False
