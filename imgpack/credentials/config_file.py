"""Storing and forgetting credentials in Docker's and containers' files.

Docker's ``config.json`` and containers-auth.json(5). Invariants: a file is
replaced whole or not at all and has mode 0600; whatever else it holds is kept;
when it names a helper, the secret goes to the helper and not into the file; an
entry that would hide the new one is replaced; two of us at the same time lose
nothing of each other's; what a killed one left, which may hold a secret, is removed.
"""

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator
from typing import Any, Final

from imgpack.credentials.lookup import (
    Credential,
    CredentialFile,
    CredentialStore,
    encode_auth,
    helper_name,
    helper_names,
    registry_name,
    server_name,
    spellings,
    table,
)
from imgpack.credentials.program import Helper
from imgpack.errors import CredentialError
from imgpack.files.atomic import replace_file, sweep

_EARLIER: Final = re.compile(r"\.imgpack-[a-z0-9_]{8}")


def choose_file(sources: tuple[CredentialFile, ...], registry: str, default: str) -> str:
    """Where a login for ``registry`` is stored: the first file that knows it, or ``default``.

    So a new login is never hidden by an older one in a file that is read earlier.
    """
    name = registry_name(registry)
    for source in sources:
        document = _document(source)
        if document and _mentions(document, name):
            return _replaceable(source.path)
    return _replaceable(default)


def store_credential(
    path: str, registry: str, credential: Credential, store: CredentialStore
) -> Helper | None:
    """Store a user name and password in ``path``, or in the helper that it names.

    Returns the helper, or ``None`` when the file holds the secret itself.
    Raises ``CredentialError``.
    """
    name = registry_name(registry)
    with _locked(path):
        document = CredentialFile(path).read() or {}
        helper = _helper_of(path, document, name, store)
        auths = _others(path, document, name)
        secret = encode_auth(credential.username, credential.password)
        auths[server_name(name)] = {"auth": secret} if helper is None else {}
        data = _encoded({**document, "auths": auths})
        if helper is not None:
            helper.store(server_name(name), credential.username, credential.password)
        _replace(path, data)
    return helper


def erase_credential(
    sources: tuple[CredentialFile, ...], registry: str, store: CredentialStore
) -> tuple[str, ...]:
    """Forget ``registry`` in every file and helper that knows it; the paths that did.

    Raises ``CredentialError``.
    """
    name = registry_name(registry)
    for source in sources:
        if _is_written(source):  # though it may not be there yet: a first login was killed
            _sweep(os.path.realpath(source.path))
    return tuple(s.path for s in sources if _document(s) and _erased(s, name, store))


def _erased(source: CredentialFile, name: str, store: CredentialStore) -> bool:
    with _locked(source.path):
        document = _document(source) or {}
        helper = _helper_of(source.path, document, name, store)
        known_as = helper_names(name) if helper is not None else ()
        erased = sum(helper.erase(one) for one in known_as if helper is not None) > 0
        auths = _others(source.path, document, name)
        known = len(auths) < len(table(source.path, document, "auths"))
        if known:
            _replace(source.path, _encoded({**document, "auths": auths}))
    return known or erased


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Keep other processes of ours from the file; its directory is locked, so no file is left.

    Where that is not possible we go on: a file system without locks, a directory that
    cannot be made (which writing will tell).
    """
    directory = os.path.dirname(os.path.realpath(path))
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            os.makedirs(directory, mode=0o700, exist_ok=True)
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, fd)
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield


def _document(source: CredentialFile) -> dict[str, Any] | None:
    """A file's document if it is one that is written to; one that is not there yet is ``None``."""
    return CredentialFile(source.path).read() if _is_written(source) else None


def _is_written(source: CredentialFile) -> bool:
    return source.text is None and not source.legacy


def _others(path: str, document: dict[str, Any], name: str) -> dict[str, Any]:
    """The entries of ``auths`` for everything else than ``name``."""
    auths = table(path, document, "auths")
    same = spellings(auths, name)
    return {key: value for key, value in auths.items() if key not in same}


def _mentions(document: dict[str, Any], name: str) -> bool:
    tables = (document.get("auths"), document.get("credHelpers"))
    return any(spellings(entries, name) for entries in tables if isinstance(entries, dict))


def _helper_of(
    path: str, document: dict[str, Any], name: str, store: CredentialStore
) -> Helper | None:
    program = helper_name(path, document, name) or document.get("credsStore")
    return store.helper(path, program) if program else None


def _encoded(document: dict[str, Any]) -> bytes:
    """The file's bytes; all ASCII, because UTF-8 cannot say every string that JSON can."""
    return json.dumps(document, indent="\t").encode("ascii") + b"\n"


def _replace(path: str, data: bytes) -> None:
    """Replace the file (the target, if it is a link) at once, readable by its owner only."""
    target = os.path.realpath(_replaceable(path))
    try:
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        _sweep(target)
        replace_file(target, data, mode=0o600)
    except OSError as error:
        raise CredentialError(
            f"{path}: cannot be written ({error.strerror})", "check the directory's permissions"
        ) from None


def _replaceable(path: str) -> str:
    """``path``, unless what lies there is no regular file: a device would be lost for all."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise CredentialError(
            f"{path}: not a regular file, so no credentials can be stored there",
            "name another with REGISTRY_AUTH_FILE",
        )
    return path


def _sweep(target: str) -> None:
    """Remove what killed logins left beside the file; earlier versions gave it other names."""
    directory, name = os.path.split(target)
    sweep(directory, name)
    with contextlib.suppress(OSError), os.scandir(directory) as listing:
        for item in listing:
            if _EARLIER.fullmatch(item.name) and item.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    os.unlink(item.path)
