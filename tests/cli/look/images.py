"""Images of a few layers with everything in them that a listing has to show."""

import io
import tarfile
from pathlib import Path

from tests.cli.archives import write_archive
from tests.store.samples import Memory, make_image

TIME = 1_700_000_000
"""2023-11-14 22:13:20 in UTC."""


def entry(
    name: str,
    data: bytes = b"",
    kind: bytes = tarfile.REGTYPE,
    mode: int = 0o644,
    link: str = "",
    owner: tuple[int, int] = (0, 0),
    device: tuple[int, int] = (0, 0),
    mtime: float = TIME,
) -> tuple[tarfile.TarInfo, bytes]:
    """A member of a layer."""
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.linkname, member.mtime = kind, mode, link, mtime
    member.uid, member.gid = owner
    member.devmajor, member.devminor = device
    member.size = len(data)
    return member, data


def directory(name: str, mode: int = 0o755) -> tuple[tarfile.TarInfo, bytes]:
    """A directory of a layer."""
    return entry(name, kind=tarfile.DIRTYPE, mode=mode)


def layer(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A layer's tar stream."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member, data in members:
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


PASSWD = b"root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\nother:x:1000:5::/:\n"
LOW = layer(
    directory("bin"),
    entry("bin/su", b"#!su", mode=0o4755),
    entry("bin/also", kind=tarfile.LNKTYPE, link="bin/su", mode=0o4755),
    directory("dev"),
    entry("dev/null", kind=tarfile.CHRTYPE, mode=0o666, device=(1, 3)),
    directory("etc"),
    entry("etc/passwd", PASSWD),
    entry("etc/group", b"root:x:0:\nstaff:x:50:\n"),
    entry("etc/old", b"old"),
    entry("lib", kind=tarfile.SYMTYPE, link="/usr/lib", mode=0o777),
    directory("tmp", 0o1777),
    directory("usr"),
    directory("usr/lib"),
    entry("usr/lib/libc.so", b"\x7fELF" + b"c" * 2000),
    directory("var"),
    entry("var/gone", b"v" * 1000),
)
HIGH = layer(
    directory("etc"),
    entry("etc/.wh.old"),
    entry("etc/app.conf", b"app", owner=(1000, 50), mtime=0.5),
    entry("etc/shadow\x1b[2J", b"s"),
    entry("srv/copy", b"\x7fELF" + b"c" * 2000),
    entry("usr/lib/libc.so", b"\x7fELF" + b"c" * 2000, mode=0o755),
    directory("var"),
    entry("var/.wh..wh..opq"),
)


def write_image(path: Path) -> str:
    """The image of both, in an archive; its path."""
    return write_archive(path, make_image(Memory(), (LOW, HIGH)), "app:1")
