"""Files appear whole or not at all, and what killed writers leave is removed."""

import contextlib
import errno
import fcntl
import os
import resource
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgpack.errors import OutputError
from imgpack.files.atomic import AtomicFile, Temporary, is_temporary, replace_file, write_file
from tests.killed import kill_in


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
    write_file(str(tmp_path / "link"), b"newer")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"newer"


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


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def kill_a_writer(path: Path) -> None:
    """Let a process write half a file, and kill it."""
    kill_in("imgpack.files.atomic", "AtomicFile(path)", "it.write(b'half')", path)


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    """Of the same target only: of another nothing is known."""
    kill_a_writer(tmp_path / "out")
    kill_a_writer(tmp_path / "other")
    assert len(os.listdir(tmp_path)) == 2
    before = _open_files()
    with AtomicFile(str(tmp_path / "out")) as file:
        file.commit()
    assert _open_files() == before
    left = sorted(os.listdir(tmp_path))
    assert left[0].startswith(".other.")
    assert left[1:] == ["out"]


def test_no_path_within_a_directory_that_is_swept_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who made it could exchange what lies in it for a link: descriptors do it, or nothing."""
    left = tmp_path / f".out.{'0' * 16}.tmp"
    (left / "a").mkdir(parents=True)
    (left / "a" / "b").touch()
    with monkeypatch.context() as patch:
        patch.setattr("imgpack.files.atomic.empty", lambda top: None)
        write_file(str(tmp_path / "out"), b"whole")
    assert (left / "a" / "b").exists()
    write_file(str(tmp_path / "out"), b"whole")
    assert os.listdir(tmp_path) == ["out"]


def test_a_directory_of_any_depth_is_swept(tmp_path: Path) -> None:
    """Whoever was killed may have been writing an image that is deeper than Python calls itself."""
    left = tmp_path / f".out.{'0' * 16}.tmp"
    here = os.getcwd()
    left.mkdir()
    os.chdir(left)
    try:
        for _ in range(1100):
            os.mkdir("deep")
            os.chdir("deep")
    finally:
        os.chdir(here)
    with AtomicFile(str(tmp_path / "out")) as file:
        file.commit()
    assert os.listdir(tmp_path) == ["out"]


def test_a_pipe_that_is_called_as_a_temporary_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Anybody can make one in a directory that all share."""
    os.mkfifo(tmp_path / f".out.{'0' * 16}.tmp")
    write_file(str(tmp_path / "out"), b"whole")
    assert os.listdir(tmp_path) == ["out"]


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


@pytest.mark.parametrize(
    "name",
    ["n" * 41, "n" * 255, "\u00e9" * 127, "two\nlines"],
    ids=["41", "255", "wide", "two lines"],
)
def test_a_long_or_an_odd_name_is_written_and_swept_as_any(tmp_path: Path, name: str) -> None:
    """A temporary's name holds a part of it only, by which it is found again."""
    kill_a_writer(tmp_path / name)
    assert len(os.listdir(tmp_path)) == 1
    write_file(str(tmp_path / name), b"whole")
    assert os.listdir(tmp_path) == [name]


def test_a_file_is_replaced_with_the_mode_that_is_asked_for(tmp_path: Path) -> None:
    """Whatever the one before had; a link gives way, and what it points at stays."""
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "secret").symlink_to("real")
    replace_file(str(tmp_path / "secret"), b"new", mode=0o600)
    assert not (tmp_path / "secret").is_symlink()
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert ((tmp_path / "secret").read_bytes(), (tmp_path / "real").read_bytes()) == (
        b"new",
        b"old",
    )


def test_a_directory_is_not_replaced(tmp_path: Path) -> None:
    """The error is the system's, and no temporary stays."""
    (tmp_path / "out").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(str(tmp_path / "out"), b"new")
    assert os.listdir(tmp_path) == ["out"]


def test_replacing_removes_what_a_killed_writer_left(tmp_path: Path) -> None:
    """As every writer of the same target does."""
    kill_a_writer(tmp_path / "out")
    replace_file(str(tmp_path / "out"), b"new", sync=False)
    assert os.listdir(tmp_path) == ["out"]


def test_a_new_file_takes_no_name_from_another(tmp_path: Path) -> None:
    """Whoever has it may have locked it."""
    path = str(tmp_path / "out")
    with AtomicFile(path) as first, AtomicFile(path) as second:
        first.write(b"first")
        second.write(b"second")
        second.commit_new()
        first.commit_new()
    assert (tmp_path / "out").read_bytes() == b"second"
    assert os.listdir(tmp_path) == ["out"]


def test_what_is_called_otherwise_is_no_temporary() -> None:
    """Nobody's file is removed for a likeness."""
    name = f".label.{'0' * 16}.tmp"
    assert is_temporary(name)
    for other in (f"{name}.gz", name[1:], name.replace("0", "x"), f".{name[7:]}"):
        assert not is_temporary(other)


def test_a_temporary_is_closed_once(tmp_path: Path) -> None:
    """A second time its descriptor is somebody else's."""
    temporary = Temporary(str(tmp_path), "label").open_file()
    temporary.discard()
    with open(tmp_path / "other", "wb") as other:
        temporary.discard()
        other.write(b"whole")
    assert (tmp_path / "other").read_bytes() == b"whole"


def test_a_temporary_can_be_renamed_again_when_it_failed(tmp_path: Path) -> None:
    """It goes where its name went, and is not removed there."""
    with Temporary(str(tmp_path), "label", locked=False).open_file() as file:
        assert [is_temporary(name) for name in os.listdir(tmp_path)] == [True]
        with pytest.raises(FileNotFoundError):
            file.rename(str(tmp_path / "no" / "out"), sync=False)
        file.rename(str(tmp_path / "out"), sync=True)
    assert os.listdir(tmp_path) == ["out"]


def test_a_temporary_that_got_no_name_is_removed(tmp_path: Path) -> None:
    """A directory with all that is in it."""
    with Temporary(str(tmp_path), "file", locked=False).open_file():
        pass
    with Temporary(str(tmp_path), "directory").open_directory() as directory:
        (Path(directory.path) / "inner").touch()
    assert os.listdir(tmp_path) == []


@contextlib.contextmanager
def no_descriptor_from(number: int) -> Iterator[None]:
    """This process gets no descriptor of this number or a higher one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_directory_is_removed_with_its_own_descriptor_alone(tmp_path: Path) -> None:
    """Nothing is left where the limit of open files is what ended the work."""
    with Temporary(str(tmp_path), "deep").open_directory() as temporary:
        place = Path(temporary.path, "blobs", "sha256")
        place.mkdir(parents=True)
        (place / "one").touch()
        limit = no_descriptor_from(temporary.fd + 1)
        limit.__enter__()
    limit.__exit__(None, None, None)

    assert os.listdir(tmp_path) == []


def test_a_directory_that_cannot_be_opened_is_not_left(tmp_path: Path) -> None:
    """Removing an empty one takes no descriptor."""
    with open(os.devnull) as next_free:
        number = next_free.fileno()
    with no_descriptor_from(number), pytest.raises(OSError, match="Too many open files"):
        Temporary(str(tmp_path), "empty").open_directory()

    assert os.listdir(tmp_path) == []


def test_bytes_are_on_the_disk_before_the_name_is_and_then_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that outlives a power cut has all its bytes; without ``sync`` nobody waits."""
    steps: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(fd: int) -> None:
        steps.append("directory" if os.path.isdir(f"/proc/self/fd/{fd}") else "file")
        sync(fd)

    def named(source: str, target: str) -> None:
        steps.append("name")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", named)
    write_file(str(tmp_path / "out"), b"whole")
    assert steps == ["file", "name", "directory"]
    steps.clear()
    with AtomicFile(str(tmp_path / "new")) as file:
        file.commit_new()
    assert steps == ["file", "directory"]
    steps.clear()
    replace_file(str(tmp_path / "out"), b"new", sync=False)
    assert steps == ["name"]


def test_a_directory_that_cannot_be_synced_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file system has other ways, or none."""
    sync = os.fsync

    def files_only(fd: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        sync(fd)

    monkeypatch.setattr(os, "fsync", files_only)
    before = _open_files()
    write_file(str(tmp_path / "out"), b"whole")
    assert (os.listdir(tmp_path), _open_files()) == (["out"], before)


def test_a_name_that_is_there_is_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever guessed it gets nothing written into it."""
    monkeypatch.setattr(secrets, "token_hex", lambda size: "0" * 2 * size)
    (tmp_path / "victim").write_bytes(b"old")
    os.link(tmp_path / "victim", tmp_path / f".label.{'0' * 16}.tmp")
    with pytest.raises(FileExistsError):
        Temporary(str(tmp_path), "label").open_file()
    assert (tmp_path / "victim").read_bytes() == b"old"


@pytest.mark.parametrize("opened", [Temporary.open_file, Temporary.open_directory])
def test_a_temporary_that_was_swept_before_it_was_locked_is_made_again(
    opened: Callable[[Temporary], Temporary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweeper took it for abandoned; nothing of the first stays open."""
    lock, before = fcntl.flock, _open_files()
    busy = [True]

    def locked(fd: int, operation: int) -> None:
        if busy.pop() if busy else False:
            raise BlockingIOError
        lock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", locked)
    with opened(Temporary(str(tmp_path), "label")) as temporary:
        assert os.listdir(tmp_path) == [os.path.basename(temporary.path)]
        assert _open_files() == before + 1
    assert (os.listdir(tmp_path), _open_files()) == ([], before)


def test_a_directory_that_was_swept_before_it_was_opened_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a file is."""
    make = os.mkdir
    swept = [True]

    def made(path: str, mode: int) -> None:
        if not swept or not swept.pop():
            make(path, mode)

    monkeypatch.setattr(os, "mkdir", made)
    with Temporary(str(tmp_path), "label").open_directory() as temporary:
        assert os.path.isdir(temporary.path)


def test_an_interrupt_while_a_temporary_is_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has it yet, so nobody else could remove it."""

    def interrupted(fd: int, operation: int) -> None:
        raise KeyboardInterrupt

    before = _open_files()
    monkeypatch.setattr(fcntl, "flock", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Temporary(str(tmp_path), "label").open_file()
    assert (os.listdir(tmp_path), _open_files()) == ([], before)
