"""What the files of a git repository say: the commit that is checked out, and where from.

Sources: git's ``gitrepository-layout(5)``, ``gitglossary(7)`` and ``git-config(1)``. No program
is run and no object is read. Invariants: every file is bounded and regular; of its text only what
is a commit's name or an address of the known forms is given on, the latter without its user
and password; a hostile repository can name another one, and harms nothing else.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from imgpack.files.reading import read_regular

_COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REF: Final = re.compile(r"ref:\s*(refs/[^\x00-\x20\x7f~^:?*\[\\]{1,250})")
_SECTION: Final = re.compile(r'\[\s*([A-Za-z0-9.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]\s*(.*)')
_URL: Final = re.compile(r"url\s*=\s*(.*)", re.IGNORECASE)
_SCP: Final = re.compile(r"(?:[^@/\s]+@)?([A-Za-z0-9][A-Za-z0-9.-]*):(?!/)([^\s:]+)")
_HOST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}")
_PATH: Final = re.compile(r"[A-Za-z0-9._~/+-]{1,1000}")
_SCHEMES: Final = frozenset({"https", "http", "ssh", "git", "git+ssh", "git+https"})

_SMALL: Final = 1 << 12
"""Bytes of a file that holds one line."""
_CONFIG: Final = 1 << 20
_PACKED: Final = 1 << 25
"""Bytes of ``packed-refs``: half a million refs."""
_LINKS: Final = 5
"""Symbolic refs that git follows one after the other."""
_ABOVE: Final = 64
"""Directories that are looked into for a repository."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """A working tree at ``top``: its commit in hex, and the https URL of its ``origin``."""

    top: str
    revision: str | None = None
    origin: str | None = None


def find_checkout(directory: str) -> Checkout | None:
    """That which ``directory`` is in; ``None`` if it is in none that can be read.

    One that belongs to another user than the directory, and not to root, is not believed.
    """
    top = os.path.realpath(directory)
    owners = {0, os.stat(top).st_uid}
    for _ in range(_ABOVE):
        place = os.path.join(top, ".git")
        with suppress(OSError, ValueError):
            if os.lstat(place).st_uid not in owners:
                return None
            own = _git_directory(place)
            shared = _shared(own)
            return Checkout(top, _revision(own, shared), _origin(shared))
        above = os.path.dirname(top)
        if above == top:
            break
        top = above
    return None


def _git_directory(place: str) -> str:
    """Where ``.git`` is: a directory, or a file that names it, of a worktree or a submodule."""
    if os.path.isdir(place):
        return place
    text = _read(place, _SMALL)
    if not text.startswith("gitdir:"):
        raise ValueError(place)
    return os.path.join(os.path.dirname(place), text.removeprefix("gitdir:").strip())


def _shared(own: str) -> str:
    """The directory of what all worktrees share."""
    try:
        return os.path.join(own, _read(os.path.join(own, "commondir"), _SMALL).strip())
    except FileNotFoundError:
        return own


def _revision(own: str, shared: str) -> str | None:
    text = _read(os.path.join(own, "HEAD"), _SMALL).strip()
    for _ in range(_LINKS):
        if _COMMIT.fullmatch(text):
            return text
        match = _REF.fullmatch(text)
        if match is None or not _is_below(match[1]):
            return None
        text = _of_ref(match[1], own, shared)
    return None


def _is_below(ref: str) -> bool:
    """Whether a ref is no way out of the repository."""
    return not any(part in ("", ".", "..") for part in ref.split("/"))


def _of_ref(ref: str, own: str, shared: str) -> str:
    """What a ref says: a file of its own, else a line of ``packed-refs``; else nothing."""
    for directory in (own, shared):
        with suppress(OSError, ValueError):
            return _read(os.path.join(directory, ref), _SMALL).strip()
    with suppress(OSError, ValueError):
        for line in _read(os.path.join(shared, "packed-refs"), _PACKED).splitlines():
            commit, _, name = line.partition(" ")
            if name == ref:
                return commit
    return ""


def _origin(shared: str) -> str | None:
    """The address of the remote ``origin``."""
    with suppress(OSError, ValueError):
        for line in _of_origin(_read(os.path.join(shared, "config"), _CONFIG)):
            if match := _URL.fullmatch(line):
                return plain_url(match[1].strip().strip('"'))
    return None


def _of_origin(text: str) -> Iterator[str]:
    """The lines of the section ``[remote "origin"]``."""
    inside = False
    for whole in text.splitlines():
        line = whole.strip()
        if match := _SECTION.fullmatch(line):
            inside = (match[1].lower(), match[2]) == ("remote", "origin")
            line = match[3]
        if inside and line and line[0] not in "#;":
            yield line


def plain_url(text: str) -> str | None:
    """The https URL of a remote, however it is reached; ``None`` for one on this machine.

    Two clones of one repository, by https and by ssh, have the same. Users, passwords,
    ports of ssh, queries and the end ``.git`` are not in it.
    """
    if "://" not in text:
        match = _SCP.fullmatch(text)
        return None if match is None else _https(match[1], "", match[2])
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if parts.scheme not in _SCHEMES:
        return None
    web = parts.scheme in ("https", "http", "git+https")
    return _https(host, f":{port}" if web and port not in (None, 80, 443) else "", parts.path)


def _https(host: str, port: str, path: str) -> str | None:
    path = path.strip("/").removesuffix(".git")
    if not (_HOST.fullmatch(host) and _PATH.fullmatch(path)):
        return None
    return f"https://{host.lower()}{port}/{path}"


def _read(path: str, limit: int) -> str:
    """The text of a small file. Raises ``OSError``, and ``ValueError`` if it is none."""
    raw = read_regular(path, limit + 1)
    if len(raw) > limit:
        raise ValueError(f"{path} is too long")
    return raw.decode()
