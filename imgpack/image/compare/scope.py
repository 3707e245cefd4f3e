"""What of two images is compared, and what is not to count."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from imgpack.tree.below import is_below
from imgpack.tree.exclusion import Exclusion


class Section(Enum):
    """A part of an image that is compared on its own."""

    MANIFEST = "manifest"
    CONFIG = "config"
    HISTORY = "history"
    LAYERS = "layers"
    FILES = "files"


class Ignored(Enum):
    """What two images may have otherwise, and are the same."""

    MTIME = "mtime"
    CREATED = "created"
    MODE = "mode"
    OWNER = "owner"
    XATTRS = "xattrs"
    LINKS = "links"
    CONTENT = "content"
    COMPRESSION = "compression"
    LABELS = "labels"
    ANNOTATIONS = "annotations"


FILE_FIELDS: Final = (
    "type", "mode", "uid", "gid", "size", "mtime", "target", "device", "xattrs", "content", "links",
)  # fmt: skip
_OF_FILES: Final = {
    Ignored.MTIME: ("mtime",),
    Ignored.MODE: ("mode",),
    Ignored.OWNER: ("uid", "gid"),
    Ignored.XATTRS: ("xattrs",),
    Ignored.LINKS: ("links",),
    Ignored.CONTENT: ("size", "content"),
}


@dataclass(frozen=True, slots=True)
class ComparisonScope:
    """The ``sections`` that are compared; of files those at or below ``paths`` (empty: all).

    What ``excluded`` leaves out, and what is ``ignored``, does not count, wherever it shows.
    """

    sections: frozenset[Section] = frozenset(Section)
    ignored: frozenset[Ignored] = frozenset()
    paths: tuple[bytes, ...] = ()
    excluded: Exclusion | None = None

    @property
    def fields(self) -> frozenset[str]:
        """The fields of files that count."""
        gone = {name for one in self.ignored for name in _OF_FILES.get(one, ())}
        return frozenset(FILE_FIELDS) - gone

    @property
    def loose(self) -> bool:
        """Whether layers with different bytes may be the same for all that counts."""
        return bool(self.paths or self.excluded or self.ignored & _OF_FILES.keys())


class ChosenPaths:
    """Which paths a ``ComparisonScope`` is about; they are asked for in the order of a tree."""

    def __init__(self, scope: ComparisonScope) -> None:
        self._paths = scope.paths
        self._excluded = scope.excluded
        self._inside: list[tuple[bytes, int]] = [(b"", 0)]
        self._gone = b""

    @property
    def all(self) -> bool:
        """Whether every path is one of them."""
        return not self._paths and self._excluded is None

    def __contains__(self, path: bytes) -> bool:
        if self._paths and not any(is_below(path, one) for one in self._paths):
            return False
        return self._excluded is None or not path or self._kept(self._excluded, path)

    def _kept(self, excluded: Exclusion, path: bytes) -> bool:
        inside = path + b"/"
        if self._gone and inside.startswith(self._gone):
            return False
        while not inside.startswith(self._inside[-1][0]):
            self._inside.pop()
        above, hits = self._inside[-1]
        kept = True
        for name in inside[len(above) : -1].split(b"/") if len(inside) > len(above) else ():
            sifted = excluded.sift(above, [name], hits)
            above += name + b"/"
            if sifted.out:
                self._gone = above
                return False
            kept = not sifted.hidden
            hits = sifted.hidden[name][0] if sifted.hidden else sifted.hits.get(name, hits)
            self._inside.append((above, hits))
        return kept
