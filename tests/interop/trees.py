"""Trees to build images from, and what a tree holds, so that two of them can be compared."""

import hashlib
import os
import shutil
import socket
import stat
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

# security.capability, version 2: cap_net_raw, permitted and effective.
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)


class Facts(NamedTuple):
    """Everything that an image must keep about one path."""

    kind: str
    mode: int
    owner: tuple[int, int]
    size: int
    mtime: int
    target: bytes
    device: int
    linked_with: bytes
    xattrs: tuple[tuple[str, bytes], ...]
    content: str


KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFSOCK: "socket",
}
"""What the type bits of a mode mean."""


def _content(path: bytes) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _facts(path: bytes, linked_with: bytes) -> Facts:
    found = os.lstat(path)
    kind = KINDS[stat.S_IFMT(found.st_mode)]
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return Facts(
        kind=kind,
        mode=stat.S_IMODE(found.st_mode),
        owner=(found.st_uid, found.st_gid),
        size=found.st_size if kind == "file" else 0,
        # Layers carry whole seconds, and no loader keeps a time before 1970.
        mtime=max(0, found.st_mtime_ns // 1_000_000_000),
        target=os.readlink(path) if kind == "symlink" else b"",
        device=found.st_rdev if "device" in kind else 0,
        linked_with=linked_with,
        xattrs=tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names),
        content=_content(path) if kind == "file" else "",
    )


def describe(root: Path) -> dict[bytes, Facts]:
    """Every path below ``root`` (not the root itself) and its facts.

    ``linked_with`` is the first name, in order, of the same file, if it has another here.
    """
    top = os.fsencode(root)
    paths = sorted(
        os.path.join(directory, name)
        for directory, below, files in os.walk(top)
        for name in below + files
    )
    names: dict[tuple[int, int], list[bytes]] = {}
    for path in paths:
        found = os.lstat(path)
        if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
            names.setdefault((found.st_dev, found.st_ino), []).append(path[len(top) + 1 :])
    first = {name: group[0] for group in names.values() if len(group) > 1 for name in group}
    relative = (path[len(top) + 1 :] for path in paths)
    return {
        name: _facts(path, first.get(name, b"")) for path, name in zip(paths, relative, strict=True)
    }


def differences(
    source: dict[bytes, Facts],
    image: dict[bytes, Facts],
    *,
    added: Iterable[bytes] = (),
    replaced: Iterable[bytes] = (),
    touched: Iterable[bytes] = (),
) -> list[str]:
    """What differs, a line a path.

    ``added`` may exist in the image only; what is ``replaced`` is there but
    another; of ``touched`` the mtime may differ.
    """
    lines = [f"{name!r} is missing" for name in source.keys() - image.keys()]
    lines += [f"{name!r} was added" for name in image.keys() - source.keys() - set(added)]
    changed = set(touched)
    for name in (source.keys() & image.keys()) - set(replaced):
        want, have = source[name], image[name]
        if name in changed:
            have = have._replace(mtime=want.mtime)
        lines += [
            f"{name!r}: {field} {getattr(want, field)!r} became {getattr(have, field)!r}"
            for field in Facts._fields
            if getattr(want, field) != getattr(have, field)
        ]
    return sorted(lines)


def engine_differences(source: dict[bytes, Facts], container: dict[bytes, Facts]) -> list[str]:
    """What differs in a running container, but for what the engine itself puts there.

    It makes places for its mounts where the image has none, replaces the files
    that it mounts over, and so changes the time of the directories they are in.
    """
    files = (b"dev/console", b"etc/hostname", b"etc/hosts", b"etc/resolv.conf")
    places = (b".dockerenv", b"dev", b"dev/pts", b"dev/shm", b"etc", b"etc/mtab", b"proc", b"sys")
    return differences(
        source, container, added=files + places, replaced=files, touched=(b"dev", b"etc")
    )


def make_edge_tree(root: Path) -> Path:
    """A small tree with every kind of path that an image can hold; needs root."""
    (root / "bin").mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox is not None
    shutil.copy2(busybox, root / "bin" / "busybox")
    top = os.fsencode(root)
    for make in (_names, _links, _modes, _specials, _owners, _contents, _xattrs, _times):
        make(lambda name: os.path.join(top, name))
    return root


_Place = Callable[[bytes], bytes]


def _write(path: bytes, data: bytes = b"content\n") -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def _names(at: _Place) -> None:
    for name in (
        b"names/with space",
        b"names/with\nnewline",
        b"names/with\ttab and \\ backslash",
        b"names/not-utf-8-\xff\xfe",
        "names/grüße-世界".encode(),
        b"names/-leading-dash",
        b"names/..two-dots",
        b"names/percent%00",
        b"names/equals=sign 12 path=x",
        b"names/Case",
        b"names/case",
        b"names/a.b",
        b"names/a/b",
        b"names/" + b"n" * 100,
        b"names/" + b"m" * 255,
        b"names/" + b"/".join([b"deep" * 20] * 12) + b"/" + b"end" * 30,
    ):
        _write(at(name), name)


def _links(at: _Place) -> None:
    _write(at(b"links/original"), b"one file, three names\n")
    os.link(at(b"links/original"), at(b"links/another"))
    os.makedirs(at(b"a-before-links"))
    os.link(at(b"links/original"), at(b"a-before-links/first"))
    os.symlink(b"original", at(b"links/relative"))
    os.symlink(b"/links/original", at(b"links/absolute"))
    os.symlink(b"nowhere at all", at(b"links/dangling"))
    os.symlink(b"../../../../../outside", at(b"links/outside"))
    os.symlink(b"t" * 300, at(b"links/long-target"))
    os.symlink(b"not-utf-8-\xff", at(b"links/bytes-target"))
    os.symlink(b"links", at(b"directory-link"))
    os.link(at(b"links/dangling"), at(b"links/dangling-again"), follow_symlinks=False)


def _modes(at: _Place) -> None:
    for mode in (0o000, 0o400, 0o644, 0o755, 0o1777, 0o2755, 0o4755, 0o6711, 0o7777):
        _write(at(b"modes/file-%o" % mode))
        os.chmod(at(b"modes/file-%o" % mode), mode)
        os.makedirs(at(b"modes/directory-%o" % mode))
        os.chmod(at(b"modes/directory-%o" % mode), mode)
    os.makedirs(at(b"empty/very/empty"))


def _specials(at: _Place) -> None:
    os.makedirs(at(b"special"))
    os.mkfifo(at(b"special/fifo"), 0o640)
    os.link(at(b"special/fifo"), at(b"special/fifo-again"))
    os.mknod(at(b"special/null"), 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(at(b"special/large-minor"), 0o600 | stat.S_IFCHR, os.makedev(200, 70000))
    os.mknod(at(b"special/disk"), 0o660 | stat.S_IFBLK, os.makedev(7, 9))


def _owners(at: _Place) -> None:
    for owner in (1, 1000, 65534, 65536, 2097151, 2097152, 4000000000):
        name = at(b"owners/%d" % owner)
        _write(name)
        os.chown(name, owner, owner - 1)
        os.chmod(name, 0o4750)
    os.symlink(b"1000", at(b"owners/link"))
    os.lchown(at(b"owners/link"), 1000, 2097152)


def _contents(at: _Place) -> None:
    _write(at(b"contents/empty"), b"")
    for size in (1, 511, 512, 513, 1 << 20, (3 << 20) + 1):
        _write(at(b"contents/%d" % size), (b"%016d" % size * (size // 16 + 1))[:size])
    with open(at(b"contents/sparse"), "wb") as file:
        file.seek(8 << 20)
        file.write(b"the end of a hole")
        file.truncate(16 << 20)


def _xattrs(at: _Place) -> None:
    _write(at(b"xattrs/file"))
    os.setxattr(at(b"xattrs/file"), "user.text", b"value")
    os.setxattr(at(b"xattrs/file"), "user.bytes", bytes(range(256)))
    os.setxattr(at(b"xattrs/file"), "user.like-a-record", b"a=b\n12 path=evil\n")
    os.makedirs(at(b"xattrs/directory"))
    os.setxattr(at(b"xattrs/directory"), "user.of-a-directory", b"\0")
    _write(at(b"xattrs/capable"))
    os.chmod(at(b"xattrs/capable"), 0o755)
    os.setxattr(at(b"xattrs/capable"), "security.capability", CAPABILITY)


def _times(at: _Place) -> None:
    for name, nanoseconds in (
        (b"whole", 1_000_000_000_000_000_000),
        (b"fraction", 1_234_567_890_999_999_999),
        (b"epoch", 0),
        (b"before-1970", -86_400_500_000_000),
        (b"after-2038", 4_102_444_800_000_000_000),
    ):
        _write(at(b"times/" + name))
        os.utime(at(b"times/" + name), ns=(nanoseconds, nanoseconds))
    os.symlink(b"whole", at(b"times/link"))
    os.utime(at(b"times/link"), ns=(10**18, 10**18), follow_symlinks=False)
    os.utime(at(b"times"), ns=(10**18, 10**18))


def make_small_tree(root: Path, **files: str) -> Path:
    """A tree of text files (``a__b`` is ``a/b``), all of one time, readable by everybody."""
    root.mkdir(parents=True)
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)
    for directory, _, names in os.walk(root, topdown=False):
        for name in names:
            os.utime(os.path.join(directory, name), (1_600_000_000, 1_600_000_000))
        os.chmod(directory, 0o755)
        os.utime(directory, (1_600_000_000, 1_600_000_000))
    return root


def make_socket(path: Path) -> None:
    """A socket, which no layer can hold."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
