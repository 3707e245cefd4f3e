"""The inputs, made from nothing but this code and pinned public packages.

An input is a directory below ``inputs`` in the work directory. It is made under
another name and renamed when it is complete, and its name changes with its
recipe, so what is there is whole and current. All times in it are fixed.

Two runs of the same maker give the same tree, but for what the outside decides:
the Debian release's current packages, and the numeric owner when not run as root.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from . import debian
from .run import Bench, BenchError, find, remove, say
from .weights import write_weights

TIME = 1_700_000_000
SUITE = "bookworm"
MIB = 1 << 20

# Wheels with many files, some with large libraries: what an application's image holds.
SMALL_PACKAGES = ("django==5.2.1", "numpy==2.2.6")
PACKAGES = (
    *SMALL_PACKAGES,
    "ansible==11.1.0",
    "botocore==1.38.20",
    "faker==37.3.0",
    "google-api-python-client==2.170.0",
    "matplotlib==3.10.3",
    "pandas==2.2.3",
    "plotly==5.24.1",
    "pyarrow==20.0.0",
    "scikit-learn==1.6.1",
    "scipy==1.15.3",
    "sympy==1.14.0",
)
# What compresses hardly or not: wheels and Debian's packages as the archives that they are.
WHEELS = (
    *PACKAGES,
    "jaxlib==0.4.38",
    "llvmlite==0.43.0",
    "opencv-python-headless==4.10.0.84",
    "playwright==1.49.1",
    "polars==1.17.1",
    "vtk==9.3.1",
)
SMALL_DEBS = ("libssl3", "perl-base")
DEBS = (
    *SMALL_DEBS,
    "blender-data",
    "fonts-noto-cjk",
    "gcc-12",
    "golang-1.19-go",
    "kicad-footprints",
    "libclang-14-dev",
    "libllvm14",
    "libreoffice-core",
    "libstd-rust-dev",
    "llvm-14-dev",
    "openjdk-17-jdk-headless",
    "openjdk-17-jre-headless",
    "postgresql-15",
)
# A C++ developer's /usr/include.
SMALL_HEADERS = ("libc6-dev", "libstdc++-12-dev", "linux-libc-dev")
HEADERS = (
    *SMALL_HEADERS,
    "libboost1.74-dev",
    "libcgal-dev",
    "libeigen3-dev",
    "libglib2.0-dev",
    "libgtk-3-dev",
    "libicu-dev",
    "libopencv-core-dev",
    "libopenmpi-dev",
    "libpython3.11-dev",
    "libssl-dev",
    "libvtk9-dev",
    "nlohmann-json3-dev",
    "qt6-base-dev",
    "qtbase5-dev",
)
SHARDS = 4
SETTINGS = "opt/app/settings.py"
"""The file of the installation that "one file changed" changes."""

_POOL = 64 * MIB
_STRIDE = 38_797_811  # bytes between the beginnings of neighbouring pieces in the pool
_FILES_A_DIRECTORY = 1000


def settings_text(version: int) -> bytes:
    """The content of the file that changes: a few kilobytes of source text."""
    lines = (f"OPTION_{number} = {number * version}\n" for number in range(200))
    return "".join((f"VERSION = {version}\n", *lines)).encode()


def write_settings(tree: Path, version: int) -> None:
    """Change the one file; version 0 is what the maker wrote, with its time."""
    path = tree / SETTINGS
    path.write_bytes(settings_text(version))
    if version == 0:
        os.utime(path, (TIME, TIME))


def settle() -> None:
    """Wait until a change just made is old enough that the next one must carry another time."""
    time.sleep(3)


def pool(seed: int, size: int = _POOL) -> bytes:
    """Bytes of which half do not compress: 4 KiB of noise, 4 KiB of words, and so on."""
    noise = hashlib.shake_128(b"imgpack bench %d" % seed).digest(size // 2)
    words = [hashlib.sha256(b"%d" % number).hexdigest()[: 3 + number % 9] for number in range(256)]
    picks = hashlib.shake_128(b"words %d" % seed).digest(min(size // 4, MIB // 2))
    text = " ".join(map(words.__getitem__, picks)).encode() + b"\n"
    text = (text * (1 + size // 2 // len(text)))[: size // 2]
    half = 4096
    return b"".join(
        noise[at : at + half] + text[at : at + half] for at in range(0, size // 2, half)
    )


def pieces(size: int, seed: int, pool_size: int = _POOL) -> Iterator[bytes]:
    """``size`` bytes in pieces of at most 1 MiB, cut out of the pool at ever other places."""
    source = pool(seed, pool_size)
    step = min(MIB, pool_size // 4)
    for number, at in enumerate(range(0, size, step)):
        start = (number * _STRIDE) % (pool_size - step)
        yield source[start : start + min(step, size - at)]


def write_large(directory: Path, size: int, seed: int = 0) -> None:
    """One large file."""
    with (directory / "large.bin").open("wb") as file:
        for piece in pieces(size, seed):
            file.write(piece)
    still(directory)


def write_tiny(directory: Path, count: int) -> None:
    """``count`` files of 9 to 216 bytes, a thousand a directory, fifty directories a directory."""
    for first in range(0, count, _FILES_A_DIRECTORY):
        group = first // _FILES_A_DIRECTORY
        place = os.path.join(directory, f"{group // 50:03}", f"{group % 50:02}")
        os.makedirs(place)
        for number in range(first, min(first + _FILES_A_DIRECTORY, count)):
            content = (b"%08x\n" % (number * 2654435761 & 0xFFFFFFFF)) * (1 + number % 24)
            with open(os.path.join(place, f"file-{number:07}.txt"), "wb", buffering=0) as file:
                file.write(content)
    still(directory)


def still(directory: Path) -> None:
    """Give everything in a tree the same time."""
    for place, directories, files in os.walk(directory):
        for name in (*directories, *files):
            os.utime(os.path.join(place, name), (TIME, TIME), follow_symlinks=False)
    os.utime(directory, (TIME, TIME))


def files(tree: Path) -> Iterator[Path]:
    """The regular files, as a walk in the order of names meets them."""
    for path in sorted(tree.iterdir(), key=lambda each: os.fsencode(each.name)):
        if path.is_symlink():
            continue
        if path.is_dir():
            yield from files(path)
        elif path.is_file():
            yield path


def count(tree: Path) -> int:
    """The entries of a tree."""
    return 1 + sum(len(names) + len(files) for _, names, files in os.walk(tree))


class Inputs:
    """Makes each input when it is first asked for."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._place = bench.directory("inputs")

    def made(self, name: str, recipe: object, make: Callable[[Path], None]) -> Path:
        """An input of a name, made if it is not there or its recipe is another."""
        key = hashlib.sha256(repr(recipe).encode()).hexdigest()[:8]
        path = self._place / f"{name}-{key}"
        if not path.exists():
            say(f"making the input {path.name}")
            part = path.with_name(path.name + ".part")
            remove(part)
            part.mkdir()
            make(part)
            part.rename(path)
            settle()
        return path

    def minbase(self) -> Path:
        """A Debian root file system as mmdebstrap makes it, without device nodes."""
        return self.made("minbase", (SUITE, 1), self._minbase)

    def _minbase(self, part: Path) -> None:
        program = find("mmdebstrap")
        if program is None:
            raise BenchError("mmdebstrap is not installed; run scripts/install-peers")
        mode = "root" if os.geteuid() == 0 else "unshare"
        archive = self._bench.work / "minbase.tar"
        command = [program, f"--mode={mode}", "--variant=minbase", SUITE, str(archive)]
        self._bench.output(command, timeout=1800, env={"SOURCE_DATE_EPOCH": str(TIME)})
        owner = ["--same-owner"] if os.geteuid() == 0 else ["--no-same-owner"]
        extract = ["tar", "-C", str(part), "--numeric-owner", "--exclude=./dev/*", "-pxf"]
        self._bench.output([*extract, str(archive), *owner])
        archive.unlink()

    def installation(self) -> Path:
        """The main tree: a Debian root file system with Python packages in /opt/site."""
        packages = PACKAGES if self._bench.full else SMALL_PACKAGES
        base = self.minbase()

        def make(part: Path) -> None:
            self._bench.output(["cp", "-a", f"{base}/.", str(part)])
            self._install(packages, part / "opt" / "site")
            (part / "opt" / "app").mkdir()
            write_settings(part, 0)
            still(part)

        tree = self.made("installation", (SUITE, packages, 2), make)
        write_settings(tree, 0)
        return tree

    def _install(self, packages: tuple[str, ...], target: Path) -> None:
        self._pip("install", "--no-compile", f"--target={target}", *packages)

    def _pip(self, command: str, *arguments: str) -> None:
        # The wheels of one Python and platform, whatever runs here: only their files matter.
        wanted = ["--python-version=3.11", "--implementation=cp"]
        wanted += [f"--abi={abi}" for abi in ("cp311", "abi3", "none")]
        wanted += ["--platform=manylinux2014_x86_64", "--platform=any", "--only-binary=:all:"]
        pip = [self._bench.python, "-m", "pip", command, "--quiet", "--no-deps"]
        settings = {name: value for name, value in os.environ.items() if "PIP_" in name}
        cache = {"PIP_CACHE_DIR": str(self._bench.directory("home/pip"))}
        env = {**settings, **cache, "PYTHONPATH": ""}
        self._bench.output([*pip, *wanted, *arguments], timeout=1800, env=env)

    def wheels(self) -> Path:
        """Wheels and Debian's packages as they are fetched: 1 GB, or a few at small scale."""
        wheels = WHEELS if self._bench.full else SMALL_PACKAGES
        debs = DEBS if self._bench.full else SMALL_DEBS

        def make(part: Path) -> None:
            self._pip("download", f"--dest={part}", *wheels)
            debian.fetch(self._bench, SUITE, debs, part)
            still(part)

        return self.made("wheels", (SUITE, wheels, debs, 1), make)

    def weights(self) -> Path:
        """A model of 2 GB in four shards; 16 MB at small scale."""
        size = 2 * 10**9 if self._bench.full else 16 * 10**6

        def make(part: Path) -> None:
            write_weights(part, size, SHARDS)
            still(part)

        return self.made("weights", (size, SHARDS, 1), make)

    def mixed(self) -> Path:
        """Debian with a third of the wheels, and a model a fifth as large as the other."""
        base, wheels = self.minbase(), self.wheels()
        size = 4 * 10**8 if self._bench.full else 4 * 10**6

        def make(part: Path) -> None:
            self._bench.output(["cp", "-a", f"{base}/.", str(part)])
            for name in ("wheels", "model"):
                (part / "opt" / name).mkdir()
            for path in sorted(wheels.iterdir())[::3]:
                shutil.copyfile(path, part / "opt" / "wheels" / path.name)
            write_weights(part / "opt" / "model", size, 1, SHARDS)
            still(part)

        return self.made("mixed", (base.name, wheels.name, size, 1), make)

    def headers(self) -> Path:
        """``/usr/include`` of a development install, unpacked from its packages."""
        packages = HEADERS if self._bench.full else SMALL_HEADERS

        def make(part: Path) -> None:
            aside = self._bench.directory("tmp/headers")
            try:
                debian.fetch(self._bench, SUITE, packages, aside)
                debian.unpack(self._bench, aside, aside / "root")
                (part / "usr").mkdir()
                shutil.move(aside / "root/usr/include", part / "usr/include")
            finally:
                remove(aside)
            still(part)

        return self.made("headers", (SUITE, packages, 1), make)

    def large(self, size: int | None = None, seed: int = 0, name: str = "large") -> Path:
        """A tree of one file, half of it compressible: 1 GiB, or 64 MiB at small scale."""
        size = size if size is not None else (1024 if self._bench.full else 64) * MIB
        recipe = (size, seed, 1)
        return self.made(f"{name}-{size}", recipe, lambda part: write_large(part, size, seed))

    def tiny(self, number: int | None = None) -> Path:
        """A million tiny files; a hundred thousand at small scale."""
        number = number if number is not None else (1_000_000 if self._bench.full else 100_000)
        return self.made(f"tiny-{number}", (number, 1), lambda part: write_tiny(part, number))

    def empty(self) -> Path:
        """A tree with nothing in it."""
        return self.made("empty", 1, still)

    def forget(self, tree: Path) -> None:
        """Remove an input that is too large to keep."""
        if not self._bench.keep and tree.parent == self._place:
            shutil.rmtree(tree)


def main_facts(tree: Path) -> tuple[int, int]:
    """Entries, and bytes of content, of a tree (each inode once)."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for place, _, files in os.walk(tree):
        for name in files:
            found = os.lstat(os.path.join(place, name))
            if (found.st_dev, found.st_ino) not in seen:
                if found.st_nlink > 1:
                    seen.add((found.st_dev, found.st_ino))
                total += found.st_size
    return count(tree), total
