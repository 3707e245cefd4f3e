"""Images as docker commits them: what layers have and delete, by chance."""

import io
import os
import random
import tarfile
from dataclasses import dataclass, field

from imgpack.api import Image
from tests.store.samples import Memory, make_image


@dataclass(slots=True)
class Committed:
    """Layers as docker commits them: parents with each change, no name twice, links within."""

    chance: random.Random
    kinds: dict[str, bytes] = field(default_factory=dict)  # of paths, by tar's types
    members: dict[str, tarfile.TarInfo] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)

    def layer(self) -> bytes:
        """The next layer: some things written, deleted, linked and replaced."""
        self.members, self.data, gone = {}, {}, set[str]()
        for _ in range(12):
            path = self._somewhere()
            if path in self.members or any(f"{path}/".startswith(f"{one}/") for one in gone):
                continue
            inside = [one for one in self.kinds if one.startswith(f"{path}/")]
            touched = [one for one in self.members if one.startswith(f"{path}/")]
            above = path.rpartition("/")[0]
            if path in self.kinds and not touched and self.chance.random() < 0.4:
                gone.add(path)
                self._write(os.path.join(above, f".wh.{os.path.basename(path)}"), tarfile.REGTYPE)
                for one in (path, *inside):
                    del self.kinds[one]
                self._write_parents(path)
            elif inside and not touched and self.chance.random() < 0.4:
                for one in inside:
                    del self.kinds[one]
                gone.update(inside)
                self._write(f"{path}/.wh..wh..opq", tarfile.REGTYPE)
                self._write_parents(f"{path}/x")
            elif not inside:
                self._add(path)
        return self._archive()

    def _somewhere(self) -> str:
        above = [""] + [one for one, kind in self.kinds.items() if kind == tarfile.DIRTYPE]
        return os.path.join(self.chance.choice(above), self.chance.choice("abcdef"))

    def _add(self, path: str) -> None:
        files = [one for one in self.data if one < path]
        kind = self.chance.choice([tarfile.REGTYPE, tarfile.REGTYPE, tarfile.DIRTYPE,
                                   tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE])  # fmt: skip
        if kind == tarfile.LNKTYPE and not files:
            return
        member = self._write(path, kind)
        if kind == tarfile.LNKTYPE:
            first = self.members[self.chance.choice(files)]
            member.linkname, member.mode, member.uid = first.name, first.mode, first.uid
            member.mtime = first.mtime
        elif kind == tarfile.SYMTYPE:
            member.linkname, member.mode = self.chance.choice(["a", "/b", "../c/d"]), 0o777
        elif kind == tarfile.REGTYPE:
            self.data[path] = self.chance.randbytes(self.chance.randrange(100))
        self.kinds[path] = kind
        self._write_parents(path)

    def _write(self, path: str, kind: bytes) -> tarfile.TarInfo:
        member = self.members[path] = tarfile.TarInfo(path)
        member.type, member.mtime = kind, self.chance.randrange(10**9)
        member.mode = self.chance.choice([0o755, 0o700, 0o4711, 0o1777])
        member.uid = self.chance.randrange(3)
        return member

    def _write_parents(self, path: str) -> None:
        while path := path.rpartition("/")[0]:
            if path not in self.members:
                self._write(path, tarfile.DIRTYPE)

    def _archive(self) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for path in sorted(self.members):
                data = self.data.get(path, b"")
                self.members[path].size = len(data)
                tar.addfile(self.members[path], io.BytesIO(data))
        return buffer.getvalue()


def committed(seed: int) -> Image:
    """An image of five layers."""
    layers = Committed(random.Random(seed))
    return make_image(Memory(), [layers.layer() for _ in range(5)], docker=False)
