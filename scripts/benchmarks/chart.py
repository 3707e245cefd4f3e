"""Charts as SVG, written by hand: figures against targets as bars, growth as lines.

Each chart brings its own card as background, light or dark as the reader prefers,
so it can be read wherever it is shown.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape

from .figures import Series, Target

WIDTH = 860
_STYLE = """\
<style>
text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #24292f }
.title { font-size: 16px; font-weight: 600 }
.faint { fill: #57606a; font-size: 12px }
.card { fill: #ffffff; stroke: #d0d7de }
.track { fill: #eff2f5 }
.met { fill: #2da44e } .missed { fill: #cf5a2b }
.goal { stroke: #24292f; stroke-width: 2 }
.grid { stroke: #d8dee4; stroke-width: 1 } .axis { stroke: #8c959f; stroke-width: 1 }
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round }
.c0 { stroke: #0969da } .c1 { stroke: #bf6a02 } .c2 { stroke: #8250df } .c3 { stroke: #6e7781 }
.f0 { fill: #0969da } .f1 { fill: #bf6a02 } .f2 { fill: #8250df } .f3 { fill: #6e7781 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .faint { fill: #9198a1 } .card { fill: #0d1117; stroke: #30363d }
.track { fill: #1b222b } .met { fill: #3fb950 } .missed { fill: #f0883e }
.goal { stroke: #e6edf3 } .grid { stroke: #262c34 } .axis { stroke: #6e7681 }
.c0 { stroke: #58a6ff } .c1 { stroke: #e3a33c } .c2 { stroke: #bc8cff } .c3 { stroke: #9198a1 }
.f0 { fill: #58a6ff } .f1 { fill: #e3a33c } .f2 { fill: #bc8cff } .f3 { fill: #9198a1 }
}
</style>
"""


def _svg(height: int, title: str, parts: Iterable[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">\n<title>{escape(title)}</title>\n'
    )
    card = f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>'
    return f"{head}{_STYLE}{card}\n" + "\n".join(parts) + "\n</svg>\n"


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _stroke(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


_LEFT, _BAR, _ROW, _SHOWN = 330, 360, 34, 1.5


def bars(targets: Sequence[Target]) -> str:
    """One bar a target: the figure as a share of its limit, which is one line for all of them."""
    measured = [target for target in targets if target.value is not None]
    title = "Figures against targets"
    top, bottom = 74, 28
    height = top + _ROW * max(1, len(measured)) + bottom
    goal = _LEFT + _BAR / _SHOWN
    parts = [
        _text(24, 32, title, "title"),
        _text(
            24, 52, "each bar is the figure as a share of its target: shorter is better", "faint"
        ),
        _text(goal, top - 8, "target", "faint", "middle"),
    ]
    for row, target in enumerate(measured):
        assert target.value is not None
        y = top + row * _ROW
        share = target.value / target.limit if target.limit else float(target.value > 0) * _SHOWN
        length = max(2.0, min(share, _SHOWN) / _SHOWN * _BAR)
        kind = "met" if target.met else "missed"
        rect = f'x="{_LEFT}" y="{y + 4}" height="20" rx="3"'
        parts += [
            _text(24, y + 14, target.job),
            _text(24, y + 27, target.against, "faint"),
            f'<rect class="track" {rect} width="{_BAR}"/>',
            f'<rect class="{kind}" {rect} width="{length:.1f}"/>',
            _text(_LEFT + _BAR + 12, y + 19, _label(target, share)),
        ]
    parts.append(_stroke("goal", goal, top - 2, goal, top + _ROW * len(measured)))
    return _svg(height, title, parts)


def _label(target: Target, share: float) -> str:
    more = " ▸" if share > _SHOWN else ""
    return f"{target.shown} of {target.limit:g}{more}"


_PANEL_WIDTH, _PANEL_HEIGHT = 330, 210


def panels(series: Sequence[Series], title: str) -> str:
    """A log-log panel for each kind of series, two in a row, one colour a line in all of them."""
    names = list(dict.fromkeys(each.panel for each in series))
    lines = list(dict.fromkeys(each.line for each in series))
    parts = [_text(24, 32, title, "title"), *_legend(lines)]
    for place, name in enumerate(names):
        left = 74 + place % 2 * (_PANEL_WIDTH + 84)
        top = 104 + place // 2 * (_PANEL_HEIGHT + 84)
        chosen = [each for each in series if each.panel == name]
        parts += _panel(name, chosen, lines, left, top)
    rows = -(-len(names) // 2)
    return _svg(104 + rows * (_PANEL_HEIGHT + 84) - 44, title, parts)


def _legend(lines: Sequence[str]) -> list[str]:
    parts, x = [], 24.0
    for place, name in enumerate(lines):
        parts.append(
            f'<rect class="f{place % 4}" x="{x:.1f}" y="50" width="12" height="12" rx="2"/>'
        )
        parts.append(_text(x + 18, 61, name))
        x += 40 + 7 * len(name)
    return parts


def _decades(values: Iterable[float]) -> tuple[int, int]:
    logs = [math.log10(value) for value in values if value > 0]
    if not logs:
        return 0, 1
    low, high = math.floor(min(logs)), math.ceil(max(logs))
    return low, max(high, low + 1)


def _panel(
    name: str, series: Sequence[Series], lines: Sequence[str], left: int, top: int
) -> list[str]:
    x_low, x_high = _decades(x for each in series for x, _ in each.points)
    y_low, y_high = _decades(y for each in series for _, y in each.points)

    def x_of(value: float) -> float:
        return left + (math.log10(value) - x_low) / (x_high - x_low) * _PANEL_WIDTH

    def y_of(value: float) -> float:
        return top + (1 - (math.log10(value) - y_low) / (y_high - y_low)) * _PANEL_HEIGHT

    parts = [_text(left, top - 12, name)]
    for power in range(x_low, x_high + 1):
        x = x_of(10.0**power)
        parts.append(_stroke("grid", x, top, x, top + _PANEL_HEIGHT))
        parts.append(_text(x, top + _PANEL_HEIGHT + 18, ticked(power), "faint", "middle"))
    for power in range(y_low, y_high + 1):
        y = y_of(10.0**power)
        parts.append(_stroke("grid", left, y, left + _PANEL_WIDTH, y))
        parts.append(_text(left - 8, y + 4, ticked(power), "faint", "end"))
    parts.append(_stroke("axis", left, top, left, top + _PANEL_HEIGHT))
    parts.append(
        _stroke("axis", left, top + _PANEL_HEIGHT, left + _PANEL_WIDTH, top + _PANEL_HEIGHT)
    )
    for each in series:
        colour = lines.index(each.line) % 4
        spots = [(x_of(x), y_of(y)) for x, y in each.points if x > 0 and y > 0]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        parts.append(f'<polyline class="line c{colour}" points="{path}"/>')
        parts += [
            f'<circle class="f{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in spots
        ]
    return parts


def ticked(power: int) -> str:
    """A power of ten, short: 0.01, 1, 100, 10k, 1M."""
    if power < 0:
        return f"{10.0**power:.{-power}f}"
    size, rest = divmod(power, 3)
    return f"{10**rest}{['', 'k', 'M', 'G', 'T'][size]}" if size < 5 else f"1e{power}"
