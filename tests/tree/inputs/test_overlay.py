"""Upper directories of overlayfs: what they delete, replace and add, as a layer."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from imgpack.api import Directory
from imgpack.errors import TreeError
from imgpack.tree.entry import OPAQUE, OPAQUE_NAME, WHITEOUT
from imgpack.tree.inputs.overlay import upper_directory
from imgpack.tree.problems import Problems
from imgpack.tree.tree import join
from imgpack.tree.xattrs import attributes
from tests.tree.merge.shapes import image

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount and make devices")
KINDS = {WHITEOUT: "-", OPAQUE: "*", stat.S_IFDIR: "d", stat.S_IFREG: "f", stat.S_IFLNK: "l"}

CHANGES = """
cd merged
rm etc/gone; rm -r usr/old; rm link
rm -r opt/new; mkdir opt/new; echo 1 > opt/new/only
rm -r srv; echo now a file > srv
rm file; mkdir file; echo 1 > file/in
echo more >> etc/kept; chmod 4755 etc/mode; ln etc/kept etc/twin
$PYTHON -c 'import os; os.setxattr("etc/kept", "user.mine", b"1")'
mkdir -p added/deep; ln -s ../etc added/l; mkfifo added/p
cd ..; cp -a merged copy
"""


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    """A tree to change something in."""
    root = tmp_path / "lower"
    for path in ("etc/gone", "etc/kept", "etc/mode", "usr/old/a/b", "opt/new/x/y", "srv/a", "file"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    (root / "link").symlink_to("etc")
    for name in ("upper", "work", "merged"):
        (tmp_path / name).mkdir()
    return root


def written(path: Path) -> list[str]:
    """What is written of an upper directory, each with a letter for its kind."""
    return [
        KINDS[stat.S_IFMT(entry.mode)] + os.fsdecode(entry.path)
        for entry in upper_directory(bytes(path)).entries()
    ]


@ROOT_ONLY
@pytest.mark.parametrize("mount", ["redirect_dir=off,", "userxattr,", "index=on,xino=on,", "fuse"])
def test_on_top_of_what_was_below_it_shows_what_was_mounted(
    tmp_path: Path, lower: Path, mount: str
) -> None:
    """Deletions, replaced directories, changes of type, links and attributes, as made."""
    kind = "fuse-overlayfs -o " if mount == "fuse" else f"mount -t overlay o -o {mount}"
    command = f"{kind}lowerdir=lower,upperdir=upper,workdir=work merged"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"{command} || exit 9\nset -e\n{CHANGES}umount merged"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHON": sys.executable},
    )
    if done.returncode == 9:
        pytest.skip("no overlay may be mounted here")
    assert done.returncode == 0, done.stderr
    upper = upper_directory(bytes(tmp_path / "upper"))

    shown = image(Directory(bytes(lower)).entries(), upper.entries())

    assert shown.facts() == image(Directory(bytes(tmp_path / "copy")).entries()).facts()
    assert upper.exact
    for entry in upper.entries():
        path = join(entry.path, OPAQUE_NAME) if entry.mode == OPAQUE else entry.path
        found = upper.find(path)
        assert found is not None
        assert found.mode == entry.mode
    assert upper.find(b"etc/.wh..wh..opq") is None


@ROOT_ONLY
def test_whiteouts_come_first_in_their_directory(tmp_path: Path) -> None:
    """Whatever they are: devices, marked files, and names of fuse-overlayfs."""
    (tmp_path / "a/deep").mkdir(parents=True)
    (tmp_path / "a/.wh.y").touch()
    (tmp_path / "a/.wh..wh.plnk").touch()
    (tmp_path / "a/x").touch()
    os.setxattr(tmp_path / "a/x", "trusted.overlay.whiteout", b"")
    os.setxattr(tmp_path / "a", "trusted.overlay.opaque", b"x")
    os.mknod(tmp_path / "z", stat.S_IFCHR, 0)

    assert written(tmp_path) == ["-z", "da", "-a/x", "-a/y", "da/deep"]


@pytest.mark.parametrize(
    "how", ["user.overlay.opaque", "user.fuseoverlayfs.opaque", ".wh..wh..opq"]
)
def test_an_opaque_directory_empties_what_is_below(tmp_path: Path, how: str) -> None:
    """By an attribute or a file of fuse-overlayfs; neither gets into the layer."""
    directory = tmp_path / "d"
    directory.mkdir()
    (directory / "f").touch()
    if how.startswith("."):
        (directory / how).touch()
    else:
        os.setxattr(directory, how, b"y")
        os.setxattr(directory, "user.mine", b"1")
        os.setxattr(directory, "user.overlay.origin", b"1")

    assert written(tmp_path) == ["dd", "*d", "fd/f"]
    first = next(upper_directory(bytes(tmp_path)).entries())
    found = attributes(first, Problems())
    assert found is not None
    assert found.xattrs in ((), ((b"user.mine", b"1"),))


@pytest.mark.parametrize("prefix", ["user.overlay", "user.fuseoverlayfs"])
@pytest.mark.parametrize(("mark", "told"), [("redirect", "was renamed"), ("metacopy", "its bytes")])
def test_what_lies_elsewhere_is_refused(tmp_path: Path, prefix: str, mark: str, told: str) -> None:
    """By its path: half of it would be in the image."""
    (tmp_path / "d").mkdir()
    os.setxattr(tmp_path / "d", f"{prefix}.{mark}", b"/old")

    with pytest.raises(TreeError, match=f"/d .*{told}.*{mark}") as caught:
        written(tmp_path)

    assert "redirect_dir=off" in caught.value.hint


def test_what_an_overlay_inside_keeps_is_its_own(tmp_path: Path) -> None:
    """Its names have one word more here; in a layer they would be those of the engine's."""
    (tmp_path / "d").mkdir()
    os.setxattr(tmp_path / "d", "user.overlay.overlay.origin", b"1")

    (entry,) = upper_directory(bytes(tmp_path)).entries()
    found = attributes(entry, Problems())

    assert found is not None
    assert found.xattrs == ()
    os.setxattr(tmp_path / "d", "user.overlay.overlay.opaque", b"y")
    (entry,) = upper_directory(bytes(tmp_path)).entries()
    with pytest.raises(TreeError, match=r"user\.overlay\.opaque"):
        attributes(entry, Problems())


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh.full"])
def test_a_reserved_name_that_deletes_nothing_is_refused(tmp_path: Path, name: str) -> None:
    """As in any tree."""
    (tmp_path / name).write_text("content" if name == ".wh.full" else "")

    with pytest.raises(TreeError, match=r"starts with \.wh\."):
        written(tmp_path)
