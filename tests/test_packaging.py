"""What ``pip install .`` makes of the checkout: a wheel, and nothing in the tree."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

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
