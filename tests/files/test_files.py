"""Files appear whole or not at all, and streams are what their descriptor says."""

import errno
import fcntl
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpack.errors import ArchiveError, DigestError, OutputError
from imgpack.files.atomic import AtomicFile
from imgpack.files.blobs import BlobDirectory, verify_stream
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest


def test_a_committed_file_has_its_bytes_and_no_temporary_stays(tmp_path: Path) -> None:
    """What was written is there under its name, alone."""
    with AtomicFile(str(tmp_path / "out")) as file:
        file.write(b"one ")
        file.write(b"two")
        assert not (tmp_path / "out").exists()
        file.commit()
    assert (tmp_path / "out").read_bytes() == b"one two"
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_the_old_file_and_no_temporary(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    """The file that was there before is untouched."""
    (tmp_path / "out").write_bytes(b"old")
    with pytest.raises(failure), AtomicFile(str(tmp_path / "out")) as file:
        file.write(b"new")
        raise failure
    assert (tmp_path / "out").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_mode_of_a_new_file_follows_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    """As for every file that a program makes."""
    old = os.umask(umask)
    try:
        with AtomicFile(str(tmp_path / "out")) as file:
            file.commit()
    finally:
        os.umask(old)
    assert (tmp_path / "out").stat().st_mode & 0o777 == mode


def test_a_symbolic_link_stays_a_link(tmp_path: Path) -> None:
    """The file that it points at is replaced, not the link."""
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with AtomicFile(str(tmp_path / "link")) as file:
        file.write(b"new")
        file.commit()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_missing_directory_is_named_with_what_to_do(tmp_path: Path) -> None:
    """The error is one line about the path."""
    with pytest.raises(OutputError, match=r"no/out: No such file.*create the directory"):
        AtomicFile(str(tmp_path / "no" / "out")).__enter__()


def test_a_directory_in_the_way_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """A directory is never replaced by a file."""
    with pytest.raises(OutputError, match="directory"):
        AtomicFile(str(tmp_path)).__enter__()
    assert os.listdir(tmp_path) == []


def test_a_file_that_cannot_grow_is_an_output_error_and_is_removed(tmp_path: Path) -> None:
    """A limit on file sizes stands for a full disk: the write fails midway."""
    script = (
        "import sys\n"
        "from imgpack.errors import OutputError\n"
        "from imgpack.files.atomic import AtomicFile\n"
        "try:\n"
        "    with AtomicFile(sys.argv[1]) as file:\n"
        "        file.write(bytes(100_000))\n"
        "        file.commit()\n"
        "except OutputError as error:\n"
        "    print(error)\n"
    )

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "out")],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        check=True,
    )
    assert str(tmp_path / "out") in done.stdout
    assert "File too large" in done.stdout
    assert os.listdir(tmp_path) == []


def kill_a_writer(path: Path) -> None:
    """Let a process write half a file, and kill it."""
    script = (
        "import sys, time\n"
        "from imgpack.files.atomic import AtomicFile\n"
        "with AtomicFile(sys.argv[1]) as file:\n"
        "    file.write(b'half')\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.kill()


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    """Of the same target only: of another nothing is known."""
    kill_a_writer(tmp_path / "out")
    kill_a_writer(tmp_path / "other")
    assert len(os.listdir(tmp_path)) == 2
    with AtomicFile(str(tmp_path / "out")) as file:
        file.commit()
    left = sorted(os.listdir(tmp_path))
    assert left[0].startswith(".other.")
    assert left[1:] == ["out"]


def test_the_file_of_a_live_writer_is_not_removed(tmp_path: Path) -> None:
    """Whoever commits last wins, as ever."""
    with AtomicFile(str(tmp_path / "out")) as first:
        first.write(b"first")
        with AtomicFile(str(tmp_path / "out")) as second:
            second.write(b"second")
            second.commit()
        assert (tmp_path / "out").read_bytes() == b"second"
        first.commit()
    assert (tmp_path / "out").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["out"]


def test_without_locks_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on file systems that have none: nobody can tell who is alive."""

    def unsupported(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    kill_a_writer(tmp_path / "out")
    with AtomicFile(str(tmp_path / "out")) as file:
        file.commit()
    assert len(os.listdir(tmp_path)) == 2


def test_writers_that_sweep_at_once_lose_nothing(tmp_path: Path) -> None:
    """Each commits its own file, though all look for what is left behind."""
    failures: list[Exception] = []

    def work() -> None:
        try:
            for _ in range(100):
                with AtomicFile(str(tmp_path / "out")) as file:
                    file.write(b"x")
                    file.commit(sync=False)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert os.listdir(tmp_path) == ["out"]


def test_a_blob_is_stored_under_its_digest_and_read_back(tmp_path: Path) -> None:
    """From its start or from any offset."""
    store = BlobDirectory(str(tmp_path))
    digest = Digest.of(b"some bytes")
    blob = store.open_blob()
    blob.write(b"some ")
    blob.write(b"bytes")
    assert store.size(digest) is None
    blob.commit(digest, 10)
    blob.abort()
    assert store.size(digest) == 10
    assert b"".join(store.read(digest, 5)) == b"bytes"
    assert os.listdir(tmp_path / "blobs" / "sha256") == [digest.hex]


def test_an_aborted_blob_leaves_nothing(tmp_path: Path) -> None:
    """Neither a blob nor a temporary."""
    store = BlobDirectory(str(tmp_path))
    blob = store.open_blob()
    blob.write(b"x")
    blob.abort()
    assert [name for _, _, files in os.walk(tmp_path) for name in files] == []


@settings(derandomize=True, max_examples=60)
@given(raw=st.binary(max_size=200), cut=st.integers(0, 200), flip=st.integers(0, 199))
def test_a_stream_passes_only_with_every_byte_right(raw: bytes, cut: int, flip: int) -> None:
    """Short, long and changed streams are refused; a long one never yields too much."""
    descriptor = Descriptor("x/y", Digest.of(raw), len(raw))
    assert b"".join(verify_stream([raw[:cut], raw[cut:]], descriptor, "it")) == raw
    got = bytearray()
    with pytest.raises(DigestError, match="more than"):
        for chunk in verify_stream([raw, b"more"], descriptor, "it"):
            got += chunk
    assert len(got) <= len(raw)
    if raw:
        with pytest.raises(DigestError, match="truncated"):
            list(verify_stream([raw[:-1]], descriptor, "it"))
        wrong = bytearray(raw)
        wrong[flip % len(raw)] ^= 1
        with pytest.raises(DigestError, match="it is damaged"):
            list(verify_stream([bytes(wrong)], descriptor, "it"))


def test_a_directory_under_a_blobs_name_is_no_blob(tmp_path: Path) -> None:
    """Nor is a link, to a file that has the very bytes."""
    store = BlobDirectory(str(tmp_path))
    store.put(b"blob")
    path = Path(store.path(Digest.of(b"blob")))
    assert store.size(Digest.of(b"blob")) == 4
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    assert store.size(Digest.of(b"blob")) is None
    with pytest.raises(ArchiveError, match="symbolic link"):
        list(store.read(Digest.of(b"blob")))
    path.unlink()
    path.mkdir()
    assert store.size(Digest.of(b"blob")) is None
    with pytest.raises(ArchiveError, match="not a regular file"):
        list(store.read(Digest.of(b"blob")))
