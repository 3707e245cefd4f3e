"""The image that the layers below make: what is at a path, and where a path leads.

A layer goes over what is there: a directory that a lower layer has stays what it is, a
symbolic link on the way is followed as the image has it (never as the host does), and
what a layer in between deleted or replaced is gone. Source: image-spec ``layer.md``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from imgpack.errors import LimitError, TreeError, printable
from imgpack.tree.entry import OPAQUE_NAME, WHITEOUT, Entry, made_up_directory
from imgpack.tree.tree import WHITEOUT_PREFIX, Tree, join

_MAX_LINKS: Final = 255
"""Symbolic links that one path may lead through; Linux follows 40, some builders more."""
_MAX_PATH: Final = 4096
"""Bytes of a path that Linux takes, with its end: in what is missing nothing is at a longer one."""
_MAX_NAMES: Final = 2048
"""Names that links may put into one path: as many as in the longest target that Linux takes."""
_TYPE: Final = 0o170000
_LINK: Final = 0o120000
_FILE: Final = 0o100000
MAX_FILE: Final = 16 << 20
"""Bytes of a file of accounts that is read."""


@runtime_checkable
class Listable(Protocol):
    """A tree that knows the names in a directory without a look at all the others."""

    def names(self, path: bytes) -> Iterable[bytes]:
        """The names in the directory ``path``, which is empty for the root."""


View = Callable[[Entry], Entry | None]
"""An entry as a layer's transforms leave it."""


@dataclass(frozen=True, slots=True)
class Laid:
    """A tree as its layer lies in the image.

    It is at ``dest``, the directories ``redirects`` of it at other paths, through links
    below. What it has is seen through ``view``. The attributes of its directories are its
    own, whatever lower layers say of them, if it is ``exact``, or they are among ``named``.
    """

    tree: Tree
    dest: bytes = b""
    redirects: Mapping[bytes, bytes] = field(default_factory=dict)
    view: View = lambda entry: entry
    exact: bool = False
    named: frozenset[bytes] = frozenset()

    def find(self, path: bytes) -> Entry | None:
        """What it has at a path of the image."""
        for own in self.sources(path):
            found = self.tree.find(own)
            seen = None if found is None else self.view(found._replace(path=path))
            if seen is not None:
                return seen
        return None

    def leads_to_it(self, path: bytes) -> bool:
        """Whether ``path`` is a directory on the way to its destination."""
        return self.dest.startswith(path + b"/") if path else bool(self.dest)

    def made_up(self, path: bytes) -> Entry | None:
        """A directory on that way, as it is made if nobody has it."""
        root = self.tree.find(b"")
        return self.view(made_up_directory(path, root.mtime_ns if root else 0))

    def hides(self, path: bytes) -> bool:
        """Whether it has something above ``path`` behind which nothing of lower layers is."""
        while path:
            path = path.rpartition(b"/")[0]
            found = self.find(path) if path else None
            if found is not None and not found.is_directory:
                return True
            if self.find(join(path, OPAQUE_NAME)) is not None:
                return True
        return False

    def says(self, path: bytes) -> bool:
        """Whether a directory is what it says, and not what lower layers do."""
        if self.exact or path in self.named:
            return True
        return self.find(join(path, OPAQUE_NAME)) is not None

    def names(self, path: bytes) -> Iterable[bytes]:
        """The names that it has in a directory of the image."""
        if self.leads_to_it(path):
            yield self.dest[len(path) + 1 if path else 0 :].partition(b"/")[0]
        if isinstance(self.tree, Listable):
            for own in self.sources(path):
                yield from self.tree.names(own)
            return
        inside = path + b"/" if path else b""
        for entry in self.tree.entries():
            there = redirected(join(self.dest, entry.path), self.redirects)
            if there.startswith(inside) and b"/" not in there[len(inside) :]:
                yield there[len(inside) :]

    def sources(self, path: bytes) -> Iterable[bytes]:
        """The paths of the tree that lie at ``path`` in the image."""
        found = [
            join(own, inside)
            for own, there in self.redirects.items()
            if (inside := strip(there, path)) is not None
        ]
        for place in (*found, path):
            inside = strip(self.dest, place)
            if inside is not None and redirected(place, self.redirects) == path:
                yield inside


class Below:
    """The layers below, bottom first; ``steps`` counts the names that were looked for on ways."""

    def __init__(self, layers: Sequence[Laid] = ()) -> None:
        self._layers = tuple(layers)
        self.steps = 0

    def __bool__(self) -> bool:
        return bool(self._layers)

    def over(self, layer: Laid) -> "Below":
        """These layers and one more."""
        return Below((*self._layers, layer))

    def find(self, path: bytes) -> Entry | None:
        """What is at ``path``, none of whose parents is a link; no link is followed."""
        found: Entry | None = None
        made_up: Laid | None = None
        for number in range(len(self._layers))[::-1]:
            layer = self._layers[number]
            if layer.leads_to_it(path):
                made_up = layer
                continue
            one = layer.find(path)
            if one is None:
                if number and layer.hides(path):
                    break
                continue
            if one.mode & _TYPE == WHITEOUT or not (found is None or one.is_directory):
                break
            found = one
            # A directory is what the lowest layer says of it: the others keep that.
            if not (one.is_directory and number) or layer.says(path) or layer.hides(path):
                break
        if found is None and made_up is not None:
            return made_up.made_up(path)
        return found

    def names(self, path: bytes) -> list[bytes]:
        """The names in the directory ``path``, in order."""
        names = {name for layer in self._layers for name in layer.names(path)}
        found = (name for name in names if name and not name.startswith(WHITEOUT_PREFIX))
        return sorted(name for name in found if self.find(join(path, name)) is not None)

    def resolve(self, path: bytes, shown: bytes, *, file: bool = False) -> bytes:
        """``path`` with the links on its way, and it itself, followed as the image has them.

        What is missing stays as it is written; at the end may be a ``file``. Raises
        ``TreeError`` naming ``shown`` for a way through something that is no directory, and
        for links without an end.
        """
        pending = [part for part in reversed(path.split(b"/")) if part not in _NOTHING]
        way: list[bytes] = []
        missing = False
        followed = named = 0
        while pending:
            part = pending.pop()
            if part == b"..":
                if missing:
                    raise TreeError(
                        f"{printable(shown)} leads through a symlink into "
                        f"/{printable(b'/'.join(way))}/.., and no lower layer has that directory",
                        "choose another path",
                    )
                del way[-1:]
                continue
            self.steps += 1
            here = b"/".join((*way, part))
            found = None if missing and len(here) > _MAX_PATH else self.find(here)
            if found is not None and found.mode & _TYPE == _LINK:
                target = found.target()
                names = [name for name in reversed(target.split(b"/")) if name not in _NOTHING]
                followed, named = followed + 1, named + len(names)
                if followed > _MAX_LINKS or named > _MAX_NAMES:
                    raise TreeError(
                        f"{printable(shown)} leads through too many symlinks",
                        "they may lead in a circle: choose another path",
                    )
                if target.startswith(b"/"):
                    way.clear()
                pending += names
                continue
            if not (found is None or found.is_directory or (file and not pending)):
                itself = not pending and shown == b"/" + here
                raise TreeError(
                    f"{printable(shown)} is no directory in a lower layer"
                    if itself
                    else f"{printable(shown)} goes through /{printable(here)}, which is not a "
                    "directory in a lower layer",
                    "choose another path",
                )
            missing = found is None
            way.append(part)
        return b"/".join(way)

    def follow(self, path: bytes) -> Entry | None:
        """What is at ``path`` once every link is followed; ``None`` if it leads nowhere."""
        try:
            return self.find(self.resolve(path, path, file=True))
        except TreeError:  # through something that is no directory, or round in circles
            return None

    def read_file(self, path: str) -> bytes | None:
        """The bytes of a small file of the image, links followed; ``None`` if there is none.

        Raises ``LimitError`` for one that is not small.
        """
        found = self.follow(path.encode())
        if found is None or found.mode & _TYPE != _FILE:
            return None
        if found.size > MAX_FILE:
            raise LimitError(f"{path} of the image has {found.size} bytes", f"at most {MAX_FILE}")
        with found.open() as file:
            return file.read(MAX_FILE)


_NOTHING: Final = (b"", b".")


def redirected(path: bytes, redirects: Mapping[bytes, bytes]) -> bytes:
    """Where ``path`` lies in the image: the longest of ``redirects`` above it counts."""
    above = path
    while above:
        if above in redirects:
            return join(redirects[above], path[len(above) + 1 :])
        above = above.rpartition(b"/")[0]
    return path


def is_below(path: bytes, directory: bytes) -> bool:
    """Whether ``path`` is ``directory``, or in it."""
    return not directory or path == directory or path.startswith(directory + b"/")


def strip(directory: bytes, path: bytes) -> bytes | None:
    """``path`` as seen from ``directory``, ``None`` if it is not in there."""
    if not is_below(path, directory):
        return None
    return path[len(directory) + 1 :] if directory else path
