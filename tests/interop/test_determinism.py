"""The same tree and options are the same bytes: whoever builds, where, and with what."""

import functools
import hashlib
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli_runner import Imgpack
from tests.interop.trees import make_small_tree
from tests.servers.process import require

ROOT = Path(__file__).resolve().parent.parent.parent
# The user's own home: HOME itself is redirected while tests run.
PYENV = Path(pwd.getpwuid(os.getuid()).pw_dir) / ".pyenv" / "versions"


@pytest.fixture
def tree(imgpack: Imgpack) -> Path:
    """A tree of several segments that everybody may read."""
    root = make_small_tree(
        imgpack.directory / "rootfs", etc__motd="hello\n", a__b="b", **{"a.b": ""}
    )
    for number in range(40):
        file = root / f"file{number:02}"
        file.write_bytes(hashlib.sha256(b"%d" % number).digest() * 8000)
        file.chmod(0o644)
        os.utime(file, (1_600_000_000, 1_600_000_000))
    os.link(root / "file00", root / "again")
    (root / "link").symlink_to("file01")
    for name in ("link", "."):
        os.utime(root / name, (1_600_000_000, 1_600_000_000), follow_symlinks=False)
    return root


def built(imgpack: Imgpack, *arguments: str, **options: object) -> str:
    """The SHA-256 of the archive that a build streams out; the segment cache is not used."""
    command = ("build", str(imgpack.directory / "rootfs"), "-t", "same:1", "--no-cache")
    outcome = imgpack(*command, "-o", "-", *arguments, **options)  # type: ignore[arg-type]
    return hashlib.sha256(outcome.ok()).hexdigest()


@pytest.mark.parametrize(
    "environment",
    [
        {"TZ": "Pacific/Kiritimati"},
        {"TZ": "America/St_Johns", "LANG": "C"},
        {"LC_ALL": "C"},
        {"LC_ALL": "C.UTF-8", "LANG": "tr_TR.UTF-8"},
        {"PYTHONHASHSEED": "1"},
        {"PYTHONHASHSEED": "4294967295"},
        {"PYTHONUTF8": "0", "LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONOPTIMIZE": "2"},
    ],
    ids=str,
)
@pytest.mark.usefixtures("tree")
def test_the_environment_does_not_matter(imgpack: Imgpack, environment: dict[str, str]) -> None:
    """Time zone, locale and hash seed leave no trace."""
    assert built(imgpack, env=environment) == built(imgpack)


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("jobs", ["1", "2", "16"])
def test_the_number_of_workers_does_not_matter(
    imgpack: Imgpack, compression: str, jobs: str
) -> None:
    """One worker makes the bytes that sixteen make."""
    options = ("--format", "oci", "--compression", compression)
    assert built(imgpack, *options, "--jobs", jobs) == built(imgpack, *options)


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_the_umask_does_not_matter(imgpack: Imgpack, umask: int) -> None:
    """A layer's modes are the tree's, an archive's are its own."""
    wrapper = ("sh", "-c", f'umask {umask:03o} && exec "$@"', "sh")
    assert built(imgpack, prefix=wrapper) == built(imgpack)


def test_the_place_does_not_matter(imgpack: Imgpack, tree: Path, tmp_path: Path) -> None:
    """Another directory, another current directory, a trailing slash: the same image."""
    expected = built(imgpack)
    other = tmp_path / "elsewhere" / "deep"
    other.mkdir(parents=True)
    tree.rename(other / "rootfs")
    command = ("-t", "same:1", "--no-cache", "-o", "-")
    outcome = imgpack("build", "./rootfs/", *command, cwd=other)
    assert hashlib.sha256(outcome.ok()).hexdigest() == expected


@pytest.mark.usefixtures("tree")
def test_the_clock_does_not_matter(imgpack: Imgpack) -> None:
    """The times of the tree are all that is used, also after a touch of the access time."""
    expected = built(imgpack)
    for path in (imgpack.directory / "rootfs").iterdir():
        found = path.lstat()
        os.utime(path, ns=(1, found.st_mtime_ns), follow_symlinks=False)
    assert built(imgpack) == expected


def nobody(imgpack: Imgpack) -> tuple[str, ...]:
    """A command's prefix that makes it run as nobody, if need be able to read every file.

    The interpreter may lie where nobody may not look; a capability to read
    does not make nobody root.
    """
    setpriv = require("setpriv")
    ordinary = (setpriv, "--reuid=65534", "--regid=65534", "--clear-groups")
    able = (*ordinary, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    for prefix in (ordinary, able):
        tried = imgpack("--version", prefix=prefix, env={"HOME": "/nonexistent"})
        if tried.code == 0:
            return prefix
    raise AssertionError(f"nobody cannot run imgpack: {tried.err}")


def _open_to_everybody(directory: Path) -> None:
    for path in (directory, *directory.parents):
        if path.stat().st_uid == os.getuid() and str(path).startswith("/tmp/"):
            path.chmod(path.stat().st_mode | 0o055)


@pytest.mark.usefixtures("tree")
def test_the_user_does_not_matter(imgpack: Imgpack) -> None:
    """root and nobody build the same image, though nobody is no owner of anything in it."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it becomes another user")
    expected = built(imgpack)
    _open_to_everybody(imgpack.directory)
    home = {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent"}
    assert built(imgpack, prefix=nobody(imgpack), env=home) == expected


def test_ones_own_files_become_roots(imgpack: Imgpack, tree: Path) -> None:
    """A tree that nobody owns, built by nobody, is the image of root's tree built by root."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it becomes another user")
    expected = built(imgpack)
    for directory, _, files in os.walk(tree):
        for name in (".", *files):
            os.lchown(os.path.join(directory, name), 65534, 65534)
    _open_to_everybody(imgpack.directory)
    home = {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent"}
    assert built(imgpack, prefix=nobody(imgpack), env=home) == expected


@functools.cache
def other_pythons() -> list[str]:
    """Every other Python of 3.11 or later on this machine, one a minor version."""
    found: dict[str, str] = {}
    candidates = [
        *sorted(PYENV.glob("3.1[1-9].*/bin/python3")),
        *(
            Path(directory) / f"python3.{minor}"
            for directory in os.environ["PATH"].split(":")
            for minor in range(11, 20)
        ),
    ]
    for python in candidates:
        if not python.is_file():
            continue
        asked = "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=False)
        version = done.stdout.strip()
        if done.returncode == 0 and version != "{}.{}".format(*sys.version_info[:2]):
            found.setdefault(version, str(python))
    return [found[version] for version in sorted(found)]


@pytest.mark.parametrize("python", other_pythons() or [sys.executable])
@pytest.mark.usefixtures("tree")
def test_the_version_of_python_does_not_matter(imgpack: Imgpack, python: str) -> None:
    """An environment of the other Python, with the dependencies' wheels for it."""
    environment = imgpack.directory / "environment"
    subprocess.run([python, "-m", "venv", environment], check=True, capture_output=True)
    other = str(environment / "bin" / "python")
    # An editable installation writes into the checkout; a copy of the sources does not.
    source = imgpack.directory / "source"
    source.mkdir()
    for name in ("pyproject.toml", "imgpack"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(source)], check=True)
    (source / "README.md").write_text("what the package's metadata names\n")
    command = [other, "-m", "pip", "install", "--quiet", "--no-cache-dir", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    options = ("--format", "oci", "--compression")
    for compression in ("gzip", "zstd"):
        ours = built(imgpack, *options, compression)
        assert built(imgpack, *options, compression, python=other) == ours
