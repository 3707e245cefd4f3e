# ruff: noqa: RUF001
"""``scripts/bench look``: what is in an image, beside what reads its layers without knowing images.

The image is the installation of ``scripts/bench build`` in one gzip layer, and a second one of
which a file differs. Nothing is cached: every layer is read. A command that this release does not
have is left out. The last table is of a million entries, of which all differ in the second image.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from .cold import MEMORY_LIMIT, rows
from .figures import Section, Table, Target, mib, seconds
from .inputs import MIB, Inputs, main_facts, settle, write_settings
from .run import Bench, Runs, Tool, find, pipeline, remove

LS, VERIFY, EXTRACT, DIFF = "ls -R", "verify", "extract", "diff"
TAR, SUMS, UMOCI = "tar -tvf of the layers", "sha256sum, gzip -dc", "umoci unpack"
HEAD = ("tool", "wall s", "CPU s", "peak MiB", "output MB", f"× {TAR}")
_LIMITS = ((LS, TAR, 0.5), (VERIFY, SUMS, 1.2), (EXTRACT, UMOCI, 1.0), (DIFF, LS, 2.0))


def known(bench: Bench, command: str) -> bool:
    """Whether this release has the command."""
    return f"\n  {command} " in bench.output(bench.imgpack("--help"))


class _Images:
    """Two archives of an input, and the layers of the first as files."""

    def __init__(self, bench: Bench, name: str) -> None:
        self._bench = bench
        self.archive = bench.out / f"{name}.tar"
        self.other = bench.out / f"{name}-other.tar"
        self.layout = bench.out / name

    def make(self, tree: Path, output: Path | str, *options: str) -> None:
        """Build it."""
        command = ("build", tree, "-t", "look:1", "--format", "oci", "-o", output, *options)
        self._bench.output(self._bench.imgpack(*command, "--no-cache"))

    def layers(self) -> list[Path]:
        """The blobs of the layout's layers."""
        manifest = self._bench.output(self._bench.imgpack("manifest", f"{self.layout}/"))
        digests = [layer["digest"].partition(":") for layer in json.loads(manifest)["layers"]]
        return [self.layout / "blobs" / algorithm / value for algorithm, _, value in digests]

    def looking(self, command: str, *arguments: str | Path) -> tuple[str, ...]:
        """A command that reads all of the image; that ``diff`` finds differences is no failure."""
        words = command.split()
        reading = () if words[0] == VERIFY else ("--no-cache",)  # that reads all in any case
        argv = self._bench.imgpack(words[0], *words[1:], self.archive, *arguments, *reading)
        if words[0] != DIFF:
            return argv
        return pipeline('"$@" || test $? -eq 1', *argv)

    def remove(self) -> None:
        """All of it."""
        for path in (self.archive, self.other, self.layout):
            remove(path)


def _unpacking(bench: Bench, images: _Images) -> Iterator[Tool]:
    """What unpacks the image, each time into a new directory."""
    places = {EXTRACT: bench.out / "extracted", UMOCI: bench.out / "bundle"}
    if known(bench, EXTRACT):
        place = places[EXTRACT]
        argv = images.looking(EXTRACT, place)
        yield Tool(EXTRACT, argv, finish=lambda: bench.set_aside(place))
    if find("umoci") is not None and os.geteuid() == 0:
        bundle = places[UMOCI]
        unpack = ("umoci", "unpack", "--image", f"{images.layout}:1", str(bundle))
        yield Tool(UMOCI, unpack, finish=lambda: bench.set_aside(bundle))


def commands(bench: Bench, tree: Path) -> tuple[Table, list[Target]]:
    """Each command on the installation, beside its peer."""
    images = _Images(bench, "look")
    images.make(tree, images.archive)
    images.make(tree, f"{images.layout}/")
    write_settings(tree, 1)
    settle()
    images.make(tree, images.other)
    write_settings(tree, 0)
    layers = images.layers()
    tools = [
        Tool(TAR, pipeline('for one in "$@"; do tar -tvf "$one"; done', *layers)),
        Tool(SUMS, pipeline('sha256sum "$1"; shift; gzip -dc "$@"', images.archive, *layers)),
    ]
    for command, *arguments in ((LS,), (VERIFY,), ("du",), (DIFF, images.other)):
        if known(bench, command.split()[0]):
            tools.append(Tool(command, images.looking(command, *arguments)))
    tools += _unpacking(bench, images)
    runs = bench.in_turn("looking inside", tools)
    images.remove()
    entries, content = main_facts(tree)
    caption = f"An image of {entries:,} entries, {content / 1e6:,.0f} MB of content"
    return Table(caption, HEAD, rows(runs, tools, TAR)), list(_targets(runs))


def _targets(runs: Runs) -> Iterator[Target]:
    for ours, peer, limit in _LIMITS:
        yield Target(f"{ours}, layers read", peer, limit, runs.ratio(ours, peer))


def memory(bench: Bench, tree: Path) -> tuple[Table, list[Target]]:
    """The peak memory of the commands that read everything, with a million entries."""
    images = _Images(bench, "many")
    images.make(tree, images.archive)
    images.make(tree, images.other, "--owner", "1:1")
    found: list[tuple[str, ...]] = []
    targets = []
    for command, *arguments in ((LS,), ("du",), (VERIFY,), (DIFF, images.other)):
        if known(bench, command.split()[0]):
            tool = Tool(command, images.looking(command, *arguments))
            run = bench.in_turn("a million", [tool], 1).runs.get(command, (None,))[0]
            peak = None if run is None else run.peak / MIB
            if run is not None:
                found.append((command, seconds(run.wall), seconds(run.cpu), mib(run.peak)))
            job = f"peak memory, {command} of {tree.name.split('-')[1]} entries"
            targets.append(Target(job, "imgpack alone", MEMORY_LIMIT, peak, "MiB"))
    images.remove()
    head = ("command", "wall s", "CPU s", "peak MiB")
    return Table("Many entries", head, tuple(found)), targets


def run(bench: Bench) -> Section:
    """Both tables."""
    inputs = Inputs(bench)
    some = commands(bench, inputs.installation())
    many = memory(bench, inputs.tiny())
    tables = some[0], many[0]
    return Section("look", bench.scale, bench.rounds, (*some[1], *many[1]), tables)
