"""``imgpack extract`` and ``export``: where they read from and write to, and what they say."""

import tarfile
from pathlib import Path

import pytest

from tests.cli.archives import write_archive
from tests.cli_runner import Imgpack, InProcess
from tests.image.files.test_extract import DIR, layer, member
from tests.privileges import OBEYING_MODES, as_user
from tests.registry.hostile import HostileRegistry
from tests.store.samples import Memory, make_image


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
    done = image("extract", "app.tar", "told", "-v")
    assert done.ok() == b""
    assert "3 entries are in told" in done.err


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
        (
            ("export", "app.tar", "-o", "src"),
            14,
            "cannot write src: Is a directory; name a file in it",
        ),
        (("export", "app.tar", "-o", "./app.tar"), 14, "the tar ./app.tar is app.tar"),
        (("export", "app.tar:app:1", "-o", "app.tar"), 14, "the tar is app.tar, or lies in it"),
        (("export", "app.tar", "-o", "x", "--compression", "xz"), 7, "xz"),
        (("export", "app.tar", "-o", "x.tar.xz"), 2, "name it .tar.gz or .tar.zst"),
        (("export", "app.tar", "-o", "x.zip"), 2, "name it .tar.gz or .tar.zst"),
        (("export", "app.tar", "-o", "x.gz", "--compression", "zstd"), 2, "would hold a tar"),
        (("export", "app.tar", "-o", "x.tgz", "--compression", "none"), 2, "would hold a tar"),
        (("export", "app.tar", "/etc/cnof", "-o", "x"), 28, "there is /etc/conf"),
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


@pytest.mark.parametrize(
    ("name", "option", "head"),
    [
        ("x.tar.gz", (), b"\x1f\x8b"),
        ("x.tgz", ("--compression", "gzip:9"), b"\x1f\x8b"),
        ("x.tar.zst", (), b"\x28\xb5\x2f\xfd"),
        ("x.tar", ("--compression", "zstd"), b"\x28\xb5\x2f\xfd"),
        ("x.tar", (), b"etc/"),
        ("x", (), b"etc/"),
    ],
)
def test_a_tar_is_compressed_as_its_name_says(
    image: InProcess, tmp_path: Path, name: str, option: tuple[str, ...], head: bytes
) -> None:
    """Or as was said; to the same bytes whatever threads there are."""
    image("export", "app.tar", "/etc", "-o", name, *option).ok()
    made = (tmp_path / name).read_bytes()
    assert made.startswith(head)
    image("export", "app.tar", "etc/conf", "-o", name, *option, "-j", "1").ok()
    assert (tmp_path / name).read_bytes() == made


def test_a_part_of_the_files_is_one_tar(image: InProcess, tmp_path: Path) -> None:
    """With the directories above, hard links among them, and what a build of these files has."""
    (tmp_path / "src/etc/hard").hardlink_to(tmp_path / "src/app")
    (tmp_path / "src/etc/more").hardlink_to(tmp_path / "src/app")
    image("build", "src", "-o", "app.tar").ok()
    image("export", "app.tar", "/etc", "-o", "part.tar").ok()
    with tarfile.open(tmp_path / "part.tar") as tar:
        members = tar.getmembers()
        assert [one.name for one in members] == ["etc", "etc/conf", "etc/hard", "etc/more"]
        assert [one.islnk() for one in members] == [False, False, False, True]
        file = tar.extractfile("etc/more")
        assert file is not None
        assert file.read() == b"app"
    image("extract", "app.tar", "some", "/etc").ok()
    image("build", "some", "-o", "some.tar").ok()
    image("export", "some.tar", "-o", "again.tar").ok()
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "part.tar").read_bytes()


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


def test_directories_that_nobody_may_enter_are_filled_before(imgpack: Imgpack) -> None:
    """The root is the last that gets its mode, and each comes after those in it."""
    names = ("d", "d/e", "d/x", "z")
    made = [member(".", DIR, mode=0o600), *(member(name, DIR, mode=0) for name in names)]
    image = make_image(Memory(), [layer(*made, member("d/e/f", data=b"x", mode=0))])
    write_archive(imgpack.directory / "app.tar", image)
    imgpack("extract", "app.tar", "out", "--rootless", prefix=OBEYING_MODES).ok()
    out = imgpack.directory / "out"
    found = {str(path.relative_to(out)): path.stat().st_mode & 0o777 for path in out.rglob("*")}
    assert found == dict.fromkeys((*names, "d/e/f"), 0)
    assert out.stat().st_mode & 0o777 == 0o600


def test_a_lock_is_extracted_once_its_layers_are_fetched(image: InProcess, tmp_path: Path) -> None:
    """Before that it is told which one is not at hand."""
    image("base", "lock", "app.tar", "-o", "base.lock").ok()
    assert "does not hold the layer" in image("extract", "base.lock", "out").failed(20)
    image("base", "fetch", "base.lock").ok()
    image("extract", "base.lock", "out").ok()
    assert names(tmp_path / "out") == ["app", "etc", "etc/conf"]
