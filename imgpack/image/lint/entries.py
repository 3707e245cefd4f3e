"""What is wrong with the entries of an image or tree, one by one: no bytes are read."""

import stat
from collections.abc import Iterator
from typing import Final, NamedTuple

from imgpack.errors import brief
from imgpack.image.files.files import ImageFiles
from imgpack.image.lint.findings import LintFindings
from imgpack.tree.secrets.names import suspected
from imgpack.tree.tree import Tree

_MAX_ID: Final = 65535
_MAX_PATH: Final = 4095
_MAX_LINKS: Final = 65000
"""``EXT4_LINK_MAX``."""
_SET_ID: Final = stat.S_ISUID | stat.S_ISGID
_TO_OTHERS: Final = stat.S_IWOTH
_CACHES: Final = (
    b"var/lib/apt/lists/", b"var/cache/apt/archives/", b"var/cache/apk/", b"var/cache/dnf/",
    b"var/cache/yum/", b"root/.cache/pip/", b"root/.npm/_cacache/",
)  # fmt: skip
_OF_PACKAGES: Final = (b"lib/", b"usr/lib/", b"usr/lib64/", b"usr/share/", b"var/lib/")
"""Where packages install: what looks like a secret there is an example, or is tested with."""
_EXAMPLES: Final = frozenset({
    b"node_modules", b"site-packages", b"dist-packages", b"vendor", b"test", b"tests",
    b"testdata", b"fixtures", b"example", b"examples", b"doc", b"docs",
})  # fmt: skip
_CONFIGURED: Final = b"etc/ld.so.conf.d/"
_MOST_CONFIGURED: Final = 1000


class Laying(NamedTuple):
    """An entry of a layer: what the rules ask of it.

    ``layer`` is counted from 0, ``held`` the one with the bytes, ``by`` the one that hides it
    (its own, if it shows), ``place`` of its member in ``held``; all ``None`` or 0 of a tree.
    ``links`` are paths of one file.
    """

    path: bytes
    mode: int
    uid: int
    gid: int
    size: int
    links: int
    layer: int | None = None
    held: int | None = None
    by: int | None = None
    place: int = 0

    @property
    def deleted_by(self) -> int | None:
        """The layer that hides it, if one does."""
        return None if self.by == self.layer else self.by


def of_image(files: ImageFiles) -> Iterator[Laying]:
    """All entries of all layers of an image. Raises as ``Applied.laid``."""
    for row, layer, by, _, held in files.laid():
        yield Laying(
            row.path, row.mode, row.uid, row.gid, row.size, row.links, layer, held, by, row.place
        )


def of_tree(tree: Tree) -> Iterator[Laying]:
    """The entries of a tree. Raises as ``Tree.entries``."""
    for entry in tree.entries():
        yield Laying(entry.path, entry.mode, entry.uid, entry.gid, entry.size, entry.links)


def may_be_secret(path: bytes) -> bool:
    """Whether a file that looks like a secret there is not one that a package has."""
    return not path.startswith(_OF_PACKAGES) and _EXAMPLES.isdisjoint(path.split(b"/"))


class EntryCheck:
    """The check of entries, that comes to know some of them on the way.

    ``configured`` are the files in /etc/ld.so.conf.d.
    """

    def __init__(self, findings: LintFindings) -> None:
        self._findings = findings
        self._cached: set[bytes] = set()
        self.configured: list[bytes] = []

    def look(self, one: Laying) -> None:
        """Add what is wrong with ``one``."""
        mode = one.mode
        self._check_loading(one)
        kind = suspected(one.path, mode)
        if kind is not None and may_be_secret(one.path):
            self._add("secret-file", f"/{brief(one.path)} looks like {kind}", one)
        if one.by != one.layer:
            return
        if mode & _TO_OTHERS or (mode & _SET_ID and stat.S_ISREG(mode)):
            self._check_mode(one)
        if one.path.startswith(_CONFIGURED) and len(self.configured) < _MOST_CONFIGURED:
            self.configured.append(b"/" + one.path)
        if one.path.startswith(_CACHES) and one.size and stat.S_ISREG(mode):
            self._check_cache(one)

    def _check_mode(self, one: Laying) -> None:
        shown, mode = brief(one.path), stat.S_IMODE(one.mode)
        if stat.S_ISREG(one.mode):
            if mode & _TO_OTHERS:
                self._add("world-writable-file", f"/{shown} has the mode {mode:04o}", one)
            if mode & _SET_ID and mode & 0o111:
                owner = one.uid if mode & stat.S_ISUID else one.gid
                whose = "user" if mode & stat.S_ISUID else "group"
                self._add("set-id-program", f"/{shown} runs as the {whose} {owner}", one)
        elif stat.S_ISDIR(one.mode) and not mode & stat.S_ISVTX:
            self._add("world-writable-directory", f"/{shown} has the mode {mode:04o}", one)

    def _check_loading(self, one: Laying) -> None:
        path, mode = one.path, one.mode
        if one.uid > _MAX_ID or one.gid > _MAX_ID:
            self._add("uid-too-large", f"/{brief(path)} is of {one.uid}:{one.gid}", one)
        if one.held != one.layer:
            self._add(
                "hard-link-to-lower-layer", f"/{brief(path)} is a link to what is in layer "
                f"{(one.held or 0) + 1}", one,
            )  # fmt: skip
        if one.links > _MAX_LINKS and not stat.S_ISDIR(mode):
            self._add("hard-link-count", f"/{brief(path)} has {one.links} names", one)
        if len(path) > _MAX_PATH:
            self._add("path-too-long", f"/{brief(path)} has {len(path)} bytes", one)
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            self._add("device-file", f"/{brief(path)} is a device", one)

    def _check_cache(self, one: Laying) -> None:
        cache = next(place for place in _CACHES if one.path.startswith(place)).rstrip(b"/")
        if cache not in self._cached:
            self._cached.add(cache)
            self._findings.add("package-cache", f"/{brief(cache)} has files", cache, one.layer)

    def _add(self, rule: str, message: str, one: Laying) -> None:
        self._findings.add(rule, message, one.path, one.layer, deleted_by=one.deleted_by)
