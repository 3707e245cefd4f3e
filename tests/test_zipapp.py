"""The one file that scripts/zipapp makes: it unpacks itself once, whole, and for its user alone."""

import functools
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.cli_runner import Outcome
from tests.servers.process import require_root, run

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ("click", "tqdm", "urllib3", "deflate", "zstandard", "cryptography", "cffi", "pycparser")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``pip install --target`` would make, out of what is installed here."""
    place = tmp_path_factory.mktemp("packages")
    for name in NEEDED:
        for path in distribution(name).files or ():
            if ".." not in path.parts and "__pycache__" not in path.parts:
                (place / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path.locate(), place / path)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "imgpack", place / "imgpack", ignore=ignored)
    return place


def zipapp(packages: Path, target: Path) -> Path:
    """The file, made of these packages."""
    run([sys.executable, str(ROOT / "scripts" / "zipapp"), "--packages", packages, "-o", target])
    return target


@pytest.fixture(scope="module")
def app(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file."""
    return zipapp(packages, tmp_path_factory.mktemp("app") / "imgpack.pyz")


def start(app: Path, *arguments: str, prefix: tuple[str, ...] = ()) -> "subprocess.Popen[bytes]":
    """The file at work; without the environment that this Python has its packages from."""
    command = [*prefix, sys._base_executable, "-s", str(app), *arguments]  # type: ignore[attr-defined]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def outcome(process: "subprocess.Popen[bytes]") -> Outcome:
    """How it ended."""
    out, err = process.communicate(timeout=120)
    return Outcome(process.returncode, out, err.decode())


def unpacked(home: Path) -> Path:
    """The one directory that it unpacked to; nothing lies beside it."""
    (place,) = (home / "cache" / "imgpack-app").iterdir()
    return place


def test_it_builds_an_image_on_a_python_without_packages(
    app: Path, home: Path, tmp_path: Path
) -> None:
    """Compressed by its own compiled parts; several that start at once unpack one directory."""
    several = [start(app, "--version") for _ in range(3)]
    assert {outcome(one).ok().split()[0] for one in several} == {b"imgpack"}
    assert (unpacked(home) / "imgpack" / "py.typed").is_file()
    archive = tmp_path / "hello.tar"
    tree = str(ROOT / "examples" / "hello" / "rootfs")
    outcome(start(app, "build", tree, "-o", str(archive), "--no-cache")).ok()
    assert archive.is_file()
    page = tmp_path / "page.html"
    outcome(start(app, "inspect", str(archive), "--html", str(page), "--no-cache")).ok()
    assert page.read_bytes().startswith(b"<!doctype html>"), "its parts are files of the package"


def test_its_bytes_depend_on_the_packages_alone(app: Path, packages: Path, tmp_path: Path) -> None:
    """Not on where they lie, their times and modes, nor on what installers note of themselves."""
    other = shutil.copytree(packages, tmp_path / "other", copy_function=shutil.copyfile)
    for path in other.rglob("*"):
        os.utime(path, (1, 1))
    (note,) = other.glob("click-*.dist-info/METADATA")
    note.with_name("direct_url.json").write_text("{}")
    (other / "bin").mkdir()
    (other / "bin" / "imgpack").write_text("#!/here/python\n")
    assert zipapp(other, tmp_path / "again.pyz").read_bytes() == app.read_bytes()


def test_what_was_damaged_is_unpacked_again(app: Path, home: Path) -> None:
    """A file that was cut, one that is missing, and a directory that others may write to."""
    outcome(start(app, "--version")).ok()
    place = unpacked(home)
    broken = place / "imgpack" / "cli" / "main.py"
    for damage in (
        functools.partial(broken.write_text, ""),
        broken.unlink,
        functools.partial(place.chmod, 0o777),
    ):
        damage()
        outcome(start(app, "--version")).ok()
        assert unpacked(home) == place
        assert broken.read_bytes() == (ROOT / "imgpack" / "cli" / "main.py").read_bytes()
        assert place.stat().st_mode & 0o777 == 0o700


def test_what_a_killed_start_left_is_removed_after_a_day(app: Path, home: Path) -> None:
    """What is younger may be another start at work."""
    above = home / "cache" / "imgpack-app"
    for name in ("new-old", "new-young"):
        (above / name / "imgpack").mkdir(parents=True)
    above.chmod(0o700)
    os.utime(above / "new-old", (1, 1))
    outcome(start(app, "--version")).ok()
    left = {path.name for path in above.iterdir()}
    assert "new-young" in left
    assert "new-old" not in left
    assert len(left) == 2


def test_a_cache_of_somebody_else_is_refused(app: Path, home: Path) -> None:
    """What lies there could be anything; nothing of it is run, and nothing is written."""
    require_root("the owner of a directory is changed")
    place = home / "cache" / "imgpack-app"
    place.mkdir(parents=True)
    os.chown(place, 1000, 1000)
    assert "is another user's" in outcome(start(app, "--version")).failed(24)
    os.chown(place, 0, 0)
    place.chmod(0o777)
    assert "XDG_CACHE_HOME" in outcome(start(app, "--version")).failed(24)
    assert list(place.iterdir()) == []


def test_without_a_place_to_unpack_to_it_says_so(app: Path, home: Path) -> None:
    """One line that names the place and the way out."""
    (home / "cache").write_text("")
    line = outcome(start(app, "--version")).failed(24)
    assert "Not a directory" in line
    assert "XDG_CACHE_HOME" in line


def test_another_python_is_told_which_one_it_wants(app: Path, home: Path, tmp_path: Path) -> None:
    """Before anything is unpacked, for the compiled parts would not load."""
    assert altered(app, tmp_path / "other.pyz", "files", b"cpython-3", b"pypy-3")
    assert "this file is for pypy-3" in outcome(start(tmp_path / "other.pyz")).failed(24)
    assert not (home / "cache").exists()


def test_a_file_that_was_damaged_before_it_was_packed_is_refused(
    app: Path, home: Path, tmp_path: Path
) -> None:
    """The list has the digest of every file."""
    other = tmp_path / "other.pyz"
    assert altered(app, other, "packages/imgpack/__main__.py", b"run", b"RUN")
    line = outcome(start(other)).failed(24)
    assert "imgpack/__main__.py is not what was packed" in line
    assert list((home / "cache" / "imgpack-app").iterdir()) == []


def altered(app: Path, target: Path, name: str, old: bytes, new: bytes) -> int:
    """Write the file with other bytes in one of its members; how often they were there."""
    found = 0
    with zipfile.ZipFile(app) as source, zipfile.ZipFile(target, "w") as sink:
        for entry in source.infolist():
            data = source.read(entry)
            if entry.filename == name:
                found = data.count(old)
                data = data.replace(old, new)
            sink.writestr(entry.filename, data)
    return found
