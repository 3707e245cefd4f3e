# ruff: noqa: RUF001
"""``scripts/bench bases``: an application on a base, the lock of a base, a tar as a source.

The base is the installation of ``scripts/bench build`` in one layer. Targets that compare
two programs' work are stated for CPU seconds where both do it on one core: other work on
the machine moves these least.
"""

import json
import os
import statistics
from collections.abc import Sequence
from pathlib import Path

from . import peers
from .cold import rows
from .figures import Section, Table, Target
from .inputs import Inputs, main_facts, settle, still
from .run import Bench, BenchError, Runs, Tool, find, pipeline, remove, say

FILES = 50
START = "imgpack --version"
LOCKED = "imgpack, from a lock"
LAYOUT = "imgpack, from a layout"
ARCHIVE = "imgpack, from an archive"
UMOCI, BUILDAH = "umoci insert", "buildah from, copy, commit"
HEAD = ("tool", "wall s", "CPU s", "peak MiB", "output MB")
_READ = """
import hashlib, sys, zlib
for path in sys.argv[1:]:
    packed, raw, stream = hashlib.sha256(), hashlib.sha256(), zlib.decompressobj(31)
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            packed.update(piece)
            raw.update(stream.decompress(piece))
"""


def application(inputs: Inputs) -> Path:
    """Fifty small files in the directories that applications have."""

    def make(part: Path) -> None:
        for number in range(FILES):
            place = part / ("bin", "etc/app", "lib", "opt/app/share", "srv/app")[number % 5]
            place.mkdir(parents=True, exist_ok=True)
            (place / f"app-{number}").write_bytes(b"%d\n" % number * 500)
        still(part)

    return inputs.made("application", (FILES, 1), make)


class _Base:
    """The base in each of its forms, made once a run."""

    def __init__(self, bench: Bench, tree: Path) -> None:
        self._bench = bench
        self.archive = bench.out / "base.tar"
        self.layout = bench.out / "base"
        self.lock = bench.out / "base.lock"
        self.cache = bench.directory("home/base-cache")
        for output in (self.archive, f"{self.layout}/"):
            command = ("build", tree, "-t", "base:1", "--format", "oci", "-o", output)
            bench.output(bench.imgpack(*command, "--no-cache"))

    def making(self) -> tuple[str, ...]:
        """What makes the lock, each layer read."""
        command = ("base", "lock", f"{self.layout}:1", "-o", self.lock, "--no-cache")
        return self._bench.imgpack(*command)

    def layers(self) -> list[Path]:
        """The blobs of its layers, as files."""
        manifest = self._bench.output(self._bench.imgpack("manifest", f"{self.layout}/"))
        digests = [layer["digest"].partition(":") for layer in json.loads(manifest)["layers"]]
        return [self.layout / "blobs" / algorithm / value for algorithm, _, value in digests]

    def building(self, base: str | Path, output: Path, application: Path) -> tuple[str, ...]:
        """The application on the base, with the base's tree in the cache."""
        shallow = ("--shallow",) if base == self.lock else ()
        options = ("-t", "app:1", "--cache-dir", self.cache, "-o", output, *shallow)
        return self._bench.imgpack("build", "--from", base, application, *options)


def _umoci(base: _Base, application: Path, bench: Bench) -> list[Tool]:
    if find("umoci") is None or os.geteuid() != 0:
        return []
    layout = bench.out / "umoci-base"

    def prepare() -> None:
        remove(layout)
        bench.output(("cp", "-al", str(base.layout), str(layout)))
        bench.output(("cp", "--remove-destination", f"{base.layout}/index.json", str(layout)))

    argv = ("umoci", "insert", "--image", f"{layout}:1", str(application), "/")
    return [Tool(UMOCI, argv, prepare=prepare, finish=lambda: remove(layout))]


def _buildah(base: _Base, application: Path, bench: Bench) -> list[Tool]:
    if find("buildah") is None or os.geteuid() != 0:
        return []
    storage = bench.out / "buildah"
    options = f"--root {storage}/root --runroot {storage}/run --storage-driver overlay"
    script = (
        f'b="buildah {options}"; c=$($b from --pull-never localhost/base:1); '
        '$b copy -q "$c" "$1" / >/dev/null; $b commit -q "$c" localhost/app:1; $b rm "$c"'
    )
    try:
        bench.output(pipeline(f"buildah {options} pull -q oci:$1:1", base.layout))
        found = bench.output(pipeline(f"buildah {options} images -q")).split()[0]
        bench.output(pipeline(f"buildah {options} tag $1 localhost/base:1", found))
    except BenchError as error:
        say(f"buildah: {error}")
        return []
    return [Tool(BUILDAH, pipeline(script, application))]


def on_base(bench: Bench, base: _Base, application: Path) -> tuple[Table, list[Target]]:
    """Fifty files on a base whose tree is known, with each tool."""
    out = bench.out
    bench.output(base.making())
    sources: list[tuple[str, str | Path, Path]] = [
        (LOCKED, base.lock, out / "app-locked.tar"),
        (ARCHIVE, base.archive, out / "app.tar"),
        (LAYOUT, f"{base.layout}:1", out / "app-layout.tar"),
    ]
    ours = [
        Tool(name, base.building(source, output, application), output)
        for name, source, output in sources
    ]
    settle()
    for tool in ours:
        bench.once(tool)  # what is known of the base then is in the cache
    theirs = [*_umoci(base, application, bench), *_buildah(base, application, bench)]
    tools = [*ours, *theirs, Tool(START, bench.imgpack("--version"))]
    runs = bench.in_turn("on a base", tools)
    entries = main_facts(Inputs(bench).installation())[0]
    caption = f"{FILES} files on a base of {entries:,} entries"
    peer = UMOCI if UMOCI in runs.runs else START
    table = Table(caption, (*HEAD, f"× {peer}"), rows(runs, tools, peer))
    return table, [
        Target(f"{FILES} files on a base, {LOCKED.partition(', ')[2]}, less {START}",
               "imgpack alone", 0.15, _above(runs, LOCKED, START), "s"),
    ]  # fmt: skip


def _above(runs: Runs, name: str, start: str) -> float | None:
    """The median of what a run takes beyond start-up, in seconds within a round."""
    if not (runs.runs.get(name) and runs.runs.get(start)):
        return None
    pairs = zip(runs.runs[name], runs.runs[start], strict=True)
    return statistics.median(one.wall - up.wall for one, up in pairs)


def lock(bench: Bench, base: _Base) -> tuple[Table, list[Target]]:
    """The lock of the base, against reading its layers and computing both hashes of each."""
    read = "zlib and hashlib, read and hash"
    shell = "sha256sum; gzip -dc | sha256sum"
    script = 'for one in "$@"; do sha256sum "$one"; gzip -dc <"$one" | sha256sum; done'
    layers = base.layers()
    name = "imgpack base lock"
    tools = [
        Tool(name, base.making(), base.lock),
        Tool(read, (bench.python, "-c", _READ, *map(str, layers))),
        Tool(shell, pipeline(script, *layers)),
    ]
    runs = bench.in_turn("lock", tools)
    size = sum(path.stat().st_size for path in layers)
    caption = f"The lock of a base, {size / 1e6:,.0f} MB of layers"
    table = Table(caption, (*HEAD, "× read and hash"), rows(runs, tools, read))
    ratio = runs.ratio(name, read, "cpu")
    return table, [Target("the lock of a base, CPU seconds", read, 1.2, ratio)]


def of_a_tar(bench: Bench, tree: Path) -> tuple[Table, list[Target]]:
    """A tar as the source, against the directory that it is of; nothing is cached."""
    archive = bench.out / "source.tar"
    bench.output(("tar", "-C", str(tree), "--sort=name", "-cf", str(archive), "."))
    tools = []
    for codec in ("gzip", "none"):
        for name, source in (("a tar", archive), ("the directory", tree)):
            output = bench.out / "imgpack.tar"
            command = peers.build_command(bench, source, output, codec, "--no-cache")
            tools.append(Tool(f"imgpack {codec}, {name}", command, output))
    runs = bench.in_turn("tar source", tools)
    remove(archive)
    peer = "imgpack gzip, the directory"
    caption = "The installation, from a tar and from its directory"
    table = Table(caption, (*HEAD, "× gzip, directory"), rows(runs, tools, peer))
    ratio = runs.ratio("imgpack gzip, a tar", peer, "cpu")
    return table, [Target("gzip, a tar as the source, CPU seconds", peer, 1.2, ratio)]


def run(bench: Bench) -> Section:
    """Every job."""
    inputs = Inputs(bench)
    tree = inputs.installation()
    base = _Base(bench, tree)
    found: Sequence[tuple[Table, list[Target]]] = (
        on_base(bench, base, application(inputs)),
        lock(bench, base),
        of_a_tar(bench, tree),
    )
    for path in (base.archive, base.layout, base.cache):
        remove(path)
    targets = tuple(target for _, some in found for target in some)
    tables = tuple(table for table, _ in found)
    return Section("bases", bench.scale, bench.rounds, targets, tables)
