# ruff: noqa: RUF001, RUF002
"""What a benchmark found, as values that go to JSON and to the page.

A ``Section`` is one subcommand's outcome: tables, targets with what was measured
against each, series for the growth chart, and notes.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MISSING = "-"


@dataclass(frozen=True, slots=True)
class Target:
    """A limit for one figure; ``value`` is ``None`` where it could not be measured.

    ``unit`` follows the number: "×" for ratios to a peer, "s", "MiB", nothing for a count.
    ``digits`` of a ratio or of seconds are shown after the point.
    """

    job: str
    against: str
    limit: float
    value: float | None
    unit: str = "×"
    digits: int = 2

    @property
    def met(self) -> bool | None:
        """Whether the figure is within the limit; ``None`` without a figure."""
        return None if self.value is None else self.value <= self.limit

    @property
    def shown(self) -> str:
        """The figure with its unit."""
        digits = self.digits if self.unit in ("×", "s") else 0
        return f"{number(self.value, digits)} {self.unit}".strip()

    @property
    def verdict(self) -> str:
        """``met``, or by how much it is missed."""
        if self.value is None:
            return "not measured"
        if self.met:
            return "met"
        if not self.limit:
            return "**missed**"
        percent = 100 * (self.value / self.limit - 1)
        return f"**missed** by {percent:.{0 if percent >= 1 else 1}f} %"


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, the head, and rows of text."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one line: ``panel`` is what x and y are, ``line`` whose they are."""

    panel: str
    line: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """The outcome of one subcommand."""

    name: str
    scale: str
    rounds: int
    targets: tuple[Target, ...] = ()
    tables: tuple[Table, ...] = ()
    series: tuple[Series, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path) -> "Section":
        """Read what ``save`` wrote."""
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return cls(
            found["name"],
            found["scale"],
            found["rounds"],
            tuple(Target(**each) for each in found["targets"]),
            tuple(
                Table(each["caption"], tuple(each["head"]), tuple(map(tuple, each["rows"])))
                for each in found["tables"]
            ),
            tuple(
                Series(each["panel"], each["line"], tuple((x, y) for x, y in each["points"]))
                for each in found["series"]
            ),
            tuple(found["notes"]),
        )


def cell(text: str) -> str:
    """Text that stays within its cell of a Markdown table."""
    return " ".join(text.replace("|", "\\|").split())


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    body = [[cell(text) for text in row] for row in rows]
    for row in body:
        if len(row) != len(head):
            raise ValueError(f"a row of {len(row)} cells under a head of {len(head)}: {row}")
    return "".join(f"| {' | '.join(row)} |\n" for row in [*lines, *body])


def number(value: float | None, digits: int = 2) -> str:
    """A number with a few digits after the point, or a dash."""
    return MISSING if value is None or math.isnan(value) else f"{value:.{digits}f}"


def seconds(value: float) -> str:
    """Seconds, with three digits that say something."""
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def mib(value: float) -> str:
    """Bytes as MiB."""
    return f"{value / (1 << 20):.0f}"


def target_rows(targets: Iterable[Target]) -> list[tuple[str, ...]]:
    """The rows of the table of targets."""
    return [
        (
            target.job,
            target.against,
            f"≤ {target.limit:g} {target.unit}".strip(),
            MISSING if target.value is None else target.shown,
            target.verdict,
        )
        for target in targets
    ]


TARGET_HEAD = ("job", "measured against", "target", "measured", "verdict")


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The exponent of the power law nearest to the points: 1 is proportional, 0 is constant."""
    pairs = [(math.log(x), math.log(y)) for x, y in points if x > 0 and y > 0]
    if len(pairs) < 2:
        return math.nan
    mean_x = sum(x for x, _ in pairs) / len(pairs)
    mean_y = sum(y for _, y in pairs) / len(pairs)
    spread = sum((x - mean_x) ** 2 for x, _ in pairs)
    return sum((x - mean_x) * (y - mean_y) for x, y in pairs) / spread


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """The straight line ``a + b·x`` of least relative error: a, b, and its largest relative error.

    Relative, so that small sizes count as much as large ones.
    """
    weights = [(x, y, 1 / (y * y)) for x, y in points]
    total = sum(w for _, _, w in weights)
    mean_x = sum(w * x for x, _, w in weights) / total
    mean_y = sum(w * y for _, y, w in weights) / total
    spread = sum(w * (x - mean_x) ** 2 for x, _, w in weights)
    b = sum(w * (x - mean_x) * (y - mean_y) for x, y, w in weights) / spread
    a = mean_y - b * mean_x
    return a, b, max(abs(a + b * x - y) / y for x, y in points)
