"""What goes into a layer by its name and is hardly meant to, where nobody said what is.

Told once for each kind of thing, however many there are. Not told: what lies where a root
file system has its own (``/etc/ssl/private``, what packages install below ``/usr/lib``).
"""

import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from imgpack.errors import brief
from imgpack.tree.entry import Entry

_HISTORY: Final = "the history of a repository"
_SETTINGS: Final = "settings that are often secret"
_KEY: Final = "a private key"
_CREDENTIALS: Final = "credentials"
_KINDS: Final = {
    b".git": _HISTORY, b".hg": _HISTORY, b".svn": _HISTORY,
    b".env": _SETTINGS, b".env.local": _SETTINGS, b".env.production": _SETTINGS,
    b"id_rsa": _KEY, b"id_dsa": _KEY, b"id_ecdsa": _KEY, b"id_ed25519": _KEY,
    b".aws/credentials": _CREDENTIALS, b".git-credentials": _CREDENTIALS,
    b".npmrc": _CREDENTIALS, b".pypirc": _CREDENTIALS, b".netrc": _CREDENTIALS,
    b".pgpass": _CREDENTIALS, b".docker/config.json": _CREDENTIALS,
    b".config/containers/auth.json": _CREDENTIALS, b".kube/config": _CREDENTIALS,
    b"gcloud/application_default_credentials.json": _CREDENTIALS,
}  # fmt: skip
_MAY_BE_KEYS: Final = (b".pem", b".key")
"""Certificates and much else have these, too: whether it is a key, the beginning says."""
SUSPECT_ENDS: Final = frozenset(name[-3:] for name in (*_KINDS, *_MAY_BE_KEYS))
"""The last three bytes of every such path, and of some others: this is asked of every entry."""
_OF_A_ROOT: Final = (b"etc/", b"lib/", b"usr/lib/", b"usr/share/", b"var/lib/")
_HEAD: Final = 4096
_MARK: Final = b"PRIVATE KEY-----"
_NAMED: Final = 3
"""Paths of one kind that are named; the others are counted."""


class Suspects:
    """The suspects that were met, by kind."""

    def __init__(self) -> None:
        self._paths: dict[str, list[bytes]] = {}
        self._count: dict[str, int] = {}

    def look(self, entry: Entry) -> None:
        """Remember ``entry``, whose path has one of the ``SUSPECT_ENDS``, if it is one."""
        path, kind = entry.path, _suspected(entry)
        if kind is not None:
            self._count[kind] = self._count.get(kind, 0) + 1
            named = self._paths.setdefault(kind, [])
            if len(named) < _NAMED:
                named.append(path)

    def warnings(self) -> Iterator[str]:
        """A line for each kind."""
        for kind, paths in self._paths.items():
            more = self._count[kind] - len(paths)
            shown = ", ".join("/" + brief(path) for path in paths)
            yield (
                f"what goes into the image looks like {kind}: {shown}"
                + (f" and {more} more" if more else "")
                + "; name what should not in a .dockerignore (an empty one says that it should)"
            )


def is_suspect(entry: Entry) -> bool:
    """Whether ``Suspects`` remember ``entry``, whose path has one of the ``SUSPECT_ENDS``."""
    return _suspected(entry) is not None


def _suspected(entry: Entry) -> str | None:
    return None if entry.path.startswith(_OF_A_ROOT) else _kind(entry)


def _kind(entry: Entry) -> str | None:
    path = entry.path
    parts = path.rsplit(b"/", 3)
    ends = (b"/".join(parts[-count:]) for count in range(1, len(parts) + 1))
    kind = next((_KINDS[end] for end in ends if end in _KINDS), None)
    if kind is not None:
        # A file .git only says where the repository lies.
        fits = stat.S_ISDIR if kind is _HISTORY else stat.S_ISREG
        return kind if fits(entry.mode) else None
    if not path.endswith(_MAY_BE_KEYS) or not stat.S_ISREG(entry.mode):
        return None
    with suppress(OSError), entry.open() as file:
        return _KEY if _MARK in file.read(min(_HEAD, entry.size)) else None
    return None
