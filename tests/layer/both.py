"""One tree made in every way that there is, for what must be the same of all of them."""

import io
import os
import stat
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from imgpack.api import Directory, Entries, Entry, directory_entry, fifo, file, hard_link, symlink
from imgpack.tree.disk.directory import directory
from imgpack.tree.inputs.tarball import Tarball, tarball

NAMES = st.binary(min_size=1, max_size=8).filter(
    lambda name: not set(name) & set(b"/\0") and name not in (b".", b"..") and name[:4] != b".wh."
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(b"/".join)


@dataclass(frozen=True, slots=True)
class Thing:
    """What is at a path: its kind, and the bytes or the target that it has."""

    kind: int
    data: bytes = b""
    mode: int = 0o755
    mtime_ns: int = 0


def _thing(kind: int, data: bytes, mode: int, mtime_ns: int) -> Thing:
    if kind == stat.S_IFLNK:
        return Thing(kind, data.replace(b"\0", b"/")[:50] or b"x", 0o777, mtime_ns)
    return Thing(kind, data if kind == stat.S_IFREG else b"", mode, mtime_ns)


THINGS = st.dictionaries(
    PATHS,
    st.builds(
        _thing,
        st.sampled_from([stat.S_IFREG, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO]),
        st.binary(max_size=2000),
        # Who runs this must be able to read it and to list it, root or not.
        st.sampled_from([0o755, 0o700, 0o4711, 0o1777]),
        st.integers(0, 4_000_000_000_999_999_999),
    ),
    max_size=12,
).map(lambda things: {path: things[path] for path in sorted(things) if _fits(path, things)})


def _fits(path: bytes, things: Mapping[bytes, Thing]) -> bool:
    """Whether everything on the way to a path is a directory, or is not said."""
    parts = path.split(b"/")
    above = [b"/".join(parts[:count]) for count in range(1, len(parts))]
    return all(things[one].kind == stat.S_IFDIR for one in above if one in things)


def on_disk(root: Path, things: Mapping[bytes, Thing], links: Mapping[bytes, bytes]) -> Directory:
    """The tree in a directory; what is on the way to a path is as if made up."""
    made: dict[bytes, Thing] = {}
    for path, thing in things.items():
        parts = path.split(b"/")
        for count in range(1, len(parts)):
            made.setdefault(b"/".join(parts[:count]), Thing(stat.S_IFDIR))
        made[path] = thing
    root.mkdir()
    for path, thing in sorted(made.items(), key=lambda item: item[0].split(b"/")):
        where = os.path.join(bytes(root), path)
        if thing.kind == stat.S_IFDIR:
            os.mkdir(where)
        elif thing.kind == stat.S_IFLNK:
            os.symlink(thing.data, where)
        elif thing.kind == stat.S_IFIFO:
            os.mkfifo(where)
        else:
            with open(where, "wb") as new:
                new.write(thing.data)
    for path, first in links.items():
        os.link(os.path.join(bytes(root), first), os.path.join(bytes(root), path))
    for path, thing in sorted(made.items(), reverse=True):
        where = os.path.join(bytes(root), path)
        if thing.kind != stat.S_IFLNK:
            os.chmod(where, thing.mode)
        os.utime(where, ns=(0, thing.mtime_ns), follow_symlinks=False)
    os.utime(root, (0, 0))
    root.chmod(0o755)
    return directory(bytes(root), (os.geteuid(), os.getegid()))


def archived(root: Path) -> bytes:
    """A directory in a tar archive as ``tar -C root -cf - .`` makes it, in the pax format."""

    def exact(info: tarfile.TarInfo) -> tarfile.TarInfo:
        found = os.lstat(os.path.join(root, info.name))
        seconds, rest = divmod(found.st_mtime_ns, 1_000_000_000)
        info.mtime = seconds
        info.pax_headers = {"mtime": f"{seconds}.{rest:09}"} if rest else {}
        return info

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(root, ".", filter=exact)
    return buffer.getvalue()


def in_tar(root: Path, things: Mapping[bytes, Thing], links: Mapping[bytes, bytes]) -> Tarball:
    """The same tree in a tar archive."""
    on_disk(root, things, links)
    archive = root.with_suffix(".tar")
    archive.write_bytes(archived(root))
    return tarball(str(archive), archive.name, scratch=lambda: str(root.parent))


def in_memory(things: Mapping[bytes, Thing], links: Mapping[bytes, bytes]) -> Entries:
    """The same tree, from entries in the order that fits the least."""
    made = [hard_link(path, first) for path, first in links.items()]
    for path, thing in reversed(things.items()):
        made.append(_entry(path, thing))
    return Entries(made)


def _entry(path: bytes, thing: Thing) -> Entry:
    if thing.kind == stat.S_IFLNK:
        return symlink(path, thing.data, mtime_ns=thing.mtime_ns)
    if thing.kind == stat.S_IFDIR:
        return directory_entry(path, mode=thing.mode, mtime_ns=thing.mtime_ns)
    if thing.kind == stat.S_IFIFO:
        return fifo(path, mode=thing.mode, mtime_ns=thing.mtime_ns)
    return file(path, thing.data, mode=thing.mode, mtime_ns=thing.mtime_ns)
