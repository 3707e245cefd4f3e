"""What layers make together is what other programs unpack, and the text of it what they read."""

import io
import os
import stat
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from imgpack.api import (
    Entries,
    Image,
    character_device,
    directory_entry,
    fifo,
    file,
    parse_name,
    symlink,
)
from imgpack.image.base.contents import image_files
from imgpack.image.base.tree import base_tree
from imgpack.tree.merge.listing import listing_text
from tests.interop.committed import committed
from tests.interop.trees import KINDS, Facts, describe, differences
from tests.servers.engine import Engine, Podman
from tests.servers.process import require, require_root, run
from tests.store.samples import Memory, make_image, write_image

NAMES = (parse_name("localhost/layers:1"),)
AWKWARD = "a b", "tab\tend", "new\nline", "back\\slash", "#=*?[", "é", "\x01"


def described(image: Image, scratch: Path) -> dict[bytes, Facts]:
    """What imgpack says of each path."""
    found: dict[bytes, Facts] = {}
    firsts: dict[int, bytes] = {}
    with image_files(image, "layers", lambda: str(scratch)) as tree:
        for entry in tree.entries():
            kind = KINDS[stat.S_IFMT(entry.mode)]
            content = "" if kind != "file" else getattr(entry.content, "sha256", "")
            found[entry.path] = Facts(
                kind=kind,
                mode=stat.S_IMODE(entry.mode),
                owner=(entry.uid, entry.gid),
                size=entry.size if kind == "file" else 0,
                mtime=entry.mtime_ns // 10**9,
                target=entry.target() if kind == "symlink" else b"",
                device=entry.rdev,
                linked_with=firsts.setdefault(entry.inode, entry.path) if entry.links > 1 else b"",
                xattrs=(),
                content=content,
            )
    return found


def extracted(tar: bytes, directory: Path) -> dict[bytes, Facts]:
    """What GNU tar makes of an archive."""
    directory.mkdir()
    argv = ["tar", "--extract", "--numeric-owner", "--same-owner", "--preserve-permissions"]
    run([*argv, "--warning=no-timestamp", "-C", str(directory)], input=tar, stdin=None)
    return describe(directory)


def ours(found: dict[bytes, Facts]) -> dict[bytes, Facts]:
    """Without what the engine puts into every container.

    An overlay counts the names of a file in all layers: one that is left is linked with none.
    """
    places = (b"dev", b"etc", b"proc", b"sys", b".dockerenv", b"run")
    names = Counter(one.linked_with for one in found.values())
    return {
        path: one if names[one.linked_with] > 1 else one._replace(linked_with=b"")
        for path, one in found.items()
        if path.split(b"/")[0] not in places
    }


@pytest.mark.parametrize("seed", range(6))
def test_umoci_unpacks_the_same_tree(seed: int, tmp_path: Path) -> None:
    """Whiteouts, opaque directories, links and replacements, over five layers."""
    require_root("foreign owners")
    image = committed(seed)
    layout = write_image(f"{tmp_path}/layout/", image, NAMES)
    run([require("umoci"), "unpack", "--image", f"{layout}:1", str(tmp_path / "bundle")])

    found = described(image, tmp_path)
    assert differences(found, describe(tmp_path / "bundle/rootfs")) == []


@pytest.mark.parametrize("seed", range(3))
def test_docker_exports_the_same_tree(seed: int, engine: Engine, tmp_path: Path) -> None:
    """What a container of it starts with."""
    image = committed(seed)
    engine.load(write_image(tmp_path / "layers.tar", image, NAMES))
    container = engine("create", str(NAMES[0]), "/a").decode().strip()
    try:
        exported = engine("export", container)
    finally:
        engine("rm", container)
        engine("rmi", str(NAMES[0]))

    assert differences(described(image, tmp_path), ours(extracted(exported, tmp_path / "x"))) == []


@pytest.mark.parametrize("seed", range(3))
def test_podman_mounts_the_same_tree(seed: int, podman: Podman, tmp_path: Path) -> None:
    """Out of its overlays."""
    image = committed(seed)
    podman("load", "-i", str(write_image(tmp_path / "layers.tar", image, NAMES)))
    place = podman("image", "mount", str(NAMES[0])).decode().strip()
    try:
        found = ours(describe(Path(place)))
    finally:
        podman("image", "unmount", str(NAMES[0]))
        podman("rmi", str(NAMES[0]))

    assert differences(described(image, tmp_path), found) == []


def awkward() -> Entries:
    """Every kind of entry, under names that readers of text trip over."""
    return Entries(
        [
            directory_entry("d", mode=0o1777, mtime_ns=1_500_000_000_000_000_001),
            *(file(f"d/{name}", name.encode(), uid=3, gid=4) for name in AWKWARD),
            symlink("d/link", "to a\\target\n"),
            fifo("pipe", mode=0o600),
            character_device("null", 1, 3, mode=0o666),
        ]
    )


def test_bsdtar_reads_the_text_of_a_tree(tmp_path: Path) -> None:
    """Every path, with what it is."""
    tree = awkward()
    (tmp_path / "tree.mtree").write_bytes(listing_text(tree))

    argv = [require("bsdtar"), "--format=pax", "-cf", "-", "@tree.mtree"]
    with tarfile.open(fileobj=io.BytesIO(run(argv, cwd=tmp_path).stdout)) as tar:
        found = {os.fsencode(one.name.removeprefix("./")): one for one in tar if one.name != "."}

    for entry in tree.entries():
        member = found.pop(entry.path)
        assert (member.mode, member.uid, member.gid) == (
            stat.S_IMODE(entry.mode), entry.uid, entry.gid,
        )  # fmt: skip
        assert member.isfile() == stat.S_ISREG(entry.mode)
        assert int(member.mtime) == entry.mtime_ns // 10**9
        if member.issym():
            assert os.fsencode(member.linkname) == entry.target()
    assert not found


def test_mtree_finds_nothing_else_in_the_tree(tmp_path: Path) -> None:
    """NetBSD's, which compares all that it reads with what is there; and it sees a change."""
    require_root("foreign owners and devices")
    tree = tmp_path / "tree"
    image = make_image(Memory(), [_layer(tree)])
    text = tmp_path / "tree.mtree"
    text.write_bytes(base_tree(image).text)

    assert run([require("mtree"), "-f", str(text), "-p", str(tree)]).stdout == b""
    (tree / "d/a b").write_bytes(b"b a")
    os.utime(tree / "d/a b", ns=(0, 0))
    with pytest.raises(AssertionError, match=r"ended with 2(.|\n)*d/a b: (.|\n)*sha256"):
        run([require("mtree"), "-f", str(text), "-p", str(tree)])


def _layer(tree: Path) -> bytes:
    """A layer of files on disk."""
    (tree / "d").mkdir(parents=True)
    for name in AWKWARD:
        (tree / "d" / name).write_bytes(name.encode())
    (tree / "d/link").symlink_to("to a target")
    os.mkfifo(tree / "pipe")
    os.mknod(tree / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    for path in (*tree.rglob("*"), tree):
        os.utime(path, ns=(0, 5 * 10**9), follow_symlinks=False)
    return run(["tar", "--create", "--format=pax", "-C", str(tree), "."]).stdout
