"""Debian's packages as files: fetched by ``apt-get`` with lists of its own, never installed.

A package is named, not pinned: a release's archive keeps one version of each.
"""

from collections.abc import Sequence
from pathlib import Path

from .run import Bench, BenchError, find, pipeline

MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def fetch(bench: Bench, suite: str, packages: Sequence[str], target: Path) -> None:
    """Put the packages of a suite into a directory; raises ``BenchError`` where it cannot."""
    if find("apt-get") is None:
        raise BenchError("apt-get is not installed: these packages are Debian's")
    place = bench.directory(f"apt/{suite}")
    for name in ("lists/partial", "cache/archives/partial"):
        (place / name).mkdir(parents=True, exist_ok=True)
    sources = place / "sources.list"
    sources.write_text(f"deb [signed-by={KEYRING}] {MIRROR} {suite} main\n")
    settings = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": place / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": place / "cache",
        "APT::Sandbox::User": "root",  # the work directory may be closed to others
        "Acquire::Check-Valid-Until": "false",  # a machine's clock may be far ahead
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    command = ("apt-get", "-q", *options)
    bench.output((*command, "update"), timeout=600)
    script = 'cd "$1"; shift; exec "$@"'
    bench.output(pipeline(script, target, *command, "download", *packages), timeout=1800)


def unpack(bench: Bench, packages: Path, target: Path) -> None:
    """Unpack every package in a directory; no script of theirs runs."""
    for package in sorted(packages.glob("*.deb")):
        bench.output(("dpkg-deb", "-x", str(package), str(target)))
