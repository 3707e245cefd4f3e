"""The same digest with any number of jobs, on every Python here, as root and not."""

import hashlib
import os
import pwd
import tomllib
from collections.abc import Sequence
from pathlib import Path

from .figures import Table, Target
from .run import ROOT, Bench, BenchError, find, pipeline, say

OLDEST = 11
_CODECS = ("gzip", "zstd")


def pythons(bench: Bench) -> dict[str, str]:
    """Every other Python from 3.11 on this machine, one a minor version."""
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    roots = [Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / "versions"]
    found = {"3." + str(_minor(bench, bench.python)): bench.python}
    for minor in range(OLDEST, 20):
        places = [
            str(path) for root in roots for path in sorted(root.glob(f"3.{minor}.*/bin/python3"))
        ]
        for place in (*places, find(f"python3.{minor}")):
            if place is not None and _minor(bench, place) == minor:
                found.setdefault(f"3.{minor}", place)
    return dict(sorted(found.items(), key=lambda pair: int(pair[0][2:])))


def _minor(bench: Bench, python: str) -> int | None:
    asked = "import ensurepip, sys; print(sys.version_info.minor)"
    try:
        return int(bench.output([python, "-c", asked], timeout=60))
    except (BenchError, ValueError):
        return None


def environment(bench: Bench, python: str) -> str:
    """The interpreter of a virtual environment of ``python`` with what imgpack depends on."""
    minor = _minor(bench, python)
    if minor is None or minor < OLDEST:
        raise BenchError(f"{python} is not a Python of 3.{OLDEST} or later with ensurepip")
    version = f"3.{minor}"
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    dependencies = tomllib.loads(project)["project"]["dependencies"]
    stamp = hashlib.sha256(repr((python, dependencies)).encode()).hexdigest()[:8]
    place = bench.directory("pythons") / f"{version}-{stamp}"
    if not (place / "ready").exists():
        say(f"making an environment of Python {version}")
        bench.output([python, "-m", "venv", "--clear", str(place)], timeout=600)
        settings = {name: value for name, value in os.environ.items() if "PIP_" in name}
        command = [str(place / "bin" / "python"), "-m", "pip", "install", "-q", *dependencies]
        bench.output(command, timeout=900, env={**settings, "PYTHONPATH": ""})
        (place / "ready").touch()
    return str(place / "bin" / "python")


def digest(
    bench: Bench,
    tree: Path,
    compression: str,
    *,
    jobs: int = 2,
    python: str | None = None,
    prefix: Sequence[str] = (),
) -> str:
    """The SHA-256 of the archive that a build streams out."""
    oci = ("--format", "oci", "--compression", compression)
    command = bench.imgpack(
        *("build", tree, "-t", "same:1", "--no-cache", "-o", "-", "--jobs", str(jobs), *oci),
        python=python,
    )
    return bench.output(pipeline('"$@" | sha256sum', *prefix, *command)).split()[0]


def nobody(bench: Bench, tree: Path) -> tuple[tuple[str, ...], str] | None:
    """A command's prefix that makes it run as nobody, and how that was possible.

    The interpreter, or a file of the tree, may lie where nobody may not look. A
    capability to read, and nothing else, does not make nobody root.
    """
    setpriv = find("setpriv")
    if os.geteuid() != 0 or setpriv is None:
        return None
    ordinary = (setpriv, "--reuid=65534", "--regid=65534", "--clear-groups")
    able = (*ordinary, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    look = 'find "$0" -type d -print0 >/dev/null && tar -C "$0" -cf - . | cat >/dev/null'
    for prefix, how in ((ordinary, "nobody"), (able, "nobody, able to read every file")):
        try:
            bench.output([*prefix, *bench.imgpack("--version")])
            bench.output([*prefix, "bash", "-o", "pipefail", "-c", look, str(tree)])
        except BenchError:
            continue
        return prefix, how
    return None


def sameness(bench: Bench, tree: Path) -> tuple[Table, Target, tuple[str, ...]]:
    """A row for each way to build; the target is that no digest differs from the first."""
    found = pythons(bench)
    here = f"3.{_minor(bench, bench.python)}"
    ways: list[tuple[str, dict[str, object]]] = [
        (f"Python {here}, --jobs {jobs}", {"jobs": jobs}) for jobs in (1, 2, 16)
    ]
    notes = []
    for version, python in found.items():
        if version != here:
            try:
                ways.append((f"Python {version}", {"python": environment(bench, python)}))
            except BenchError as error:
                say(str(error))
                notes.append(f"imgpack's dependencies could not be installed for Python {version}.")
    absent = [f"3.{minor}" for minor in range(OLDEST, 15) if f"3.{minor}" not in found]
    if absent:
        notes.append(f"Not on this machine, so not compared: Python {', '.join(absent)}.")
    other = nobody(bench, tree)
    if other is None:
        notes.append("Building as another user was not compared (needs root and setpriv).")
    else:
        ways.append((f"Python {here}, as {other[1]}", {"prefix": other[0]}))
    table, differ = _compare(bench, tree, ways)
    return (
        table,
        Target("the same digest", "digests that differ", 0, differ, ""),
        tuple(notes),
    )


def _compare(
    bench: Bench, tree: Path, ways: Sequence[tuple[str, dict[str, object]]]
) -> tuple[Table, int]:
    first: dict[str, str] = {}
    rows, differ = [], 0
    for name, options in ways:
        cells = [name]
        for codec in _CODECS:
            try:
                value = digest(bench, tree, codec, **options)  # type: ignore[arg-type]
            except BenchError as error:
                say(f"{name}: {error}")
                value = "failed"
            differ += value != first.setdefault(codec, value) or value == "failed"
            cells.append(f"`{value[:16]}`")
            say(f"the same digest: {name}: {codec}: {value[:16]}")
        rows.append(tuple(cells))
    head = ("built with", *(f"SHA-256 of the archive, {codec}" for codec in _CODECS))
    return Table("The installation, the same bytes", head, tuple(rows)), differ
