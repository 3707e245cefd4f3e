"""Images of several layers, made at random from a seed, as ``docker load`` takes them.

Their layers are such that engines agree about them: parents first, no name twice, no hard
link to a lower layer, no deletion beside an entry of its name or in an opaque directory.
"""

import hashlib
import io
import json
import random
import stat
import tarfile
from pathlib import Path

from tests.interop.trees import CAPABILITY, Facts

TOP = "t"
"""The directory that everything is in, so that it is told from what engines add."""
_NAMES = ("a", "b", "c", "ü", "x.y")
_MODES = (0o644, 0o600, 0o755, 0o4711, 0o2755, 0o1777, 0o000)
_OWNERS = (0, 1, 1000, 65534, 3_000_000)


class _Layer:
    """One layer as it is made; ``below`` says of each path of lower layers if it is a directory."""

    def __init__(
        self, chance: random.Random, number: int, below: dict[str, bool], *, links: bool
    ) -> None:
        self._links = links
        self._chance = chance
        self._number = number
        self._below = below
        self._made: dict[str, tarfile.TarInfo] = {}
        self._content: dict[str, bytes] = {}
        self._deleted: set[str] = set()
        self._emptied: set[str] = set()

    def tar(self) -> bytes:
        """Its bytes."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in sorted(self._made):
                tar.addfile(self._made[path], io.BytesIO(self._content.get(path, b"")))
        return out.getvalue()

    def fill(self) -> None:
        """Make some entries and deletions of every kind."""
        self._directory(TOP)
        for _ in range(self._chance.randrange(8, 20)):
            path = self._path()
            if self._is_free(path):
                self._make(path)

    def _path(self) -> str:
        """Some path below the top: one that there is already, or any."""
        there = sorted(self._below.keys() - {TOP})
        if there and self._chance.random() < 0.5:
            return self._chance.choice(there)
        depth = self._chance.randrange(1, 4)
        return "/".join((TOP, *(self._chance.choice(_NAMES) for _ in range(depth))))

    def _is_free(self, path: str) -> bool:
        """Whether nothing of this layer is in the way of an entry or a deletion at ``path``."""
        parts = path.split("/")
        above = ["/".join(parts[:count]) for count in range(1, len(parts))]
        return (
            path not in self._made
            and not any(one in self._deleted for one in (path, *above))
            and not any(one in self._made and not self._made[one].isdir() for one in above)
            and not any(one.startswith(f"{path}/") for one in self._deleted)
        )

    def _make(self, path: str) -> None:
        kinds = [self._file, self._file, self._directory, self._fifo]
        kinds += [self._link] if self._links else []
        kinds += [self._hard_link] * 3
        if path in self._below and not self._is_emptied(path):
            kinds += [self._delete] * 4
            if self._below[path]:
                kinds += [self._empty] * 4
        self._chance.choice(kinds)(path)

    def _is_emptied(self, path: str) -> bool:
        """Whether it is below an opaque directory, where an overlay would list a deletion."""
        return any(path.startswith(f"{one}/") for one in self._emptied)

    def _add(self, path: str, kind: bytes, **fields: object) -> tarfile.TarInfo:
        above = path.rpartition("/")[0]
        if above and above not in self._made:
            self._directory(above)
        member = tarfile.TarInfo(path)
        member.type = kind
        member.mode = self._chance.choice(_MODES)
        member.uid, member.gid = self._chance.choice(_OWNERS), self._chance.choice(_OWNERS)
        member.mtime = 1_500_000_000 + self._chance.randrange(10**8)
        for name, value in fields.items():
            setattr(member, name, value)
        self._made[path] = member
        return member

    def _file(self, path: str) -> None:
        content = f"{self._number} {path}\n".encode() * self._chance.randrange(0, 300)
        member = self._add(path, tarfile.REGTYPE, size=len(content))
        self._content[path] = content
        if self._chance.random() < 0.2:
            text = CAPABILITY.decode("utf-8", "surrogateescape")
            member.pax_headers["SCHILY.xattr.security.capability"] = text

    def _directory(self, path: str) -> None:
        self._add(path, tarfile.DIRTYPE)

    def _link(self, path: str) -> None:
        target = self._chance.choice(("a", "../b", "/t/c"))
        self._add(path, tarfile.SYMTYPE, mode=0o777, linkname=target)

    def _fifo(self, path: str) -> None:
        self._add(path, tarfile.FIFOTYPE)

    def _hard_link(self, path: str) -> None:
        """Another name for a file that comes before it in the tar."""
        files = [one for one in self._content if one < path]
        if not files:
            self._file(path)
            return
        target = self._made[self._chance.choice(sorted(files))]
        member = self._add(path, tarfile.LNKTYPE, linkname=target.name)
        for name in ("mode", "uid", "gid", "mtime", "pax_headers"):
            setattr(member, name, getattr(target, name))

    def _delete(self, path: str) -> None:
        above, _, name = path.rpartition("/")
        self._deleted.add(path)
        self._add(f"{above}/.wh.{name}", tarfile.REGTYPE, mode=0o644)

    def _empty(self, path: str) -> None:
        self._emptied.add(path)
        self._directory(path)
        self._add(f"{path}/.wh..wh..opq", tarfile.REGTYPE, mode=0o644)

    def over(self) -> dict[str, bool]:
        """The paths there are, and whether each is a directory, with this layer on top."""
        gone = {path for path, made in self._made.items() if not made.isdir()}
        gone |= self._deleted | self._emptied
        found = {
            path: is_directory
            for path, is_directory in self._below.items()
            if path not in self._deleted and not any(path.startswith(f"{one}/") for one in gone)
        }
        mine = {path: made.isdir() for path, made in self._made.items() if "/.wh." not in path}
        return {**found, **mine}


def write_image(path: Path, seed: int, *, links: bool = True) -> Path:
    """An archive, as ``docker save`` wrote it once, of an image that ``seed`` decides.

    Without ``links`` it has no symbolic ones.
    """
    path.parent.mkdir(exist_ok=True)
    chance = random.Random(seed)
    below: dict[str, bool] = {}
    blobs = {}
    for number in range(chance.randrange(3, 6)):
        layer = _Layer(chance, number, below, links=links)
        layer.fill()
        blobs[f"{number}.tar"] = layer.tar()
        below = layer.over()
    digests = [f"sha256:{hashlib.sha256(blob).hexdigest()}" for blob in blobs.values()]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/none"]},
        "rootfs": {"type": "layers", "diff_ids": digests},
        "history": [{"created": "2020-01-01T00:00:00Z"}] * len(blobs),
    }
    manifest = [
        {"Config": "config.json", "RepoTags": [f"localhost/layers:{seed}"], "Layers": list(blobs)}
    ]
    documents = {"config.json": config, "manifest.json": manifest}
    blobs |= {name: json.dumps(document).encode() for name, document in documents.items()}
    with tarfile.open(path, "w") as tar:
        for entry, blob in blobs.items():
            member = tarfile.TarInfo(entry)
            member.size = len(blob)
            tar.addfile(member, io.BytesIO(blob))
    return path


_KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symlink",
    tarfile.FIFOTYPE: "fifo",
}


def facts_of_export(data: bytes) -> dict[bytes, Facts]:
    """What an exported container holds below ``TOP``."""
    found: dict[bytes, Facts] = {}
    groups: dict[str, list[str]] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            path = member.name.rstrip("/")
            if path != TOP and not path.startswith(f"{TOP}/"):
                continue
            if member.islnk():
                groups.setdefault(member.linkname, [member.linkname]).append(path)
                found[path.encode()] = found[member.linkname.encode()]
                continue
            content = tar.extractfile(member).read() if member.isreg() else None  # type: ignore[union-attr]
            found[path.encode()] = Facts(
                _KINDS[member.type],
                stat.S_IMODE(member.mode),
                (member.uid, member.gid),
                member.size,
                int(member.mtime),
                member.linkname.encode(),
                0,
                b"",
                _xattrs(member),
                "" if content is None else hashlib.sha256(content).hexdigest(),
            )
    for names in groups.values():
        for name in names:
            key = name.encode()
            found[key] = found[key]._replace(linked_with=min(names).encode())
    return found


def _xattrs(member: tarfile.TarInfo) -> tuple[tuple[str, bytes], ...]:
    prefix = "SCHILY.xattr."
    return tuple(
        (key.removeprefix(prefix), value.encode("utf-8", "surrogateescape"))
        for key, value in sorted(member.pax_headers.items())
        if key.startswith(prefix)
    )
