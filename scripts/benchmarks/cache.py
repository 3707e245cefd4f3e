"""``scripts/bench cache``: what a cache costs a build, by how much is in it."""

import statistics
from pathlib import Path

from .figures import Section, Table, Target, number
from .run import Bench, remove, say

LIMIT = 1.2
"""How many times as long it may take with the most segments as with the fewest."""
HOW = {"below": "below its limit", "at": "at its limit"}
_JOB = Path(__file__).with_name("cache_job.py")


def sizes(*, full: bool) -> tuple[int, ...]:
    """How many segments."""
    return (1_000, 1_000_000) if full else (100, 2_000)


def run(bench: Bench) -> Section:
    """Each cache in turn, below its limit and at it."""
    wanted = sizes(full=bench.full)
    places = {count: bench.out / f"cache-{count}" for count in wanted}
    for count, place in places.items():
        remove(place)
        say(f"cache: {count:,} segments are made")
        bench.output((bench.python, str(_JOB), "fill", str(place), str(count)))
    found: dict[tuple[int, str], list[float]] = {
        (count, how): [] for count in wanted for how in HOW
    }
    for _ in range(bench.rounds):
        for (count, how), times in found.items():
            said = bench.output(
                (bench.python, str(_JOB), "use", str(places[count]), str(count), how)
            )
            times.append(float(said))
            say(f"cache: {count:,} segments, {HOW[how]}: {1000 * times[-1]:.1f} ms")
    for place in places.values():
        remove(place)
    return Section("cache", bench.scale, bench.rounds, _targets(found), (_table(found),))


def _targets(found: dict[tuple[int, str], list[float]]) -> tuple[Target, ...]:
    counts = sorted({count for count, _ in found})
    few, many = counts[0], counts[-1]
    return tuple(
        Target(
            f"open, a hit and the trim, {many:,} segments, {said}",
            f"{few:,} segments",
            LIMIT,
            statistics.median(
                a / b for a, b in zip(found[many, how], found[few, how], strict=True)
            ),
        )
        for how, said in HOW.items()
    )


def _table(found: dict[tuple[int, str], list[float]]) -> Table:
    counts = sorted({count for count, _ in found})
    rows = tuple(
        (said, *(number(1000 * statistics.median(found[count, how]), 1) for count in counts))
        for how, said in HOW.items()
    )
    head = ("a cache", *(f"{count:,} segments, ms" for count in counts))
    return Table("Opening a cache, a hit, a segment stored, and the trim", head, rows)
