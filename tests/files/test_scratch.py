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
    nameless_file,
    temporary_directory,
)
from tests.killed import kill_in


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


def test_a_temporary_directory_is_the_users_alone_and_gone_afterwards(tmp_path: Path) -> None:
    """With all that is in it."""
    with temporary_directory(str(tmp_path), "label") as made:
        assert Path(made).parent == tmp_path
        assert Path(made).stat().st_mode & 0o777 == 0o700
        Path(made, "a").mkdir()
        Path(made, "a", "b").write_text("b")
    assert os.listdir(tmp_path) == []


def test_a_temporary_directory_of_a_killed_process_goes_with_the_next(tmp_path: Path) -> None:
    """And one that is in use stays."""
    work = "open(it + '/x', 'w').write('x')"
    kill_in("imgpack.files.scratch", "temporary_directory(path, 'label')", work, tmp_path)
    assert len(os.listdir(tmp_path)) == 1
    place = str(tmp_path)
    with temporary_directory(place, "label") as one, temporary_directory(place, "label") as other:
        assert set(os.listdir(tmp_path)) == {os.path.basename(one), os.path.basename(other)}
    assert os.listdir(tmp_path) == []


def test_a_temporary_directory_needs_one(tmp_path: Path) -> None:
    """The error names what is missing."""
    missing = temporary_directory(str(tmp_path / "missing"), "label")
    with pytest.raises(OutputError, match="missing"), missing:
        pass
