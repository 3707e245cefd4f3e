"""Owners, modes, capabilities and devices that are not on disk, as a normal user gives them."""

import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli_runner import Imgpack, InProcess, Outcome
from tests.layer.trees import settle
from tests.privileges import IS_ROOT, as_user

USER = 4321
"""Whoever builds without being root."""
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
PASSWD = "root:x:0:0::/:/bin/sh\napp:x:1000:1001::/:/bin/sh\n"
GROUP = "root:x:0:\nstaff:x:50:\n"


def members(archive: Path) -> dict[str, tarfile.TarInfo]:
    """What is in the layers of an archive, the last of each path."""
    found = {}
    with tarfile.open(archive) as outer:
        for blob in outer:
            data = outer.extractfile(blob)
            if data is not None and data.read(2) == b"\x1f\x8b":
                data.seek(0)
                with tarfile.open(fileobj=data, mode="r:gz") as tar:
                    found.update({member.name: member for member in tar})
    assert found
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with users, a program with two names, a link and some data."""
    return plain(tmp_path / "rootfs")


def plain(root: Path) -> Path:
    """What a normal user can make of it."""
    for name in ("etc", "bin", "srv/data", "dev"):
        (root / name).mkdir(parents=True)
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUP)
    (root / "bin/serve").write_text("#!/bin/sh\n")
    (root / "bin/sh").symlink_to("serve")
    (root / "srv/data/file").write_text("data\n")
    for where, directories, files in os.walk(root):
        for name in [*directories, *files]:
            if not (Path(where) / name).is_symlink():
                (Path(where) / name).chmod(0o755 if name in directories else 0o644)
    root.chmod(0o755)
    settle(root)
    return root


def built(imgpack: InProcess, *arguments: str) -> Outcome:
    """A build of the tree without a cache."""
    return imgpack("build", "rootfs", "-o", "o.tar", "--no-cache", *arguments)


def test_rules_change_what_their_patterns_match(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """And all below; the last one that matches counts, and names are those of the image."""
    built(
        imgpack_here,
        *("--chown", "srv=app", "--chown", "/srv/data/*=app:staff", "--chown", "bin=:7"),
        *("--chmod", "**/serve=4711", "--chmod", "srv=go-rx", "--chmod", "bin/*=u-s"),
        *("--cap", "bin/serve=cap_net_bind_service+ep", "--xattr", "srv=user.k=0x00ff"),
        *("--mtime", "etc=7", "--mtime", "etc/group=1970-01-01T00:00:09Z"),
    ).ok()

    found = members(tmp_path / "o.tar")
    owners = {name: (one.uid, one.gid) for name, one in found.items()}
    assert owners["srv"] == owners["srv/data"] == (1000, 1001)
    assert owners["srv/data/file"] == (1000, 50)
    assert owners["bin/sh"] == owners["bin"] == (0, 7)
    assert (found["bin/serve"].mode, found["srv/data/file"].mode) == (0o711, 0o600)
    assert (found["srv"].mode, found["bin/sh"].mode) == (0o700, 0o777)
    assert [found[name].mtime for name in ("etc/passwd", "etc/group")] == [7, 9]
    xattrs = {name: one.pax_headers for name, one in found.items() if one.pax_headers}
    assert sorted(xattrs) == ["bin/serve", "srv", "srv/data", "srv/data/file"]


def test_a_value_alone_is_for_everything(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """Whatever comes later changes a part of it again."""
    built(
        imgpack_here,
        *("--chown", "5:6", "--chmod", "u=rwX,go=", "--mtime", "3", "--mtime", "dev=4"),
        *("--chown", "dev=0"),
    ).ok()

    found = members(tmp_path / "o.tar")
    assert {(one.uid, one.gid) for name, one in found.items() if name != "dev"} == {(5, 6)}
    assert (found["dev"].uid, found["dev"].gid) == (0, 0)
    modes = {(one.type, one.mode) for one in found.values() if not one.issym()}
    assert modes == {(tarfile.DIRTYPE, 0o700), (tarfile.REGTYPE, 0o600)}
    assert {one.mtime for name, one in found.items() if name != "dev"} == {3}
    assert found["dev"].mtime == 4


def test_a_hard_link_that_rules_part_is_two_files(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """Names that are written alike stay one; each file has its bytes."""
    for name in ("again", "other", "third"):
        os.link(tree / "bin/serve", tree / "bin" / name)

    built(imgpack_here, "--chmod", "bin/[ot]*=755").ok()

    found = members(tmp_path / "o.tar")
    files = {name: (found[f"bin/{name}"].linkname, found[f"bin/{name}"].size)
             for name in ("again", "other", "serve", "third")}  # fmt: skip
    assert files == {
        "again": ("", 10),
        "other": ("", 10),
        "serve": ("bin/again", 0),
        "third": ("bin/other", 0),
    }


def test_a_rule_that_matches_nothing_is_an_error(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """Also when nothing is read; what it matches may be in any layer."""
    (tmp_path / "extra/opt").mkdir(parents=True)
    arguments = ("build", "rootfs", "extra", "-o", "o.tar", "--cache-dir", "cache")
    rules = ("--chown", "srv=1", "--chmod", "opt=700")

    imgpack_here(*arguments, *rules).ok()
    for _ in range(3):
        imgpack_here(*arguments, *rules).ok()
    (tmp_path / "o.tar").unlink()
    for _ in range(3):
        line = imgpack_here(*arguments, *rules, "--chown", "/srv/dat=1").failed(7)
        assert "nothing that it could change matches chown /srv/dat=1" in line
        assert not (tmp_path / "o.tar").exists()


def test_a_layer_is_built_anew_for_another_list_or_body(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """And out of the cache for the same: a body's bytes decide, not its time."""
    arguments = ("build", "rootfs", "-o", "o.tar", "--cache-dir", "cache", "--mtree", "l")
    body = tmp_path / "body"
    seen = []
    for content, mode in (("one", "600"), ("two", "600"), ("two", "640"), ("one", "600")):
        body.write_text(content)
        os.utime(body, (1, 1))
        (tmp_path / "l").write_text(f"./new type=file contents=body mode={mode}\n")
        first, again = (imgpack_here(*arguments) for _ in range(2))
        assert first.ok() == again.ok()
        seen.append((first.out, members(tmp_path / "o.tar")["new"].mode))

    assert seen[0] == seen[3]
    assert len(set(seen)) == 3


def test_only_what_can_have_a_value_is_matched(imgpack_here: InProcess, tree: Path) -> None:
    """A link has no mode, and nothing but a file has capabilities."""
    for rule in (("--chmod", "bin/sh=755"), ("--cap", "etc/*/*=cap_chown+p"),
                 ("--xattr", "bin/sh=user.k=v")):  # fmt: skip
        assert "matches" in built(imgpack_here, *rule).failed(7)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--chown", "srv=nobody"], 7, "--chown 'srv=nobody': the user 'nobody' is not in /etc/"),
        (["--chown", "srv=app:wheel"], 7, "the group 'wheel' is not in /etc/group of the image"),
        (["--chown", "srv=0:"], 7, "'0:' is no owner; write USER, USER:GROUP or :GROUP"),
        (["--chown", "srv="], 7, "'' is no owner"),
        (["--chown", "=0"], 7, "has no pattern; write PATTERN=VALUE"),
        (["--chown", "srv=4294967295"], 7, "above the largest id"),
        (["--chown", "[=0"], 7, "'[' is no pattern: a bracket is not closed"),
        (["--chown", "!srv=0"], 7, "is no pattern of a rule"),
        (["--chmod", "srv=u+z"], 7, "--chmod 'srv=u+z': 'u+z' is not a mode; write octal"),
        (["--chmod", "srv"], 7, "'srv' is not a mode"),
        (["--chmod", "srv="], 7, "'' is not a mode"),
        (["--cap", "bin=cap_net+ep"], 7, "there is no 'cap_net'"),
        (["--cap", "bin/serve=ep"], 7, "'ep' is no clause of them"),
        (["--xattr", "srv=key=v"], 7, "'key=v' is no attribute; write NAME=VALUE"),
        (["--xattr", "srv=user.k=0xf"], 7, "behind 0x are hexadecimal digits"),
        (["--xattr", "srv=user.k=0s?"], 7, "is not what it begins as"),
        (["--xattr", "srv=security.selinux=x"], 7, "security.selinux is none of an image"),
        (["--mtime", "srv=soon"], 7, "--mtime 'soon' is not a time"),
        (["--mtime", "srv=99999999999"], 7, "the time 99999999999 cannot be written"),
        (["--idmap", "0:1000"], 5, "which no range maps; map it as well"),
        (["--idmap", "0"], 7, "--idmap: '0' does not map ids; write CONTAINER:HOST:SIZE"),
        (["--idmap", "0:0:0"], 7, "0:0:0 is not a range of ids"),
        (["--idmap", "0:4294967295:2"], 7, "is not a range of ids"),
        (["--idmap", "0:5:9", "--idmap", "100:8:1"], 7, "two ranges map the uid 8 of the host"),
        (["--idmap-unmapped", "drop"], 2, "'drop' is not one of"),
        (["--mtree", "none"], 3, "cannot read the list none: No such file or directory"),
        (["--mtree-only"], 2, "--mtree-only needs a list"),
        (["--fakeroot-state", "none"], 3, "cannot read the state none: No such file"),
        (["--fakeroot-state", "rootfs/etc/passwd"], 5, "rootfs/etc/passwd:1: 'root:x:0:0::/:"),
    ],
)  # fmt: skip
def test_what_no_rule_can_be_is_told(
    imgpack_here: InProcess, tree: Path, tmp_path: Path,
    arguments: list[str], code: int, words: str,
) -> None:  # fmt: skip
    """In one line that says what to write, and nothing is left."""
    os.utime(tree, (0, 0))
    assert words in built(imgpack_here, *arguments).failed(code)
    assert [path.name for path in tmp_path.iterdir() if path.suffix in (".tar", ".tmp")] == []


def test_a_state_of_another_tree_is_refused(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """As a copy is one: also when the layer was built before; an empty one says nothing."""
    found = (tree / "bin/serve").lstat()
    line = "dev={:x},ino={},mode=100755,uid=7,gid=7,nlink=1,rdev=0\n"
    (tmp_path / "state").write_text(line.format(found.st_dev, found.st_ino))
    built(imgpack_here, "--fakeroot-state", "state").ok()
    assert members(tmp_path / "o.tar")["bin/serve"].uid == 7

    (tmp_path / "o.tar").unlink()
    shutil.copytree(tree, tmp_path / "copy", symlinks=True)
    for _ in range(2):
        done = imgpack_here("build", "copy", "-o", "o.tar", "--fakeroot-state", "state")
        assert "nothing that state says is about a file of the sources" in done.failed(7)
    (tmp_path / "state").write_text("")
    built(imgpack_here, "--fakeroot-state", "state").ok()


def test_a_list_is_a_source_of_its_own(imgpack_here: InProcess, tree: Path, tmp_path: Path) -> None:
    """By its name; the bodies lie where it says, and names are those of the layers below."""
    (tmp_path / "extra.mtree").write_text(
        "/set type=file\n./opt/motd contents=rootfs/etc/passwd mode=0600 uname=app\n"
        "./opt/null type=char device=linux,1,3 foo=1\n./opt/s type=socket\n"
    )
    done = imgpack_here("build", "rootfs", "extra.mtree:/x", "-o", "o.tar", "--no-cache")

    done.ok()
    found = members(tmp_path / "o.tar")
    assert (found["x/opt/motd"].mode, found["x/opt/motd"].uid) == (0o600, 1000)
    assert found["x/opt/motd"].size == len(PASSWD)
    assert found["x/opt/null"].ischr()
    assert "extra.mtree:3: the keyword foo is not known" in done.err
    assert "extra.mtree:4: skipped the socket opt/s" in done.err
    (tmp_path / "extra.mtree").write_text("./f size=5\n")
    done = imgpack_here("build", "extra.mtree", "-o", "new.tar", "--no-cache")
    assert "extra.mtree:1: the file f is to have 5 bytes, which are not here" in done.failed(5)


def test_a_list_lies_below_raw_layers_and_over_something(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """A raw layer is carried as it is; over nothing, the list is a source itself."""
    (tmp_path / "l.mtree").write_text("./new type=dir\n")
    with tarfile.open(tmp_path / "raw.tar", "w") as raw:
        raw.addfile(tarfile.TarInfo("raw"))

    built(imgpack_here, "--mtree", "l.mtree", "--raw-layer", "raw.tar").ok()
    assert members(tmp_path / "o.tar")["new"].isdir()
    (tmp_path / "o.tar").unlink()
    arguments = ("build", "--from", "scratch", "--mtree", "l.mtree", "-o", "o.tar")
    assert "--mtree is laid over a SRC" in imgpack_here(*arguments).failed(2)
    arguments += ("--raw-layer", "raw.tar")
    assert "--mtree is laid over a SRC" in imgpack_here(*arguments).failed(2)


def test_a_user_may_come_from_a_list(imgpack_here: InProcess, tmp_path: Path) -> None:
    """What it adds to the image is of the image."""
    (tmp_path / "passwd").write_text("app:x:5:5::/:/bin/sh\n")
    (tmp_path / "l.mtree").write_text("./etc/passwd type=file contents=passwd\n")
    (tmp_path / "app/bin").mkdir(parents=True)
    imgpack_here("build", "app", "-o", "base.tar").ok()

    command = ("build", "app", "--from", "base.tar", "--user", "app", "-o", "o.tar")
    assert "the user 'app' is not in" in imgpack_here(*command).failed(7)
    imgpack_here(*command, "--mtree", "l.mtree").ok()


def test_records_count_without_any_option_and_can_be_passed_over(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """A device is what an empty file is recorded as; nothing else is changed by it."""
    for name, value in {"dev/null": b"1:2:0666:char-1-3", "etc/group": b"0:42:0640:file"}.items():
        (tree / name).touch()
        os.setxattr(tree / name, "user.containers.override_stat", value)

    built(imgpack_here).ok()
    found = members(tmp_path / "o.tar")
    null, group = found["dev/null"], found["etc/group"]
    assert (null.type, null.devmajor, null.devminor, null.mode) == (tarfile.CHRTYPE, 1, 3, 0o666)
    assert (null.uid, null.gid, group.gid, group.mode) == (1, 2, 42, 0o640)
    built(imgpack_here, "--no-rootless-records").ok()
    found = members(tmp_path / "o.tar")
    assert found["dev/null"].isreg() and found["etc/group"].mode == 0o644
    assert not any(one.pax_headers for one in found.values())
    os.setxattr(tree / "etc/group", "user.containers.override_stat", b"0:0:600:pipe")
    assert "etc/group is recorded as pipe" in built(imgpack_here).failed(5)


@pytest.mark.skipif(not IS_ROOT, reason="gives files to others")
def test_ids_of_a_user_namespace_are_those_of_its_image(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """What is recorded is one of the image already."""
    for where, directories, files in os.walk(tree):
        for name in [*directories, *files]:
            os.chown(os.path.join(where, name), 100000, 1000, follow_symlinks=False)
    os.chown(tree / "etc/group", 5, 5)
    os.setxattr(tree / "etc/group", "user.rootlesscontainers", bytes.fromhex("08e80710e807"))
    maps = ("--idmap", "0:1000:1", "--idmap", "1:100000:65536")

    built(imgpack_here, *maps, "--chown", "bin=:9").ok()
    found = members(tmp_path / "o.tar")
    assert (found["srv"].uid, found["srv"].gid) == (1, 0)
    assert (found["bin"].uid, found["bin"].gid) == (1, 9)
    assert (found["etc/group"].uid, found["etc/group"].gid) == (1000, 1000)
    os.chown(tree / "etc/passwd", 5, 1000)
    line = built(imgpack_here, *maps).failed(5)
    assert "rootfs/etc/passwd has the uid 5, which no range maps" in line
    built(imgpack_here, *maps, "--idmap-unmapped", "keep").ok()
    assert members(tmp_path / "o.tar")["etc/passwd"].uid == 5


def test_rules_and_lists_go_with_squash_and_differences(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """Trees are compared as they are written, and what is added is in the one layer."""
    shutil.copytree(tree, tmp_path / "new", symlinks=True)
    settle(tmp_path / "new")
    (tmp_path / "new/srv/more").write_text("more\n")
    (tmp_path / "l").write_text("./dev/null type=char device=linux,1,3\n")
    rules = ("--chown", "srv/more=7", "--chmod", "*=go-w")
    into = ("-o", "o.tar", "--no-cache")

    imgpack_here("build", "rootfs", "new", "--squash", *rules, "--mtree", "l", *into).ok()
    found = members(tmp_path / "o.tar")
    assert found["dev/null"].ischr() and found["srv/more"].uid == 7
    imgpack_here("build", "--diff", "rootfs", "new", *rules, *into).ok()
    found = members(tmp_path / "o.tar")
    assert sorted(found) == ["srv", "srv/more"]
    assert found["srv/more"].uid == 7


def test_a_dry_run_shows_what_rules_and_lists_make_of_it(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """Owners and modes as they would be written, and what is added to the top layer."""
    (tmp_path / "l").write_text("./dev/null type=char device=linux,1,3\n./srv mode=755\n")
    rules = ("--chown", "srv=7", "--chmod", "srv=700", "--mtree", "l")
    out = imgpack_here("build", "rootfs", "rootfs:/x", "--dry-run", *rules).ok().decode()

    assert "directory 0700         7:7            0 /srv\n" in out
    assert out.index("layer 2: rootfs\n") < out.index(" /dev/null\n")


# What follows compares with what root has on disk.


def as_root_has_it(root: Path) -> Path:
    """The tree with owners, devices and capabilities that only root can make."""
    plain(root)
    owners = {"srv": (1000, 1001), "srv/data": (1000, 1001), "srv/data/file": (1000, 50)}
    for name, (uid, gid) in (owners | {"bin/serve": (0, 50)}).items():
        os.chown(root / name, uid, gid)
    (root / "bin/serve").chmod(0o4750)
    os.mknod(root / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (root / "dev/null").chmod(0o666)
    os.mknod(root / "dev/disk", 0o660 | stat.S_IFBLK, os.makedev(259, 70000))
    (root / "dev/disk").chmod(0o660)
    os.chown(root / "dev/disk", 0, 6)
    os.mkfifo(root / "dev/pipe")
    (root / "dev/pipe").chmod(0o600)
    os.setxattr(root / "bin/serve", "security.capability", CAPABILITY)
    settle(root)
    return root


MTREE = """#mtree
. type=dir
/set type=file uid=0 gid=0
./bin/serve gname=staff mode=4750 xattr.security.capability=AQAAAgAEAAAAAAAAAAAAAAAAAAA=
./srv type=dir uname=app gid=1001
./srv/data type=dir uid=1000 gid=1001 nochange
./srv/data/file uid=1000 gid=50
/set time=1000000000.0
./dev/null type=char device=linux,1,3 mode=0666
./dev/disk type=block mode=0660 gid=6 device=0x11110370
./dev/pipe type=fifo mode=0600
"""


def by_rules(root: Path, run: Callable[..., None]) -> tuple[str, ...]:
    """Rules, and records of rootless tools for what is no plain file."""
    for name, record in {"null": "0:0:0666:char-1-3", "disk": "0:6:0660:block-259-70000",
                         "pipe": "0:0:0600:pipe"}.items():  # fmt: skip
        (root / "dev" / name).touch()
        os.setxattr(root / "dev" / name, "user.containers.override_stat", record.encode())
    return (
        "--chown", "srv=app", "--chown", "srv/data/file=app:staff", "--chown", "bin/serve=:staff",
        "--chmod", "bin/serve=u=rwxs,g=rx,o=", "--cap", "bin/serve=cap_net_bind_service=ep",
    )  # fmt: skip


def by_list(root: Path, run: Callable[..., None]) -> tuple[str, ...]:
    """All of it in an mtree file, and nothing of it on disk."""
    number = os.makedev(259, 70000)
    text = MTREE.replace("0x11110370", hex(number)).replace(" nochange", "")
    (root.parent / "list.mtree").write_text(text)
    return ("--mtree", "list.mtree")


def by_fakeroot(root: Path, run: Callable[..., None]) -> tuple[str, ...]:
    """What fakeroot saved; it keeps no capabilities."""
    run(
        "fakeroot", "-s", "state", "sh", "-ec",
        "cd rootfs; chown 1000:1001 srv srv/data; chown 1000:50 srv/data/file;"
        "chown 0:50 bin/serve; chmod 4750 bin/serve; mknod -m 666 dev/null c 1 3;"
        "mknod -m 660 dev/disk b 259 70000; chown 0:6 dev/disk; mkfifo -m 600 dev/pipe",
    )  # fmt: skip
    return ("--fakeroot-state", "state", "--cap", "bin/serve=cap_net_bind_service+ep")


@pytest.mark.skipif(not IS_ROOT, reason="makes devices to compare with, and then is a user")
@pytest.mark.parametrize(
    "made", [by_rules, by_list, by_fakeroot], ids=["rules", "list", "fakeroot"]
)
def test_a_normal_user_builds_what_root_builds_from_the_real_thing(
    imgpack: Imgpack, tmp_path: Path, made: Callable[..., tuple[str, ...]]
) -> None:
    """To the last byte of the archive."""
    if made is by_fakeroot and shutil.which("fakeroot") is None:
        pytest.skip("needs fakeroot")
    for name in ("root", "user"):
        (tmp_path / name).mkdir()
    as_root_has_it(tmp_path / "root/rootfs")
    root = plain(tmp_path / "user/rootfs")
    os.chown(tmp_path / "user", USER, USER)
    for where, directories, files in os.walk(root):
        for name in [".", *directories, *files]:
            os.chown(os.path.join(where, name), USER, USER, follow_symlinks=False)

    def run(*command: str) -> None:
        subprocess.run([*as_user(USER, USER), *command], check=True, cwd=tmp_path / "user")

    options = made(root, run)
    for path in (root / "dev").iterdir():
        os.chown(path, USER, USER)
    settle(root)
    imgpack("build", "rootfs", "-o", "o.tar", "--no-cache", cwd=tmp_path / "root").ok()
    prefix = as_user(USER, USER)
    imgpack(
        "build", "rootfs", "-o", "o.tar", "--no-cache", *options,
        cwd=tmp_path / "user", prefix=prefix,
    ).ok()  # fmt: skip

    real, own = members(tmp_path / "root/o.tar"), members(tmp_path / "user/o.tar")
    told = {name: one.get_info() | one.pax_headers for name, one in real.items()}
    assert {name: one.get_info() | one.pax_headers for name, one in own.items()} == told
    assert (tmp_path / "root/o.tar").read_bytes() == (tmp_path / "user/o.tar").read_bytes()
