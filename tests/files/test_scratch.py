"""Files without a name leave nothing behind, whatever the file system can do."""

import errno
import os
from pathlib import Path

import pytest

from imgpack.api import Descriptor, Digest
from imgpack.errors import OutputError
from imgpack.files.scratch import (
    DroppedBlobs,
    ScratchBlob,
    ScratchFile,
    ScratchSource,
    directory_for_a_while,
    nameless_file,
)
from tests.killed import kill_in
from tests.servers.process import require_root


@pytest.fixture(params=[True, False], ids=["O_TMPFILE", "unlinked"])
def directory(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A directory on a file system that has nameless files, or has none."""
    opened = os.open

    def without(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return opened(path, flags, mode)

    if not request.param:
        monkeypatch.setattr(os, "open", without)
    return tmp_path


def test_a_nameless_file_is_written_and_read(directory: Path) -> None:
    """It is in its directory's file system, its owner's alone, and under no name."""
    fd = nameless_file(str(directory))
    try:
        assert os.listdir(directory) == []
        os.write(fd, b"content")
        assert os.pread(fd, 10, 0) == b"content"
        found = os.fstat(fd)
        assert (found.st_nlink, found.st_mode & 0o777) == (0, 0o600)
        assert found.st_dev == directory.stat().st_dev
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


def test_a_nameless_file_needs_a_directory(directory: Path) -> None:
    """The error is that of any file."""
    with pytest.raises(FileNotFoundError):
        nameless_file(str(directory / "missing"))


def test_blobs_share_a_scratch_file(directory: Path) -> None:
    """Each is read from its own start, to its own end."""
    file = ScratchFile(str(directory))
    file.append(b"one")
    second = ScratchBlob(file, file.size, 5)
    file.append(b"two..")
    file.append(b"three")
    assert b"".join(second.read()) == b"two.."
    assert b"".join(second.read(3)) == b".."
    assert b"".join(file.read(0, 100)) == b"onetwo..three"
    file.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        list(second.read())


def test_a_scratch_file_is_closed_when_nobody_holds_it(directory: Path) -> None:
    """Not before, and once."""
    before = len(os.listdir("/proc/self/fd"))
    file = ScratchFile(str(directory))
    blob = ScratchBlob(file, 0, 3)
    file.append(b"one")
    del file
    assert b"".join(blob.read()) == b"one"
    assert len(os.listdir("/proc/self/fd")) == before + 1
    blob.file.close()
    blob.file.close()
    del blob
    assert len(os.listdir("/proc/self/fd")) == before
    ScratchFile(str(directory))
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_scratch_file_that_cannot_be_made_names_the_directory(directory: Path) -> None:
    """Nobody asked for it, so the error says where it would have been."""
    with pytest.raises(OutputError, match=r"cannot write a temporary file in .*/missing"):
        ScratchFile(str(directory / "missing"))


def test_a_scratch_file_that_cannot_grow_names_the_directory(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, for one; what was written stays as long as it was."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file = ScratchFile(str(directory))
    file.append(b"one")
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OutputError, match=f"temporary file in {directory}: No space left"):
        file.append(b"two")
    assert b"".join(file.read(0, file.size)) == b"one"


def test_scratch_blobs_are_a_source(directory: Path) -> None:
    """From any byte of each."""
    file = ScratchFile(str(directory))
    file.append(b"onetwo")
    described = Descriptor("x/y", Digest.of(b"two"), 3)
    source = ScratchSource({described.digest: ScratchBlob(file, 3, 3)})
    assert b"".join(source.read_blob(described)) == b"two"
    assert b"".join(source.read_blob(described, 1)) == b"wo"


def test_a_blob_that_is_dropped_gives_its_space_back(directory: Path) -> None:
    """Alone: the others are read on. What was not committed goes when it is given up."""
    blobs = DroppedBlobs(lambda: str(directory))
    before = len(os.listdir("/proc/self/fd"))
    descriptors = []
    for content in (b"one", b"two"):
        writer = blobs.open_blob()
        writer.write(content)
        descriptors.append(Descriptor("", Digest.of(content), len(content)))
        writer.commit(descriptors[-1].digest, len(content))
        writer.abort()
    given_up = blobs.open_blob()
    given_up.write(b"three")
    given_up.abort()
    assert len(os.listdir("/proc/self/fd")) == before + 2
    blobs.drop(descriptors[0].digest)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    assert b"".join(blobs.read_blob(descriptors[1], 1)) == b"wo"
    blobs.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert os.listdir(directory) == []


def killed_with_a_directory(place: Path) -> Path:
    """What a process leaves that was killed while it wrote into its directory."""
    opening = "directory_for_a_while(path, 'imgpack-load')"
    kill_in("imgpack.files.scratch", opening, "open(it + '/half', 'x').close()", place)
    (left,) = place.iterdir()
    assert (left / "half").exists()
    return left


def test_a_directory_for_a_while_is_its_owner_s_alone_and_gone_afterwards(tmp_path: Path) -> None:
    """With all that is in it, also when the block fails."""
    with pytest.raises(KeyError), directory_for_a_while(str(tmp_path), "imgpack-load") as place:
        assert Path(place).stat().st_mode & 0o777 == 0o700
        (Path(place) / "inner").mkdir()
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_of_a_directory_goes_with_the_next(tmp_path: Path) -> None:
    """What another process has at the moment stays."""
    left = killed_with_a_directory(tmp_path)
    with (
        directory_for_a_while(str(tmp_path), "imgpack-load") as one,
        directory_for_a_while(str(tmp_path), "imgpack-load") as another,
    ):
        assert not left.exists()
        assert {str(path) for path in tmp_path.iterdir()} == {one, another}


def test_what_another_user_left_is_not_touched(tmp_path: Path) -> None:
    """Anybody may write in the directory, and lay traps."""
    require_root("a directory of another user")
    left = killed_with_a_directory(tmp_path)
    os.chown(left, 12345, 12345)
    with directory_for_a_while(str(tmp_path), "imgpack-load"):
        assert (left / "half").exists()


def test_a_directory_that_cannot_be_made_is_told_with_what_to_do(tmp_path: Path) -> None:
    """By where it would be."""
    missing = str(tmp_path / "missing")
    with (
        pytest.raises(OutputError, match="a temporary file in") as told,
        directory_for_a_while(missing, "imgpack-load"),
    ):
        pass
    assert "TMPDIR" in str(told.value.hint)
