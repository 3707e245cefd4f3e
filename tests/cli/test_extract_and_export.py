"""``imgpack extract`` and ``export``: where they read from and write to, and what they say."""

import tarfile
from pathlib import Path

import pytest

from tests.cli_runner import Imgpack, InProcess
from tests.privileges import as_user
from tests.registry.hostile import HostileRegistry


@pytest.fixture
def image(imgpack_here: InProcess, tmp_path: Path) -> InProcess:
    """The command, in a directory with an image of two files."""
    (tmp_path / "src" / "etc").mkdir(parents=True)
    (tmp_path / "src" / "etc" / "conf").write_text("conf")
    (tmp_path / "src" / "app").write_text("app")
    imgpack_here("build", "src", "-o", "app.tar", "-t", "app:1").ok()
    return imgpack_here


def names(root: Path) -> list[str]:
    """What lies below a directory."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_all_files_or_those_at_paths_are_extracted(image: InProcess, tmp_path: Path) -> None:
    """Nothing is printed."""
    assert image("extract", "app.tar", "all").ok() == b""
    assert image("extract", "app.tar:app:1", "some", "/etc/conf").ok() == b""
    assert names(tmp_path / "all") == ["app", "etc", "etc/conf"]
    assert names(tmp_path / "some") == ["etc", "etc/conf"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("extract", "app.tar", "src"), 14, "src has something in it; name a new or empty"),
        (
            ("extract", "app.tar", "new", "etc/cnof"),
            28,
            "/etc/cnof is not in the image; there is /etc/conf",
        ),
        (("extract", "app.tar", "-"), 2, "a tar is written by: imgpack export"),
        (("extract", "app.tar"), 2, "DIR"),
        (("export", "app.tar"), 2, "-o"),
        (("extract", "app.tar", ""), 14, "'' is no path of a directory"),
        (("export", "app.tar", "-o", "src"), 14, "src"),
        (("export", "app.tar", "-o", "./app.tar"), 14, "the tar ./app.tar is app.tar"),
        (("export", "app.tar:app:1", "-o", "app.tar"), 14, "the tar app.tar is app.tar"),
        (("export", "app.tar", "-o", "x", "--compression", "xz"), 7, "xz"),
        (("extract", "none.tar", "new"), 3, "none.tar does not exist"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(
    image: InProcess, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    """And leaves nothing."""
    done = image(*arguments)
    assert done.code == code, done.err
    assert said in done.err
    there = {path.name for path in tmp_path.iterdir()}
    assert not there & {"new", "x", "-"}


def test_a_tar_goes_to_a_file_or_standard_output(image: InProcess, tmp_path: Path) -> None:
    """The same; a build of it has the same layer."""
    image("export", "app.tar", "-o", "files.tar").ok()
    written = (tmp_path / "files.tar").read_bytes()
    assert image("export", "app.tar", "-o", "-").ok() == written
    with tarfile.open(tmp_path / "files.tar") as tar:
        assert tar.getnames() == ["app", "etc", "etc/conf"]
    image("build", "files.tar", "-o", "again.tar", "-t", "app:1").ok()
    assert image("digest", "again.tar").ok() == image("digest", "app.tar").ok()


@pytest.mark.parametrize("words", [("export", "-", "-o"), ("inspect", "-", "--html")])
def test_what_standard_input_is_read_from_is_not_written_over(
    imgpack: Imgpack, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """However the file is called there."""
    (tmp_path / "tree").mkdir()
    imgpack("build", "tree", "-o", "app.tar").ok()
    (tmp_path / "link.tar").symlink_to("app.tar")
    before = (tmp_path / "app.tar").read_bytes()
    shell = ("sh", "-c", 'exec "$@" <app.tar', "sh")
    line = imgpack(*words, "link.tar", prefix=shell).failed(14)
    assert "link.tar is standard input, or lies in it" in line
    assert (tmp_path / "app.tar").read_bytes() == before


def test_an_image_in_a_registry_is_extracted(image: InProcess, tmp_path: Path) -> None:
    """As one in an archive is."""
    with HostileRegistry() as registry:
        name = f"{registry.host}/app:1"
        image("push", "app.tar", name).ok()
        image("extract", name, "out").ok()
    assert names(tmp_path / "out") == ["app", "etc", "etc/conf"]


def test_a_user_is_told_what_only_root_can_set_or_has_it_recorded(imgpack: Imgpack) -> None:
    """What is recorded is what a build reads: the layer is the same."""
    lines = ["#mtree"]
    lines += ["./dir type=dir uid=5 gid=6 mode=0750", "./dev type=char device=linux,1,3 mode=0666"]
    lines += ["./su type=file size=0 uid=7 mode=4755", "./pipe type=fifo gid=8 mode=0600"]
    (imgpack.directory / "spec.mtree").write_text("\n".join(lines) + "\n")
    imgpack("build", "spec.mtree", "-o", "app.tar", "-t", "app:1").ok()
    imgpack.directory.chmod(0o777)
    user = as_user(1234, 1234)
    cache = ("--cache-dir", "of-user")
    done = imgpack("extract", "app.tar", "plain", *cache, prefix=user)
    assert done.ok() == b""
    told = done.err
    assert "entries that have other owners, which could not be set, nor set-id bits: 3" in told
    assert (
        "devices that could not be made: 1, the first is /dev; extract it as root, or record"
        in told
    )
    assert (imgpack.directory / "plain" / "su").stat().st_mode & 0o7777 == 0o755
    imgpack("extract", "app.tar", "kept", "--rootless", *cache, prefix=user).ok()
    assert (imgpack.directory / "kept" / "su").stat().st_mode & 0o7777 == 0o755
    imgpack("build", "kept", "-o", "again.tar", "-t", "app:1", *cache, prefix=user).ok()
    files = []
    for name in ("app", "again"):
        imgpack("export", f"{name}.tar", "-o", f"{name}-files.tar").ok()
        with tarfile.open(imgpack.directory / f"{name}-files.tar") as tar:
            files.append([(one.name, one.type, one.mode, one.uid, one.gid) for one in tar])
    assert files[0] == files[1]


def test_a_lock_is_extracted_once_its_layers_are_fetched(image: InProcess, tmp_path: Path) -> None:
    """Before that it is told which one is not at hand."""
    image("base", "lock", "app.tar", "-o", "base.lock").ok()
    assert "does not hold the layer" in image("extract", "base.lock", "out").failed(20)
    image("base", "fetch", "base.lock").ok()
    image("extract", "base.lock", "out").ok()
    assert names(tmp_path / "out") == ["app", "etc", "etc/conf"]
