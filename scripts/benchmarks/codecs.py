# ruff: noqa: RUF001
"""``scripts/bench codecs``: size and speed of every gzip level, which decide the default one."""

import json
import statistics
from pathlib import Path

from . import peers
from .figures import Section, Table, mib, number, seconds
from .inputs import Inputs
from .run import ROOT, Bench, Run, Tool, pipeline

LEVELS = range(1, 10)
LIMIT = 1.03
"""How much larger than that of ``gzip -6`` the default level's output may be."""


def default_level() -> int:
    """The level that is the default now, read from the source."""
    for text in (ROOT / "imgpack" / "layer" / "codec.py").read_text("utf-8").splitlines():
        if text.startswith("DEFAULT_GZIP_LEVEL"):
            return int(text.rpartition("=")[2])
    raise ValueError("imgpack/layer/codec.py names no DEFAULT_GZIP_LEVEL")


def fastest_within(
    walls: dict[int, float], ratios: dict[int, list[float]], limit: float = LIMIT
) -> int | None:
    """The fastest level whose output is within the limit on every input."""
    within = [level for level, found in ratios.items() if max(found) <= limit]
    return min(within, key=lambda level: walls[level]) if within else None


def _measured(
    bench: Bench, tree: Path, rounds: int
) -> tuple[int, dict[int, tuple[int, list[Run]]], int]:
    """The tar's size, each level's layer size and runs, and the size from ``gzip -6``."""
    raw = int(bench.output(pipeline('tar -C "$1" -cf - . | wc -c', tree)))
    gzip = int(bench.output(pipeline('tar -C "$1" -cf - . | gzip -6 | wc -c', tree)))
    output, said = bench.out / "codec.tar", bench.out / "codec.json"
    tools = [
        Tool(
            f"{tree.name}, gzip:{level}",
            peers.build_command(
                bench, tree, output, f"gzip:{level}", "--no-cache", "--metadata-file", str(said)
            ),
            output,
        )
        for level in LEVELS
    ]
    levels: dict[int, tuple[int, list[Run]]] = {}
    sizes: list[int] = []

    def noted(tool: Tool) -> Tool:
        def keep() -> None:
            image = json.loads(said.read_text("utf-8"))["images"][0]
            sizes.append(image["layers"][0]["size"])

        return Tool(tool.name, tool.argv, tool.output, finish=keep)

    for level, tool in zip(LEVELS, tools, strict=True):
        levels[level] = (0, [])
        bench.once(noted(tool))
        levels[level] = (sizes[-1], [])
    runs = bench.in_turn("codecs", tools, rounds)
    for level, tool in zip(LEVELS, tools, strict=True):
        levels[level][1].extend(runs.runs.get(tool.name, ()))
    return raw, levels, gzip


def run(bench: Bench) -> Section:
    """Every level on the trees and on the large file."""
    inputs = Inputs(bench)
    trees = {
        "Debian minbase": inputs.minbase(),
        "the installation": inputs.installation(),
        "one large file": inputs.large(),
    }
    ratios: dict[int, list[float]] = {level: [] for level in LEVELS}
    walls = dict.fromkeys(LEVELS, 0.0)
    rows: dict[int, list[str]] = {level: [f"gzip:{level}"] for level in LEVELS}
    head = ["level"]
    peak = dict.fromkeys(LEVELS, 0)
    for name, tree in trees.items():
        raw, levels, gzip = _measured(bench, tree, bench.rounds)
        head += [f"{name}: size ÷ gzip -6", "wall s", "MB/s"]
        for level, (size, runs) in levels.items():
            wall = statistics.median(run.wall for run in runs)
            ratios[level].append(size / gzip)
            walls[level] += wall
            peak[level] = max(peak[level], *(run.peak for run in runs))
            rows[level] += [number(size / gzip, 3), seconds(wall), f"{raw / 1e6 / wall:.0f}"]
    head.append("peak MiB")
    table = Table(
        "gzip levels, whole builds without a cache",
        tuple(head),
        tuple((*rows[level], mib(peak[level])) for level in LEVELS),
    )
    best, now = fastest_within(walls, ratios), default_level()
    note = (
        f"The fastest level with at most {LIMIT} × the size of `gzip -6` on each of these is "
        f"{best}; the default is {now} (at most {max(ratios[now]):.3f})."
    )
    return Section("codecs", bench.scale, bench.rounds, (), (table,), (), (note,))
