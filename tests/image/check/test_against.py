"""An image beside a directory: what is only in one, and which fields differ."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from imgpack.api import Against, TreeMismatch, Verification, build, create, directory, verify
from imgpack.errors import AmbiguousError, SourceError, UnsupportedError
from imgpack.image.check import against
from tests.image.files.test_extract import layer, member
from tests.store.samples import (
    Memory,
    make_artifact,
    make_image,
    make_multi,
    tar_of,
    write_image,
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with a bit of everything."""
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc" / "motd").write_bytes(b"hello")
    (tree / "etc" / "link").symlink_to("motd")
    os.link(tree / "etc" / "motd", tree / "hard")
    os.mkfifo(tree / "fifo")
    os.setxattr(tree / "hard", "user.key", b"value")
    return tree


@pytest.fixture
def image(tree: Path, tmp_path: Path) -> str:
    """An image of it."""
    path = str(tmp_path / "image.tar")
    with create(path) as sink:
        build([directory(tree)], into=sink)
    return path


def _verified(image: str, tree: Path, *ignored: str) -> Verification:
    return verify(image, against=Against(directory(tree).tree, frozenset(ignored)))


def test_what_an_image_is_made_of_is_like_it(tree: Path, image: str) -> None:
    """Parts of seconds are not in an image; sockets are never."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tree / "socket"))
    found = _verified(image, tree, "mtime")
    assert found.mismatches == ()
    assert found.mismatched == 0
    os.unlink(tree / "socket")


def _rewrite(tree: Path) -> None:
    (tree / "etc" / "motd").write_bytes(b"hullo")


def _relink(tree: Path) -> None:
    (tree / "etc" / "link").unlink()
    (tree / "etc" / "link").symlink_to("passwd")


def _retype(tree: Path) -> None:
    (tree / "fifo").unlink()
    (tree / "fifo").mkdir()


CHANGES: dict[str, tuple[Callable[[Path], object], bytes]] = {
    "content": (_rewrite, b"etc/motd"),
    "mode": (lambda tree: (tree / "etc").chmod(0o700), b"etc"),
    "owner": (lambda tree: os.lchown(tree / "etc" / "link", 7, 8), b"etc/link"),
    "mtime": (lambda tree: os.utime(tree / "fifo", (5, 5)), b"fifo"),
    "target": (_relink, b"etc/link"),
    "type": (_retype, b"fifo"),
    "xattrs": (lambda tree: os.setxattr(tree / "etc", "user.x", b"y"), b"etc"),
    "size": (lambda tree: (tree / "hard").write_bytes(b"longer"), b"hard"),
}


@pytest.mark.parametrize("field", CHANGES)
def test_each_field_that_differs_is_told(tree: Path, image: str, field: str) -> None:
    """With what both say; unless it is ignored."""
    change, path = CHANGES[field]
    change(tree)
    others = {"mtime"} - {field}

    told = {one.path: one for one in _verified(image, tree, *others).mismatches}

    assert [name for name, a, b in told[path].fields if a != b] == [field]
    assert path not in {one.path for one in _verified(image, tree, field, *others).mismatches}


def test_what_is_in_one_alone_is_told(tree: Path, image: str) -> None:
    """In the order of paths; if types are ignored, nothing of it."""
    (tree / "etc" / "motd").unlink()
    (tree / "etc" / "new").touch()
    found = _verified(image, tree, "mtime")
    assert found.sound
    assert found.mismatches == (
        TreeMismatch(b"etc/motd", only="image"),
        TreeMismatch(b"etc/new", only="directory"),
    )
    assert _verified(image, tree, "mtime", "type").mismatches == ()


@pytest.mark.parametrize(
    ("said", "seconds", "differs"),
    [
        ("5.5", 5.5, False),
        ("5.5", 5.25, True),
        ("5", 5.25, False),
        ("5", 6.0, True),
        ("5.5", 5.0, True),
    ],
)
def test_parts_of_a_second_count_where_the_image_has_some(
    tmp_path: Path, said: str, seconds: float, differs: bool
) -> None:
    """Most have none."""
    image = make_image(Memory(), [layer(member("f", data=b"x", pax_headers={"mtime": said}))])
    path = str(write_image(tmp_path / "a.tar", image))
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "f").write_bytes(b"x")
    (tmp_path / "tree" / "f").chmod(0o644)
    os.utime(tmp_path / "tree" / "f", (seconds, seconds))
    found = _verified(path, tmp_path / "tree").mismatches
    assert [field[0] for one in found for field in one.fields] == ["mtime"] * differs


def test_what_cannot_be_read_on_disk_is_told(
    tree: Path, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its name there."""

    def fail(_: object) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(against, "_sha256", fail)
    with pytest.raises(SourceError, match="motd"):
        _verified(image, tree)


def test_a_directory_that_no_layer_says_has_no_time(tmp_path: Path) -> None:
    """Its mode and its owner are those that engines give it."""
    path = str(write_image(tmp_path / "a.tar", make_image(Memory(), [tar_of({"d/f": b"x"})])))
    (tmp_path / "tree" / "d").mkdir(parents=True)
    (tmp_path / "tree" / "d" / "f").write_bytes(b"x")
    os.utime(tmp_path / "tree" / "d" / "f", (0, 0))
    (tmp_path / "tree" / "d" / "f").chmod(0o644)
    (tmp_path / "tree" / "d").chmod(0o755)
    assert _verified(path, tmp_path / "tree").mismatches == ()


def test_a_directory_is_like_one_image(tmp_path: Path) -> None:
    """Of several one has to be chosen."""
    path = write_image(tmp_path / "a.tar", make_multi(Memory(), "linux/amd64", "linux/arm64"))
    with pytest.raises(AmbiguousError, match="has images for 2 platforms"):
        _verified(str(path), tmp_path)


def test_fields_are_those_of_the_command(tree: Path) -> None:
    """And another is a mistake."""
    from imgpack.cli.commands.check.verify import _FIELDS
    from imgpack.image.check.against import FIELDS

    assert _FIELDS.known == FIELDS
    with pytest.raises(ValueError, match="no field 'color'"):
        Against(directory(tree).tree, frozenset({"color"}))


def _changed(
    image: str, tree: Path, *ignored: str
) -> dict[bytes, tuple[tuple[str, str, str], ...]]:
    found = _verified(image, tree, "mtime", *ignored)
    assert found.compared
    return {one.path: one.fields for one in found.mismatches}


def test_paths_that_are_one_file_in_one_of_them_are_told(tree: Path, image: str) -> None:
    """By the first path of the file, at each of the others; ``links`` ignores it."""
    (tree / "hard").unlink()
    (tree / "hard").write_bytes(b"hello")
    os.setxattr(tree / "hard", "user.key", b"value")
    os.setxattr(tree / "etc" / "motd", "user.key", b"value")
    assert _changed(image, tree) == {b"hard": (("links", "/etc/motd", ""),)}
    assert _changed(image, tree, "links") == {}


def test_a_link_that_the_image_has_not_is_told(tree: Path, tmp_path: Path) -> None:
    """And names outside of the directory, and names that one of both lacks, are none."""
    (tree / "etc" / "twin").write_bytes(b"hello")
    os.setxattr(tree / "etc" / "twin", "user.key", b"value")
    (tree / "etc" / "other").write_bytes(b"x")
    path = str(tmp_path / "image.tar")
    with create(path) as sink:
        build([directory(tree)], into=sink)
    os.link(tree / "etc" / "other", tmp_path / "outside")
    (tree / "etc" / "twin").unlink()
    os.link(tree / "hard", tree / "etc" / "twin")
    assert _changed(path, tree) == {b"etc/twin": (("links", "", "/etc/motd"),)}
    (tree / "etc" / "motd").unlink()
    assert _changed(path, tree) == {b"etc/motd": (), b"hard": (("links", "", "/etc/twin"),)}


def test_all_names_of_a_file_are_compared(tmp_path: Path) -> None:
    """However many it has, and whichever is another file."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a").write_bytes(b"x")
    for name in "bcde":
        os.link(tree / "a", tree / name)
    path = str(tmp_path / "image.tar")
    with create(path) as sink:
        build([directory(tree)], into=sink)
    assert _changed(path, tree) == {}
    for name in "de":
        (tree / name).unlink()
    (tree / "d").write_bytes(b"x")
    os.link(tree / "d", tree / "e")
    assert _changed(path, tree) == {b"d": (("links", "/a", ""),), b"e": (("links", "/a", "/d"),)}


def test_an_image_without_layers_is_like_an_empty_directory(tmp_path: Path) -> None:
    """And like no other."""
    path = str(tmp_path / "image.tar")
    write_image(path, make_image(Memory(), []))
    (tmp_path / "tree").mkdir()
    assert _changed(path, tmp_path / "tree") == {}
    (tmp_path / "tree" / "file").touch()
    assert _changed(path, tmp_path / "tree") == {b"file": ()}


def test_what_is_no_image_with_files_is_like_no_directory(tree: Path, tmp_path: Path) -> None:
    """That nothing differs is not said of what was not compared."""
    path = str(tmp_path / "image.tar")
    write_image(path, make_artifact(Memory()))
    with pytest.raises(UnsupportedError, match="there is no image with files"):
        _verified(path, tree)
