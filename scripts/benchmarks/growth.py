"""``scripts/bench growth``: time and peak memory against the number of files and of bytes.

``tar, then sha256sum`` goes along: where the disk limits it, it limits everything.
"""

import statistics
from collections.abc import Callable
from pathlib import Path

from . import peers
from .cold import MEMORY_LIMIT
from .figures import Section, Series, Table, Target, line, mib, number, seconds, slope
from .inputs import MIB, Inputs
from .run import Bench, Run, Tool, pipeline, say

HUGE = 20 * 1024 * MIB
FITTED = 10**9
"""The lines are fitted up to here, three decades: what writes more waits for the disk."""
GZIP, AGAIN, NONE = "gzip", "gzip, nothing changed", "none"

# For each line, and each size: the size, wall and CPU seconds, and peak bytes.
_Found = dict[str, list[tuple[int, float, float, int]]]


def sizes(*, full: bool) -> tuple[list[int], list[int]]:
    """How many files, and how many bytes."""
    if full:
        return [10**n for n in (3, 4, 5, 6)], [10**n for n in (6, 7, 8, 9, 10)]
    return [100, 1_000, 10_000], [10**6, 10**7, 10**8]


def _once_each(bench: Bench, tree: Path) -> dict[str, Run]:
    """A build that fills a cache, one that finds nothing changed, one without compression; tar."""
    output, cache = bench.out / "growth.tar", bench.out / "growth-cache"
    option = ("--cache-dir", str(cache), "--cache-limit", "1TiB")
    gzip = Tool(GZIP, peers.build_command(bench, tree, output, "gzip", *option), output)
    none = Tool(NONE, peers.build_command(bench, tree, output, "none", "--no-cache"), output)
    tar = next(tool for tool in peers.pipes(bench, tree) if tool.name == peers.TAR)
    tools = {GZIP: gzip, AGAIN: gzip, NONE: none, peers.TAR: tar}
    bench.set_aside(cache)
    try:
        return {name: bench.once(tool) for name, tool in tools.items()}
    finally:
        bench.set_aside(cache)


def _measured(
    bench: Bench, what: str, wanted: list[int], make: Callable[[int], Path], inputs: Inputs
) -> _Found:
    found: _Found = {GZIP: [], AGAIN: [], NONE: [], peers.TAR: []}
    for size in wanted:
        tree = make(size)
        bench.measure(pipeline('tar -C "$1" -cf - . | cat >/dev/null', tree))
        rounds = [_once_each(bench, tree) for _ in range(bench.rounds)]
        for name, points in found.items():
            wall, cpu, peak = (
                statistics.median(getattr(each[name], figure) for each in rounds)
                for figure in ("wall", "cpu", "peak")
            )
            points.append((size, wall, cpu, int(peak)))
            say(f"growth: {size:,} {what}: {name}: {wall:.2f} s, {mib(int(peak))} MiB")
        if size > 2 * 10**9:
            inputs.forget(tree)
    return found


def _table(title: str, found: _Found, start: float, unit: tuple[str, float]) -> Table:
    """Times and memory for each size, and how straight the line is."""
    wanted = [size for size, *_ in found[GZIP]]
    head = ("build", *(f"{size:,}" for size in wanted), "slope", "line", "off by", "CPU off by")
    rows = []
    for name, points in found.items():
        fitted = [point for point in points if point[0] <= FITTED]
        times = [(float(size), wall) for size, wall, _, _ in fitted]
        a, b, error = line(times)
        *_, cpu_error = line([(float(size), cpu) for size, _, cpu, _ in fitted])
        above = [(size, wall - start) for size, wall in times if wall > 1.2 * start]
        shown = [f"{seconds(wall)} s, {mib(peak)} MiB" for _, wall, _, peak in points]
        formula = f"{a:.2f} s + {b * unit[1]:.3g} s a {unit[0]}"
        off = (f"{100 * error:.0f} %", f"{100 * cpu_error:.0f} %")
        rows.append((name, *shown, number(slope(above)), formula, *off))
    return Table(title, head, tuple(rows))


def _series(found: _Found, unit: str) -> list[Series]:
    out = []
    for name, points in found.items():
        times = tuple((float(size), wall) for size, wall, _, _ in points)
        peaks = tuple((float(size), peak / MIB) for size, _, _, peak in points)
        out += [Series(f"seconds, by number of {unit}", name, times)]
        out += [Series(f"peak MiB, by number of {unit}", name, peaks)]
    return out


def _ordered(series: list[Series]) -> tuple[Series, ...]:
    """Times before memory, so that the chart has them in rows."""
    return tuple(sorted(series, key=lambda each: not each.panel.startswith("seconds")))


def huge(bench: Bench, inputs: Inputs) -> Target:
    """The peak memory of one layer of 20 GiB."""
    tree = inputs.large(HUGE, name="huge")
    output = bench.out / "huge.tar"
    command = peers.build_command(bench, tree, output, "gzip", "--no-cache", "--jobs", "2")
    run = bench.once(Tool("huge", command, output))
    say(f"huge: {run.wall:.0f} s, {mib(run.peak)} MiB")
    inputs.forget(tree)
    peak = run.peak / MIB
    return Target("peak memory, a layer of 20 GiB", "imgpack alone", MEMORY_LIMIT, peak, "MiB")


def run(bench: Bench, *, with_huge: bool) -> Section:
    """Both sizes; the huge layer if wanted."""
    inputs = Inputs(bench)
    many, large = sizes(full=bench.full)
    output = bench.out / "empty.tar"
    command = peers.build_command(bench, inputs.empty(), output, "gzip", "--no-cache")
    empty = Tool("empty", command, output)
    start = statistics.median(bench.once(empty).wall for _ in range(max(3, bench.rounds)))
    files = _measured(bench, "files", many, inputs.tiny, inputs)
    data = _measured(bench, "bytes", large, lambda size: inputs.large(size, name="bytes"), inputs)
    tables = (
        _table("Growth with the number of files", files, start, ("million", 1e6)),
        _table("Growth with the number of bytes, one file", data, start, ("GB", 1e9)),
    )
    series = _ordered(_series(files, "files") + _series(data, "bytes"))
    targets = [_peak(files, "files"), _peak(data, "bytes")]
    if with_huge:
        targets.append(huge(bench, inputs))
    notes = (
        f"A build of an empty tree takes {start:.2f} s. The slope is the exponent of the power "
        "law nearest to the times above that (1 is proportional; sizes that hardly take longer "
        "than an empty tree are left out); the line is the straight line "
        "of least relative error through the times, how far the worst point lies off it, and how "
        "far off its own line the worst point of CPU time is. Slope and line are those of the "
        f"sizes up to {FITTED:,}. imgpack without compression took "
        f"{_to_tar(files):.2f} times as long as {peers.TAR} for the most files, and "
        f"{_to_tar(data):.2f} times for the most bytes.",
    )
    return Section("growth", bench.scale, bench.rounds, tuple(targets), tables, series, notes)


def _to_tar(found: _Found) -> float:
    """The time of imgpack without compression over tar's, at the largest size."""
    return found[NONE][-1][1] / found[peers.TAR][-1][1]


def _peak(found: _Found, unit: str) -> Target:
    size = max(each for each, *_ in found[GZIP])
    ours = (points for name, points in found.items() if name != peers.TAR)
    peak = max(each for points in ours for *_, each in points) / MIB
    return Target(f"peak memory, {size:,} {unit}", "imgpack alone", MEMORY_LIMIT, peak, "MiB")
