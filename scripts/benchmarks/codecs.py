# ruff: noqa: RUF001
"""``scripts/bench codecs``: size and speed of every gzip level, and of the choice by content."""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

from . import peers
from .figures import Section, Table, mib, number, seconds
from .inputs import Inputs
from .run import Bench, BenchError, Run, Tool, pipeline
from .sizes import GZIP_6, reference

CHOSEN = "gzip"
LEVELS = (CHOSEN, *(f"gzip:{level}" for level in range(1, 10)))
LIMIT = 1.03
"""How much larger than that of ``gzip -6`` a level's output may be to be small enough."""


def fastest_within(
    walls: dict[str, float], ratios: dict[str, list[float]], limit: float = LIMIT
) -> str | None:
    """The fastest level whose output is within the limit on every input."""
    within = [level for level, found in ratios.items() if max(found) <= limit]
    return min(within, key=lambda level: walls[level]) if within else None


@dataclass(frozen=True, slots=True)
class _Level:
    """A level on one tree: the layer's bytes, and the runs."""

    size: int
    runs: tuple[Run, ...]


def _measured(bench: Bench, tree: Path) -> tuple[int, int, dict[str, _Level]]:
    """The size of the tree's tar, what ``gzip -6`` makes of it, and every level."""
    raw = int(bench.output(pipeline('tar -C "$1" -cf - . | wc -c', tree)))
    gzip = reference(bench, tree, GZIP_6)
    if gzip is None:
        raise BenchError("nothing to compare the levels with")
    output, said = bench.out / "codec.tar", bench.out / "codec.json"
    sizes: dict[str, int] = {}

    def tool(level: str) -> Tool:
        def keep() -> None:
            image = json.loads(said.read_text("utf-8"))["images"][0]
            sizes[level] = image["layers"][0]["size"]

        options = (level, "--no-cache", "--metadata-file", str(said))
        command = peers.build_command(bench, tree, output, *options)
        return Tool(f"{tree.name}, {level}", command, output, finish=keep)

    tools = {level: tool(level) for level in LEVELS}
    runs = bench.in_turn("codecs", list(tools.values()))
    if runs.failures:
        raise BenchError("a level could not be measured")
    levels = {level: _Level(sizes[level], runs.runs[each.name]) for level, each in tools.items()}
    return raw, gzip, levels


def run(bench: Bench) -> Section:
    """Every level on the trees and on the large file."""
    inputs = Inputs(bench)
    trees = {
        "Debian minbase": inputs.minbase(),
        "the installation": inputs.installation(),
        "one large file": inputs.large(),
    }
    ratios: dict[str, list[float]] = {level: [] for level in LEVELS}
    walls = dict.fromkeys(LEVELS, 0.0)
    rows: dict[str, list[str]] = {level: [level] for level in LEVELS}
    head = ["level"]
    peak = dict.fromkeys(LEVELS, 0)
    for name, tree in trees.items():
        raw, gzip, levels = _measured(bench, tree)
        head += [f"{name}: size ÷ gzip -6", "wall s", "MB/s"]
        for level, found in levels.items():
            wall = statistics.median(run.wall for run in found.runs)
            ratios[level].append(found.size / gzip)
            walls[level] += wall
            peak[level] = max(peak[level], *(run.peak for run in found.runs))
            rows[level] += [number(found.size / gzip, 3), seconds(wall), f"{raw / 1e6 / wall:.0f}"]
    head.append("peak MiB")
    table = Table(
        "gzip levels, whole builds without a cache",
        tuple(head),
        tuple((*rows[level], mib(peak[level])) for level in LEVELS),
    )
    best = fastest_within(walls, {level: ratios[level] for level in LEVELS if level != CHOSEN})
    note = (
        f"The fastest level with at most {LIMIT} × the size of `gzip -6` on each of these is {best}"
    )
    if best is not None:
        note += (
            f"; `{CHOSEN}`, which takes a level for each segment, is at most "
            f"{max(ratios[CHOSEN]):.3f} × that size, and takes "
            f"{walls[CHOSEN] / walls[best]:.2f} × the time of {best}"
        )
    note += "."
    return Section("codecs", bench.scale, bench.rounds, (), (table,), (), (note,))
