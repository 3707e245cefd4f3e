"""What changes between the walk's look and the reading is noticed, however it hides."""

import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgpack.api import Directory, Entry, SetOwner, Transform
from imgpack.errors import OutputError, SourceChangedError, SourceError
from imgpack.layer.segments import Segments
from imgpack.layer.stages import NO_STAGES, Stages
from imgpack.tree.disk.snapshot import Recorder, recording, replay
from imgpack.tree.problems import Problems
from tests.layer.trees import MIB


def walked(tree: Path) -> Iterator[Entry]:
    """The entries of a first build."""
    return Directory(bytes(tree)).entries(Problems())


def replayed(tree: Path) -> Iterator[Entry]:
    """Those of a build that found a change behind them: they come from the snapshot."""
    stamps, file = Directory(bytes(tree)).stamps, io.BytesIO()
    recorder = Recorder(file, time.time_ns())
    for _ in recording(stamps, Problems(), recorder):
        pass
    recorder.flush()
    return replay(file, stamps, Problems())


def rewrite(path: Path) -> None:
    """The same size, in place, and the time put back."""
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def point_elsewhere(path: Path) -> None:
    """A link to something else of the same length."""
    target, before = os.readlink(path), path.lstat()
    path.unlink()
    path.symlink_to(target[::-1])
    os.utime(path, ns=(0, before.st_mtime_ns), follow_symlinks=False)


def replace_directory(path: Path) -> None:
    """Another directory with the same names."""
    path.parent.rename(path.parent.with_name("away"))
    path.parent.mkdir()
    path.symlink_to("secret")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with a file, a large one, and a link in a directory."""
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    (tree / "d/file").write_bytes(b"content")
    (tree / "d/large").write_bytes(bytes(4 * MIB))
    (tree / "d/link").symlink_to("target")
    return tree


@pytest.mark.parametrize("entries", [walked, replayed])
@pytest.mark.parametrize("transforms", [(), (SetOwner(1, 1),)])
@pytest.mark.parametrize(
    ("name", "change"), [("file", rewrite), ("large", rewrite), ("link", point_elsewhere)]
)
def test_what_is_put_in_place_of_something_is_noticed(
    tree: Path,
    name: str,
    change: Callable[[Path], None],
    entries: Callable[[Path], Iterator[Entry]],
    transforms: tuple[Transform, ...],
) -> None:
    """Size and time as before: only the inode and its ctime tell."""

    def changing() -> Iterator[Entry]:
        for found in entries(tree):
            if found.path == b"d/" + name.encode():
                time.sleep(0.02)  # a tick of the kernel's clock
                change(tree / "d" / name)
            yield found

    with pytest.raises(SourceChangedError, match=f"d/{name} changed while"):
        list(Segments(Stages(tuple(transforms)), Problems()).cut(changing()))


@pytest.mark.parametrize("entries", [walked, replayed])
def test_a_directory_put_in_place_of_another_gives_nothing(
    tree: Path, entries: Callable[[Path], Iterator[Entry]]
) -> None:
    """Its files are looked up in the one that the walk saw."""
    found = next(each for each in entries(tree) if each.path == b"d/link")
    assert found.target() == b"target"
    moved = entries(tree)
    while (found := next(moved)).path != b"d/link":
        pass
    replace_directory(tree / "d/link")

    assert found.target() == b"target"
    assert (tree / "d/link").readlink() == Path("secret")


def test_a_file_that_is_not_as_long_as_it_says_is_told(tmp_path: Path) -> None:
    """Files of /proc are empty by their size; that they changed would be no reason."""
    (entry,) = (each for each in walked(Path("/proc/self/fdinfo")) if each.path == b"0")

    with pytest.raises(SourceError, match="not hold as many bytes as its size says, as in /proc"):
        list(Segments(NO_STAGES, Problems()).cut([entry]))


def test_a_link_that_nobody_may_read_is_told_with_the_reason(tree: Path) -> None:
    """That of another user's program in /proc, for one."""
    (entry,) = (each for each in walked(tree) if each.path == b"d/link")

    class Forbidden:
        @property
        def xattrs(self) -> dict[bytes, bytes]:
            return {}

        @property
        def target(self) -> bytes:
            raise PermissionError(13, "Permission denied")

        def open(self) -> io.BytesIO:
            raise NotImplementedError

    with pytest.raises(SourceError, match=r"d/link \(Permission denied\)"):
        list(Segments(NO_STAGES, Problems()).cut([entry._replace(content=Forbidden())]))


def test_what_the_caller_writes_to_ends_the_walk(tree: Path) -> None:
    """A file, a directory, or the root, known by device and inode."""
    for path in (tree / "d/large", tree / "d", tree):
        found = path.stat()
        problems = Problems({(found.st_dev, found.st_ino)})
        with pytest.raises(OutputError, match=f"{path} is in the source"):
            list(Directory(bytes(tree)).entries(problems))
