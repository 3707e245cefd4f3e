"""What an image shows, written to a directory: the same in every respect, and nothing else."""

import gc
import gzip
import io
import os
import stat
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from imgpack import api
from imgpack.api import Extracted
from imgpack.errors import (
    ArchiveError,
    DigestError,
    ImgpackError,
    LimitError,
    NoSuchPathError,
    OutputError,
)
from imgpack.files.atomic import empty
from imgpack.image.files.files import ImageFiles, image_contents
from imgpack.tree.unpack.directories import OpenDirectories
from tests.image.base.members import Warnings
from tests.image.base.test_tree import linked
from tests.store.samples import Memory, make_image, tar_of

REG, DIR, LNK, SYM = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE


def member(name: str, kind: bytes = REG, data: bytes = b"", **fields: Any) -> bytes:
    """One member of a layer; ``xattrs`` are among its ``fields``."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode = kind, len(data), 0o755 if kind == DIR else 0o644
    xattrs = fields.pop("xattrs", {})
    info.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in xattrs.items()}
    for field, value in fields.items():
        setattr(info, field, value)
    padding = bytes(-len(data) % 512)
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape") + data + padding


def layer(*members: bytes) -> bytes:
    """A layer of members."""
    return b"".join(members) + bytes(1024)


def files_of(*layers: bytes) -> ImageFiles:
    """The files of an image of these layers, that lies here."""
    return image_contents(make_image(Memory(), layers), "here", tempfile.gettempdir)


def extract(place: Path, layers: Sequence[bytes], **options: Any) -> Extracted:
    """Extract an image of these layers to the place."""
    return api.extract(files_of(*layers), str(place), **options)


def held(root: Path) -> dict[str, str]:
    """What is below a directory: bytes of files, targets of links, ``/`` for a directory."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            said = "-> " + os.readlink(path)
        else:
            said = "/" if path.is_dir() else path.read_text()
        found[str(path.relative_to(root))] = said
    return found


LOW = tar_of({"etc/a": b"a", "etc/gone": b"x", "dir/below": b"y", "file": b"low"})
HIGH = tar_of({"etc/.wh.gone": b"", "dir/.wh..wh..opq": b"", "dir/new": b"n", "file": b"high"})


def test_only_what_shows_in_the_end_is_written(tmp_path: Path) -> None:
    """What a higher layer deletes or replaces is not there, nor is any whiteout."""
    done = extract(tmp_path / "out", (LOW, HIGH))
    expected = {"dir": "/", "dir/new": "n", "etc": "/", "etc/a": "a", "file": "high"}
    assert held(tmp_path / "out") == expected
    assert done == Extracted(5, 0, 0, 0)
    assert os.listdir(tmp_path) == ["out"]


def test_everything_that_a_layer_says_of_an_entry_is_set(tmp_path: Path) -> None:
    """The owner, the mode with its set-id bits, the time, attributes, also those of directories."""
    said = {"uid": 12, "gid": 34, "mtime": 1_000_000_000}
    xattrs = {"user.a": "1", "security.selinux": "host", "trusted.overlay.opaque": "y"}
    layers = layer(
        member(".", DIR, mode=0o750, **said),
        member("d", DIR, mode=0o2500, xattrs=xattrs, **said),
        member("d/f", data=b"x", mode=0o6711, xattrs=xattrs, **said),
        member("d/l", SYM, linkname="/nowhere", **said),
        member("d/p", tarfile.FIFOTYPE, mode=0o620, **said),
        member("d/n", tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3, **said),
    )
    extract(tmp_path / "out", (layers,))
    modes = {"": 0o750, "d": 0o2500, "d/f": 0o6711, "d/p": 0o620, "d/n": 0o666, "d/l": 0o777}
    for name, mode in modes.items():
        found = (tmp_path / "out" / name).lstat()
        assert (name, stat.S_IMODE(found.st_mode)) == (name, mode)
        assert (found.st_uid, found.st_gid, found.st_mtime) == (12, 34, 1_000_000_000)
    assert os.listxattr(tmp_path / "out/d") == ["user.a"], "the host's own stay behind"
    assert os.getxattr(tmp_path / "out/d/f", "user.a") == b"1"
    assert (tmp_path / "out/d/n").lstat().st_rdev == os.makedev(1, 3)


def test_names_of_one_file_are_hard_links(tmp_path: Path) -> None:
    """Also if the first of them is deleted above, and for links, and what a lower layer has."""
    low = linked(
        ("a", REG, "one"), ("d", DIR, ""), ("d/b", LNK, "a"), ("z", LNK, "a"),
        ("s", SYM, "a"), ("t", LNK, "s"), ("e", REG, ""), ("f", LNK, "e"),
    )  # fmt: skip
    high = linked((".wh.a", REG, ""), ("copy", LNK, "z"))
    extract(tmp_path / "out", (low, high))
    out = tmp_path / "out"
    assert held(out) == {
        "copy": "one", "d": "/", "d/b": "one", "e": "", "f": "", "s": "-> a", "t": "-> a",
        "z": "one",
    }  # fmt: skip
    groups = (("d/b", "z"), ("s", "t"), ("e", "f"))
    for one, other in groups:
        assert (out / one).lstat().st_ino == (out / other).lstat().st_ino
    assert (out / "copy").stat().st_nlink == 1, "a link to a lower layer's file is its own"


def test_runs_of_zeros_are_holes(tmp_path: Path) -> None:
    """Wherever they lie; what is between them is where it was."""
    data = bytes(1 << 20) + b"x" * 5000 + bytes(3 << 20) + b"y" + bytes(1 << 20)
    extract(tmp_path / "out", (tar_of({"holes": data, "zeros": bytes(1 << 20)}),))
    assert (tmp_path / "out/holes").read_bytes() == data
    assert (tmp_path / "out/zeros").read_bytes() == bytes(1 << 20)
    assert (tmp_path / "out/holes").stat().st_blocks * 512 < 400_000


def test_an_empty_directory_is_filled_where_it_is(tmp_path: Path) -> None:
    """It stays the same directory, with the mode that it had if no layer says another."""
    out = tmp_path / "out"
    out.mkdir(mode=0o711)
    before = out.stat().st_ino
    extract(out, (LOW,))
    assert (out.stat().st_ino, stat.S_IMODE(out.stat().st_mode)) == (before, 0o711)
    with pytest.raises(OutputError, match="out has something in it"):
        extract(out, (LOW,))
    assert (out / "file").read_text() == "low"


@pytest.mark.parametrize("name", ["file", "no/where", "link"])
def test_what_is_no_place_for_a_tree_is_refused(tmp_path: Path, name: str) -> None:
    """A file, a directory in one that is not there, a link to a file."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(OutputError, match=name):
        extract(tmp_path / name, (LOW,))
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]


def test_nothing_is_left_of_what_failed(tmp_path: Path) -> None:
    """Neither a new directory nor anything in one that was there, however deep it was."""
    deep = "/".join("d" * 300)
    source = Memory()
    image = make_image(source, [layer(member(f"{deep}/file", data=b"x"), member("a", data=b"a"))])
    files = image_contents(image, "here", tempfile.gettempdir)
    changed = layer(member(f"{deep}/file", data=b"x"), member("a", data=b"A"))
    source.blobs[image.layers[0].descriptor.digest] = gzip.compress(changed, mtime=0)
    (tmp_path / "there").mkdir()
    for name in ("new", "there"):
        with pytest.raises((ArchiveError, DigestError)):
            api.extract(files, str(tmp_path / name))
    assert os.listdir(tmp_path) == ["there"]
    assert os.listdir(tmp_path / "there") == []


def test_paths_choose_what_is_written(tmp_path: Path) -> None:
    """With the directories above; links on the way are the image's, at the end with a slash."""
    layers = linked(
        ("usr", DIR, ""), ("usr/bin", DIR, ""), ("usr/bin/sh", REG, "sh"), ("bin", SYM, "/usr/bin"),
        ("usr/lib", REG, "no"), ("usr/bin.x", REG, "no"),
    )  # fmt: skip
    written = {}
    for path in ("/bin/sh", "bin", "bin/", "bin/.", "./usr//bin/", "usr/lib/../bin", "/"):
        place = tmp_path / str(len(written))
        try:
            extract(place, (layers,), paths=[path])
            written[path] = set(held(place))
        except ImgpackError as error:
            written[path] = {str(error.message)}
    binary = {"usr", "usr/bin", "usr/bin/sh"}
    assert written["/bin/sh"] == written["bin/"] == written["./usr//bin/"] == binary
    assert written["bin/."] == binary
    assert written["bin"] == {"bin"}
    assert written["/"] == binary | {"bin", "usr/lib", "usr/bin.x"}
    (refused,) = written["usr/lib/../bin"]
    assert "not a directory" in refused
    with pytest.raises(NoSuchPathError, match="/usr/none is not in the image"):
        extract(tmp_path / "none", (layers,), paths=["usr/none"])


def test_a_name_that_a_file_system_takes_for_another_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that does not tell upper from lower case: never is one written over the other."""
    make = os.open

    def folding(path: Any, *rest: Any, **named: Any) -> int:
        folded = path.lower() if isinstance(path, bytes) and path.isupper() else path
        return make(folded, *rest, **named)

    monkeypatch.setattr(os, "open", folding)
    with pytest.raises(OutputError, match=r"out/(a|A): the file system takes it and another name"):
        extract(tmp_path / "out", (tar_of({"A": b"1", "a": b"2"}),))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ((member("n" * 200 + "/" + "/".join(["m" * 200] * 20)),), LimitError),
        ((member("a", pax_headers={"path": "a\0b"}),), ArchiveError),
        ((member("a", SYM, pax_headers={"linkpath": "a\0b"}),), ArchiveError),
        ((member("a", SYM, linkname="t" * 5000),), OutputError),
    ],
)
def test_what_no_system_takes_is_refused(
    tmp_path: Path, members: tuple[bytes, ...], kind: type[ImgpackError]
) -> None:
    """By one error that says what; nothing is left."""
    with pytest.raises(kind):
        extract(tmp_path / "out", (layer(*members),))
    assert os.listdir(tmp_path) == []


def test_a_way_deeper_than_what_is_held_open_is_found_again(tmp_path: Path) -> None:
    """From the root on, and not through what was put in the place of a directory."""
    deep = b"/".join([b"d"] * 200)
    os.makedirs(os.path.join(os.fsencode(tmp_path), deep))
    root = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    directories = OpenDirectories(root)
    try:
        for path in (deep, deep[:99], deep, b"", b"d"):
            found = os.fstat(directories.at(path))
            assert found.st_ino == os.stat(os.path.join(os.fsencode(tmp_path), path)).st_ino
        (tmp_path / "d").rename(tmp_path / "e")
        (tmp_path / "d").symlink_to("e")
        directories.close()
        with pytest.raises(OSError, match=r"Not a directory|symbolic"):
            directories.at(deep)
        empty(root)
        assert os.listdir(tmp_path) == []
    finally:
        directories.close()
        os.close(root)


def test_other_names_of_a_member_that_comes_twice(tmp_path: Path) -> None:
    """The last one counts, under its own bytes."""
    twice = io.BytesIO()
    with tarfile.open(fileobj=twice, mode="w") as tar:
        for data in (b"first", b"last!"):
            info = tarfile.TarInfo("a")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    extract(tmp_path / "out", (twice.getvalue(),))
    assert held(tmp_path / "out") == {"a": "last!"}


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    """Nor do they add up: a process may have no more than a thousand."""
    names = [(f"d/{number}", REG, "x" * number) for number in range(9)]
    links = [(f"l/{number}", LNK, f"d/{number}") for number in range(9)]
    files = files_of(linked(*names, *links), layer(member("n", tarfile.CHRTYPE)))
    gc.collect()
    before = sorted(os.listdir("/proc/self/fd"))
    api.extract(files, str(tmp_path / "new"))
    (tmp_path / "there").mkdir()
    api.extract(files, str(tmp_path / "there"))
    with pytest.raises(OutputError):
        api.extract(files, str(tmp_path / "there"))
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_what_is_not_as_the_image_says_is_told_by_kind(tmp_path: Path) -> None:
    """How many there are, and the first of them."""
    own, other = {"xattrs": {"user.a": "1", "user.b": "2"}}, {"uid": 5}
    layers = layer(
        member("a", SYM, linkname="x", uid=5), member("b", SYM, linkname="x", **own),
        member("c", SYM, linkname="x", **own, **other), member("d", tarfile.FIFOTYPE, **other),
        member("e", SYM, linkname="x", gid=1), member("f", SYM, linkname="x"),
    )  # fmt: skip
    warnings = Warnings()
    done = extract(tmp_path / "out", (layers,), rootless=True, reporter=warnings)
    assert done == Extracted(6, 3, 0, 2)
    assert warnings.warned == [
        f"{tmp_path}/out: entries that {what}"
        for what in (
            "have other owners, which could not be set or recorded: 3, the first is /a",
            "lack an extended attribute, which could not be set: 2, the first is /b",
        )
    ]
