"""What bad input gets: one line that says what to do, an exit code, and nothing left behind."""

import os
import pty
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli_runner import Imgpack, InProcess, Outcome
from tests.privileges import OBEYING_MODES


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree."""
    root = tmp_path / "rootfs"
    (root / "etc").mkdir(parents=True)
    (root / "etc/motd").write_text("hello\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "text.tgz").write_text("text\n")
    (tmp_path / "nul").write_bytes(b"./f type=file\n\0")
    return root


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """No output under its final name, and no temporary beside it."""
    yield
    if (tmp_path / "out").is_dir():
        assert list((tmp_path / "out").iterdir()) == []
    assert not [path for path in tmp_path.iterdir() if path.name.endswith((".tmp", ".tar"))]


def built(imgpack: InProcess, *arguments: str | Path) -> Outcome:
    """A build into out/."""
    return imgpack("build", *arguments, "-o", "out/o.tar")


@pytest.mark.parametrize(
    ("sources", "code", "words"),
    [
        (["missing"], 3, "missing does not exist; name a directory"),
        (["missing\n\x1b[31m"], 3, "missing\\n\\x1b[31m does not exist"),
        (["/dev/null"], 3, "/dev/null is not a regular file"),
        (["rootfs/etc/motd/x"], 3, "rootfs/etc/motd/x does not exist"),
        (["missing.tar.gz"], 3, "missing.tar.gz does not exist"),
        (["rootfs", "-:/x", "-:/y"], 2, "both read standard input"),
        (["/dev/stdin"], 11, "/dev/stdin: it is empty"),
        (["text.tgz"], 11, "text.tgz: it is not a tar archive: it has only 5 bytes"),
        (["rootfs", "--raw-layer", "text.tgz"], 11, "it is not a tar archive: it has only 5"),
        (["rootfs", "--raw-layer", "rootfs"], 11, "rootfs is a directory; name a tar file"),
        (["rootfs", "--from", "text.tgz"], 11, "text.tgz is not a tar archive"),
        (["rootfs", "--mtree", "nul"], 5, "nul is no mtree(5) list: it is binary"),
        (["rootfs", "--split", "a="], 7, "--split: 'a=' has an empty pattern"),
        (["rootfs", "--whiteout", "/etc"], 2, "and there is none; add --from BASE"),
        (["rootfs/etc/motd:/a", "rootfs/etc/motd:/a"], 5, "given twice for the same place"),
        (["rootfs/etc/motd:/.wh.a"], 5, ".wh.a cannot be in a layer"),
        ([""], 2, "empty name"),
        ([":/x"], 2, "':/x' names no source"),
        (["rootfs:"], 2, "names no destination"),
        (["rootfs:x"], 5, "the destination x is not absolute"),
        (["rootfs:/a/../b"], 5, "the destination /a/../b holds '..'"),
        (["rootfs:/a/./b"], 5, "holds '.'"),
        (["rootfs:/a/.wh.b"], 5, "holds '.wh.b'"),
        (["rootfs", "rootfs/"], 5, "rootfs/ is given twice for the same place"),
        (["rootfs:/a", "rootfs:/a/"], 5, "given twice"),
        (["rootfs", "rootfs:/etc/motd/x"], 5, "goes through /etc/motd, which is not a directory"),
        (["rootfs", "rootfs:/etc/motd"], 5, "/etc/motd is no directory in a lower layer; choose"),
        (["rootfs"] * 126, 8, "126 layers are too many; Docker takes 125"),
    ],
)
def test_impossible_sources_are_told(
    imgpack_here: InProcess, tree: Path, sources: list[str], code: int, words: str
) -> None:
    """Before anything is written."""
    assert words in built(imgpack_here, *sources).failed(code)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-t", "UPPER"], 6, "UPPER"),
        (["-t", "a:b:c"], 6, "a:b:c"),
        (["-t", ""], 6, ""),
        (["-t", "a@sha256:" + "0" * 64], 6, "a@sha256"),
        (["--format", "oci2"], 2, "oci2"),
        (["--compression", "lz4"], 7, "unknown compression 'lz4'; write gzip[:1-12]"),
        (["--compression", "gzip:13"], 7, "gzip has no level 13; levels are 1 to 12"),
        (["--compression", "zstd"], 9, "no media type for zstd layers; add --format oci"),
        (["--platform", "linux"], 7, "linux"),
        (["--platform", "linux/foo"], 7, "no runtime knows the platform linux/foo; write it as Go"),
        (["--platform", "linux/arm/v9"], 7, "no runtime knows the platform linux/arm/v9"),
        (["--owner", "root"], 7, "--owner 'root' is not keep or UID:GID; write numbers, as 0:0"),
        (["--owner", "1:4294967295"], 7, "above the largest id"),
        (["--owner", "9" * 5000 + ":0"], 7, "is not keep or UID:GID"),
        (["--owner", "-1:0"], 7, "is not keep or UID:GID"),
        (["--mtime", "yesterday"], 7, "--mtime 'yesterday' is not a time; write RFC 3339"),
        (["--mtime", "1969-01-01T00:00:00Z"], 7, "lie between 1970 and 2242"),
        (["--mtime", "1969-12-31T23:59:59.5Z"], 7, "lie between 1970 and 2242"),
        (["--mtime", "9999999999"], 7, "lie between 1970 and 2242"),
        (["--created", "2026-01-31T12:00:00"], 7, "not a time"),
        (["--created", "0001-01-01T00:00:00+14:00"], 7, "not a time"),
        (["--jobs", "0"], 2, "--jobs"),
        (["--cache-limit", "much"], 2, "--cache-limit 'much' is not a size; write 10GiB"),
        (["--cache-limit", "9" * 400], 2, "too large"),
        (["-e", "NOVALUE"], 7, "--env 'NOVALUE' has no name and value; write NAME=VALUE"),
        (["-l", "=x"], 7, "--label '=x'"),
        (["-w", "srv"], 7, "--workdir 'srv' is not an absolute path"),
        (["-w", ""], 7, "--workdir is empty"),
        (["-u", "-5"], 7, "--user '-5' is not a user; write USER or USER:GROUP"),
        (["--volume", "/a/../b"], 7, "--volume '/a/../b'"),
        (["--expose", "0"], 7, "--expose '0/tcp' is not a port; write 80"),
        (["--expose", "90-80"], 7, "not a port"),
        (["--stop-signal", "15x"], 7, "not a signal"),
        (["--stop-signal", "TRM"], 7, "not a signal"),
        (["--stop-signal", "65"], 7, "not a signal"),
        (["--entrypoint", '["a"'], 7, "not a JSON array"),
        (["--entrypoint", "[1]"], 7, "not a JSON array of strings"),
        (["--cmd", "[" * 100_000], 7, "not a JSON array"),
        (["--cmd", "'open"], 7, "not quoted as for a shell"),
        (["--healthcheck-retries", "3"], 7, "add --healthcheck-cmd"),
        (["--healthcheck-cmd", "x", "--healthcheck-retries", "2147483648"], 2, "2147483647"),
        (["--healthcheck-cmd", "[]"], 7, "--healthcheck-cmd [] names no command"),
        (["--healthcheck-cmd", "x", "--healthcheck-timeout", "5 s"], 7, "not a duration"),
        (["--healthcheck-cmd", "x", "--healthcheck-timeout", "9" * 400 + "h"], 7, "not a duration"),
        (["--onbuild", "FROM x"], 7, "cannot be a trigger"),
        (["--author", "\udcff"], 7, "--author '\\udcff' is not Unicode text; image documents"),
        (["-l", "a\udcff=b"], 7, "--label 'a\\udcff=b' is not Unicode text"),
        (["--healthcheck-cmd", "\udcff"], 7, "--healthcheck-cmd"),
        (["--cache-dir", "rootfs/etc/cache"], 15, "lies inside the source"),
        (["--cache-dir", "rootfs/etc/motd"], 15, ""),
        (["--cache-dir", "/dev/null/x"], 15, "cannot use the cache /dev/null/x"),
        (["--no-such-option"], 2, "--no-such-option"),
    ],
)
def test_impossible_options_are_told(
    imgpack_here: InProcess, tree: Path, arguments: list[str], code: int, words: str
) -> None:
    """With the option, the value, and one that would do; and the tree is as it was."""
    assert words in built(imgpack_here, "rootfs", *arguments).failed(code)
    assert sorted(path.name for path in tree.rglob("*")) == ["etc", "motd"]


def test_no_source_is_a_usage_error(imgpack_here: InProcess) -> None:
    """As any missing argument."""
    imgpack_here("build").failed(2)


def test_a_directory_whose_name_is_no_image_needs_one(
    imgpack_here: InProcess, tmp_path: Path
) -> None:
    """The hint says how."""
    (tmp_path / "My Tree").mkdir()

    line = imgpack_here("build", "My Tree").failed(6)
    assert "the source's name 'My Tree' is no image name; give one with -t NAME" in line


def test_a_wrong_epoch_is_told(
    imgpack_here: InProcess, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Building with another time than asked for would be worse."""
    for text in ("tomorrow", "-1", "1.5", "9" * 13):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
        assert "SOURCE_DATE_EPOCH is" in built(imgpack_here, "rootfs").failed(7)


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_all_unreadable_paths_are_listed(imgpack: Imgpack, tree: Path, size: int) -> None:
    """Files and directories, by somebody who obeys their modes; and not the readable ones."""
    for name in ("a", "b", "fine"):
        (tree / name).write_bytes(bytes(size))
    (tree / "closed").mkdir()
    (tree / "closed/in").touch()
    for name in ("a", "b", "closed"):
        (tree / name).chmod(0)

    for _ in range(2):
        line = imgpack("build", "rootfs", "-o", "out/o.tar", prefix=OBEYING_MODES).failed(3)
        assert "cannot read 3 paths of the source: " in line
        for name in ("a", "b", "closed"):
            assert f"{tree}/{name} (Permission denied)" in line
        assert "fine" not in line
    (tree / "closed").chmod(0o755)


def test_a_source_that_cannot_be_listed_is_told(imgpack: Imgpack, tree: Path) -> None:
    """The directory itself."""
    tree.chmod(0)
    line = imgpack("build", "rootfs", "-o", "out/o.tar", prefix=OBEYING_MODES).failed(3)
    tree.chmod(0o755)

    assert "cannot read rootfs: Permission denied" in line


def test_a_name_that_means_a_deletion_is_told(imgpack_here: InProcess, tree: Path) -> None:
    """With its path, and what it would do."""
    (tree / "etc/.wh.motd").touch()

    line = built(imgpack_here, "rootfs").failed(5)
    assert f"{tree}/etc/.wh.motd cannot be in a layer" in line
    assert line.endswith("rename or remove it; --whiteout PATH deletes what a base has")


def vanish(path: Path) -> None:
    path.unlink()


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def rewrite(path: Path) -> None:
    path.write_bytes(b"x" * path.stat().st_size)


@pytest.mark.parametrize("change", [vanish, grow, rewrite])
@pytest.mark.parametrize("cache", [[], ["--no-cache"]])
def test_a_file_that_changes_while_it_is_read_is_told(
    imgpack_here: InProcess, tree: Path, monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None], cache: list[str],
) -> None:  # fmt: skip
    """Between the walk's look and the reading, as another program would."""
    file, real = tree / "etc/motd", os.open

    def opening(path: bytes, *rest: int, **at: int | None) -> int:
        if path == b"motd":  # below the directory that the walk holds open
            change(file)
        return real(path, *rest, **at)

    monkeypatch.setattr(os, "open", opening)
    line = built(imgpack_here, "rootfs", *cache).failed(4)
    monkeypatch.undo()

    assert f"{file} " in line
    assert "build from a tree that nothing writes to" in line


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("missing/o.tar", "cannot write missing/o.tar: No such file or directory; create"),
        ("rootfs/o.tar", "rootfs/o.tar lies inside the source"),
        ("rootfs/", "lies inside the source"),
        ("/proc/o.tar", "cannot write /proc/o.tar"),
        ("/dev/fd/999999", "cannot write /dev/fd/999999: Bad file descriptor"),
        ("/dev/full", "cannot write /dev/full: No space left on device; the disk is full"),
        ("", ""),
    ],
)
def test_an_output_that_cannot_be_written_is_told(
    imgpack_here: InProcess, tree: Path, output: str, words: str
) -> None:
    """With its path and what is wrong with it."""
    assert words in imgpack_here("build", "rootfs", "-o", output).failed(14)


@pytest.fixture
def no_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that is read-only, but for the outputs."""

    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)


@pytest.mark.usefixtures("no_scratch")
def test_only_a_stream_needs_a_directory_for_temporary_files(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """An archive or layout is made where it will be."""
    for output in ("file", "lay/"):
        imgpack_here("build", "rootfs", "-o", output).ok()
    line = imgpack_here("build", "rootfs", "-o", "-").failed(14)
    assert "there is no directory for temporary files; let TMPDIR name one" in line


def test_a_full_directory_for_temporary_files_is_told(
    imgpack: Imgpack, tree: Path, tmp_path: Path
) -> None:
    """With the variable that names another. A limit on file sizes stands for a full one."""
    (tree / "large").write_bytes(os.urandom(3_000_000))
    line = imgpack(
        "build", "rootfs", "-o", "-", "--no-cache", env={"TMPDIR": str(tmp_path / "out")},
        prefix=("sh", "-c", 'ulimit -f 1000; exec "$@"', "sh"),
    ).failed(14)  # fmt: skip

    assert f"cannot write a temporary file in {tmp_path}/out: File too large; let TMPDIR" in line


def test_an_output_directory_without_permission_is_told(imgpack: Imgpack, tree: Path) -> None:
    """By somebody who obeys modes."""
    (tree.parent / "out").chmod(0o555)
    line = imgpack("build", "rootfs", "-o", "out/o.tar", prefix=OBEYING_MODES).failed(14)
    (tree.parent / "out").chmod(0o755)

    assert "cannot write out/o.tar: Permission denied; check the directory's permissions" in line


@pytest.mark.parametrize("output", ["out/o.tar", "out/lay/", "lay"])
def test_an_output_that_outgrows_the_disk_is_named_as_it_was_given(
    imgpack: Imgpack, tree: Path, tmp_path: Path, output: str
) -> None:
    """A limit on file sizes stands for a full disk; the name of a temporary helps nobody."""
    imgpack("build", "rootfs", "-o", "lay/", "--no-cache").ok()
    (tree / "large").write_bytes(os.urandom(3_000_000))
    line = imgpack(
        "build", "rootfs", "-o", output, "--no-cache",
        prefix=("sh", "-c", 'ulimit -f 1000; exec "$@"', "sh"),
    ).failed(14)  # fmt: skip

    assert f"cannot write {output}: File too large" in line


@pytest.mark.parametrize("output", ["o.tar", "lay/"])
@pytest.mark.parametrize("cache", ["--no-cache", "--cache-dir=cache"])
def test_a_working_directory_that_is_gone_is_told(
    imgpack: Imgpack, tree: Path, output: str, cache: str
) -> None:
    """A relative path has no place then."""
    line = imgpack(
        "build", tree, "-o", output, cache,
        prefix=("sh", "-c", 'mkdir gone; cd gone; rmdir ../gone; exec "$@"', "sh"),
    ).failed(14)  # fmt: skip

    assert f"cannot write {output}: the current directory is gone" in line


def test_an_archive_that_was_there_stays_when_a_build_fails(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """It is replaced by a whole one or not at all."""
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep/o.tar").write_bytes(b"old")
    (tree / ".wh.x").touch()

    imgpack_here("build", "rootfs", "-o", "keep/o.tar").failed(5)

    assert (tmp_path / "keep/o.tar").read_bytes() == b"old"
    assert len(list((tmp_path / "keep").iterdir())) == 1


@pytest.mark.parametrize(
    ("metadata", "output", "code", "words"),
    [
        ("missing/m.json", "out/o.tar", 14, "cannot write missing/m.json: No such file"),
        ("out", "out/o.tar", 14, "the metadata file out is a directory; name a file in it"),
        ("m/", "out/o.tar", 14, "the metadata file m/ is a directory"),
        ("out/o.tar", "out/o.tar", 14, "the metadata file is out/o.tar, or lies in it"),
        ("out/../out/o.tar", "out/o.tar", 14, "or lies in it; choose another place"),
        ("link/o.tar", "out/o.tar", 14, "or lies in it"),
        ("out/lay/m.json", "out/lay/", 14, "is out/lay/, or lies in it"),
        ("/dev/stdout", "-", 14, "is standard output, or lies in it"),
        ("rootfs/etc/m.json", "out/o.tar", 14, "metadata file rootfs/etc/m.json lies inside the"),
        ("rootfs/etc/motd", "out/o.tar", 14, "lies inside the source"),
        ("/dev/fd/999999", "out/o.tar", 14, "cannot write /dev/fd/999999: Bad file descriptor"),
        ("", "out/o.tar", 2, "--metadata-file '' is no file"),
        ("-", "out/o.tar", 2, "--metadata-file '-' is no file"),
    ],
)
def test_a_metadata_file_that_cannot_be_one_is_told_before_the_build(
    imgpack: Imgpack, tree: Path, tmp_path: Path, metadata: str, output: str, code: int, words: str
) -> None:
    """Nothing is written, and nothing that was there is touched."""
    (tmp_path / "link").symlink_to("out")
    done = imgpack("build", "rootfs", "-o", output, "--metadata-file", metadata)

    assert words in done.failed(code)
    assert done.out == b""
    assert (tree / "etc/motd").read_text() == "hello\n"
    assert [path.name for path in tree.rglob("*.json")] == []


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 129, "hung up"),
    ],
)
@pytest.mark.parametrize("output", ["out/o.tar", "out/lay/", "-"])
def test_a_signal_ends_a_build_and_leaves_nothing(
    imgpack: Imgpack, tree: Path, tmp_path: Path, number: int, code: int, words: str, output: str
) -> None:
    """In the middle of a large layer: promptly, without a traceback."""
    with (tree / "large").open("wb") as file:
        file.truncate(20 << 30)
    process = imgpack.start("build", "rootfs", "-o", output, "--compression", "gzip:9")
    cache = Path(os.environ["XDG_CACHE_HOME"]) / "imgpack/segments"
    deadline = time.monotonic() + 20
    while not any(cache.glob("*/*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)

    assert process.returncode == code, err
    assert b"Traceback" not in err
    assert err.decode().strip() == f"imgpack: error: {words}"
    for left in (tmp_path / "out").glob("lay"):
        assert not [path for path in left.rglob("*") if path.is_file()], list(left.rglob("*"))
        subprocess.run(["rm", "-rf", str(left)], check=True)


def test_a_killed_build_leaves_a_cache_that_works(imgpack: Imgpack, tree: Path) -> None:
    """SIGKILL at any point: the next build uses what is whole."""
    for number in range(40):
        (tree / f"f{number:02}").write_bytes(os.urandom(400_000))
    expected = imgpack("build", "rootfs", "-o", "-", "--no-cache").ok()
    for delay in (0.12, 0.18, 0.24, 0.3):
        process = imgpack.start("build", "rootfs", "-o", "-", "--compression", "gzip")
        assert process.stdout is not None
        assert process.stderr is not None
        killer = threading.Timer(delay, process.kill)
        killer.start()
        process.communicate()
        killer.join()

    done = imgpack("build", "rootfs", "-o", "-")
    assert done.ok() == expected
    assert "warning" not in done.err


def test_a_closed_pipe_ends_quietly(imgpack: Imgpack, tree: Path) -> None:
    """``imgpack build -o - | head -c 10``: the reader has what it wanted."""
    (tree / "large").write_bytes(os.urandom(3_000_000))
    process = imgpack.start("build", "rootfs", "-o", "-")
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()

    assert process.wait(20) == 141
    assert err == b""


@pytest.mark.parametrize("output", ["-", "/dev/stdout"])
def test_an_archive_is_not_written_to_a_terminal(imgpack: Imgpack, tree: Path, output: str) -> None:
    """As docker save refuses it."""
    master, slave = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "imgpack", "build", "rootfs", "-o", output],
            stdout=slave, stderr=subprocess.PIPE, cwd=tree.parent, check=False, timeout=30,
        )  # fmt: skip
    finally:
        os.close(master)
        os.close(slave)

    assert done.returncode == 2
    assert b"pipe it, or give -o FILE" in done.stderr


def test_a_tree_above_the_cache_is_built_without_it(
    imgpack_here: InProcess, tmp_path: Path, home: Path
) -> None:
    """Building a home directory must not pack its own cache, nor make one in it."""
    (home / "file").touch()
    done = imgpack_here("build", str(home), "-t", "x", "-o", "/dev/null")

    done.ok()
    assert "going on without a cache: the cache" in done.err
    assert [path.name for path in home.iterdir()] == ["file"]


def test_a_user_without_a_home_builds_without_a_cache(
    imgpack: Imgpack, tree: Path, tmp_path: Path
) -> None:
    """And without a directory that is called ``~``."""
    prefix: tuple[str, ...] = ("env", "-u", "HOME", "-u", "XDG_CACHE_HOME")
    if os.geteuid() == 0:
        from tests.privileges import as_user

        prefix += as_user(54321, 54321)
        done = imgpack("build", "rootfs", "-o", "/dev/null", prefix=prefix)
        done.ok()
        assert "going on without a cache: there is no home directory" in done.err
    assert not (tmp_path / "~").exists()
