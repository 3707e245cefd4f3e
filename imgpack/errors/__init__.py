"""Every failure that a user can meet, one class and one exit code for each cause.

Invariants: every leaf has an exit code of its own (a test holds it, and
``docs/exit-codes.md`` is generated from this file); the message names the
path, reference or redacted URL it is about; the hint, or else the kind's advice, says
what to do. The
errors are picklable, so they may cross a process boundary.
"""

import copy
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from imgpack.errors.hints import Advice as Advice
from imgpack.errors.hints import Hint as Hint
from imgpack.errors.hints import Remedy as Remedy

_DIGEST: Final = re.compile(r"@[a-z0-9+._-]+:[0-9a-fA-F]{32,}$")

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HOST: Final = re.compile(r"/|(?<!^sha256)(?<!^sha512):[0-9]{1,5}$|^[^:]*$")
"""What stands behind an ``@`` and is no digest."""


def printable(text: str | bytes) -> str:
    """A path or text as it can be shown on one line of a terminal, whatever it holds.

    Control and format characters are escaped, as ``\\x1b`` or ``\\u202e``.
    """
    text = os.fsdecode(text)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def quoted(text: str | bytes) -> str:
    """``text`` between quotation marks, as ``printable`` shows it: nothing is escaped twice."""
    shown = printable(text)
    mark = '"' if "'" in shown and '"' not in shown else "'"
    return f"{mark}{shown}{mark}"


def brief(path: bytes) -> str:
    """A path as it can be shown on one line, however long it is: without its middle."""
    if len(path) > _LONGEST:
        path = path[: _LONGEST // 2] + b"..." + path[-_LONGEST // 2 :]
    return printable(path)


_LONGEST = 1024


def without_user(text: str) -> str:
    """A URL or name that a user gave, without the user name and password in it.

    Whatever parses: what stands before the last ``@`` goes, unless it is a name's before
    its digest.
    """
    user = user_in(text)
    return text.replace(user, "***@", 1) if user else text


def user_in(text: str) -> str:
    """The user name and password in such a URL or name, with the ``@``; empty without one."""
    digest = _DIGEST.search(text)
    head = text[: digest.start()] if digest else text
    found = _SCHEME.match(head)
    scheme = found[0] if found else ""
    user, at, host = head.removeprefix(scheme).rpartition("@")
    return user + at if scheme or _HOST.search(host) else ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a registry answered to a request that it refused (distribution-spec, "Error Codes").

    ``text`` holds its own words, ``details`` one text for each error's ``detail``
    (JSON unless it was a string), ``retry_after`` the seconds that it asked for,
    ``challenges`` its ``WWW-Authenticate`` headers. ``foreign``: it was another server
    that answered, to which the registry had sent us.
    """

    status: int
    codes: tuple[str, ...] = ()
    text: str = ""
    details: tuple[str, ...] = ()
    retry_after: float | None = None
    challenges: tuple[str, ...] = ()
    foreign: bool = False


class ImgpackError(Exception):
    """The base of all errors that imgpack reports: one line, one exit code.

    ``message`` says what failed and names what it is about; ``hint`` says what to do
    where that is known better than ``advice``, which is for all of a kind; ``answer`` is
    the registry's, if it comes of one.
    """

    exit_code: ClassVar[int] = 70
    meaning: ClassVar[str] = "an imgpack error of no particular kind"
    advice: ClassVar[str] = "look at what it names"

    def __init__(self, message: str, hint: Hint = "", answer: Answer | None = None) -> None:
        super().__init__(message, hint, answer)
        self.message = message
        self.hint = hint
        self.answer = answer

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def reworded(self, message: str, hint: Hint | None = None) -> Self:
        """The same error in other words: its kind and all its fields are kept."""
        twin = copy.copy(self)
        twin.message, twin.hint = message, self.hint if hint is None else hint
        twin.args = (twin.message, twin.hint, self.answer)
        return twin


@contextmanager
def about(what: str) -> Iterator[None]:
    """Errors that leave the block name ``what``, a path or reference, before all else."""
    try:
        yield
    except ImgpackError as error:
        raise error.reworded(f"{what}: {error.message}") from error


class SourceError(ImgpackError):
    """A source tree, or something in it, is missing or cannot be read."""

    exit_code = 3
    meaning = "a source is missing or cannot be read"
    advice = "check its name and its permissions"


class SourceChangedError(ImgpackError):
    """A file changed or vanished while it was being read."""

    exit_code = 4
    meaning = "a source changed while it was being read"
    advice = "do it again when nothing writes there"


class TreeError(ImgpackError):
    """A tree holds what an image layer cannot: duplicates, ``..``, ``.wh.`` names."""

    exit_code = 5
    meaning = "a tree cannot be an image layer (duplicate, unsafe or reserved names)"
    advice = "rename it, or leave it out"


class InvalidReferenceError(ImgpackError):
    """A name, tag or digest is not a valid image reference."""

    exit_code = 6
    meaning = "an image name, tag or digest is not valid"
    advice = "write REGISTRY/NAME:TAG or REGISTRY/NAME@DIGEST"


class ConfigError(ImgpackError):
    """An option that goes into the image configuration has an impossible value."""

    exit_code = 7
    meaning = "an image configuration value is not valid"
    advice = "correct the value"


class LimitError(ImgpackError):
    """A bound of the formats or of the loaders would be passed."""

    exit_code = 8
    meaning = "a limit of the format or of its loaders would be passed (125 layers, document sizes)"
    advice = "make it smaller"


class UnsupportedError(ImgpackError):
    """A combination that the formats cannot express, such as zstd in a Docker image."""

    exit_code = 9
    meaning = "the formats cannot express what was asked for"
    advice = "ask for something that the format has"


class DocumentError(ImgpackError):
    """A manifest, index, configuration or other JSON document is malformed or ambiguous."""

    exit_code = 10
    meaning = "a manifest, index or configuration is malformed or ambiguous"
    advice = "whoever made it has to mend it: build or fetch it again"


class ArchiveError(ImgpackError):
    """An archive or layout is truncated or is not an image."""

    exit_code = 11
    meaning = "an archive or layout is truncated, damaged or not an image"
    advice = "name an archive that imgpack, Docker or skopeo wrote, or an OCI layout"


class DigestError(ImgpackError):
    """Bytes do not have the digest or the size that was promised."""

    exit_code = 12
    meaning = "content does not match its digest or size"
    advice = "build or fetch it again"


class SignatureError(ImgpackError):
    """A schema1 signature does not verify, or a signing key cannot be used."""

    exit_code = 13
    meaning = "a schema1 signature does not verify, or a signing key is unusable"
    advice = "check the key, or fetch the manifest again"


class OutputError(ImgpackError):
    """An output cannot be written: permissions, a full disk, a path in the way."""

    exit_code = 14
    meaning = "an output cannot be written"
    advice = "check the permissions and the space there, or choose another place"


class CacheError(ImgpackError):
    """The cache directory cannot be used at all."""

    exit_code = 15
    meaning = "the cache directory cannot be used"
    advice = "choose another cache directory, or build without a cache"


class UnreachableError(ImgpackError):
    """No connection to a registry, or the connection was lost for good.

    ``unconnected`` is the origin (``https://host``) that there was no connection to at
    all: no such name, refused, or no answer to the call; empty if there was one.
    """

    exit_code = 16
    meaning = "a registry cannot be reached"
    advice = "check the name and the network, and try again"

    def __init__(
        self,
        message: str,
        hint: Hint = "",
        answer: Answer | None = None,
        *,
        unconnected: str = "",
    ) -> None:
        super().__init__(message, hint, answer)
        self.unconnected = unconnected


class TlsError(ImgpackError):
    """The TLS handshake or the certificate verification failed."""

    exit_code = 17
    meaning = "TLS verification or set-up failed"
    advice = "check the certificates, on both sides"


class UnauthorizedError(ImgpackError):
    """The registry wants other credentials, or refuses the ones it was given."""

    exit_code = 18
    meaning = "the registry refused the credentials, or wants some"
    advice = "check the credentials, and what they are allowed to do"


class CredentialError(ImgpackError):
    """A credential file or helper is broken."""

    exit_code = 19
    meaning = "a credential file or helper is broken"
    advice = "mend or remove it"


class NotFoundError(ImgpackError):
    """The registry, archive or layout does not have what was asked for."""

    exit_code = 20
    meaning = "an image, tag or blob does not exist"
    advice = "check the name, and that it was pushed or built"


class RegistryError(ImgpackError):
    """The registry refused a request, or answered with something it should not."""

    exit_code = 21
    meaning = "a registry refused a request or answered with something unexpected"
    advice = "ask whoever runs the registry, or try again later"


class UnsafeError(ImgpackError):
    """A registry asked for something that would leak credentials or reach private addresses."""

    exit_code = 22
    meaning = "a registry's answer was refused for safety"
    advice = "ask whoever runs the registry why it answers so"


class RateLimitError(ImgpackError):
    """The registry kept answering that there were too many requests."""

    exit_code = 23
    meaning = "a registry's rate limit was not lifted in time"
    advice = "wait, and try again"


class ResourceError(ImgpackError):
    """The system has too little left for the process: memory, open files, processes."""

    exit_code = 24
    meaning = "too little memory, or too few open files or processes, to do it"
    advice = "make more available, or do less at once"


class MovedError(ImgpackError):
    """What a name points to now is not what was locked."""

    exit_code = 26
    meaning = "a base is not what it was when it was locked"
    advice = "update the lock"


class EngineError(ImgpackError):
    """A container engine is not there, fails, or has not what it was to load."""

    exit_code = 27
    meaning = "a container engine is not there, or did not load the image"
    advice = "see that the engine runs, and that you may use it"


class NoSuchPathError(ImgpackError):
    """An image has nothing at a path."""

    exit_code = 28
    meaning = "an image has no such file or directory"
    advice = "list the directory above it"


class AmbiguousError(ImgpackError):
    """Several images or platforms fit, and one is wanted."""

    exit_code = 25
    meaning = "several images or platforms fit, and one has to be chosen"
    advice = "choose one of them"


DIFFERENT_EXIT_CODE = 1
"""What was compared differs: as ``diff`` ends, and no failure."""
USAGE_EXIT_CODE = 2
FINDINGS_EXIT_CODE = 30
"""Something is wrong with what was checked, as bad as was asked for: no failure."""
HUNG_UP_EXIT_CODE = 129
INTERRUPTED_EXIT_CODE = 130
TERMINATED_EXIT_CODE = 143
CLOSED_PIPE_EXIT_CODE = 141
