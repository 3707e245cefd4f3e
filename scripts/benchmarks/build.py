# ruff: noqa: RUF001
"""``scripts/bench build``: cold builds, a changed file, an unchanged tree, and the same digest."""

import contextlib
import os
import statistics
from collections.abc import Sequence
from pathlib import Path

from . import peers
from .figures import MISSING, Section, Table, Target, mib, number, seconds
from .inputs import TIME, Inputs, last_file, main_facts, settle, write_settings
from .run import Bench, BenchError, Runs, Tool, pipeline, say
from .sameness import sameness

HEAD = ("tool", "wall s", "CPU s", "peak MiB", "output MB", "× pigz")
MEMORY_LIMIT = 200
"""MiB: what a build may use at its peak, whatever the size of the tree."""
# Imports what a build of an unchanged tree imports, and ends.
_IMPORTS = "import imgpack.cli.main, imgpack.cli.commands.build, deflate; deflate.__version__"


_WALKS = """
import os, sys
from imgpack.tree.disk.walk import scan
from imgpack.tree.problems import Problems
from imgpack.tree.rules.ignore import ignore
from imgpack.tree.tree import Stamps
rules = ignore(file=os.fsencode(sys.argv[3])) if len(sys.argv) > 3 else None
for _ in range(int(sys.argv[2])):
    for _ in scan(Stamps(os.fsencode(sys.argv[1]), excluded=rules), Problems()):
        pass
"""
_PATTERNS = """**/.git
**/.gitignore
**/node_modules
**/__pycache__
**/*.pyc
**/*.log
**/*~
**/.DS_Store
.venv
build
dist
*.egg-info
docs/**
!docs/README.md
test_*.py
**/tests/fixtures/*
vendor/**/*.tmp
pkg?/generated
**/.env*
!**/.env.example
"""


def rows(runs: Runs, tools: Sequence[Tool], peer: str) -> tuple[tuple[str, ...], ...]:
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


def _caption(title: str, tree: Path) -> str:
    entries, content = main_facts(tree)
    return f"{title}: {entries:,} entries, {content / 1e6:,.0f} MB of content"


def cold(bench: Bench, tree: Path, *, slow: bool) -> tuple[Table, list[Target]]:
    """The main tree, every tool."""
    with contextlib.ExitStack() as stack:
        tools = peers.pipes(bench, tree, gzip=True) + peers.umoci(bench, tree)
        tools += peers.ours(bench, tree)
        if slow:
            tools += peers.skopeo(bench, tree) + peers.buildah(bench, tree)
            tools += stack.enter_context(peers.docker(bench, tree))
        runs = bench.in_turn("cold", tools)
    table = Table(_caption("The installation, cold", tree), HEAD, rows(runs, tools, peers.PIGZ))
    return table, _cold_targets(runs)


def _cold_targets(runs: Runs) -> list[Target]:
    def ratio(job: str, ours: str, peer: str, limit: float, what: str = "wall") -> Target:
        thing = "output of " if what == "output" else ""
        return Target(job, f"{thing}{peer}", limit, runs.ratio(ours, peer, what))

    targets = []
    pairs = (("cache being filled", peers.OURS), ("--no-cache", peers.OURS_UNCACHED))
    for how, name in pairs:
        targets.append(ratio(f"gzip, cold, {how}", name, peers.PIGZ, 0.35))
    targets.append(ratio("gzip, size", peers.OURS, peers.PIGZ, 1.03, "output"))
    for how, name in pairs:
        targets.append(ratio(f"gzip, cold, {how}", name, peers.UMOCI, 0.6))
    targets.append(ratio("zstd:3, cold, cache being filled", peers.OURS_ZSTD, peers.ZSTD, 0.9))
    targets.append(ratio("zstd:3, cold, --no-cache", peers.OURS_ZSTD_UNCACHED, peers.ZSTD, 0.9))
    targets.append(ratio("none, cache being filled", peers.OURS_NONE, peers.TAR, 0.6))
    targets.append(ratio("none, --no-cache", peers.OURS_NONE_UNCACHED, peers.TAR, 0.6))
    return targets + _memory(runs, "gzip, the installation")


def _memory(runs: Runs, job: str) -> list[Target]:
    value = runs.median(peers.OURS, "peak") / (1 << 20) if peers.OURS in runs.runs else None
    return [Target(f"peak memory, {job}", "imgpack alone", MEMORY_LIMIT, value, "MiB")]


def side(bench: Bench, title: str, tree: Path) -> tuple[Table, list[Target]]:
    """Another input, the fast tools, three rounds at most."""
    wanted = (peers.OURS, peers.OURS_ZSTD, peers.OURS_NONE)
    tools = peers.pipes(bench, tree, gzip=False) + peers.umoci(bench, tree)
    tools += [tool for tool in peers.ours(bench, tree) if tool.name in wanted]
    runs = bench.in_turn(title, tools, min(bench.rounds, 3))
    table = Table(_caption(f"{title}, cold", tree), HEAD, rows(runs, tools, peers.PIGZ))
    return table, _memory(runs, f"gzip, {title}")


def unchanged(bench: Bench, tree: Path) -> tuple[Table, list[Target]]:
    """A second build of the same tree, against looking at every inode once."""
    output, cache = bench.out / "imgpack.tar", bench.out / "warm-cache"
    empty = Inputs(bench).empty()
    option = ("--cache-dir", str(cache))
    again = Tool(
        "imgpack, nothing changed",
        peers.build_command(bench, tree, output, "gzip", *option),
        output,
    )
    nothing = peers.build_command(bench, empty, bench.out / "empty.tar", "gzip", *option)
    look = "find \"$1\" -printf '%D %i %y %m %U %G %s %T@ %C@ %p\\n' >/dev/null"
    tools = [
        Tool("find -printf", pipeline(look, tree)),
        again,
        Tool("python -c pass", (bench.python, "-c", "pass")),
        Tool("imgpack --version", bench.imgpack("--version")),
        Tool("the imports of a build", (bench.python, "-c", _IMPORTS)),
        Tool("imgpack, an empty tree", nothing, bench.out / "empty.tar"),
    ]
    bench.set_aside(cache)
    settle()
    bench.once(again)
    said = bench.output(pipeline('"$@" --explain 2>&1', *again.argv))
    if "nothing changed" not in said:
        raise BenchError(f"the tree was not found unchanged: {said[-1000:]}")
    runs = bench.in_turn("unchanged", tools)
    bench.set_aside(cache)
    table = Table(
        "The installation, nothing changed",
        (*HEAD[:5], "× find"),
        rows(runs, tools, "find -printf"),
    )
    targets = [
        Target(f"nothing changed, less {what}", "find -printf", 4, _above(runs, again.name, name))
        for what, name in (("--version", "imgpack --version"), ("its imports", tools[4].name))
    ]
    return table, targets


def ignored(bench: Bench, tree: Path) -> tuple[Table, list[Target]]:
    """A walk with patterns that leave out next to nothing, against one without any."""
    patterns = bench.work / "ignore"
    patterns.write_text(_PATTERNS)
    script = (bench.python, "-c", _WALKS, str(tree))
    tools = [
        Tool("five walks", (*script, "5")),
        Tool("five walks, 20 patterns", (*script, "5", str(patterns))),
        Tool("their start", (*script, "0", str(patterns))),
    ]
    runs = bench.in_turn("ignored", tools)
    table = Table(
        "The installation, with an ignore file",
        (*HEAD[:5], "× five walks"),
        rows(runs, tools, tools[0].name),
    )
    wanted = [runs.runs.get(tool.name) for tool in tools]
    share = None
    if all(wanted):
        found = zip(*filter(None, wanted), strict=True)
        share = statistics.median((b.cpu - a.cpu) / (a.cpu - c.cpu) for a, b, c in found)
    return table, [Target("20 ignore patterns, CPU above the walk", "the walk", 0.3, share)]


def _above(runs: Runs, name: str, start: str) -> float | None:
    """The median of (a build less its start-up) / find, within a round."""
    wanted = (name, start, "find -printf")
    if not all(runs.runs.get(each) for each in wanted):
        return None
    ours, up, theirs = (runs.runs[each] for each in wanted)
    shares = ((a.wall - b.wall) / c.wall for a, b, c in zip(ours, up, theirs, strict=True))
    return statistics.median(shares)


def one_changed(bench: Bench, tree: Path) -> tuple[Table, list[Target]]:
    """A build after one small file was written anew, against one that compresses nothing.

    And after the last file of the walk was touched, which a look at the tree sees latest.
    """
    output, cache = bench.out / "imgpack.tar", bench.out / "warm-cache"
    command = peers.build_command(bench, tree, output, "gzip", "--cache-dir", str(cache))
    versions = iter(range(1, 10_000))
    changed = Tool(
        "imgpack gzip, one file changed",
        command,
        output,
        prepare=lambda: write_settings(tree, next(versions)),
    )
    last = last_file(tree)
    again = Tool("again", command, output)

    def touch_last() -> None:
        settle()  # what was written a moment ago is never believed to be unchanged
        bench.once(again)
        os.utime(last, (TIME + next(versions),) * 2)

    touched = Tool(
        "imgpack gzip, the last file touched",
        command,
        output,
        prepare=touch_last,
    )
    plain = peers.imgpack(bench, peers.OURS_NONE_UNCACHED, tree, "none", cached=False)
    tools = [plain, changed, touched]
    bench.set_aside(cache)
    try:
        bench.once(again)
        runs = bench.in_turn("one changed", tools)
    finally:
        write_settings(tree, 0)
        os.utime(last, (TIME, TIME))
        bench.set_aside(cache)
    table = Table(
        "The installation, one file changed",
        (*HEAD[:5], "× none"),
        rows(runs, tools, plain.name),
    )
    return table, [
        Target(what, "imgpack --compression none", 1.2, runs.ratio(tool.name, plain.name))
        for what, tool in (
            ("gzip, one file changed", changed),
            ("gzip, the last file touched", touched),
        )
    ]


def run(bench: Bench, wanted: Sequence[str], *, slow: bool) -> Section:
    """Every job on the inputs that are ``wanted``."""
    inputs = Inputs(bench)
    tables: list[Table] = []
    targets: list[Target] = []
    notes: tuple[str, ...] = ()

    def add(found: tuple[Table, list[Target]]) -> None:
        tables.append(found[0])
        targets.extend(found[1])

    if "main" in wanted:
        tree = inputs.installation()
        _warm(bench, tree)
        add(cold(bench, tree, slow=slow))
        add(one_changed(bench, tree))
        add(unchanged(bench, tree))
        add(ignored(bench, tree))
        table, target, notes = sameness(bench, tree)
        add((table, [target]))
    others = (
        ("minbase", "Debian minbase", inputs.minbase),
        ("large", "one large file", inputs.large),
        ("tiny", "tiny files", inputs.tiny),
    )
    for name, title, make in others:
        if name in wanted:
            tree = make()
            _warm(bench, tree)
            add(side(bench, title, tree))
    return Section("build", bench.scale, bench.rounds, tuple(targets), tuple(tables), (), notes)


def _warm(bench: Bench, tree: Path) -> None:
    """Read everything once, so that the first tool finds what the others find."""
    say(f"reading {tree.name} once")
    bench.measure(pipeline('tar -C "$1" -cf - . | cat >/dev/null', tree))
