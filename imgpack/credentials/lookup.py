"""Which credential belongs to a repository: containers' and Docker's files and helpers.

containers-auth.json(5) and Docker's ``config.json``. The order of the sources:
what the user gave, then each file in its order. In one file the most specific
repository path comes first, then the host; ``credHelpers`` before ``credsStore``
before ``auths``. Invariants: nothing is read before a credential is asked for; a
file or helper that is broken is an error and never "no credentials" or another
host's, but an empty entry is none; no message and no ``repr`` holds a secret or a file's content.
"""

import base64
import json
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final, Protocol

from imgpack.credentials.program import Helper
from imgpack.errors import CredentialError, InvalidReferenceError, Remedy, without_user
from imgpack.files.reading import read_regular

FILE_LIMIT: Final = 4 << 20
"""Bytes of a credential file that are read at most."""
DOCKER_HUB: Final = "docker.io"
DOCKER_HUB_KEY: Final = "https://index.docker.io/v1/"
"""The name under which Docker's files and helpers know Docker Hub."""
_HUB_NAMES: Final = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
TOKEN_USER: Final = "<token>"
"""The user name by which a helper says that the secret is an identity token."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A user's secret for a registry; its repr shows no secret.

    Raises ``CredentialError`` for what is not text, and so cannot be sent.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        values = (self.username, self.password, self.identity_token, self.registry_token)
        try:
            "".join(values).encode()
        except UnicodeEncodeError:
            raise CredentialError(
                "a user name or password is not UTF-8 text", "give it in UTF-8"
            ) from None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything in it that must not be shown."""
        found = [self.password, self.identity_token, self.registry_token]
        for user, secret in ((self.username, self.password), (TOKEN_USER, self.identity_token)):
            found += _base64_forms(encode_auth(user, secret)) if secret else ()
        return tuple(secret for secret in found if secret)


def _base64_forms(text: str) -> tuple[str, ...]:
    """``text`` in the usual and in the URL-safe alphabet, with and without its padding."""
    safe = text.translate(str.maketrans("+/", "-_"))
    return text, text.rstrip("="), safe, safe.rstrip("=")


def encode_auth(username: str, password: str) -> str:
    """``base64(username:password)``, as files and Basic have it."""
    return base64.b64encode(f"{username}:{password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Given:
    """A credential that is known already: for one registry, or for any (``None``)."""

    credential: Credential
    registry: str | None = None


@dataclass(frozen=True, slots=True)
class CredentialFile:
    """One source: a file, or a JSON text with the name it is told by.

    ``required`` files were named by the user and must be there. ``legacy`` is
    ``~/.dockercfg``, whose whole document is what others have under ``auths``.
    """

    path: str
    text: str | None = field(default=None, repr=False)
    required: bool = False
    legacy: bool = False

    def read(self) -> dict[str, Any] | None:
        """The document, or ``None`` when the file is not there. Raises ``CredentialError``."""
        text = self.text if self.text is not None else self._content()
        if text is None:
            return None
        if not text.strip():
            return {}
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            raise CredentialError(
                f"{self.path}: not a valid JSON document", "repair or remove it"
            ) from None
        if not isinstance(document, dict):
            raise CredentialError(f"{self.path}: not a JSON object", "repair or remove it")
        return {"auths": document} if self.legacy else document

    def _content(self) -> str | None:
        try:
            data = read_regular(self.path, FILE_LIMIT + 1, follow=True)
        except (FileNotFoundError, NotADirectoryError):
            if self.required:
                raise CredentialError(
                    f"{self.path}: the credential file does not exist", "check REGISTRY_AUTH_FILE"
                ) from None
            return None
        except OSError as error:
            raise CredentialError(
                f"{self.path}: cannot be read ({error.strerror})", "check its type and permissions"
            ) from None
        if len(data) > FILE_LIMIT:
            raise CredentialError(f"{self.path}: longer than {FILE_LIMIT} bytes")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise CredentialError(f"{self.path}: not UTF-8 text", "repair or remove it") from None


class CredentialSource(Protocol):
    """Where credentials come from."""

    def find(self, registry: str, repository: str) -> Credential | None:
        """The credential for a repository. Raises ``CredentialError``."""


@dataclass(repr=False, eq=False, slots=True)
class CredentialStore:
    """Looks a repository up in the sources, in their order. Safe to call from any thread.

    ``search_path`` is where helper programs are looked for (the value of PATH),
    ``environment`` what they get, ``helper_timeout`` how long one may take.
    """

    sources: tuple[CredentialFile, ...] = ()
    given: Given | None = None
    _: KW_ONLY
    search_path: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    helper_timeout: float = 30.0
    _given_to: str | None = field(default=None, init=False)
    _documents: dict[str, dict[str, Any] | None] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def find(self, registry: str, repository: str = "") -> Credential | None:
        """The credential for ``registry/repository``; ``None``: go on anonymously.

        Raises ``CredentialError`` for a broken file or helper.
        """
        with self._lock:
            if self.given is not None and self._is_meant(self.given, registry):
                return self.given.credential
            for source in self.sources:
                if source.path not in self._documents:
                    self._documents[source.path] = source.read()
                document = self._documents[source.path]
                if document is None:
                    continue
                found = self._find_in(source.path, document, registry, repository)
                if found is not None:
                    return found
        return None

    def _is_meant(self, given: Given, registry: str) -> bool:
        """Whether the given credential is for ``registry``; it never goes to two of them."""
        if given.registry is not None:
            return registry_key(given.registry) == registry_key(registry)
        if self._given_to not in (None, registry_key(registry)):
            raise CredentialError(
                f"the given credentials would go to both {self._given_to} and {registry}",
                Remedy.LOG_IN_EACH(),
            )
        self._given_to = registry_key(registry)
        return True

    def _find_in(
        self, path: str, document: dict[str, Any], registry: str, repository: str
    ) -> Credential | None:
        auths = table(path, document, "auths")
        for name in candidates(registry, repository):
            if helper := helper_name(path, document, name):
                return self._ask(path, helper, name)
            entries = (_parse_entry(path, key, auths[key]) for key in spellings(auths, name))
            credential = next((found for found in entries if found is not None), None)
            store = document.get("credsStore")
            if store and "/" not in name:
                credential = self._ask(path, store, name) or credential
            if credential is not None:
                return credential
        return None

    def helper(self, path: str, name: object) -> Helper:
        """The helper program that the file at ``path`` configures."""
        return Helper.locate(
            path, name, self.search_path, environment=self.environment, timeout=self.helper_timeout
        )

    def _ask(self, path: str, name: object, key: str) -> Credential | None:
        helper = self.helper(path, name)
        for server in helper_names(key):
            answer = helper.get(server)
            if answer is not None:
                username, secret = answer
                if username == TOKEN_USER:
                    return Credential(identity_token=secret)
                return Credential(username, secret)
        return None


def registry_name(registry: str) -> str:
    """A registry as it is written down: Docker Hub has one name of its many."""
    return DOCKER_HUB if registry.lower() in _HUB_NAMES else registry.lower()


def registry_key(registry: str) -> str:
    """What tells a registry from others: its name without the usual port of http or https."""
    return registry_name(re.sub(r"(?<=[^:\[]):(?:80|443)$", "", registry))


def server_host(text: str) -> str:
    """The registry that a user means: ``host[:port]``, given with a scheme or not.

    Raises ``CredentialError`` when it is none.
    """
    host = registry_name(_bare(text))
    found = re.fullmatch(r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", host)
    if found is None or not 0 < int(found[1] or 1) < 1 << 16:
        raise InvalidReferenceError(
            f"{without_user(text)!r} is no registry", "give HOST or HOST:PORT"
        )
    return host


def normalise_key(key: str) -> str:
    """A file's key as ``host[:port][/path]``: without scheme, usual port, ``/v1/`` and ``/v2/``."""
    host, slash, path = _bare(key).partition("/")
    return registry_key(host) + slash + path


def _bare(key: str) -> str:
    key = re.sub(r"^https?://", "", key.strip(), flags=re.IGNORECASE).rstrip("/")
    host, _, path = key.partition("/")
    return host if path in ("v1", "v2") else key


def spellings(keys: Iterable[str], name: str) -> list[str]:
    """The ``keys`` that mean ``name``, by rank.

    As it is asked for; without a scheme; with https; with http; in the file's order.
    """
    wanted, exact = normalise_key(name), server_name(name)

    def rank(key: str) -> int:
        schemes = ("https://", "http://")
        scheme = next((s for s in schemes if key.strip().lower().startswith(s)), "")
        return 0 if key == exact else 1 + ("", *schemes).index(scheme)

    return sorted((key for key in keys if normalise_key(key) == wanted), key=rank)


def server_name(key: str) -> str:
    """What helpers and Docker's file call a registry or a path in one."""
    return DOCKER_HUB_KEY if key == DOCKER_HUB else key


def helper_names(registry: str) -> tuple[str, ...]:
    """The names under which a helper may know a registry: as it is asked for, then its key."""
    return tuple(dict.fromkeys((server_name(registry), server_name(normalise_key(registry)))))


def candidates(registry: str, repository: str) -> Iterator[str]:
    """The names under which a credential may stand, the most specific path first."""
    host = registry_name(registry)
    parts = repository.split("/") if repository else []
    for count in range(len(parts), 0, -1):
        yield f"{host}/{'/'.join(parts[:count])}"
    yield host


def table(path: str, document: dict[str, Any], name: str) -> dict[str, Any]:
    """An object in a file's document, empty if it is not there. Raises ``CredentialError``."""
    found = document.get(name)
    if found is not None and not isinstance(found, dict):
        raise CredentialError(f"{path}: {name} is not a JSON object", "repair or remove it")
    return found or {}


def helper_name(path: str, document: dict[str, Any], name: str) -> object:
    """What ``credHelpers`` says for a registry or a path in one; ``None`` if nothing."""
    helpers = table(path, document, "credHelpers")
    return next((helpers[key] for key in spellings(helpers, name) if helpers[key]), None)


def _parse_entry(path: str, name: str, entry: object) -> Credential | None:
    """One value of ``auths``; an empty one (Docker's mark for a stored secret) is none."""
    if not isinstance(entry, dict):
        raise CredentialError(f"{path}: the entry for {name} is not a JSON object", "repair it")
    values = {key: entry.get(key) or "" for key in _ENTRY_KEYS}
    if not all(isinstance(value, str) for value in values.values()):
        raise CredentialError(f"{path}: the entry for {name} has values that are not text")
    username, password = values["username"], values["password"]
    if values["auth"]:
        try:
            wrapped = "".join(values["auth"].split())  # as base64(1) writes it
            decoded = base64.b64decode(wrapped, validate=True).decode()
            username, colon, password = decoded.partition(":")
        except ValueError:
            colon = ""
        if not colon:
            raise CredentialError(
                f"{path}: the auth of {name} is not base64 of user:password", "log in again"
            ) from None
        # Docker's Windows client padded with NUL.
        password = password.strip("\0")
    if not re.fullmatch(r"[!-~]*", values["registrytoken"]):
        raise CredentialError(f"{path}: the registrytoken of {name} is not usable", "log in again")
    tokens = values["identitytoken"], values["registrytoken"]
    try:
        credential = Credential(username, password, *tokens)
    except CredentialError as error:
        raise CredentialError(f"{path}: the entry for {name}: {error.message}") from None
    return credential if credential.secrets else None


_ENTRY_KEYS: Final = ("auth", "username", "password", "identitytoken", "registrytoken")
