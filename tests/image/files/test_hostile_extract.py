"""Layers by somebody who means harm: whatever they hold, nothing beside the directory changes."""

import os
import stat
import tarfile
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from imgpack import api
from imgpack.errors import ImgpackError
from imgpack.image.files.files import ImageFiles
from tests.image.files.test_extract import files_of, layer, member

_NAMES = (
    "a", "A", "b", "a/b", "a/b/c", "a/../b", "../canary", "..", ".", "./a", "/a", "a//b", "a/",
    "../../canary/file", ".wh.a", ".wh.b", "a/.wh.b", ".wh..wh..opq", "a/.wh..wh..opq", ".wh.",
    ".wh...", ".wh..wh.plnk", "canary", "canary/file", "b/file",
)  # fmt: skip
_GOOD = ("a", "b", "a/b", "a/b/c", "b/file", "canary/file", "A", ".wh.a", "a/.wh..wh..opq")
_TARGETS = (*_NAMES, "../canary/file", "../canary", "/", "a/b/../../../canary")
_KINDS = (
    tarfile.REGTYPE, tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.SYMTYPE,
    tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE,
)  # fmt: skip


@st.composite
def _members(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from(_KINDS))
    name = draw(st.sampled_from(_GOOD) | st.sampled_from(_GOOD) | st.sampled_from(_NAMES))
    link = draw(st.sampled_from(_TARGETS)) if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
    data = draw(st.sampled_from((b"", b"evil"))) if kind == tarfile.REGTYPE else b""
    mode = draw(st.sampled_from((0, 0o777, 0o4755, 0o7777)))
    device = {"devmajor": 1, "devminor": 3} if kind == tarfile.CHRTYPE else {}
    owner = draw(st.sampled_from((0, 1, 70000)))
    return member(name, kind, data, linkname=link, mode=mode, uid=owner, gid=owner, **device)


_LAYERS = st.lists(st.lists(_members(), max_size=8).map(lambda found: layer(*found)), max_size=3)


def _seen(root: Path) -> list[tuple[object, ...]]:
    """All that there is beside the directory, and what would show that somebody was there."""
    found = []
    for path in [root, *sorted(root.rglob("*"))]:
        status = path.lstat()
        data = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        owner = status.st_uid, status.st_gid, status.st_nlink
        found.append((str(path), data, status.st_mode, *owner, status.st_ctime_ns))
    return found


def _canary(root: Path) -> Path:
    (root / "canary").mkdir()
    (root / "canary" / "file").write_text("tweet")
    (root / "canary" / "link").symlink_to("file")
    return root / "canary"


def _check(files: ImageFiles, out: Path) -> None:
    """What is there is what the image shows, without a link followed."""
    shown = {one.row.path: one.row for one in files.shown() if one.row.path}
    paths = {os.fsencode(path.relative_to(out)): path for path in out.rglob("*")}
    assert paths.keys() == shown.keys()
    for name, path in paths.items():
        found, row = path.lstat(), shown[name]
        assert stat.S_IFMT(found.st_mode) == stat.S_IFMT(row.mode)
        assert (found.st_uid, found.st_gid) == (row.uid, row.gid)
        assert stat.S_ISLNK(row.mode) or found.st_mode == row.mode
        assert not stat.S_ISREG(row.mode) or found.st_size == row.size


@given(_LAYERS)
def test_nothing_outside_changes_and_the_directory_is_what_the_image_shows(
    layers: list[bytes],
) -> None:
    """Or it is refused, and there is no directory."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        canary = _canary(root)
        before = _seen(canary)
        try:
            files = files_of(*layers)
            api.extract(files, str(root / "out"))
        except ImgpackError:
            assert os.listdir(root) == ["canary"]
        else:
            _check(files, root / "out")
            assert sorted(os.listdir(root)) == ["canary", "out"]
        assert _seen(canary) == before
