"""Layers for the tests of what they make together, and a plain model of unpacking them."""

import io
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from hypothesis import strategies as st

from imgpack.tar.stream import StreamMember
from imgpack.tree.merge.merged import HashedMember, LayerMembers, Merged

REG, DIR, LNK, FIFO = stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO


def member(path: bytes, kind: int = REG, link: bytes = b"", **fields: Any) -> StreamMember:
    """A member of a layer; ``offset`` tells contents apart."""
    values = {"mode": 0o644, "uid": 0, "gid": 0, "mtime_ns": 0, "size": 0, "rdev": 0, "offset": 0}
    values |= {"xattrs": {}} | fields
    return StreamMember(path=path, kind=kind, link=link, **values)


@dataclass(frozen=True, slots=True)
class Numbered:
    """A layer whose files hold its name and where they lie in it."""

    name: str

    def open(self, found: StreamMember) -> BinaryIO:
        """As ``LayerBytes.open``."""
        return io.BytesIO(f"{self.name}:{found.offset}".encode())


def merged(*layers: Sequence[StreamMember]) -> Merged:
    """The tree of layers that are called by their numbers, from 1."""
    return Merged(
        LayerMembers(f"L{number}", map(HashedMember, layer), Numbered(f"L{number}"))
        for number, layer in enumerate(layers, 1)
    )


def contents(tree: Merged) -> dict[bytes, bytes]:
    """What is at each path: a file's bytes, a link's target, ``/`` for a directory."""
    found = {}
    for entry in tree.entries():
        if entry.is_directory:
            found[entry.path] = b"/"
        elif stat.S_ISREG(entry.mode):
            with entry.open() as content:
                found[entry.path] = content.read()
        else:
            found[entry.path] = b"-> " + entry.target()
    return found


@dataclass(slots=True)
class Model:
    """Names, and what each stands for: a list that the names of one inode share."""

    names: dict[bytes, list[Any]] = field(default_factory=dict)

    def apply(self, number: int, layer: Sequence[StreamMember]) -> None:
        """Unpack one layer as the specification says. Raises ``ValueError`` if nobody could."""
        mine: set[bytes] = set()
        rest = []
        for one in layer:
            above, _, name = one.path.rpartition(b"/")
            inside = above + b"/" if above else b""
            if name == b".wh..wh..opq":
                self.remove(lambda path, inside=inside: path.startswith(inside))  # type: ignore[misc]
            elif name.startswith(b".wh."):
                gone = inside + name[4:]
                self.remove(lambda path, gone=gone: path == gone or path.startswith(gone + b"/"))  # type: ignore[misc]
            else:
                rest.append(one)
        for one in rest:
            parts = one.path.split(b"/")
            for count in range(1, len(parts)):
                above = b"/".join(parts[:count])
                if self.names.get(above, [0])[0] != DIR:
                    if above in mine:
                        raise ValueError(above)
                    mine.add(above)
                    self.names[above] = [DIR, 0o755, 0, b""]
            if not one.kind:
                found = self.names.get(one.link)
                if found is None or found[0] == DIR:
                    raise ValueError(one.link)
                found[1:3] = one.mode, one.uid
            else:
                said = one.link if one.kind == LNK else b"L%d:%d" % (number, one.offset)
                found = [one.kind, one.mode, one.uid, b"" if one.kind == DIR else said]
            if found[0] != DIR:
                self.remove(lambda path, gone=one.path: path.startswith(gone + b"/"))  # type: ignore[misc]
            if one.kind or one.path != one.link:
                self.names[one.path] = found
            mine.add(one.path)

    def remove(self, goes: Any) -> None:
        """Remove the names that go."""
        self.names = {path: found for path, found in self.names.items() if not goes(path)}

    def facts(self) -> list[tuple[object, ...]]:
        """Of each name in order: what is there, and the first name that it shares it with."""
        firsts: dict[int, bytes] = {}
        return [
            (path, *self.names[path], firsts.setdefault(id(self.names[path]), path))
            for path in sorted(self.names, key=lambda path: path.split(b"/"))
        ]


_NAMES = st.sampled_from([b"a", b"b", b"c"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map(b"/".join)


@st.composite
def layers(draw: st.DrawFn) -> list[list[StreamMember]]:
    """Some layers of a few names, so that these meet in every way."""
    found: list[list[StreamMember]] = []
    for _ in range(draw(st.integers(1, 4))):
        layer: list[StreamMember] = []
        for offset in range(draw(st.integers(0, 8))):
            path = draw(_PATHS)
            kind = draw(st.sampled_from(["f", "f", "f", "d", "d", "s", "l", "l", "w", "w", "o"]))
            above, slash, name = path.rpartition(b"/")
            said = {"mode": draw(st.sampled_from([0o600, 0o711])), "uid": draw(st.integers(0, 2))}
            if kind == "w":
                layer.append(member(above + slash + b".wh." + name))
            elif kind == "o":
                layer.append(member(path + b"/.wh..wh..opq"))
            elif kind == "l":
                files = [one.path for one in sum(found, layer) if one.kind == REG]
                target = draw(st.sampled_from(files) if files else _PATHS)
                layer.append(member(path, 0, target, **said))
            else:
                type_ = {"f": REG, "d": DIR, "s": LNK}[kind]
                link = b"target" if kind == "s" else b""
                layer.append(member(path, type_, link, offset=offset, **said))
            if not _unpacks([*found, layer]) and draw(st.integers(0, 9)):
                layer.pop()  # most are to be layers that somebody made
        found.append(layer)
    return found


def _unpacks(found: list[list[StreamMember]]) -> bool:
    model = Model()
    try:
        for number, layer in enumerate(found, 1):
            model.apply(number, layer)
    except ValueError:
        return False
    return True
