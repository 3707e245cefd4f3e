"""The page of figures: docs/benchmarks.md between its markers, and the charts beside it."""

from collections.abc import Sequence
from pathlib import Path

from . import chart
from .figures import TARGET_HEAD, Section, markdown, target_rows

BEGIN = "<!-- figures: begin (written by scripts/bench publish; do not edit) -->"
END = "<!-- figures: end -->"
ORDER = ("build", "codecs", "growth", "cache", "registry", "bases", "look")
TARGETS_CHART, GROWTH_CHART = "benchmark-targets.svg", "benchmark-growth.svg"
_TITLES = {
    "build": "Builds",
    "codecs": "gzip levels",
    "growth": "Growth",
    "cache": "The cache",
    "registry": "Registry",
    "bases": "On a base",
    "look": "Looking inside",
}


def figures(sections: Sequence[Section], machine: str) -> str:
    """The generated part of the page."""
    parts = [f"{machine}\n"]
    small = [section for section in sections if section.scale != "full"]
    if small:
        parts.append("**At small scale**: these figures only show that everything runs.\n")
    targets = [target for section in sections for target in section.targets]
    if targets:
        missed = sum(target.met is False for target in targets)
        parts.append(f"## Targets\n\n{len(targets)} figures have a target; {missed} miss it.\n")
        parts.append(f"![Figures against targets]({TARGETS_CHART})\n")
        parts.append(markdown(TARGET_HEAD, target_rows(targets)))
    for section in sections:
        rounds = "one round" if section.rounds == 1 else f"medians of {section.rounds} rounds"
        parts.append(f"## {_TITLES.get(section.name, section.name)}\n\nFigures: {rounds}.\n")
        if section.series:
            parts.append(f"![Growth of time and memory]({GROWTH_CHART})\n")
        parts += [
            f"**{table.caption}**\n\n{markdown(table.head, table.rows)}" for table in section.tables
        ]
        if section.notes:
            parts.append("\n\n".join(section.notes) + "\n")
    return "\n".join(parts)


def between(text: str, generated: str) -> str:
    """A page with what lies between its markers replaced; raises ``ValueError`` without them."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError("the page has no markers for the figures")
    return f"{head}{BEGIN}\n\n{generated}\n{END}{tail}"


def load(results: Path) -> list[Section]:
    """The sections that were measured, in the page's order."""
    paths = [results / f"{name}.json" for name in ORDER]
    return [Section.load(path) for path in paths if path.exists()]


def charts(sections: Sequence[Section]) -> dict[str, str]:
    """The charts' file names and texts."""
    out = {}
    targets = [target for section in sections for target in section.targets]
    if targets:
        out[TARGETS_CHART] = chart.bars(targets)
    series = [each for section in sections for each in section.series]
    if series:
        out[GROWTH_CHART] = chart.panels(series, "Growth of time and memory")
    return out


def publish(sections: Sequence[Section], machine: str, page: Path) -> None:
    """Write the figures into ``page``, which has the markers, and the charts beside it."""
    page.write_text(between(page.read_text("utf-8"), figures(sections, machine)), "utf-8")
    for name, text in charts(sections).items():
        (page.parent / name).write_text(text, "utf-8")
