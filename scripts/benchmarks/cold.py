# ruff: noqa: RUF001
"""Cold builds of every input by every tool, and what each is held to: a table of rows."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from . import peers
from .figures import MISSING, Table, Target, mib, number, seconds
from .inputs import Inputs, main_facts
from .run import Bench, Runs, Tool, pipeline, say
from .sizes import GZIP_6, ZSTD_FRAME, reference

HEAD = ("tool", "wall s", "CPU s", "peak MiB", "output MB", "× pigz")
MEMORY_LIMIT = 200
"""MiB: what a build may use at its peak, whatever the size of the tree."""
_SIDE_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Limit:
    """A tool's figure is at most so many times another's: a tool's, or a size of ``sizes``."""

    job: str
    ours: str
    peer: str
    limit: float
    what: str = "wall"

    def target(self, title: str, bench: Bench, tree: Path, runs: Runs) -> Target:
        """What was measured of it."""
        against, value = self.peer, runs.ratio(self.ours, self.peer, self.what)
        if self.peer in (GZIP_6, ZSTD_FRAME):
            size = reference(bench, tree, self.peer) if self.ours in runs.runs else None
            value = runs.median(self.ours, self.what) / size if size else None
        if self.what == "output":
            against = f"output of {self.peer}"
        digits = 3 if self.what == "output" else 2
        return Target(f"{title}, {self.job}", against, self.limit, value, digits=digits)


@dataclass(frozen=True, slots=True)
class Input:
    """An input, and the limits of its own; those of ``EVERY`` hold besides."""

    name: str
    title: str
    make: Callable[[Inputs], Path]
    limits: tuple[Limit, ...] = ()


EVERY = (
    Limit("zstd:3", peers.OURS_ZSTD, peers.DIGESTS, 0.5),
    Limit("zstd:3, size", peers.OURS_ZSTD, ZSTD_FRAME, 1.03, "output"),
)
_FILLED, _NO_CACHE = "cache being filled", "--no-cache"
MAIN = Input(
    "main",
    "the installation",
    Inputs.installation,
    (
        Limit(f"gzip, {_FILLED}", peers.OURS, peers.PIGZ, 0.3),
        Limit(f"gzip, {_NO_CACHE}", peers.OURS_UNCACHED, peers.PIGZ, 0.3),
        Limit(f"gzip, {_FILLED}", peers.OURS, peers.UMOCI, 0.52),
        Limit(f"gzip, {_NO_CACHE}", peers.OURS_UNCACHED, peers.UMOCI, 0.52),
        Limit("gzip, size", peers.OURS, GZIP_6, 1.03, "output"),
        Limit("gzip, size", peers.OURS, peers.PIGZ, 1.03, "output"),
        Limit(f"zstd:3, {_FILLED}", peers.OURS_ZSTD, peers.ZSTD, 0.9),
        Limit(f"zstd:3, {_NO_CACHE}", peers.OURS_ZSTD_UNCACHED, peers.ZSTD, 0.9),
        Limit(f"zstd:3, {_NO_CACHE}", peers.OURS_ZSTD_UNCACHED, peers.DIGESTS, 0.5),
        Limit(f"none, {_FILLED}", peers.OURS_NONE, peers.TAR, 0.6),
        Limit(f"none, {_NO_CACHE}", peers.OURS_NONE_UNCACHED, peers.TAR, 0.6),
    ),
)
SIDE = (
    Input("minbase", "Debian minbase", Inputs.minbase),
    Input(
        "large",
        "one large file",
        Inputs.large,
        (
            Limit("gzip", peers.OURS, peers.UMOCI, 0.6),
            Limit("gzip, size", peers.OURS, peers.UMOCI, 1, "output"),
        ),
    ),
    Input(
        "tiny",
        "tiny files",
        Inputs.tiny,
        (Limit("none", peers.OURS_NONE, peers.TAR, 0.9),),
    ),
    Input(
        "wheels",
        "wheels",
        Inputs.wheels,
        (
            Limit("gzip", peers.OURS, peers.OURS_NONE, 1.3),
            Limit("gzip", peers.OURS, peers.UMOCI, 0.95),
            Limit("gzip", peers.OURS, peers.NEWER_UMOCI, 0.95),
            Limit("gzip, size", peers.OURS, GZIP_6, 1.01, "output"),
        ),
    ),
    Input(
        "weights",
        "weights",
        Inputs.weights,
        (
            Limit("gzip", peers.OURS, peers.PIGZ, 0.18),
            Limit("gzip, size", peers.OURS, GZIP_6, 1, "output"),
        ),
    ),
    Input("mixed", "mixed", Inputs.mixed),
    Input("headers", "headers", Inputs.headers),
)
_ONCE = (peers.GZIP, peers.OPENSSL, peers.SKOPEO, peers.BUILDAH, peers.DOCKER)
LEFT_OUT_BESIDE = (
    peers.GZIP,
    peers.OURS_UNCACHED,
    peers.OURS_ZSTD_UNCACHED,
    peers.OURS_NONE_UNCACHED,
)


def rows(runs: Runs, tools: list[Tool], peer: str) -> tuple[tuple[str, ...], ...]:
    """A row of medians a tool; a failed one says so."""
    out = []
    for tool in tools:
        if tool.name not in runs.runs:
            out.append((f"{tool.name} (failed)", *[MISSING] * 5))
            continue
        figures = {what: runs.median(tool.name, what) for what in ("wall", "cpu", "peak", "output")}
        size = number(figures["output"] / 1e6, 1) if figures["output"] else MISSING
        ratio = number(runs.ratio(tool.name, peer))
        times = seconds(figures["wall"]), seconds(figures["cpu"])
        out.append((tool.name, *times, mib(figures["peak"]), size, ratio))
    return tuple(out)


def main(bench: Bench, tree: Path, *, slow: bool) -> tuple[Table, list[Target]]:
    """The installation: every tool in every round but for the slowest."""
    with contextlib.ExitStack() as stack:
        tools = _tools(bench, tree)
        if slow:
            tools += peers.skopeo(bench, tree) + peers.buildah(bench, tree)
            tools += stack.enter_context(peers.docker(bench, tree))
        tools = [replace(tool, once=tool.name in _ONCE) for tool in tools]
        runs = bench.in_turn(MAIN.title, tools)
    return _outcome(bench, MAIN, tree, tools, runs)


def side(bench: Bench, given: Input, tree: Path) -> tuple[Table, list[Target]]:
    """Another input: imgpack with its cache being filled; a peer that no limit names, once.

    pigz, which takes minutes, runs once whatever is compared with it.
    """
    often = {limit.peer for limit in (*given.limits, *EVERY)} - {peers.PIGZ}
    tools = [
        replace(tool, once=not (tool.name in often or tool.name.startswith("imgpack ")))
        for tool in _tools(bench, tree)
        if tool.name not in LEFT_OUT_BESIDE
    ]
    runs = bench.in_turn(given.title, tools, min(bench.rounds, _SIDE_ROUNDS))
    return _outcome(bench, given, tree, tools, runs)


def _tools(bench: Bench, tree: Path) -> list[Tool]:
    say(f"reading {tree.name} once")  # so that the first tool finds what the others find
    bench.measure(pipeline('tar -C "$1" -cf - . | cat >/dev/null', tree))
    return peers.pipes(bench, tree) + peers.umoci(bench, tree) + peers.ours(bench, tree)


def _outcome(
    bench: Bench, given: Input, tree: Path, tools: list[Tool], runs: Runs
) -> tuple[Table, list[Target]]:
    entries, content = main_facts(tree)
    caption = f"{given.title}, cold: {entries:,} entries, {content / 1e6:,.0f} MB of content"
    table = Table(caption[0].upper() + caption[1:], HEAD, rows(runs, tools, peers.PIGZ))
    targets = [limit.target(given.title, bench, tree, runs) for limit in (*given.limits, *EVERY)]
    ours = [name for name in runs.runs if name.startswith("imgpack ")]
    peak = max((runs.median(name, "peak") / (1 << 20) for name in ours), default=None)
    memory = Target(f"{given.title}, peak memory", "imgpack alone", MEMORY_LIMIT, peak, "MiB")
    return table, [*targets, memory]
