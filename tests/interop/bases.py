"""Root file systems to build on, an application to put on them, and how an engine puts it there.

The reference of what an application on a base is: a container of the base into which the
engine itself copies (``docker cp``, ``podman cp``) what the application has and the base has
not as a directory. Copying a directory that is there already would give it the mode and owner
of the copy in one engine and not in the other, so such directories are not copied at all.
"""

import contextlib
import io
import json
import os
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Container, Iterator
from pathlib import Path

from tests.interop.trees import CAPABILITY, Facts, describe
from tests.servers.engine import LIMITS, Engine, Podman
from tests.servers.process import require

TIME = 1_600_000_000
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n"
TOOL = "bin/busybox-app"
"""The application's program, static, so that it runs on a base without a shell or a libc."""

# security.capability, version 2: cap_net_bind_service, which every container may have.
_BIND = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)


def _directory(path: Path, mode: int = 0o755, owner: int = 0) -> None:
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, owner, owner)
    path.chmod(mode)


def _file(path: Path, text: str, mode: int = 0o644, owner: int = 0) -> None:
    path.write_text(text)
    os.chown(path, owner, owner)
    path.chmod(mode)


def _still(tree: Path) -> None:
    for place, directories, files in os.walk(tree, topdown=False):
        for name in (*directories, *files):
            os.utime(os.path.join(place, name), (TIME, TIME), follow_symlinks=False)
    os.utime(tree, (TIME, TIME))


def _common(tree: Path) -> None:
    _directory(tree)
    for name in ("etc", "var", "var/lib", "usr", "usr/share", "dev", "proc", "sys"):
        _directory(tree / name)
    _directory(tree / "tmp", 0o1777)
    _directory(tree / "root", 0o700)
    _directory(tree / "home/nonroot", 0o700, 65532)
    _file(tree / "etc/passwd", PASSWD)
    _file(tree / "etc/motd", "the base\n")
    _file(tree / "etc/issue", "a base\n")


def make_alpine(tree: Path) -> Path:
    """As Alpine is: ``/bin`` and ``/lib`` are directories, busybox is every command."""
    _common(tree)
    for name in ("bin", "lib", "lib/apk", "etc/apk", "srv", "opt", "opt/old", "opt/gone"):
        _directory(tree / name)
    shutil.copy2(require("busybox"), tree / "bin/busybox")
    for applet in ("sh", "ls", "cat", "ln", "rm", "mkdir", "mv", "chmod", "sleep"):
        (tree / "bin" / applet).symlink_to("/bin/busybox")
    _file(tree / "lib/libbase.so.1", "a library of the base\n", 0o755)
    (tree / "lib/libbase.so").symlink_to("libbase.so.1")
    _file(tree / "etc/apk/world", "busybox\n")
    for name in ("old/one", "old/two", "gone/file"):
        _file(tree / "opt" / name, f"{name}\n")
    _still(tree)
    return tree


def make_distroless(tree: Path) -> Path:
    """Without a shell, ``/usr`` merged through absolute and relative links."""
    _common(tree)
    for name in ("usr/bin", "usr/lib", "usr/lib/x86_64-linux-gnu", "usr/lib/os"):
        _directory(tree / name)
    (tree / "bin").symlink_to("usr/bin")
    (tree / "lib").symlink_to("/usr/lib")
    _file(tree / "usr/lib/os-release", "ID=distroless\n")
    (tree / "etc/os-release").symlink_to("../usr/lib/os-release")
    os.setxattr(tree / "usr/lib", b"user.of", b"the base")
    _still(tree)
    return tree


def make_application(tree: Path, passwd: Path) -> Path:
    """What goes on every base: other modes for its directories, and a file that it has as well."""
    _directory(tree, 0o700)
    for name, mode in (("bin", 0o750), ("lib", 0o700), ("etc", 0o775), ("tmp", 0o755)):
        _directory(tree / name, mode, 1000)
    shutil.copyfile(require("busybox"), tree / TOOL)
    (tree / TOOL).chmod(0o755)
    os.link(tree / TOOL, tree / "bin/busybox-again")
    (tree / "bin/run").symlink_to("busybox-app")
    _file(tree / "lib/libapp.so.1", "a library\n", 0o755)
    (tree / "lib/libapp.so").symlink_to("libapp.so.1")
    os.link(tree / "lib/libapp.so.1", tree / "bin/libapp-by-another-name")
    _file(tree / "etc/motd", "the application\n", 0o600, 1000)
    shutil.copy2(passwd, tree / "etc/passwd")
    _directory(tree / "etc/app", 0o2750, 33)
    _file(tree / "etc/app/app.conf", "answer = 42\n", 0o640, 33)
    _file(tree / "tmp/seed", "seed\n", 0o666)
    _directory(tree / "srv/app/data", 0o1770, 65532)
    _directory(tree / "root", 0o777)
    _file(tree / "root/.profile", "umask 077\n")
    os.setxattr(tree / TOOL, "security.capability", _BIND)
    os.setxattr(tree / "lib/libapp.so.1", "security.capability", CAPABILITY)
    os.setxattr(tree / "etc/app", "user.of", b"the application\0")
    _still(tree)
    return tree


def to_be_copied(tree: Path, base: Container[str]) -> bytes:
    """A tar of what an engine is to copy: all but directories whose names ``base`` has."""
    out = io.BytesIO()
    seen: dict[int, str] = {}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(map(os.fsdecode, describe(tree))):
            path = tree / name
            if path.is_dir() and not path.is_symlink() and name in base:
                continue
            member = tar.gettarinfo(path, name)
            member.uname = member.gname = ""
            found = path.lstat()
            if found.st_nlink > 1 and not path.is_dir():
                member.linkname = seen.setdefault(found.st_ino, name)
                member.type = tarfile.REGTYPE if member.linkname == name else tarfile.LNKTYPE
            for attribute in os.listxattr(path, follow_symlinks=False):
                value = os.getxattr(path, attribute, follow_symlinks=False)
                text = value.decode("utf-8", "surrogateescape")
                member.pax_headers[f"SCHILY.xattr.{attribute}"] = text
            if member.isreg():
                member.size = found.st_size
                with path.open("rb") as content:
                    tar.addfile(member, content)
            else:
                tar.addfile(member)
    return out.getvalue()


def import_tree(engine: Engine, tree: Path, name: str) -> None:
    """A tree as an image of the engine's own making."""
    packed = ["tar", "-C", str(tree), "--numeric-owner", "--xattrs", "--xattrs-include=*"]
    with subprocess.Popen([*packed, "-cf", "-", "."], stdout=subprocess.PIPE) as tar:
        assert tar.stdout is not None
        engine("import", "-", name, stdin=tar.stdout)
    assert tar.returncode == 0


@contextlib.contextmanager
def changed(loader: Engine | Podman, name: str, script: str) -> Iterator[str]:
    """A container of ``name``, after a script ran in it."""
    create = ("create", "--network", "none", *LIMITS, name, "/bin/sh", "-ec", script)
    inside = loader(*create).decode().strip()
    try:
        loader("start", "-a", inside)
        yield inside
    finally:
        loader("rm", inside)


def commit(loader: Engine | Podman, name: str, script: str, result: str) -> None:
    """What a script does in a container of ``name``, as a layer more."""
    with changed(loader, name, script) as container:
        loader("commit", container, result)


COMMITTED = (
    # A link to a file below, deletions, and a second name for what a layer has already.
    "ln /bin/busybox /bin/linked; ln /etc/motd /etc/motd-again; rm -r /opt/gone; rm /opt/old/one;"
    "echo three >/opt/old/three; ln /opt/old/three /opt/three; chmod 4755 /bin/linked",
    # A directory made anew, others where files were and a file where one was, a mode alone.
    "rm -r /opt/old; mkdir /opt/old; echo four >/opt/old/four; rm /lib/libbase.so;"
    "mkdir /lib/libbase.so; mv /etc/apk /etc/package; chmod 1770 /srv; rm /opt/three;"
    "echo >/etc/apk; ln /etc/issue /opt/old/issue",
)
"""What makes the layers of a base that was committed; a container runs each of these."""


def exported(engine: Engine, name: str) -> dict[str, tarfile.TarInfo]:
    """What ``docker export`` says a container of ``name`` holds."""
    container = engine("create", name, "/none").decode().strip()
    try:
        with tarfile.open(fileobj=io.BytesIO(engine("export", container))) as tar:
            return {member.name.strip("/"): member for member in tar}
    finally:
        engine("rm", container)


@contextlib.contextmanager
def started(engine: Engine, container: str) -> Iterator[Path]:
    """Start a container that was created; its root file system."""
    try:
        engine("start", container)
        described = json.loads(engine("inspect", container))[0]
        yield Path(described["GraphDriver"]["Data"]["MergedDir"])
    finally:
        engine("rm", "-f", container)


ENGINES_OWN = (
    *(b".dockerenv", b"dev/console"),
    *(b"etc/hostname", b"etc/hosts", b"etc/mtab", b"etc/resolv.conf"),
)
"""What an engine puts into each container itself."""


def timeless(place: Path, *names: bytes) -> dict[bytes, Facts]:
    """What a container holds; directories, ``names`` and what is the engine's have no time."""
    none = {*names, *ENGINES_OWN}
    return {
        name: one._replace(mtime=0) if one.kind == "directory" or name in none else one
        for name, one in describe(place).items()
    }
