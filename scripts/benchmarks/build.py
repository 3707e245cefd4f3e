# ruff: noqa: RUF001
"""``scripts/bench build``: cold builds, a changed file, an unchanged tree, and the same digest."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from . import cold, peers
from .changed import one_changed
from .cold import HEAD, rows
from .figures import Section, Table, Target
from .inputs import Inputs, settle
from .run import Bench, BenchError, Runs, Tool, pipeline, say
from .sameness import sameness

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
        add(cold.main(bench, tree, slow=slow))
        add(one_changed(bench, tree))
        add(unchanged(bench, tree))
        add(ignored(bench, tree))
        table, target, notes = sameness(bench, tree)
        add((table, [target]))
    for given in cold.SIDE:
        if given.name in wanted:
            try:
                tree = given.make(inputs)
            except BenchError as error:
                say(f"{given.title}: {error}")
                notes += (f"There is no figure of {given.title}: it could not be made.",)
                continue
            add(cold.side(bench, given, tree))
    return Section("build", bench.scale, bench.rounds, tuple(targets), tuple(tables), (), notes)
