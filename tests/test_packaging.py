"""What ``pip install .`` makes of the checkout: a wheel, and nothing in the tree."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import imgpack
from tests.cli_runner import InProcess
from tests.servers.process import run

_ROOT = Path(__file__).parent.parent
_PYPROJECT = ("pyproject.toml", "README.md", ".gitignore")


def checkout(place: Path) -> Path:
    """A copy of what the wheel is made of, every file with the time of now."""
    shutil.copytree(
        _ROOT / "imgpack",
        place / "imgpack",
        copy_function=shutil.copyfile,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copytree(_ROOT / "docs" / "man", place / "docs" / "man", copy_function=shutil.copyfile)
    for name in _PYPROJECT:
        shutil.copyfile(_ROOT / name, place / name)
    return place


def files(place: Path) -> set[str]:
    """The paths of all files below."""
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}


def building(source: Path, target: Path) -> "subprocess.Popen[bytes]":
    """The build backend at work, as pip starts it."""
    code = "import sys, hatchling.build as b; b.build_wheel(sys.argv[1])"
    target.mkdir()
    return subprocess.Popen([sys.executable, "-c", code, str(target)], cwd=source)


def test_wheels_built_at_once_are_the_same_bytes_and_leave_the_tree_alone(tmp_path: Path) -> None:
    """Whatever the times and modes of the files, and with what a killed build may have left."""
    one, other = checkout(tmp_path / "one"), checkout(tmp_path / "other")
    for path in other.rglob("*.py"):
        os.utime(path, (1, 1_000_000_000))
        path.chmod(0o600)
    before = files(one)

    builds = [
        building(source, tmp_path / f"wheel{number}")
        for number, source in enumerate((one, one, other))
    ]
    assert [build.wait(60) for build in builds] == [0, 0, 0]

    assert files(one) == before
    wheels = [next((tmp_path / f"wheel{number}").iterdir()) for number in range(3)]
    assert wheels[0].read_bytes() == wheels[1].read_bytes() == wheels[2].read_bytes()


def test_the_wheel_ships_the_package_and_nothing_else(tmp_path: Path) -> None:
    """Every module, the mark that it is typed, and the manual pages; no tests."""
    source = checkout(tmp_path / "source")
    assert building(source, tmp_path / "wheel").wait(60) == 0

    (wheel,) = (tmp_path / "wheel").iterdir()
    with zipfile.ZipFile(wheel) as shipped:
        names = {name for name in shipped.namelist() if ".dist-info/" not in name}
    manual = {name for name in names if "/share/man/man1/" in name}
    assert names - manual == {name for name in files(source) if name.startswith("imgpack/")}
    shown = {name.rpartition("/")[2] for name in manual}
    assert shown == {path.name for path in (_ROOT / "docs" / "man").iterdir()}
    assert "imgpack/py.typed" in names
    pages = {name.rpartition("/")[2] for name in names if "/image/report/" in name}
    assert {"page.html", "page.css", "page.js", "lists.js", "model.js", "treemap.js"} <= pages


def sdist_of(source: Path, target: Path, umask: str) -> Path:
    """What a source distribution of a copy of the checkout is, made under a umask."""
    code = "import sys, hatchling.build as b; print(b.build_sdist(sys.argv[1]))"
    command = ["sh", "-c", 'umask "$0" && exec "$@"', umask, sys.executable, "-c", code]
    target.mkdir()
    made = run([*command, str(target)], cwd=source).stdout.decode().split()[-1]
    return target / made


def test_the_source_distribution_is_the_same_bytes_and_builds_the_same_wheel(
    tmp_path: Path,
) -> None:
    """Whatever the times, modes, umask and directory; it holds the tests as well."""
    one, other = checkout(tmp_path / "one"), checkout(tmp_path / "elsewhere" / "other")
    for place in (one, other):
        for name in ("docs", "examples", "scripts", "tests"):
            (place / name).mkdir(exist_ok=True)
            shutil.copyfile(_ROOT / "README.md", place / name / "page.md")
    for path in other.rglob("*"):
        os.utime(path, (1, 1_000_000_000))
    made = [
        sdist_of(place, tmp_path / f"sdist{umask}", umask)
        for place, umask in ((one, "022"), (other, "077"))
    ]
    assert made[0].read_bytes() == made[1].read_bytes()
    with tarfile.open(made[0]) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert {path.name for path in unpacked.iterdir()} == {
        *("imgpack", "docs", "examples", "scripts", "tests"),
        *("PKG-INFO", "README.md", "pyproject.toml", ".gitignore"),
    }
    for number, source in enumerate((one, unpacked)):
        assert building(source, tmp_path / f"wheel{number}").wait(60) == 0
    wheels = [next((tmp_path / f"wheel{number}").iterdir()) for number in range(2)]
    assert wheels[0].read_bytes() == wheels[1].read_bytes()


def test_a_build_that_is_killed_leaves_nothing_in_the_tree(tmp_path: Path) -> None:
    """At whatever point, and the next one works."""
    source = checkout(tmp_path / "source")
    before = files(source)
    for number, wait in enumerate((0.05, 0.15, 0.3, 0.5)):
        build = building(source, tmp_path / f"killed{number}")
        with contextlib.suppress(subprocess.TimeoutExpired):
            build.wait(wait)
        build.kill()
        build.wait()
        assert files(source) == before
    assert building(source, tmp_path / "wheel").wait(60) == 0


def test_there_is_one_version_and_the_changelog_has_it() -> None:
    """The newest release in docs/CHANGELOG.md is that of the package; above it is what comes."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    assert "version" not in project
    assert "version" in project["dynamic"]
    changes = (_ROOT / "docs" / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[(.*?)\]", changes, re.MULTILINE)[1] == "Unreleased"  # type: ignore[index]
    released = re.findall(r"^## \[(\d[^]]*)\] - (\d{4}-\d\d-\d\d)$", changes, re.MULTILINE)
    assert released[0][0] == imgpack.__version__
    assert [day for _, day in released] == sorted((day for _, day in released), reverse=True)
    assert f"Layer format {imgpack.LAYER_FORMAT_VERSION} " in changes


def test_the_version_is_told_with_that_of_the_layer_format(imgpack_here: InProcess) -> None:
    """For a bug report, and for who compares digests."""
    said = imgpack_here("--version").ok().decode()
    assert said == f"imgpack {imgpack.__version__} (layer format {imgpack.LAYER_FORMAT_VERSION})\n"
